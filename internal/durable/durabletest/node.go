package durabletest

import (
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"
	"time"
)

// A node is a file or a directory: what readers see and, apart, what a power
// cut would leave.
type node struct {
	mode fs.FileMode

	data    []byte
	synced  []byte
	pending []extent // writes since the last sync, in order

	entries map[string]*node
	kept    map[string]*node
	changes []map[string]*node // of entries since the last syncdir, in order
}

// An extent is where one write went.
type extent struct{ off, end int }

func newDir() *node {
	return &node{mode: fs.ModeDir | 0o700, entries: map[string]*node{}, kept: map[string]*node{}}
}

// change gives names of a directory new nodes; nil removes.
func (n *node) change(set map[string]*node) {
	apply(n.entries, set)
	n.changes = append(n.changes, set)
}

func apply(to, set map[string]*node) {
	for name, n := range set {
		if n == nil {
			delete(to, name)
		} else {
			to[name] = n
		}
	}
}

func (n *node) write(off int, p []byte) {
	end := off + len(p)
	if end > len(n.data) {
		n.data = append(n.data, make([]byte, end-len(n.data))...)
	}
	copy(n.data[off:], p)
	n.pending = append(n.pending, extent{off, end})
}

// keep copies what a write left in data to what a power cut leaves.
func (n *node) keep(e extent) {
	e.end = min(e.end, len(n.data))
	if e.off >= e.end {
		return
	}
	if e.end > len(n.synced) {
		n.synced = append(n.synced, make([]byte, e.end-len(n.synced))...)
	}
	copy(n.synced[e.off:e.end], n.data[e.off:e.end])
}

func (n *node) sync() {
	for _, e := range n.pending {
		n.keep(e)
	}
	n.pending = nil
}

func (n *node) info(name string) fs.FileInfo {
	return info{name: name, size: int64(len(n.data)), mode: n.mode}
}

type info struct {
	name string
	size int64
	mode fs.FileMode
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

func (d *disk) find(op, name string) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	n := d.root
	if name == "." {
		return n, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		child, ok := n.entries[part]
		if !ok {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		n = child
	}
	return n, nil
}

func (d *disk) add(op, name string, n *node) error {
	dir, err := d.find(op, path.Dir(name))
	if err != nil {
		return err
	}
	if _, taken := dir.entries[path.Base(name)]; taken {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrExist}
	}
	dir.change(map[string]*node{path.Base(name): n})
	return nil
}

// A handle is an open file. Its fields are guarded by the lock of the disk.
type handle struct {
	disk     *disk
	node     *node
	name     string
	pos      int
	writable bool
	closed   bool
}

func (d *disk) open(n *node, name string, writable bool) *handle {
	d.handles++
	return &handle{disk: d, node: n, name: name, writable: writable}
}

// Read implements durable.File.
func (h *handle) Read(p []byte) (int, error) {
	n, err := h.ReadAt(p, int64(h.pos))
	h.pos += n
	if n > 0 {
		err = nil
	}
	return n, err
}

// ReadAt implements durable.File.
func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return 0, fs.ErrClosed
	}
	if off >= int64(len(h.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Write implements durable.File.
func (h *handle) Write(p []byte) (int, error) {
	n, err := h.WriteAt(p, int64(h.pos))
	h.pos += n
	return n, err
}

// WriteAt implements durable.File.
func (h *handle) WriteAt(p []byte, off int64) (n int, err error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed || !h.writable {
		return 0, &fs.PathError{Op: "write", Path: h.name, Err: fs.ErrInvalid}
	}
	err = h.disk.do("write", h.name, func() error {
		n = len(p)
		if c := h.disk.capacity; c >= 0 {
			n = min(n, int(c))
			h.disk.capacity -= int64(n)
		}
		h.node.write(int(off), p[:n])
		if n < len(p) {
			return &fs.PathError{Op: "write", Path: h.name, Err: syscall.ENOSPC}
		}
		return nil
	})
	return n, err
}

// Stat implements durable.File.
func (h *handle) Stat() (fs.FileInfo, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return h.node.info(path.Base(h.name)), nil
}

// Sync implements durable.File.
func (h *handle) Sync() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	err := h.disk.do("sync", h.name, func() error { h.node.sync(); return nil })
	if err != nil {
		h.node.pending = nil // the kernel marks them clean: lost, and nobody will know
	}
	return err
}

// Close implements durable.File.
func (h *handle) Close() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	h.closed = true
	h.disk.handles--
	return nil
}
