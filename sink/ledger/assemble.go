package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/mailkeep/mailkeep/internal/durable"
)

// pieces are octets of several files in a row.
type pieces struct{ all []piece }

// A piece is n octets at off of a file, and of the whole at at.
type piece struct {
	f          durable.File
	at, off, n int64
}

// add appends octets that follow in f, at the same offset as in the whole.
func (p *pieces) add(f durable.File, off, n int64) {
	if last := len(p.all) - 1; last >= 0 && p.all[last].f == f && p.all[last].off+p.all[last].n == off {
		p.all[last].n += n
		return
	}
	p.all = append(p.all, piece{f, p.size(), off, n})
}

func (p *pieces) size() int64 {
	if len(p.all) == 0 {
		return 0
	}
	last := p.all[len(p.all)-1]
	return last.at + last.n
}

// from counts the octets that are taken from a file.
func (p *pieces) from(f durable.File) (n int64) {
	for _, one := range p.all {
		if one.f == f {
			n += one.n
		}
	}
	return n
}

// ReadAt implements io.ReaderAt.
func (p *pieces) ReadAt(b []byte, off int64) (n int, err error) {
	for _, one := range p.all {
		if off < one.at || off >= one.at+one.n || n == len(b) {
			continue
		}
		want := min(int64(len(b)-n), one.at+one.n-off)
		m, err := one.f.ReadAt(b[n:int64(n)+want], one.off+off-one.at)
		n, off = n+m, off+int64(m)
		if int64(m) < want {
			return n, err
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// equal reports whether a file, nil for none, is the whole already.
func equal(whole *pieces, f durable.File) (bool, error) {
	if f == nil {
		return false, nil
	}
	info, err := f.Stat()
	if err != nil || info.Size() != whole.size() {
		return false, err
	}
	a, b := make([]byte, windowSize), make([]byte, windowSize)
	for off := int64(0); off < whole.size(); off += windowSize {
		n := min(windowSize, whole.size()-off)
		if _, err := whole.ReadAt(a[:n], off); err != nil {
			return false, err
		}
		if _, err := f.ReadAt(b[:n], off); err != nil {
			return false, nil // the medium fails there: that is damage
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return false, nil
		}
	}
	return true, nil
}

// assemble puts a segment together: each frame from the first of the files that
// has one which is good and continues the chain. A file may be nil. It returns the
// chain behind the seal.
func assemble(ctx context.Context, before chain, files ...durable.File) (*pieces, chain, error) {
	// A frame may be good here and continue the chain, and still not be the one that
	// was written: the one behind it tells. So each file is tried as the first.
	var last error
	for i, f := range files {
		if f == nil {
			continue
		}
		order := append([]durable.File{f}, append(append([]durable.File{}, files[:i]...), files[i+1:]...)...)
		whole, end, err := assembleFrom(ctx, before.clone(), order)
		if _, no := errors.AsType[refused](err); err == nil || !no {
			return whole, end, err
		}
		if last == nil {
			last = err
		}
	}
	return nil, before, last
}

func assembleFrom(ctx context.Context, c chain, files []durable.File) (*pieces, chain, error) {
	var sources []*supply
	for _, f := range files {
		if f == nil {
			continue
		}
		info, err := f.Stat()
		if err != nil {
			return nil, c, err
		}
		sources = append(sources, &supply{f: f, w: newWindow(f), size: info.Size()})
	}
	whole, s := &pieces{}, scan{chain: c}
	for !s.sealed {
		if err := ctx.Err(); err != nil {
			return nil, c, err
		}
		if err := next(&s, whole, sources); err != nil {
			return nil, c, err
		}
	}
	return whole, s.chain, checkSum(whole)
}

// A supply is a file that frames may be taken from.
type supply struct {
	f    durable.File
	w    *window
	size int64
}

// next takes the next frame.
func next(s *scan, whole *pieces, sources []*supply) error {
	var fault error
	for _, from := range sources {
		at := s.off
		err := from.frame(s)
		if isReadError(err) {
			err = errors.New(err.Error()) // a medium that fails is damage too
		}
		if err == nil {
			whole.add(from.f, at, s.off-at)
			return nil
		}
		if fault == nil {
			fault = err
		}
	}
	return refuse("record %d is good in none of the files: %w", s.chain.seq, fault)
}

// frame takes the frame at s.off of the file, if it is good.
func (p *supply) frame(s *scan) error {
	if s.off+headerSize > p.size {
		return errors.New("file ends before")
	}
	h, leaf, err := p.w.header(s.off)
	if err != nil {
		return err
	}
	if err := s.fits(&h, p.size); err != nil {
		return err
	}
	if _, err := p.w.body(s.off, &h); err != nil {
		return err
	}
	return s.take(p.w, &h, leaf, p.size)
}

// checkSum compares the whole with the SHA-256 of its seal.
func checkSum(whole *pieces) error {
	s, err := sealOf(whole)
	if err != nil {
		return refused{err}
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(whole, 0, s.at)); err != nil {
		return err
	}
	if !bytes.Equal(h.Sum(nil), s.sum[:]) {
		return refuse("the segment does not match the SHA-256 of its seal")
	}
	return nil
}

func sealOf(whole *pieces) (*seal, error) {
	w := newGlance(whole)
	tail, err := w.read(whole.size()-tailSize, tailSize)
	if err != nil {
		return nil, err
	}
	off, ok := parseTail(tail)
	if !ok {
		return nil, errors.New("the segment does not end with its seal")
	}
	h, _, err := w.header(off)
	if err != nil {
		return nil, err
	}
	s, err := readSeal(w, off, &h)
	if err == nil {
		s.at = off
	}
	return s, err
}
