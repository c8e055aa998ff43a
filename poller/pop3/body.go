package pop3

import (
	"bufio"
	"bytes"
	"io"
)

// counts are what a body had.
type counts struct {
	octets int64 // delivered, dots taken off
	lines  int64 // LFs
	bareLF int64 // LFs that no CR precedes
}

// body copies a multi-line answer to w, byte for byte but for the dots that
// stuffing added (RFC 1939 section 3), up to the line that is a single dot.
// More than limit octets (0: any number) are ErrTooLarge.
//
// A line starts behind CR LF, or in LF-only mode behind LF; the parts of a line
// that is longer than the buffer come one by one, and only the first of them is
// at a line's start.
func (c *conn) body(w io.Writer, limit int64) (n counts, err error) {
	start, cr := true, false
	for {
		b, err := c.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return n, err
		}
		if start && b[0] == '.' {
			if c.ends(b) {
				return n, nil
			}
			b = b[1:]
		}
		if err == nil {
			n.lines++
			if cr = len(b) > 1 && b[len(b)-2] == '\r' || len(b) == 1 && cr; !cr {
				n.bareLF++
			}
			start = cr || c.lfOnly
			cr = false
		} else {
			start, cr = false, len(b) > 0 && b[len(b)-1] == '\r'
		}
		n.octets += int64(len(b))
		if limit > 0 && n.octets > limit {
			return n, ErrTooLarge
		}
		if _, err := w.Write(b); err != nil {
			return n, err
		}
	}
}

// ends reports whether a line at its start is the end of the body.
func (c *conn) ends(line []byte) bool {
	return bytes.Equal(line, []byte(".\r\n")) || c.lfOnly && bytes.Equal(line, []byte(".\n"))
}
