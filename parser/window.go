package parser

import (
	"bytes"
	"io"
)

const (
	wholeSize  = 1 << 20   // a message up to this size is read once and kept
	windowSize = 256 << 10 // octets of a larger one that are in memory
)

// A window shows a message of any size piece by piece. What from returns is
// valid until the next call; what bytes returns stays valid.
type window struct {
	r    io.ReaderAt
	size int64
	buf  []byte
	base int64 // offset of buf[0]; buf never changes where it is the whole message
	step int   // octets read at once
	err  error // the first error of r; from then on the message seems to end
}

// openBytes returns a window on b itself.
func openBytes(b []byte) *window {
	return &window{r: bytes.NewReader(b), size: int64(len(b)), buf: b}
}

// openAt returns a window on the first size octets of r.
func openAt(r io.ReaderAt, size int64) *window {
	w := &window{r: r, size: max(size, 0), step: windowSize}
	if w.size <= wholeSize {
		w.fill(0, int(w.size))
	}
	return w
}

// whole reports whether the window holds the message entirely.
func (w *window) whole() bool { return w.base == 0 && int64(len(w.buf)) == w.size }

// from returns the octets at off: at least need of them, fewer only where the
// message ends.
func (w *window) from(off int64, need int) []byte {
	if off < 0 || off >= w.size || w.err != nil {
		return nil
	}
	end := w.base + int64(len(w.buf))
	if off < w.base || off >= end || end < w.size && end-off < int64(need) {
		w.fill(off, need)
		if w.err != nil {
			return nil
		}
	}
	return w.buf[off-w.base:]
}

// bytes returns n octets at off, fewer where the message ends.
func (w *window) bytes(off int64, n int) []byte {
	b := w.from(off, n)
	b = b[:min(n, len(b))]
	if w.whole() {
		return b
	}
	return bytes.Clone(b)
}

// section returns a reader of n octets at off.
func (w *window) section(off, n int64) io.Reader {
	if w.whole() {
		return bytes.NewReader(w.buf[off : off+n])
	}
	return io.NewSectionReader(noting{w}, off, n)
}

// noting reads past the window and keeps the first error in it.
type noting struct{ w *window }

func (t noting) ReadAt(p []byte, off int64) (int, error) {
	n, err := t.w.r.ReadAt(p, off)
	if n < len(p) && t.w.err == nil {
		t.w.err = err
		if err == nil || err == io.EOF {
			t.w.err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

func (w *window) fill(off int64, need int) {
	n := int(min(int64(max(need, w.step)), w.size-off))
	if cap(w.buf) < n {
		w.buf = make([]byte, n)
	}
	w.buf, w.base = w.buf[:n], off
	got, err := w.r.ReadAt(w.buf, off)
	if got == n {
		return
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	w.err = err
}
