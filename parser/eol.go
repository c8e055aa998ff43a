package parser

import "bytes"

// The ways in which the lines of a message end, as mail.Message.EOL names them.
const (
	eolCRLF  = "crlf"
	eolLF    = "lf"
	eolCR    = "cr"
	eolMixed = "mixed"
)

// lineEnds tells how the lines of the message end: "" if there is no line end.
// Where CR LF and LF both do, at is the first line end that differs from those
// before it. A CR alone ends a line only in a message that has no LF at all.
func (w *window) lineEnds() (eol string, at int64) {
	cr, last := false, byte(0)
	for off := int64(0); off < w.size; {
		b := w.from(off, 1)
		if len(b) == 0 {
			break
		}
		for i := 0; i < len(b); i++ {
			j := bytes.IndexByte(b[i:], '\n')
			if j < 0 {
				cr = cr || eol == "" && bytes.IndexByte(b[i:], '\r') >= 0
				break
			}
			if i += j; i > 0 {
				last = b[i-1]
			}
			kind := eolLF
			if last == '\r' {
				kind = eolCRLF
			}
			if eol != "" && eol != kind {
				return eolMixed, off + int64(i)
			}
			eol, last = kind, '\n'
		}
		last = b[len(b)-1]
		off += int64(len(b))
	}
	if eol == "" && cr {
		return eolCR, 0
	}
	return eol, 0
}
