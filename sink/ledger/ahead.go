package ledger

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/mailkeep/mailkeep/internal/durable"
)

// aheadOctets bounds what a verification reads ahead: frames as they are
// stored, and what they decode to. The largest record takes about 25 MB.
const aheadOctets = 48 << 20

// An ahead examines the frames of a segment before the verifier comes to them,
// on all processors: hashing and decompressing is nearly all of the work. What
// depends on the order of records stays with the verifier. Its methods are
// called by one goroutine.
type ahead struct {
	depth Depth
	room  *semaphore.Weighted
	jobs  chan *run
	spare sync.Pool // of *run
	ended sync.WaitGroup

	stream *stream // the frames at hand; nil if there are none
	run    *run    // what at returned last is in it; nil if nothing is
	index  int     // of the next frame in run
}

// A stream is a row of frames that is examined from a place on.
type stream struct {
	f    durable.File
	open *opening
	size int64
	next int64 // where the verifier is due
	out  chan *run
	stop context.CancelFunc
}

func newAhead(depth Depth) *ahead {
	a := &ahead{depth: depth, room: semaphore.NewWeighted(aheadOctets), jobs: make(chan *run)}
	a.spare.New = func() any { return &run{done: make(chan struct{}, 1)} }
	for range runtime.GOMAXPROCS(0) {
		a.ended.Go(func() {
			for r := range a.jobs {
				r.examine(depth)
				r.done <- struct{}{}
			}
		})
	}
	return a
}

// close ends the workers.
func (a *ahead) close() {
	a.leave()
	close(a.jobs)
	a.ended.Wait()
}

// leave gives up what was read ahead.
func (a *ahead) leave() {
	a.release()
	if a.stream == nil {
		return
	}
	a.stream.stop()
	for r := range a.stream.out {
		<-r.done
		a.drop(r)
	}
	a.stream = nil
}

// at returns the frame at off of the file f, which has size octets. It is valid
// until the next call. In order, frames cost little; elsewhere it begins anew.
func (a *ahead) at(ctx context.Context, f durable.File, open *opening, size, off int64) *examined {
	if a.stream == nil || a.stream.f != f || a.stream.next != off {
		a.leave()
		ctx, stop := context.WithCancel(ctx)
		a.stream = &stream{f: f, open: open, size: size, next: off, out: make(chan *run, runtime.GOMAXPROCS(0)), stop: stop}
		go a.read(ctx, a.stream, off)
	}
	if !a.more() {
		a.stream.next = -1
		err := ctx.Err()
		if err == nil {
			err = errors.New("nothing is to be read here")
		}
		return &examined{off: off, fault: &readError{err}}
	}
	e := &a.run.frames[a.index]
	a.index++
	a.stream.next = off + int64(e.head.frameLen)
	return e
}

// more sees to it that there is a next frame; false if the stream has ended.
func (a *ahead) more() bool {
	if a.run != nil && a.index < a.run.n {
		return true
	}
	a.release()
	r, ok := <-a.stream.out
	if !ok {
		return false
	}
	<-r.done
	a.run = r
	return true
}

// release gives back the run that the verifier is done with.
func (a *ahead) release() {
	if a.run != nil {
		a.drop(a.run)
	}
	a.run, a.index = nil, 0
}

func (a *ahead) drop(r *run) {
	a.room.Release(r.weight)
	r.shrink()
	a.spare.Put(r)
}

// read sends runs to the workers, and in order to the verifier, up to the first
// frame whose header is not good, or the seal.
func (a *ahead) read(ctx context.Context, s *stream, off int64) {
	defer close(s.out)
	for ended := false; off < s.size && !ended; {
		r := a.spare.Get().(*run)
		off, ended = r.load(ctx, s, off, a.depth)
		if err := a.room.Acquire(ctx, r.weight); err != nil {
			return
		}
		select {
		case s.out <- r:
		case <-ctx.Done():
			a.drop(r)
			return
		}
		select {
		case a.jobs <- r:
		case <-ctx.Done():
			r.done <- struct{}{} // nobody will look at it
			return
		}
	}
}
