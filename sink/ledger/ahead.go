package ledger

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// aheadOctets bounds what a verification reads ahead: frames as they are
// stored, and what they decode to. The largest record takes about 25 MB.
const aheadOctets = 48 << 20

// aheadFrames bounds how many frames it reads ahead.
const aheadFrames = 256

// keepBuffer is the largest buffer that is kept for the next frame.
const keepBuffer = 1 << 20

// An ahead examines the frames of a segment before the verifier comes to them,
// on all processors: hashing and decompressing is nearly all of the work. What
// depends on the order of records stays with the verifier. Its methods are
// called by one goroutine.
type ahead struct {
	depth Depth
	room  *semaphore.Weighted
	jobs  chan *examined
	spare sync.Pool // of *examined
	ended sync.WaitGroup

	stream *stream   // the run of frames at hand; nil if there is none
	last   *examined // what at returned last
}

// A stream is a run of frames that is examined from a place on.
type stream struct {
	f    durable.File
	open *opening
	size int64
	next int64 // where the verifier is due
	out  chan *examined
	stop context.CancelFunc
}

// An examined frame is one that was compared with all that its header says.
type examined struct {
	off   int64
	head  header
	leaf  hash32
	fault error // of the header; nothing else is set then

	means   means
	frame   []byte // with its header
	damage  error  // of the body, as it is stored
	content error  // of what the body holds
	closed  error  // why the body cannot be opened
	scratch scratch
	decoded
	digest  mail.Digest // of raw
	note    meta        // of a message or reference
	noteErr error

	weight int64
	done   chan struct{} // holds one token once it is examined
}

func newAhead(depth Depth) *ahead {
	a := &ahead{depth: depth, room: semaphore.NewWeighted(aheadOctets), jobs: make(chan *examined)}
	a.spare.New = func() any { return &examined{done: make(chan struct{}, 1)} }
	for range runtime.GOMAXPROCS(0) {
		a.ended.Go(func() {
			for e := range a.jobs {
				e.examine(depth)
				e.done <- struct{}{}
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
	a.release(a.last)
	a.last = nil
	if a.stream == nil {
		return
	}
	a.stream.stop()
	for e := range a.stream.out {
		<-e.done
		a.release(e)
	}
	a.stream = nil
}

// at returns the frame at off of the file f, which has size octets. It is valid
// until the next call. In order, frames cost little; elsewhere it begins anew.
func (a *ahead) at(ctx context.Context, f durable.File, open *opening, size, off int64) *examined {
	a.release(a.last)
	a.last = nil
	if a.stream == nil || a.stream.f != f || a.stream.next != off {
		a.leave()
		ctx, stop := context.WithCancel(ctx)
		a.stream = &stream{f: f, open: open, size: size, next: off, out: make(chan *examined, aheadFrames), stop: stop}
		go a.read(ctx, a.stream, off)
	}
	e, ok := <-a.stream.out
	if !ok {
		a.stream.next = -1
		err := ctx.Err()
		if err == nil {
			err = errors.New("nothing is to be read here")
		}
		return &examined{off: off, fault: &readError{err}}
	}
	<-e.done
	a.stream.next = off + int64(e.head.frameLen)
	a.last = e
	return e
}

// read sends frames to the workers, and in order to the verifier, up to the
// first whose header is not good, or the seal.
func (a *ahead) read(ctx context.Context, s *stream, off int64) {
	defer close(s.out)
	w := newWindow(s.f)
	if a.depth == DepthChain {
		w.ahead = leafAhead
	}
	for off < s.size {
		e := a.spare.Get().(*examined)
		e.load(w, off, s.size, a.depth)
		if e.fault == nil && a.depth.decodes(&e.head) {
			e.means, e.closed = s.open.means(ctx, &e.head)
		}
		if err := a.room.Acquire(ctx, e.weight); err != nil {
			return
		}
		last := e.fault != nil || e.head.typ == typeSeal
		off += int64(e.head.frameLen)
		select {
		case s.out <- e:
		case <-ctx.Done():
			a.release(e)
			return
		}
		select {
		case a.jobs <- e:
		case <-ctx.Done():
			e.done <- struct{}{} // nobody will look at it
			return
		}
		if last {
			return
		}
	}
}

func (a *ahead) release(e *examined) {
	if e == nil {
		return
	}
	a.room.Release(e.weight)
	if cap(e.frame) > keepBuffer {
		e.frame = nil
	}
	if cap(e.scratch.inside)+cap(e.scratch.plain) > keepBuffer {
		e.scratch = scratch{}
	}
	a.spare.Put(e)
}

// load reads the frame at off, as much of it as the depth needs.
func (e *examined) load(w *window, off, size int64, depth Depth) {
	*e = examined{off: off, frame: e.frame[:0], scratch: e.scratch, done: e.done}
	e.head, e.leaf, e.fault = w.header(off)
	if e.fault == nil && off+int64(e.head.frameLen) > size {
		e.fault = errors.New("frame is cut short")
	}
	if e.fault != nil {
		return
	}
	need := int64(headerSize)
	if depth.covers(&e.head) {
		need = int64(e.head.frameLen)
	}
	b, err := w.read(off, int(need))
	if err != nil {
		e.fault = &readError{err}
		return
	}
	e.frame = append(e.frame, b...)
	if e.weight = need; depth.decodes(&e.head) {
		e.weight += int64(e.head.plainLen)
	}
}

// examine compares the body with the header.
func (e *examined) examine(depth Depth) {
	if e.fault != nil || !depth.covers(&e.head) {
		return
	}
	h, b := &e.head, e.frame[headerSize:]
	if e.damage = h.checkBody(b); e.damage != nil || !depth.decodes(h) {
		return
	}
	if e.closed != nil {
		return
	}
	e.decoded, e.content = e.means.decode(&e.scratch, h, b[:h.bodyLen])
	if isErased(e.content) {
		e.closed, e.content = e.content, nil
		return
	}
	if e.content != nil {
		return
	}
	e.digest = mail.DigestOf(e.raw)
	if e.content = h.checkDigest(e.key, e.digest); e.content != nil {
		return
	}
	if h.typ == typeMessage || h.typ == typeReference {
		e.note, e.noteErr = parseMeta(e.meta)
	}
}
