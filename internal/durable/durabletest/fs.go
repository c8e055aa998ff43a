// Package durabletest has a file system in memory that loses what was not
// synced, as a power cut does, and that fails when told to.
//
// Each operation that changes something is an Op and has a number. A test
// lets the k-th one fail, for every k (Inject, StopAt), with or without its
// effect, and asks what is left after a power cut (Crash):
//
//   - Bytes that File.Sync did not cover survive wholly, in part or not at
//     all, each write by itself: a later one may survive an earlier one.
//   - So do changes of names that SyncDir did not cover; a rename is atomic.
//   - A Sync that fails without its effect drops the bytes for good although
//     they stay readable until the crash: what Linux does when writeback
//     fails. A later Sync of the file succeeds and does not bring them back.
//
// Operations that only read are not counted and never fail by injection.
package durabletest

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/mailkeep/mailkeep/internal/durable"
)

// ErrStopped is what every operation returns once the process is taken to be
// dead (StopAt).
var ErrStopped = errors.New("durabletest: the process has died")

// An Op is one operation that changes something.
type Op struct {
	N    int    // its number, from 0
	Kind string // create, write, sync, syncdir, link, rename, remove, chmod, mkdir
	Name string // from the root; for link and rename the new name
}

// An Outcome is what becomes of an Op. The zero Outcome lets it succeed.
type Outcome struct {
	Err error
	// Persist says that the operation has its effect although it returns Err.
	Persist bool
}

// FS is a durable.FS in memory. Make one with New.
type FS struct {
	disk *disk
	dir  string
}

var _ durable.FS = (*FS)(nil)

// A disk is what all the FS of one tree share.
type disk struct {
	mu       sync.Mutex
	root     *node
	inject   func(Op) Outcome
	ops      []Op
	capacity int64 // octets that may still be written; -1: no limit
	locked   map[string]bool
	handles  int
}

// New returns an empty file system without faults.
func New() *FS { return newFS(newDir()) }

func newFS(root *node) *FS {
	return &FS{disk: &disk{root: root, capacity: -1, locked: map[string]bool{}}, dir: "."}
}

// Inject decides the fate of every operation from now on; nil ends that. The
// function is called with the lock of the file system held.
func (f *FS) Inject(decide func(Op) Outcome) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.inject = decide
}

// StopAt lets the process die at the operation number n: that one fails, with
// or without its effect, and all after it fail without.
func (f *FS) StopAt(n int, persist bool) {
	f.Inject(func(op Op) Outcome {
		switch {
		case op.N < n:
			return Outcome{}
		case op.N == n:
			return Outcome{Err: ErrStopped, Persist: persist}
		}
		return Outcome{Err: ErrStopped}
	})
}

// FailAt lets the operation number n alone fail with err.
func (f *FS) FailAt(n int, persist bool, err error) {
	f.Inject(func(op Op) Outcome {
		if op.N == n {
			return Outcome{Err: err, Persist: persist}
		}
		return Outcome{}
	})
}

// SetCapacity lets writes fail with ENOSPC once n more octets are written; the
// write that meets the limit lands in part. A negative n lifts the limit.
func (f *FS) SetCapacity(n int64) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.capacity = n
}

// Ops returns the operations so far, those that failed included.
func (f *FS) Ops() []Op {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return slices.Clone(f.disk.ops)
}

// OpenFiles returns how many files are open: a leak if a test ends with some.
func (f *FS) OpenFiles() int {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.disk.handles
}

