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
	f     octets
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

// acquire opens the segment, or shares it. The caller calls release.
func (p *files) acquire(first uint64, name string) (*handle, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	h := p.open[first]
	if h == nil {
		f, err := p.fs.Open(name)
		if err != nil {
			return nil, err
		}
		h = &handle{files: p, first: first, f: f, opening: p.library.opening(f, first)}
		p.open[first] = h
	}
	h.refs++
	p.clock++
	h.used = p.clock
	p.evict()
	return h, nil
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
	if h.refs == 0 {
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
	if h.refs == 0 && h.doomed {
		_ = h.f.Close() // it was only read
	}
}

// sealed returns the seal of the segment, and the chain behind it.
func (h *handle) sealed() (*seal, chain, error) {
	h.once.Do(func() { h.seal, h.end, h.err = loadSeal(h.f, h.first) })
	return h.seal, h.end, h.err
}
