package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

var errClosed = mail.Errorf(mail.Temporary, "the ledger is closed")

// A view is the ledger as those see it who read it, in the process that writes
// it or in another.
type view struct {
	fs        durable.FS
	stream    [16]byte
	partition uint16
	files     *files
	// renew looks for files that were renamed meanwhile; nil in the process
	// that renames them.
	renew func() error

	mu     sync.RWMutex
	segs   []segment // by first
	size   uint64
	grown  chan struct{} // closed when size grows
	closed bool
}

// A segment is a file of the ledger.
type segment struct {
	first   uint64
	open    bool
	offsets []uint64 // of the durable records, if it is open; a seal has its own
}

func (s segment) name() string {
	if s.open {
		return openName(s.first)
	}
	return sealedName(s.first)
}

func newView(fsys durable.FS, opts Options) *view {
	return &view{
		fs: fsys, stream: streamID(opts.Archive, opts.Partition), partition: opts.Partition,
		files: newFiles(fsys, newLibrary(opts)), grown: make(chan struct{}),
	}
}

// Size returns the position behind the last durable record that followers see;
// 0 if there is none. Bookkeeping at the end of the ledger does not count.
func (v *view) Size() uint64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.size
}

// set publishes what is durable. It wakes those who wait if size has changed.
func (v *view) set(segs []segment, size uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.segs = segs
	v.resize(size)
}

// setLast does so where the last segment alone has changed.
func (v *view) setLast(seg segment, size uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := len(v.segs); n > 0 && v.segs[n-1].first == seg.first {
		v.segs[n-1] = seg
	} else {
		v.segs = append(v.segs, seg)
	}
	v.resize(size)
}

// resize is called with mu held.
func (v *view) resize(size uint64) {
	if v.size != size {
		v.size = size
		close(v.grown)
		v.grown = make(chan struct{})
	}
}

// state returns the size, a channel that is closed when it changes, and
// whether the view is closed.
func (v *view) state() (uint64, <-chan struct{}, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.size, v.grown, v.closed
}

