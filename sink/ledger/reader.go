package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
)

// pollEvery is how often Wait of a Reader looks for new records.
const pollEvery = 200 * time.Millisecond

// A Reader reads a ledger that another process may be writing. Its methods may
// be called by many goroutines at once.
//
// It sees whole records that are good, but cannot know whether they are
// durable: if the writer says so by other means, SetDurable keeps the Reader
// from showing more. Without it, records of the last group commit may be shown
// that a crash, or a failed fsync, then takes back.
type Reader struct {
	*view

	renewing sync.Mutex // guards what follows
	tail     *tail
	durable  uint64 // what SetDurable said; valid if limited
	limited  bool
}

// A tail is how far the open segment has been read.
type tail struct {
	first uint64
	scan  scan
}

// OpenReader opens the ledger in fsys, whose root is its directory, without a
// lock and without changing anything. A directory without segments is an empty
// ledger.
func OpenReader(fsys durable.FS, opts Options) (*Reader, error) {
	r := &Reader{view: newView(fsys, opts.withDefaults())}
	r.renew = r.Refresh
	if err := r.Refresh(); err != nil {
		r.view.close()
		return nil, fmt.Errorf("open ledger to read: %w", err)
	}
	return r, nil
}

// SetDurable says that the writer has made the records before size durable.
// From the first call on, Size is never above what was said last.
func (r *Reader) SetDurable(size uint64) error {
	r.renewing.Lock()
	r.durable, r.limited = size, true
	r.renewing.Unlock()
	return r.Refresh()
}

// Refresh looks for what was appended since.
func (r *Reader) Refresh() error {
	r.renewing.Lock()
	defer r.renewing.Unlock()
	for try := 0; ; try++ {
		err := r.look()
		if errors.Is(err, fs.ErrNotExist) && try < 3 {
			continue // a segment was sealed between the listing and the open
		}
		return err
	}
}

func (r *Reader) look() error {
	dir, err := list(r.fs)
	if err != nil {
		return err
	}
	segs := make([]segment, 0, len(dir.sealed)+1)
	for _, first := range dir.sealed {
		segs = append(segs, segment{first: first})
	}
	if r.vanished(dir) {
		return nil // a listing may miss a file that is being renamed; the next one will not
	}
	for _, first := range dir.open {
		if slices.Contains(dir.sealed, first) {
			continue // about to be removed
		}
		return r.follow(segs, first)
	}
	if r.tail != nil {
		r.files.forget(r.tail.first)
		r.tail = nil
	}
	size, err := r.lastVisible(segs)
	if err != nil {
		return err
	}
	return r.show(segs, size)
}

// vanished reports whether the last segment known is in no form in dir.
func (r *Reader) vanished(dir listing) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.segs) == 0 {
		return false
	}
	last := r.segs[len(r.segs)-1]
	gone := !slices.Contains(dir.sealed, last.first) && !slices.Contains(dir.open, last.first)
	// An open segment without records of use may be set aside for good.
	return gone && (!last.open || len(last.offsets) > 1)
}

// follow reads on in the open segment.
func (r *Reader) follow(segs []segment, first uint64) error {
	if r.tail == nil || r.tail.first != first {
		t, err := r.begin(segs, first)
		if err != nil {
			return err
		}
		if r.tail != nil {
			r.files.forget(r.tail.first)
		}
		r.tail = t
	}
	f, err := r.fs.Open(openName(first))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := r.tail.scan.resume(f, info.Size()); err != nil {
		return err
	}
	offsets := slices.Clip(r.tail.scan.offsets)
	return r.show(append(segs, segment{first: first, open: true, offsets: offsets}), r.tail.scan.chain.visible)
}

// begin makes the state in front of an open segment.
func (r *Reader) begin(segs []segment, first uint64) (*tail, error) {
	c := newChain(r.stream)
	if len(segs) > 0 {
		last := segs[len(segs)-1]
		h, err := r.files.acquire(last.first, last.name())
		if err != nil {
			return nil, err
		}
		defer h.release()
		if _, c, err = h.sealed(); err != nil {
			return nil, err
		}
		c = c.clone()
	}
	if c.stream != r.stream || c.seq != first {
		return nil, corrupt(openName(first), 0, first, fmt.Errorf("the segment before ends with record %d", c.seq))
	}
	c.number++
	var err error
	c.visible, err = r.lastVisible(segs)
	return &tail{first: first, scan: scan{chain: c}}, err
}

func (r *Reader) show(segs []segment, size uint64) error {
	if r.limited {
		size = min(size, r.durable)
	}
	r.set(segs, size)
	return nil
}

// Wait returns nil once Size() > size; it looks for itself from time to time.
func (r *Reader) Wait(ctx context.Context, size uint64) error {
	for {
		if err := r.Refresh(); err != nil {
			return err
		}
		few, cancel := context.WithTimeout(ctx, pollEvery)
		err := r.view.Wait(few, size)
		cancel()
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, context.DeadlineExceeded):
			return err
		}
	}
}

// Close closes the files. Messages that are open stay readable as far as they
// are in memory.
func (r *Reader) Close() error {
	r.view.close()
	return nil
}
