package ledger

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/mailkeep/mailkeep/mail"
)

// What a run holds at most, unless a single frame is larger: so much is handed
// from goroutine to goroutine at once. A few runs fit into the cache of a
// processor, out of which SHA-256 is a fifth slower.
const (
	runWindow = 128 << 10
	runFrames = 32
	runOctets = 512 << 10 // of decoded bodies
)

// What is kept of the memory of a run for the next one: its buffer, and the
// scratch of each of its frames.
const (
	keepBuffer  = 1 << 20
	keepScratch = 64 << 10
)

// A run is frames that follow each other and lie in one buffer, so that none of
// their octets is copied.
type run struct {
	window window
	frames [runFrames]examined
	n      int
	weight int64
	done   chan struct{} // holds one token once all are examined
}

// An examined frame is one that was compared with all that its header says.
type examined struct {
	off   int64
	head  header
	leaf  hash32
	fault error // of the header; nothing else is set then

	means   means
	frame   []byte // with its header; in the buffer of the run
	damage  error  // of the body, as it is stored
	content error  // of what the body holds
	closed  error  // why the body cannot be opened
	scratch scratch
	decoded
	digest  mail.Digest // of raw
	note    meta        // of a message or reference
	noteErr error
}

// load reads frames from off on: as many as one read of the file has, and all of
// the first one. It returns where the next run begins, and whether there is none:
// behind the seal, or at a frame whose header is not good.
func (r *run) load(ctx context.Context, s *stream, off int64, depth Depth) (int64, bool) {
	r.window.f, r.window.ahead, r.window.buf = s.f, runWindow, r.window.buf[:0]
	if depth == DepthChain {
		r.window.ahead = leafAhead
	}
	r.n, r.weight = 0, 0
	ended := false
	for off < s.size && !ended && r.n < runFrames && r.weight < runOctets {
		if r.n > 0 && !r.holds(off, depth) {
			break
		}
		e := &r.frames[r.n]
		r.n++
		e.load(&r.window, off, s.size, depth)
		if e.fault == nil && depth.decodes(&e.head) {
			e.means, e.closed = s.open.means(ctx, &e.head)
			r.weight += int64(e.head.plainLen)
			if e.head.folded() {
				r.weight += int64(e.head.plainLen) // what was decompressed, and what was unfolded
			}
		}
		ended = e.fault != nil || e.head.typ == typeSeal
		off += int64(e.head.frameLen)
	}
	r.weight += int64(cap(r.window.buf))
	return off, ended
}

// holds reports whether the frame at off can be loaded without another read, which
// would overwrite those before it. Where bodies are not looked at, it may.
func (r *run) holds(off int64, depth Depth) bool {
	if depth == DepthChain {
		return true
	}
	if !r.window.covers(off, headerSize) {
		return false
	}
	return r.window.covers(off, int(binary.BigEndian.Uint32(r.window.buf[off-r.window.at+8:])))
}

// examine compares the bodies with the headers.
func (r *run) examine(depth Depth) {
	for i := range r.frames[:r.n] {
		r.frames[i].examine(depth)
	}
}

// shrink gives up what is too large to keep.
func (r *run) shrink() {
	if r.window.f = nil; cap(r.window.buf) > keepBuffer {
		r.window.buf = nil
	}
	for i := range r.frames[:r.n] {
		e := &r.frames[i]
		e.frame, e.decoded = nil, decoded{}
		if cap(e.scratch.inside) > keepScratch {
			e.scratch.inside = nil
		}
		if cap(e.scratch.plain) > keepScratch {
			e.scratch.plain = nil
		}
		if cap(e.scratch.open) > keepScratch {
			e.scratch.open = nil
		}
	}
}

// load reads the frame at off, as much of it as the depth needs.
func (e *examined) load(w *window, off, size int64, depth Depth) {
	*e = examined{off: off, scratch: e.scratch}
	e.head, e.leaf, e.fault = w.header(off)
	if e.fault == nil && off+int64(e.head.frameLen) > size {
		e.fault = errors.New("frame is cut short")
	}
	if e.fault != nil || !depth.covers(&e.head) {
		return
	}
	b, err := w.read(off, int(e.head.frameLen))
	if err != nil {
		e.fault = &readError{err}
		return
	}
	e.frame = b
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
