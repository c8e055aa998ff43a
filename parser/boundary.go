package parser

import (
	"bytes"
	"strings"
)

const (
	maxGuesses    = 32 // guesses of a boundary per message; each costs one pass over the rest of it
	maxCandidates = 16 // lines remembered per guess
)

// open finds the first part of a multipart and pushes its boundary: the
// declared one, or the one that its lines show where the declared one does not
// begin a part. It reports false, with nothing pushed, where there is none.
func (s *scanner) open(n *node) (stop, bool) {
	token := strings.TrimRight(n.boundary, " \t")
	if token == "" {
		s.bad.add("MIME_NO_BOUNDARY", n.path, n.offHeader, "")
	}
	if token != "" {
		if st, ok := s.push(token, n.offBody); ok {
			return st, true
		}
	}
	if guess := s.guess(n.offBody); guess != "" && guess != token {
		if st, ok := s.push(guess, n.offBody); ok {
			s.bad.add("MIME_BOUNDARY_GUESSED", n.path, st.off, "")
			return st, true
		}
	}
	s.bad.add("MIME_BOUNDARY_NOT_FOUND", n.path, n.offBody, "")
	return stop{}, false
}

// push adds a boundary to the stack if a part begins with it.
func (s *scanner) push(token string, off int64) (stop, bool) {
	s.stack = append(s.stack, token)
	st := s.next(off)
	if st.level == len(s.stack)-1 && !st.closing {
		return st, true
	}
	s.stack = s.stack[:len(s.stack)-1]
	return stop{}, false
}

// guess returns the first "--token" line behind off that is seen again, as a
// delimiter or as a close delimiter, before an enclosing boundary; "" if none.
func (s *scanner) guess(off int64) string {
	if s.guesses++; s.guesses > maxGuesses {
		return ""
	}
	var seen []string
	for {
		line, at, next := s.dashes(off)
		if at >= s.w.size {
			return ""
		}
		off = next
		if level, _ := s.match(line); level >= 0 {
			return ""
		}
		token := string(bytes.TrimRight(line[2:], " \t"))
		closed, isClose := strings.CutSuffix(token, "--")
		for _, t := range seen {
			if t == token || isClose && t == closed {
				return t
			}
		}
		// "-- " begins a signature, and a run of dashes is a ruler.
		if strings.Trim(token, "-") != "" && len(token) <= s.lim.Boundary && len(seen) < maxCandidates && !strings.ContainsAny(token, "\t<>") {
			seen = append(seen, token)
		}
	}
}

// next finds the first boundary line of the stack at or behind the line start off.
func (s *scanner) next(off int64) stop {
	if len(s.stack) == 0 {
		return stop{level: -1, off: s.w.size, next: s.w.size}
	}
	for from := off; ; {
		line, at, next := s.dashes(from)
		if at >= s.w.size {
			return stop{level: -1, off: s.w.size, next: s.w.size}
		}
		level, closing := s.match(line)
		if cr := bytes.IndexByte(line, '\r'); level < 0 && cr >= 0 { // one line ends with CR alone
			level, closing = s.match(line[:cr])
			next = at + int64(cr) + 1
		}
		if level >= 0 {
			return stop{level: level, closing: closing, off: max(off, at-s.eolBefore(at)), next: next}
		}
		from = next
	}
}

// match compares a line that begins with "--" with the boundaries, the
// innermost first. Nothing but space may follow (RFC 2046 section 5.1.1).
func (s *scanner) match(line []byte) (level int, closing bool) {
	line = bytes.TrimRight(line, " \t")
	if len(line) < 3 || len(s.stack) == 0 {
		return -1, false
	}
	for i := len(s.stack) - 1; i >= 0; i-- {
		rest, ok := bytes.CutPrefix(line[2:], []byte(s.stack[i]))
		if ok && len(rest) == 0 {
			return i, false
		}
		if ok && len(rest) == 2 && rest[0] == '-' && rest[1] == '-' {
			return i, true
		}
	}
	return -1, false
}

// eolBefore returns the length of the line end before the line start at.
func (s *scanner) eolBefore(at int64) int64 {
	if at == 0 {
		return 0
	}
	if at >= 2 && s.eol == '\n' {
		if b := s.w.from(at-2, 2); len(b) > 0 && b[0] == '\r' {
			return 2
		}
	}
	return 1
}

// dashes finds the next line at or behind the line start off that begins with
// "--". It returns the line without its end, where it begins and where the next
// line begins; at is the size of the message if there is none. Of a line too
// long to be a boundary only the beginning is returned.
func (s *scanner) dashes(off int64) (line []byte, at, next int64) {
	at = s.findDashes(off)
	if at >= s.w.size {
		return nil, s.w.size, s.w.size
	}
	line, next, _ = s.line(at, s.lim.Boundary+64)
	return line, at, next
}

// findDashes returns where the next line that begins with "--" begins. off may
// be inside a line: behind the beginning of one too long to be a boundary.
func (s *scanner) findDashes(off int64) int64 {
	if b := s.w.from(off, 2); len(b) >= 2 && b[0] == '-' && b[1] == '-' && s.lineStart(off) {
		return off
	}
	mark := []byte{s.eol, '-', '-'}
	for off < s.w.size {
		b := s.w.from(off, len(mark))
		if i := bytes.Index(b, mark); i >= 0 {
			return off + int64(i) + 1
		}
		if int64(len(b)) >= s.w.size-off || len(b) < len(mark) {
			break
		}
		off += int64(len(b) - len(mark) + 1)
	}
	return s.w.size
}

func (s *scanner) lineStart(off int64) bool {
	if off == 0 {
		return true
	}
	b := s.w.from(off-1, 1)
	return len(b) > 0 && b[0] == s.eol
}

// line returns the line at off without its end, and where the next one begins.
// Where the line is longer than limit, it returns its first limit octets and
// false, and next is the octet behind those.
func (s *scanner) line(off int64, limit int) (line []byte, next int64, ok bool) {
	for need := min(4096, limit); ; need = min(need*8, limit) {
		b := s.w.from(off, need)
		if len(b) == 0 { // the end, or what an error of the reader makes look so
			return nil, s.w.size, true
		}
		if i := bytes.IndexByte(b[:min(len(b), limit)], s.eol); i >= 0 {
			return trimCR(b[:i]), off + int64(i) + 1, true
		}
		if len(b) < need || off+int64(len(b)) >= s.w.size && len(b) <= limit {
			return trimCR(b), off + int64(len(b)), true
		}
		if len(b) >= limit || need >= limit {
			return b[:limit], off + int64(limit), false
		}
	}
}

func trimCR(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == '\r' {
		b = b[:len(b)-1]
	}
	return b
}
