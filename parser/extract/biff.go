package extract

import (
	"encoding/binary"
	"math"
)

// A biffReader walks the records of a workbook stream ([MS-XLS] section 2.1.4):
// a type and a length in 16 bits each, then the data.
type biffReader struct {
	b    []byte
	at   int // of the current record
	next int
	kind int
	data []byte
}

func (x *biffReader) read() bool {
	if x.next+4 > len(x.b) {
		return false
	}
	x.at = x.next
	x.kind = u16(x.b, x.at)
	from := x.at + 4
	to := min(len(x.b), from+u16(x.b, x.at+2))
	x.data, x.next = x.b[from:to], to
	return true
}

// continued returns the data of the current record and of those that continue
// it (type 0x3c), piece by piece.
func (x *biffReader) continued() [][]byte {
	pieces := [][]byte{x.data}
	for x.next+4 <= len(x.b) && u16(x.b, x.next) == 0x3c {
		kind, at := x.kind, x.at
		x.read()
		x.kind, x.at = kind, at
		pieces = append(pieces, x.data)
	}
	return pieces
}

// A biffText reads strings that may go on in the next piece. Where one does so
// between characters, the piece begins with a new octet of flags ([MS-XLS]
// section 2.5.293).
type biffText struct {
	pieces [][]byte
	b      []byte // rest of the current piece
}

func newBiffText(pieces [][]byte) *biffText {
	t := &biffText{pieces: pieces}
	t.turn()
	return t
}

// turn goes to the next piece.
func (t *biffText) turn() bool {
	if len(t.pieces) == 0 {
		return false
	}
	t.b, t.pieces = t.pieces[0], t.pieces[1:]
	return true
}

func (t *biffText) more() bool {
	for len(t.b) == 0 {
		if !t.turn() {
			return false
		}
	}
	return true
}

// take returns the next n octets; ok is false where they are split or missing.
func (t *biffText) take(n int) (b []byte, ok bool) {
	if !t.more() || len(t.b) < n {
		t.b = nil
		return nil, false
	}
	b, t.b = t.b[:n], t.b[n:]
	return b, true
}

// skip passes n octets across pieces.
func (t *biffText) skip(n int) {
	for n > 0 && t.more() {
		k := min(n, len(t.b))
		t.b = t.b[k:]
		n -= k
	}
}

// rich reads a string with a count of 16 bits, its flags, and what comes behind
// it for fonts and phonetics.
func (t *biffText) rich() (string, bool) {
	head, ok := t.take(3)
	if !ok {
		return "", false
	}
	n, flags := u16(head, 0), head[2]
	behind := 0
	if flags&8 != 0 {
		if b, ok := t.take(2); ok {
			behind += 4 * u16(b, 0)
		}
	}
	if flags&4 != 0 {
		if b, ok := t.take(4); ok {
			behind += int(min(u32(b, 0), math.MaxInt32))
		}
	}
	text := t.chars(n, flags)
	t.skip(behind)
	return text, true
}

// chars reads n characters of one or two octets.
func (t *biffText) chars(n int, flags byte) string {
	var units []byte
	for n > 0 {
		if len(t.b) == 0 {
			if !t.turn() || len(t.b) == 0 {
				break
			}
			flags, t.b = t.b[0], t.b[1:]
		}
		k := n
		if flags&1 != 0 {
			k = min(k, len(t.b)/2)
			units, t.b = append(units, t.b[:2*k]...), t.b[2*k:]
			if k == 0 {
				t.b = nil
			}
		} else {
			k = min(k, len(t.b))
			for _, c := range t.b[:k] {
				units = append(units, c, 0)
			}
			t.b = t.b[k:]
		}
		n -= k
	}
	return utf16Text(units)
}

// biffFloat reads a number of 64 bits.
func biffFloat(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }

// biffRK reads a number in the packed form ([MS-XLS] section 2.5.222).
func biffRK(v uint32) float64 {
	f := math.Float64frombits(uint64(v&^3) << 32)
	if v&2 != 0 {
		f = float64(int32(v) >> 2)
	}
	if v&1 != 0 {
		f /= 100
	}
	return f
}
