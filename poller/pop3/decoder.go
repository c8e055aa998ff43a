package pop3

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// A decoder reads the body of a multi-line answer (RFC 1939 section 3): it finds
// the terminator and removes dot-stuffing, octet-exact and in constant memory.
// It works on whatever the buffer holds, so that neither the size of the buffer
// nor the way the octets arrive can matter.
//
// QUIRK (RFC 1939 section 3): a dot is stuffing only if another one follows, and
// else a part of the message. A server that stuffs as it should never sends the
// latter. Dovecot 2.3 and Courier 1.0 do not stuff the first line of a message:
// of ".X: y" they send all octets that LIST counts, and this keeps them.
type decoder struct {
	in     *bufio.Reader
	lfOnly bool

	state  place
	cr     bool // in inLine: the octet before was CR
	lines  int64
	bareLF int64
	octets int64

	fingerprint io.Writer // never fails

	// writeErr is the first error of the destination. The body is read to its
	// end all the same: the next answer stands behind it.
	writeErr error
}

// A place is where in a line the decoder is.
type place uint8

const (
	atStart   place = iota // of a line, which is the start of the body or behind CR LF
	behindDot              // a line that began with a dot, which is held back
	behindCR               // ".\r" at the start of a line, held back
	inLine
)

// copy reads one body and writes it to the fingerprint, and to dst until that
// fails, which is in writeErr. More than limit octets (not above 0: no limit) are
// ErrTooLarge; end of file before the terminator is io.ErrUnexpectedEOF. After an
// error of copy the stream is of no use.
func (d *decoder) copy(fingerprint, dst io.Writer, limit int64) error {
	*d = decoder{in: d.in, lfOnly: d.lfOnly, fingerprint: fingerprint}
	for {
		if _, err := d.in.Peek(1); err != nil {
			if errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		chunk, _ := d.in.Peek(d.in.Buffered())
		n, done := d.scan(dst, chunk)
		d.in.Discard(n)
		if limit > 0 && d.octets > limit {
			return ErrTooLarge
		}
		if done {
			return nil
		}
	}
}

// scan decodes p as far as the terminator, and returns how many octets it took.
// Octets that go out unchanged are written in runs as long as possible.
func (d *decoder) scan(dst io.Writer, p []byte) (n int, done bool) {
	run := 0 // p[run:i] is to be written
	for i := 0; i < len(p); {
		switch d.state {
		case atStart:
			if p[i] != '.' {
				d.state, d.cr = inLine, false
				continue
			}
			d.write(dst, p[run:i])
			i++
			run, d.state = i, behindDot
		case behindDot:
			switch {
			case p[i] == '\r':
				i++
				run, d.state = i, behindCR
			case p[i] == '\n' && d.lfOnly:
				return i + 1, true
			default:
				if p[i] != '.' {
					d.write(dst, []byte{'.'})
				}
				d.state, d.cr = inLine, false
			}
		case behindCR:
			if p[i] == '\n' {
				return i + 1, true
			}
			d.write(dst, []byte{'.', '\r'})
			d.state, d.cr = inLine, false // no LF follows, so the CR is not asked for
		case inLine:
			i += d.line(p[i:])
		}
	}
	d.write(dst, p[run:]) // nothing, if something is held back
	return len(p), false
}

// line passes over the rest of a line, as far as p holds it.
func (d *decoder) line(p []byte) int {
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		d.cr = p[len(p)-1] == '\r'
		return len(p)
	}
	cr := d.cr
	if end > 0 {
		cr = p[end-1] == '\r'
	}
	d.lines++
	if !cr {
		d.bareLF++
	}
	if cr || d.lfOnly {
		d.state = atStart
	}
	d.cr = false
	return end + 1
}

func (d *decoder) write(dst io.Writer, p []byte) {
	if len(p) == 0 {
		return
	}
	d.octets += int64(len(p))
	d.fingerprint.Write(p)
	if d.writeErr == nil {
		_, d.writeErr = dst.Write(p)
	}
}
