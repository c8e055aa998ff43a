package parser

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
)

// lineSize is the longest line that the line-wise decoders see whole. It is
// fixed, so that what they give does not depend on how r is read.
const lineSize = 64 << 10

// lenient returns a reader of the octets that a Content-Transfer-Encoding
// stands for. It goes on after every fault and fails only where r does.
func lenient(encoding string, r io.Reader) io.Reader {
	switch encoding {
	case "base64":
		return &filterReader{r: r, f: &base64Filter{}, in: make([]byte, 32<<10)}
	case "quoted-printable":
		return &lineReader{r: bufio.NewReaderSize(r, lineSize), f: &qpFilter{}}
	case "x-uuencode":
		return &lineReader{r: bufio.NewReaderSize(r, lineSize), f: &uuFilter{}}
	}
	return r
}

// A filter decodes octets as they come and what is left at the end.
type filter interface {
	append(dst, src []byte) []byte
	finish(dst []byte) []byte
}

// A filterReader feeds a filter with blocks of any size.
type filterReader struct {
	r   io.Reader
	f   filter
	in  []byte
	buf []byte // backs out
	out []byte // decoded and not yet read
	err error
}

func (d *filterReader) Read(p []byte) (int, error) {
	for len(d.out) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		n, err := d.r.Read(d.in)
		d.buf = d.f.append(d.buf[:0], d.in[:n])
		if err != nil {
			d.buf, d.err = d.f.finish(d.buf), err
		}
		d.out = d.buf
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

// A lineReader feeds a filter with lines, their ends included. A line longer
// than lineSize comes in pieces.
type lineReader struct {
	r   *bufio.Reader
	f   filter
	buf []byte
	out []byte
	err error
}

func (d *lineReader) Read(p []byte) (int, error) {
	for len(d.out) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		line, err := d.r.ReadSlice('\n')
		d.buf = d.f.append(d.buf[:0], line)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			d.buf, d.err = d.f.finish(d.buf), err
		}
		d.out = d.buf
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

// A base64Filter decodes base64 (RFC 2045 section 6.8). Octets outside of the
// alphabet are skipped. "=" ends a group early; what follows is another block
// if its line is base64 alone, else the footer of a mailing list, and skipped.
type base64Filter struct {
	acc    uint32
	n      int    // sextets in acc
	junk   int    // octets skipped that are not space
	padded bool   // a block has ended
	line   []byte // after that, the line so far
}

// maxTestLine is how much of a line behind the end of a block is looked at.
const maxTestLine = 1024

func (f *base64Filter) append(dst, src []byte) []byte {
	for i, c := range src {
		if f.padded {
			return f.behind(dst, src[i:])
		}
		v := sextets[c]
		switch {
		case v < 64:
			f.acc = f.acc<<6 | uint32(v)
			if f.n++; f.n == 4 {
				dst = append(dst, byte(f.acc>>16), byte(f.acc>>8), byte(f.acc))
				f.acc, f.n = 0, 0
			}
		case v == sextetPad:
			dst = f.flush(dst)
			f.padded = true
		case v == sextetJunk:
			f.junk++
		}
	}
	return dst
}

// behind takes octets behind the end of a block, line by line.
func (f *base64Filter) behind(dst, src []byte) []byte {
	for len(src) > 0 {
		i := bytes.IndexByte(src, '\n')
		end := len(src)
		if i >= 0 {
			end = i + 1
		}
		if room := maxTestLine - len(f.line); end > room {
			end, i = room, 0
		}
		f.line = append(f.line, src[:end]...)
		src = src[end:]
		if i >= 0 {
			dst = f.judge(dst)
		}
	}
	return dst
}

// judge decodes the line behind a block if it is base64 alone.
func (f *base64Filter) judge(dst []byte) []byte {
	line := bytes.TrimLeft(bytes.TrimSpace(f.line), "=")
	f.line = f.line[:0]
	octets, err := base64.StdEncoding.AppendDecode(nil, line)
	if err != nil {
		f.junk += len(line)
		return dst
	}
	return append(dst, octets...)
}

func (f *base64Filter) finish(dst []byte) []byte { return f.judge(f.flush(dst)) }

// flush ends a group early.
func (f *base64Filter) flush(dst []byte) []byte {
	switch f.n {
	case 1:
		f.junk++
	case 2:
		dst = append(dst, byte(f.acc>>4))
	case 3:
		dst = append(dst, byte(f.acc>>10), byte(f.acc>>2))
	}
	f.acc, f.n = 0, 0
	return dst
}

const (
	sextetSpace = 64 + iota
	sextetPad
	sextetJunk
)

var sextets = sextetTable()

func sextetTable() (t [256]byte) {
	for i := range t {
		t[i] = sextetJunk
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = byte(i)
	}
	for _, c := range []byte(" \t\r\n") {
		t[c] = sextetSpace
	}
	t['='] = sextetPad
	return t
}

// A qpFilter decodes quoted-printable (RFC 2045 section 6.7) line by line. An
// "=" that begins no triple stands for itself.
type qpFilter struct {
	held []byte // end of a piece that may be the beginning of a triple
}

func (f *qpFilter) append(dst, piece []byte) []byte {
	if len(f.held) > 0 {
		piece = append(f.held, piece...)
		f.held = nil
	}
	if !bytes.HasSuffix(piece, []byte("\n")) {
		keep := unsure(piece)
		f.held = bytes.Clone(piece[keep:])
		return appendQP(dst, piece[:keep])
	}
	line := bytes.TrimRight(piece, " \t\r\n")
	if body, soft := bytes.CutSuffix(line, []byte("=")); soft {
		return appendQP(dst, body)
	}
	dst = appendQP(dst, line)
	if bytes.HasSuffix(piece, []byte("\r\n")) {
		dst = append(dst, '\r')
	}
	return append(dst, '\n')
}

// unsure returns where the end of a piece without a line end begins that only
// what follows can explain: space that may end the line, and before it what may
// be a triple or a soft line break.
func unsure(piece []byte) int {
	end := len(bytes.TrimRight(piece, " \t\r"))
	if len(piece)-end > lineSize {
		return len(piece)
	}
	if i := bytes.LastIndexByte(piece[max(0, end-2):end], '='); i >= 0 {
		return max(0, end-2) + i
	}
	return end
}

func (f *qpFilter) finish(dst []byte) []byte {
	line := bytes.TrimRight(f.held, " \t\r")
	f.held = nil
	return appendQP(dst, bytes.TrimSuffix(line, []byte("=")))
}

func appendQP(dst, line []byte) []byte {
	for {
		i := bytes.IndexByte(line, '=')
		if i < 0 {
			return append(dst, line...)
		}
		dst = append(dst, line[:i]...)
		line = line[i:]
		if len(line) >= 3 && isHex(line[1]) && isHex(line[2]) {
			dst = append(dst, unhex(line[1])<<4|unhex(line[2]))
			line = line[3:]
			continue
		}
		dst = append(dst, '=')
		line = line[1:]
	}
}

// A uuFilter decodes uuencode: lines between "begin MODE NAME" and "end", each
// with its length first. A body without a begin line gives nothing.
type uuFilter struct {
	open bool
}

func (f *uuFilter) append(dst, line []byte) []byte {
	line = bytes.TrimRight(line, "\r\n")
	if !f.open {
		f.open = bytes.HasPrefix(line, []byte("begin "))
		return dst
	}
	if len(line) == 0 {
		return dst
	}
	if string(bytes.TrimRight(line, " ")) == "end" {
		f.open = false
		return dst
	}
	want := int(line[0]-' ') & 63
	line = line[1:]
	for ; want > 0 && len(line) > 0; want -= 3 {
		var q [4]byte
		for i := range q {
			if i < len(line) {
				q[i] = (line[i] - ' ') & 63
			}
		}
		group := []byte{q[0]<<2 | q[1]>>4, q[1]<<4 | q[2]>>2, q[2]<<6 | q[3]}
		dst = append(dst, group[:min(want, 3)]...)
		line = line[min(4, len(line)):]
	}
	return dst
}

func (f *uuFilter) finish(dst []byte) []byte { return dst }
