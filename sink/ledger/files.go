package ledger

import (
	"io"
	"io/fs"
	"sync"

	"github.com/mailkeep/mailkeep/internal/durable"
)

// maxFiles is how many segments are kept open, and their offsets in memory,
// while nobody reads them.
const maxFiles = 32

// files are the segments that are open for reading.
type files struct {
	fs      durable.FS
	library library

	mu     sync.Mutex
	open   map[uint64]*handle // by first sequence number
	clock  uint64
	closed bool
}

// The octets of a segment, in a file or elsewhere.
type octets interface {
	io.ReaderAt
	io.Closer
	Stat() (fs.FileInfo, error)
}

// A handle is a segment that is open for reading.
type handle struct {
	files *files
	first uint64

	// Closed when the segment was opened, or was not; then opened says so, and what
	// follows stays.
	ready  chan struct{}
	opened error
	f      octets
	// How its bodies are opened.
	*opening

	once sync.Once // loads what follows, of sealed segments only
	seal *seal
	end  chain
	err  error

	// Guarded by files.mu.
	refs   int
	used   uint64
	doomed bool // not in files.open any more: the last release closes it
}

func newFiles(fsys durable.FS, l library) *files {
	return &files{fs: fsys, library: l, open: map[uint64]*handle{}}
}

// acquire opens the segment, or shares it. The caller calls release. Who wants another
// segment does not wait for a file, or a store, that is slow to open.
func (p *files) acquire(first uint64, name string) (*handle, error) {
	for {
		h, ours, err := p.take(first)
		if err != nil {
			return nil, err
		}
		if ours {
			err = p.begin(h, name)
		} else {
			<-h.ready
			err = h.opened
		}
		if err == nil {
			return h, nil
		}
		h.release()
		if ours {
			return nil, err
		}
		// Another could not open it, maybe under another name.
	}
}

// take returns a handle of the segment, and whether it is the caller who opens it.
func (p *files) take(first uint64) (h *handle, ours bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false, errClosed
	}
	h = p.open[first]
	if h == nil {
		h, ours = &handle{files: p, first: first, ready: make(chan struct{})}, true
		p.open[first] = h
	}
	h.refs++
	p.clock++
	h.used = p.clock
	p.evict()
	return h, ours, nil
}

// begin opens the file of a handle. One that does not open is forgotten.
func (p *files) begin(h *handle, name string) error {
	defer close(h.ready)
	if h.f, h.opened = p.fs.Open(name); h.opened == nil {
		h.opening = p.library.opening(h.f, h.first)
		return nil
	}
	h.f = nil
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[h.first] == h {
		p.drop(h)
	}
	return h.opened
}

// evict closes the segments that were not used for longest. Called with mu held.
func (p *files) evict() {
	for len(p.open) > maxFiles {
		var oldest *handle
		for _, h := range p.open {
			if h.refs == 0 && (oldest == nil || h.used < oldest.used) {
				oldest = h
			}
		}
		if oldest == nil {
			return
		}
		p.drop(oldest)
	}
}

// drop forgets a handle and closes it once nobody uses it. Called with mu held.
func (p *files) drop(h *handle) {
	delete(p.open, h.first)
	h.doomed = true
	h.closeUnused()
}

// closeUnused closes a segment that is forgotten and not in use. Called with the mutex
// of files held.
func (h *handle) closeUnused() {
	if h.doomed && h.refs == 0 && h.f != nil {
		_ = h.f.Close() // it was only read
	}
}

// forget drops a segment whose file was replaced.
func (p *files) forget(first uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.open[first]; h != nil {
		p.drop(h)
	}
}

// puncture takes keys out of the memory of a segment. Who has it open may read on
// in the other records; who opens it from now on reads its key file.
func (p *files) puncture(first uint64, indices []uint32) error {
	p.mu.Lock()
	h := p.open[first]
	if h != nil {
		h.refs++ // so that drop leaves it to release
		p.drop(h)
	}
	p.mu.Unlock()
	if h == nil {
		return nil
	}
	defer h.release()
	if <-h.ready; h.opened != nil {
		return nil
	}
	return h.opening.puncture(indices)
}

// close drops all segments; those in use are closed by their last release.
func (p *files) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, h := range p.open {
		p.drop(h)
	}
}

func (h *handle) release() {
	h.files.mu.Lock()
	defer h.files.mu.Unlock()
	h.refs--
	h.closeUnused()
}

// sealed returns the seal of the segment, and the chain behind it.
func (h *handle) sealed() (*seal, chain, error) {
	h.once.Do(func() { h.seal, h.end, h.err = loadSeal(h.f, h.first) })
	return h.seal, h.end, h.err
}
