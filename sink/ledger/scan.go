package ledger

import (
	"bytes"
	"errors"

	"github.com/mailkeep/mailkeep/internal/durable"
)

// A scan is what a segment holds from its start up to the first frame that is
// not good, or its end.
type scan struct {
	chain   chain    // behind the last good record
	off     int64    // behind the last good frame
	offsets []uint64 // of the good frames
	sealed  bool     // the last good frame is a seal, and the tail behind it is right
	fault   error    // what is wrong at off; nil if the bytes end there
}

// resume goes on with a scan over the octets of f below end. Every frame is
// read whole and compared with its hashes. The error is one of reading.
func (s *scan) resume(f durable.File, end int64) error {
	w := newWindow(f)
	for s.fault = nil; s.off < end && !s.sealed; {
		h, leaf, err := w.header(s.off)
		if err == nil {
			err = s.fits(&h, end)
		}
		if err == nil {
			_, err = w.body(s.off, &h)
		}
		if isReadError(err) {
			return err
		}
		if err != nil {
			s.fault = err
			return nil
		}
		if err := s.take(w, &h, leaf, end); err != nil {
			s.fault = err
			return nil
		}
	}
	return nil
}

func (s *scan) fits(h *header, end int64) error {
	if s.off+int64(h.frameLen) > end {
		return errors.New("frame is cut short")
	}
	if (h.typ == typeOpen) != (s.off == 0) {
		return errors.New("segment open record is not where the segment begins")
	}
	return s.chain.check(h)
}

func (s *scan) take(w *window, h *header, leaf hash32, end int64) error {
	next := s.off + int64(h.frameLen)
	if h.typ == typeSeal {
		content, err := readSeal(w, s.off, h)
		if err != nil {
			return err
		}
		tail, _ := w.read(next, tailSize)
		if off, ok := parseTail(tail); !ok || off != s.off || next+tailSize != end || content.root != s.chain.tree.root() {
			return errors.New("seal is not complete")
		}
		s.sealed, next = true, next+tailSize
	} else {
		s.offsets = append(s.offsets, uint64(s.off))
	}
	s.chain.add(h, leaf)
	s.off = next
	return nil
}

// A found frame is one that a search came upon.
type found struct {
	off  int64
	head header
	leaf hash32
}

// search looks for the next frame of the stream at or behind off that passes
// want. A frame that somebody mailed us would need the stream's id.
func search(f durable.File, off, end int64, stream [16]byte, want func(*header) bool) (found, bool, error) {
	off = (off + frameAlign - 1) / frameAlign * frameAlign
	for w := newWindow(f); off+headerSize <= end; {
		b, err := w.read(off, int(min(windowSize, end-off)))
		if err != nil {
			return found{}, false, err
		}
		if in, ok := searchIn(b, stream, want); ok {
			in.off += off
			return in, true, nil
		}
		off += int64((len(b)-headerSize)/frameAlign+1) * frameAlign
	}
	return found{}, false, nil
}

// searchIn looks in what begins at a multiple of frameAlign.
func searchIn(b []byte, stream [16]byte, want func(*header) bool) (found, bool) {
	for i := 0; i+headerSize <= len(b); i += frameAlign {
		j := bytes.Index(b[i:], []byte(frameMagic))
		if j < 0 {
			break
		}
		if j%frameAlign != 0 {
			i += j / frameAlign * frameAlign
			continue
		}
		i += j
		if i+headerSize > len(b) {
			break
		}
		h, leaf, err := parseHeader(b[i:])
		if err == nil && h.stream == stream && want(&h) {
			return found{int64(i), h, leaf}, true
		}
	}
	return found{}, false
}
