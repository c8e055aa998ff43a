package fold

import (
	"bytes"
	"encoding/binary"
	"slices"
)

const (
	countSize = 4
	runSize   = 12

	// minLine is the length of the shortest line that begins a run, minRun the octets
	// of the shortest run: less is not worth its entry. maxLine is what the format has
	// room for.
	minLine = 20
	minRun  = 256
	maxLine = 65532

	// A glance is so many octets, and there is one in each stride: a run of minRun
	// octets holds at least one of them whole.
	glance = 8
	stride = minRun - glance

	// maxRaw is the most that is folded, so that no number is near its limit.
	maxRaw = 1 << 28
)

// Line ends, as they stand in the folded form; each is its own length.
const (
	endLF   = 1
	endCRLF = 2
)

// A run is lines of base64.
type run struct {
	gap  int // literals in front of it
	n    int // octets that it encodes
	line int // characters of a line
	end  int // octets of a line end
}

// size is how many octets the run has when it is unfolded.
func (r run) size() int {
	per := r.line / 4 * 3
	return (r.n+2)/3*4 + (r.n+per-1)/per*r.end
}

func (r run) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(r.gap))
	b = binary.BigEndian.AppendUint32(b, uint32(r.n))
	b = binary.BigEndian.AppendUint16(b, uint16(r.line))
	return append(b, byte(r.end), 0)
}

// A Folder folds. It keeps its memory for the next time; its zero value is ready
// for use, by one goroutine at a time.
type Folder struct {
	runs     []run
	literals []byte // behind the list of runs
	payload  []byte
}

// Fold folds raw, and returns the folded form in two pieces: the runs and
// literals, and what the runs encode. They are valid until the next call. It
// returns false if there is nothing to fold, or raw has more than 256 MiB.
func (f *Folder) Fold(raw []byte) (head, payload []byte, ok bool) {
	f.runs, f.payload = f.runs[:0], f.payload[:0]
	if len(raw) < minRun || len(raw) > maxRaw {
		return nil, nil, false
	}
	f.find(raw)
	if len(f.runs) == 0 {
		return nil, nil, false
	}
	return f.head(raw), f.payload, true
}

// Size is about how much memory the Folder keeps, in octets.
func (f *Folder) Size() int { return cap(f.payload) + cap(f.literals) + 4*8*cap(f.runs) }

// find appends the runs in raw, and what they encode. It does not look at each
// line: a run that is long enough covers one of the glances that are taken at
// regular distances, and most text does not look like base64.
func (f *Folder) find(raw []byte) {
	at := 0 // no run begins before
	for p, done := stride, 0; p+glance <= len(raw); {
		if !plausible(raw[p:]) {
			p, at = p+stride, p+1
			continue
		}
		start := lineFrom(raw, at)
		for start <= p && start < len(raw) {
			r, size := f.try(raw[start:])
			if start += size; r.n > 0 {
				r.gap = start - size - done
				done = start
				f.runs = append(f.runs, r)
				break
			}
		}
		p, at = start+stride, start
	}
}

// lineFrom returns where the first line begins at or behind b[at]: len(b) if there
// is none.
func lineFrom(b []byte, at int) int {
	if at == 0 {
		return 0
	}
	if i := bytes.IndexByte(b[at-1:], '\n'); i >= 0 {
		return at + i
	}
	return len(b)
}

// try decodes the run that b begins with, and returns how many octets it has. If
// there is none that is worth it, the run encodes nothing, and so many octets are
// passed over.
func (f *Folder) try(b []byte) (run, int) {
	nl := bytes.IndexByte(b, '\n')
	if nl < 0 {
		return run{}, len(b)
	}
	kept := len(f.payload)
	r, ok := f.lines(b, nl)
	if !ok {
		return run{}, nl + 1
	}
	if size := r.size(); size >= minRun {
		return r, size
	}
	f.payload = f.payload[:kept]
	return run{}, r.size() // none but its last line can begin another: that one is given up
}

// lines decodes the run that b begins with, the first line of which has its LF at
// nl. It returns false if there is none.
func (f *Folder) lines(b []byte, nl int) (run, bool) {
	r := run{line: nl, end: endLF}
	if nl > 0 && b[nl-1] == '\r' {
		r.line, r.end = nl-1, endCRLF
	}
	if r.line < minLine || r.line > maxLine || r.line%4 != 0 || !looks(b) {
		return r, false
	}
	kept := len(f.payload)
	step := r.line + r.end
	for len(b) >= step && ends(b[r.line:step]) == r.end && f.full(b[:r.line]) {
		b = b[step:]
	}
	f.last(b, r)
	r.n = len(f.payload) - kept
	return r, r.n > 0
}

// full decodes a line without padding.
func (f *Folder) full(line []byte) bool {
	n := len(line) / 4 * 3
	if !decode(f.room(n), line) {
		return false
	}
	f.payload = f.payload[:len(f.payload)+n]
	return true
}

// last decodes the line that ends a run: it is shorter, or has padding.
func (f *Folder) last(b []byte, r run) {
	b = b[:min(len(b), r.line+r.end)]
	nl := bytes.IndexByte(b, '\n')
	if nl+1 < 4+r.end || ends(b[:nl+1]) != r.end {
		return
	}
	line := b[:nl+1-r.end]
	if len(line)%4 != 0 {
		return
	}
	if n, ok := decodeLast(f.room(len(line)/4*3), line); ok {
		f.payload = f.payload[:len(f.payload)+n]
	}
}

// room returns where n octets more of payload go, with decodeSlack behind them.
func (f *Folder) room(n int) []byte {
	at := len(f.payload)
	f.payload = slices.Grow(f.payload, n+decodeSlack)
	return f.payload[at : at+n+decodeSlack]
}

// ends returns the length of the line end that b ends with.
func ends(b []byte) int {
	switch {
	case b[len(b)-1] != '\n':
		return 0
	case len(b) > 1 && b[len(b)-2] == '\r':
		return endCRLF
	}
	return endLF
}

// head returns the list of the runs, and the literals of raw.
func (f *Folder) head(raw []byte) []byte {
	b := binary.BigEndian.AppendUint32(f.literals[:0], uint32(len(f.runs)))
	for _, r := range f.runs {
		b = r.append(b)
	}
	for _, r := range f.runs {
		b = append(b, raw[:r.gap]...)
		raw = raw[r.gap+r.size():]
	}
	f.literals = append(b, raw...)
	return f.literals
}
