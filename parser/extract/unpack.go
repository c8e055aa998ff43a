package extract

import (
	"errors"
	"fmt"
	"io"

	"github.com/mailkeep/mailkeep/mail"
)

// A container is what compressed octets come out of: one archive or stream. It
// counts over all of its entries, because a directory may name the same
// compressed octets many times.
type container struct {
	*work
	in  int64 // octets of the container
	out int64 // octets that came out of it
}

// A meter counts what a decompressor gives while it gives it and ends it at a
// limit with an error that is errLimit. What a format declares of sizes plays no
// part.
type meter struct {
	c    *container
	r    io.Reader
	in   func() int64 // compressed octets that r consumed; nil where that is not known
	out  int64
	fail error // why it ended
}

// meter returns r, counted as one entry of the container.
func (c *container) meter(r io.Reader, in func() int64) *meter {
	return &meter{c: c, r: r, in: in}
}

// Read implements io.Reader.
func (m *meter) Read(p []byte) (int, error) {
	if m.fail != nil {
		return 0, m.fail
	}
	if m.fail = m.c.ended(); m.fail != nil {
		return 0, m.fail
	}
	room := min(m.c.lim.Entry-m.out, m.c.unpacked)
	if room <= 0 {
		m.fail = m.atEnd()
		return 0, m.fail
	}
	n, err := m.r.Read(p[:min(int64(len(p)), room)])
	m.out += int64(n)
	m.c.out += int64(n)
	m.c.unpacked -= int64(n)
	if err == nil && m.bomb() {
		err = fmt.Errorf("expands more than %d times: %w", m.c.lim.Ratio, errLimit)
	}
	m.fail = err
	return n, err
}

// atEnd tells whether the entry ends where its room does.
func (m *meter) atEnd() error {
	var one [1]byte
	for range 100 {
		if n, err := m.r.Read(one[:]); n == 0 && err != nil {
			return err
		} else if n > 0 {
			return fmt.Errorf("unpacks to too much: %w", errLimit)
		}
	}
	return io.ErrNoProgress
}

// bomb reports whether more came out than honest documents give.
func (m *meter) bomb() bool {
	lim := m.c.lim
	if m.in != nil && m.out > lim.RatioFrom && m.out/lim.Ratio > m.in() {
		return true
	}
	return m.c.out > lim.RatioFrom && m.c.out/lim.Ratio > m.c.in
}

// all reads the entry into memory. With an error it returns what came before.
func (m *meter) all() ([]byte, error) {
	b, err := io.ReadAll(m)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("ends early")
	}
	return b, err
}

// embedPacked reads an entry of a container and then the document that it is.
// What could be unpacked of a broken or too large entry is read.
func (r *reading) embedPacked(name string, m *meter) error {
	b, err := m.all()
	if r.ended() != nil {
		return r.ended()
	}
	if len(b) > 0 || err == nil {
		if stop := r.embed(Document{Name: name, Data: b}); stop != nil {
			return stop
		}
	} else {
		r.unreadable(name)
	}
	switch {
	case err == nil:
	case len(b) > 0 || errors.Is(err, errLimit):
		r.mark(name, mail.TextTruncated, err.Error())
	default:
		r.mark(name, statusOf(err), err.Error())
	}
	if r.unpacked <= 0 {
		return fmt.Errorf("unpacks to too much: %w", errLimit)
	}
	return nil
}

// unreadable accounts for something inside of which there is nothing to read.
func (r *reading) unreadable(name string) {
	r.out.line(name)
	r.res.Embedded++
	r.res.Unread++
}
