package ledger

import (
	"errors"
	"io"
)

// What is read at once: where a file is read in order, and where one record of
// it is wanted.
const (
	windowSize = 256 << 10
	glanceSize = 16 << 10
)

// A window reads ranges of a file that mostly follow each other. Each range is
// valid until the next call.
type window struct {
	f     io.ReaderAt
	ahead int
	buf   []byte
	at    int64 // file offset of buf[0]
}

func newWindow(f io.ReaderAt) *window { return &window{f: f, ahead: windowSize} }

// newGlance makes a window for one record.
func newGlance(f io.ReaderAt) *window { return &window{f: f, ahead: glanceSize} }

// read returns n octets at off, or io.ErrUnexpectedEOF if the file ends before
// (and then what there is).
func (w *window) read(off int64, n int) ([]byte, error) {
	if !w.covers(off, n) {
		if err := w.fill(off, max(n, w.ahead)); err != nil {
			return nil, err
		}
	}
	b := w.buf[off-w.at:]
	if len(b) < n {
		return b, io.ErrUnexpectedEOF
	}
	return b[:n], nil
}

// covers reports whether n octets at off are in memory.
func (w *window) covers(off int64, n int) bool {
	return off >= w.at && off+int64(n) <= w.at+int64(len(w.buf))
}

func (w *window) fill(off int64, n int) error {
	if cap(w.buf) < n {
		w.buf = make([]byte, n)
	}
	m, err := w.f.ReadAt(w.buf[:n], off)
	w.buf, w.at = w.buf[:m], off
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// header reads the header at off.
func (w *window) header(off int64) (header, hash32, error) {
	b, err := w.read(off, headerSize)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return header{}, hash32{}, &readError{err}
	}
	return parseHeader(b)
}

// body reads the body behind the header at off and compares it with its hash.
func (w *window) body(off int64, h *header) ([]byte, error) {
	b, err := w.read(off+headerSize, int(h.frameLen)-headerSize)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errors.New("body is cut short")
	}
	if err != nil {
		return nil, &readError{err}
	}
	if err := h.checkBody(b); err != nil {
		return nil, err
	}
	return b[:h.bodyLen], nil
}

// note reads the metadata of the record at off, and no more of it than needed,
// and returns it with the key of the commitments.
func (w *window) note(off int64, h *header, m means) ([]byte, commitKey, error) {
	const enough = 64 << 10
	b, err := w.read(off+headerSize, min(int(h.bodyLen), enough))
	if err != nil {
		return nil, commitKey{}, &readError{err}
	}
	note, key, err := m.note(h, b)
	if !errors.Is(err, io.ErrUnexpectedEOF) || h.bodyLen <= enough {
		return note, key, err
	}
	if b, err = w.read(off+headerSize, int(h.bodyLen)); err != nil {
		return nil, commitKey{}, &readError{err}
	}
	return m.note(h, b)
}

// A readError is a failure of the medium or the file system, not of the bytes.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

func isReadError(err error) bool {
	_, ok := errors.AsType[*readError](err)
	return ok
}