// Wait returns nil once Size() > size. It returns the error of ctx, or a
// mail.Temporary one when the ledger is closed.
func (v *view) Wait(ctx context.Context, size uint64) error {
	for {
		now, grown, closed := v.state()
		switch {
		case now > size:
			return nil
		case closed:
			return errClosed
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

func (v *view) close() {
	v.files.close()
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.closed {
		v.closed = true
		close(v.grown)
		v.grown = make(chan struct{})
	}
}

// segmentOf returns the segment that should hold seq, and where the next one
// begins (0 if it is the last).
func (v *view) segmentOf(seq uint64) (segment, uint64, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	i, exact := slices.BinarySearchFunc(v.segs, seq, func(s segment, seq uint64) int { return cmp.Compare(s.first, seq) })
	if !exact {
		i--
	}
	if i < 0 {
		return segment{}, 0, false
	}
	if i+1 < len(v.segs) {
		return v.segs[i], v.segs[i+1].first, true
	}
	return v.segs[i], 0, true
}

// A place is where a record is. Its handle must be released.
type place struct {
	*handle
	seg segment
	off int64
	len int // of its frame, as the offsets tell; 0 if they do not
}

// maxFetch is the longest frame that is read as a whole before it is known what
// of it is wanted.
const maxFetch = 256 << 10

// window makes a window that gets the record in one read, unless it is a long
// one: each read is a request where the segment is in a store.
func (p place) window() *window {
	w := newGlance(p.f)
	if p.len > 0 && p.len <= maxFetch {
		w.ahead = p.len
	}
	return w
}

// locate finds the record seq.
func (v *view) locate(seq uint64) (place, error) {
	for try := 0; ; try++ {
		seg, next, ok := v.segmentOf(seq)
		if !ok {
			return place{}, missing(seq)
		}
		h, err := v.acquire(seg)
		if errors.Is(err, fs.ErrNotExist) && try < 3 {
			// Between the look at the list and the open, the file was
			// replaced.
			if v.renew != nil {
				if err := v.renew(); err != nil {
					return place{}, err
				}
			}
			continue
		}
		if err != nil {
			return place{}, fmt.Errorf("open segment %s: %w", seg.name(), err)
		}
		off, length, err := offsetOf(h, seg, seq, next)
		if err != nil {
			h.release()
			return place{}, err
		}
		return place{h, seg, off, length}, nil
	}
}

// acquire opens a segment under the name that it has by now: it may have been
// sealed, or a failure may have come between the link and the end of sealing.
func (v *view) acquire(seg segment) (*handle, error) {
	h, err := v.files.acquire(seg.first, seg.name())
	if seg.open && errors.Is(err, fs.ErrNotExist) {
		return v.files.acquire(seg.first, sealedName(seg.first))
	}
	return h, err
}

// offsetOf returns where a record is, and how long its frame is if that is known.
func offsetOf(h *handle, seg segment, seq, next uint64) (off int64, length int, err error) {
	offsets, end := seg.offsets, int64(0)
	if !seg.open {
		s, _, err := h.sealed()
		if err != nil {
			return 0, 0, err
		}
		if next != 0 && next != s.size+1 {
			return 0, 0, corrupt(seg.name(), 0, s.size+1, errors.New("segment that begins with this record is missing"))
		}
		if seq == s.size {
			return s.at, 0, nil
		}
		offsets, end = s.offsets, s.at
	}
	i := seq - seg.first
	if i >= uint64(len(offsets)) {
		return 0, 0, missing(seq)
	}
	off = int64(offsets[i])
	if i+1 < uint64(len(offsets)) {
		end = int64(offsets[i+1])
	}
	return off, int(max(end-off, 0)), nil
}

func missing(seq uint64) error { return mail.Errorf(mail.NotFound, "the ledger has no record %d", seq) }

// header reads the header of the record seq and checks that it is the one.
func (v *view) header(w *window, p place, seq uint64) (header, error) {
	h, _, err := w.header(p.off)
	if err == nil && (h.seq != seq || h.stream != v.stream) {
		err = fmt.Errorf("record %d of stream %x is in its place", h.seq, h.stream)
	}
	return h, v.fault(p.seg.name(), p.off, seq, err)
}

// fault gives an error of reading or of the bytes its place.
func (v *view) fault(segment string, off int64, seq uint64, err error) error {
	switch {
	case err == nil:
		return nil
	case mail.KindOf(err) != mail.Other:
		// It is the means to open the record that are not there.
		return fmt.Errorf("record %d at offset %d of %s: %w", seq, off, segment, err)
	case isReadError(err):
		return mail.Errorf(mail.Temporary, "read record %d at offset %d of %s: %w", seq, off, segment, err)
	}
	return corrupt(segment, off, seq, err)
}

// lastVisible returns the position behind the last record that followers see
// in the sealed segments segs. It looks from the end.
func (v *view) lastVisible(segs []segment) (uint64, error) {
	for _, seg := range slices.Backward(segs) {
		size, err := v.visibleIn(seg)
		if err != nil || size > 0 {
			return size, err
		}
	}
	return 0, nil
}

func (v *view) visibleIn(seg segment) (uint64, error) {
	h, err := v.files.acquire(seg.first, seg.name())
	if err != nil {
		return 0, err
	}
	defer h.release()
	s, _, err := h.sealed()
	if err != nil {
		return 0, err
	}
	w := newGlance(h.f)
	for i, off := range slices.Backward(s.offsets) {
		seq := seg.first + uint64(i)
		head, err := v.header(w, place{handle: h, seg: seg, off: int64(off)}, seq)
		if err != nil {
			return 0, err
		}
		if head.completes() {
			return seq + 1, nil
		}
	}
	return 0, nil
}