// do runs one operation. The effect is called with the lock held, at most
// once; its error (a name that is taken, say) is the operation's.
func (d *disk) do(kind, name string, effect func() error) error {
	op := Op{N: len(d.ops), Kind: kind, Name: name}
	d.ops = append(d.ops, op)
	var out Outcome
	if d.inject != nil {
		out = d.inject(op)
	}
	if out.Err == nil {
		return effect()
	}
	if out.Persist {
		if err := effect(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s %s: %w", kind, name, out.Err)
}

func (f *FS) full(name string) string { return path.Join(f.dir, name) }

// Open implements durable.FS.
func (f *FS) Open(name string) (durable.File, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n, err := f.disk.find("open", f.full(name))
	if err != nil {
		return nil, err
	}
	return f.disk.open(n, f.full(name), false), nil
}

// Create implements durable.FS.
func (f *FS) Create(name string) (durable.File, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n := &node{mode: 0o600}
	err := f.disk.do("create", f.full(name), func() error { return f.disk.add("create", f.full(name), n) })
	if err != nil {
		return nil, err
	}
	return f.disk.open(n, f.full(name), true), nil
}

// Link implements durable.FS.
func (f *FS) Link(old, new string) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.disk.do("link", f.full(new), func() error {
		n, err := f.disk.find("link", f.full(old))
		if err != nil {
			return err
		}
		return f.disk.add("link", f.full(new), n)
	})
}

// Rename implements durable.FS, within one directory.
func (f *FS) Rename(old, new string) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	old, new = f.full(old), f.full(new)
	return f.disk.do("rename", new, func() error {
		n, err := f.disk.find("rename", old)
		if err != nil {
			return err
		}
		if path.Dir(old) != path.Dir(new) {
			return &fs.PathError{Op: "rename", Path: new, Err: syscall.EXDEV}
		}
		dir, err := f.disk.find("rename", path.Dir(old))
		if err != nil {
			return err
		}
		dir.change(map[string]*node{path.Base(old): nil, path.Base(new): n})
		return nil
	})
}

// Remove implements durable.FS.
func (f *FS) Remove(name string) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	full := f.full(name)
	return f.disk.do("remove", full, func() error {
		n, err := f.disk.find("remove", full)
		if err != nil {
			return err
		}
		if len(n.entries) > 0 {
			return &fs.PathError{Op: "remove", Path: full, Err: syscall.ENOTEMPTY}
		}
		dir, err := f.disk.find("remove", path.Dir(full))
		if err != nil {
			return err
		}
		dir.change(map[string]*node{path.Base(full): nil})
		return nil
	})
}

// Chmod implements durable.FS.
func (f *FS) Chmod(name string, mode fs.FileMode) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.disk.do("chmod", f.full(name), func() error {
		n, err := f.disk.find("chmod", f.full(name))
		if err == nil {
			n.mode = n.mode.Type() | mode.Perm()
		}
		return err
	})
}

// MkdirAll implements durable.FS.
func (f *FS) MkdirAll(name string) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	at := ""
	for part := range strings.SplitSeq(f.full(name), "/") {
		at = path.Join(at, part)
		if n, err := f.disk.find("mkdir", at); err == nil && n.mode.IsDir() {
			continue
		}
		dir := at
		if err := f.disk.do("mkdir", dir, func() error { return f.disk.add("mkdir", dir, newDir()) }); err != nil {
			return err
		}
	}
	return nil
}

// ReadDir implements durable.FS.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n, err := f.disk.find("readdir", f.full(name))
	if err != nil {
		return nil, err
	}
	var out []fs.DirEntry
	for base, child := range n.entries {
		out = append(out, fs.FileInfoToDirEntry(child.info(base)))
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return out, nil
}

// Stat implements durable.FS.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n, err := f.disk.find("stat", f.full(name))
	if err != nil {
		return nil, err
	}
	return n.info(path.Base(name)), nil
}

// SyncDir implements durable.FS.
func (f *FS) SyncDir(name string) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.disk.do("syncdir", f.full(name), func() error {
		n, err := f.disk.find("syncdir", f.full(name))
		if err == nil {
			n.kept, n.changes = maps.Clone(n.entries), nil
		}
		return err
	})
}

// Lock implements durable.FS. Locks do not survive a Crash, as those of a
// process that dies.
func (f *FS) Lock(name string) (io.Closer, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	full := f.full(name)
	if f.disk.locked[full] {
		return nil, durable.InUse(full)
	}
	if _, err := f.disk.find("lock", full); err != nil {
		err := f.disk.do("create", full, func() error { return f.disk.add("lock", full, &node{mode: 0o600}) })
		if err != nil {
			return nil, err
		}
	}
	f.disk.locked[full] = true
	return &lock{disk: f.disk, name: full}, nil
}

// Sub implements durable.FS.
func (f *FS) Sub(dir string) (durable.FS, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if _, err := f.disk.find("sub", f.full(dir)); err != nil {
		return nil, err
	}
	return &FS{disk: f.disk, dir: f.full(dir)}, nil
}

// Close implements durable.FS.
func (f *FS) Close() error { return nil }

type lock struct {
	disk *disk
	name string
	once sync.Once
}

func (l *lock) Close() error {
	err := fs.ErrClosed
	l.once.Do(func() {
		l.disk.mu.Lock()
		defer l.disk.mu.Unlock()
		delete(l.disk.locked, l.name)
		err = nil
	})
	return err
}
