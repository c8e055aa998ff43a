package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// A Shelf is a store as the file system of a backup, whose files are written once
// and never change: a file that is made is kept in a temporary directory until it is
// renamed, which stores it, reads it back, and never replaces another. So what
// Rename returns nil for is durable, and SyncDir does nothing. Directories are
// prefixes of names, and there are no modes.
type Shelf struct {
	store   Store
	prefix  string // ends with a slash, or is empty
	scratch *os.Root
	path    string // of scratch

	mu   sync.Mutex
	made map[string]bool // files that wait to be renamed
	lock *shelfLock      // nil: none is held
}

var _ durable.FS = (*Shelf)(nil)

// NewShelf returns the shelf below a prefix of a store; it does not speak to it yet.
// Close removes its temporary directory.
func NewShelf(s Store, prefix string) (*Shelf, error) {
	dir, err := os.MkdirTemp("", "mailkeep-shelf-")
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if prefix = strings.TrimSuffix(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return &Shelf{store: s, prefix: prefix, scratch: root, path: dir, made: map[string]bool{}}, nil
}

// local is the name of a file that waits, in the temporary directory.
func local(name string) string { return strings.ReplaceAll(name, "/", "_") }

func (s *Shelf) waits(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made[name]
}

func (s *Shelf) setMade(name string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on {
		s.made[name] = true
	} else {
		delete(s.made, name)
	}
}

// stat asks for the newest version of an object.
func (s *Shelf) stat(name string) (Object, error) {
	o, err := s.store.Stat(context.Background(), Ref{Name: s.prefix + name})
	if mail.KindOf(err) == mail.NotFound {
		return o, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return o, err
}

func shelved(name string, o Object) fileInfo {
	return fileInfo{path.Base(name), note{Octets: o.Size, Ref: o.Ref, Sealed: o.Stored}}
}

// Open implements durable.FS.
func (s *Shelf) Open(name string) (durable.File, error) {
	if s.waits(name) {
		return openScratch(s.scratch, local(name), os.O_RDONLY)
	}
	o, err := s.stat(name)
	if err != nil {
		return nil, err
	}
	return openRemote(s.store, shelved(name, o)), nil
}

// Create implements durable.FS.
func (s *Shelf) Create(name string) (durable.File, error) {
	if s.waits(name) {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	f, err := openScratch(s.scratch, local(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err == nil {
		s.setMade(name, true)
	}
	return f, err
}

func openScratch(root *os.Root, name string, flag int) (durable.File, error) {
	f, err := root.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return unsynced{f}, nil
}

// Rename implements durable.FS: it stores a file that was made. A name that is taken
// by other octets is mail.InUse.
func (s *Shelf) Rename(from, to string) (err error) {
	if !s.waits(from) {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if err := s.writable(); err != nil {
		return err
	}
	f, err := s.scratch.Open(local(from))
	if err != nil {
		return err
	}
	if err := errors.Join(s.put(f, to), f.Close()); err != nil {
		return err
	}
	return s.Remove(from)
}

func (s *Shelf) put(f *os.File, name string) error {
	ctx := context.Background()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	sum, err := hashOf(ctx, io.NewSectionReader(f, 0, info.Size()))
	if err != nil {
		return err
	}
	n := note{Octets: info.Size(), Sum: sum}
	o, err := s.store.PutIfAbsent(ctx, s.prefix+name, Content{ReaderAt: f, Size: n.Octets, Sum: sum}, Retention{})
	if err != nil {
		return err
	}
	return readBack(ctx, s.store, o.Ref, n)
}

// noVersion is how a bucket without versions lists the one that there is.
const noVersion = "null"

// Remove implements durable.FS: all versions go.
func (s *Shelf) Remove(name string) error {
	if s.waits(name) {
		s.setMade(name, false)
		return s.scratch.Remove(local(name))
	}
	if err := s.writable(); err != nil {
		return err
	}
	return s.removeAll(name)
}

func (s *Shelf) removeAll(name string) error {
	ctx, found := context.Background(), false
	for o, err := range s.store.List(ctx, s.prefix+name) {
		if err != nil {
			return err
		}
		if o.Name != s.prefix+name {
			continue
		}
		found = true
		if o.Version == noVersion {
			o.Version = ""
		}
		if err := s.store.DeleteVersion(ctx, o.Ref); err != nil {
			return err
		}
	}
	if !found {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	return nil
}

// Stat implements durable.FS.
func (s *Shelf) Stat(name string) (fs.FileInfo, error) {
	if s.waits(name) {
		return s.scratch.Stat(local(name))
	}
	o, err := s.stat(name)
	if err != nil {
		return nil, err
	}
	return shelved(name, o), nil
}

// ReadDir implements durable.FS. What waits is not listed.
func (s *Shelf) ReadDir(name string) ([]fs.DirEntry, error) {
	prefix := s.prefix
	if name != "." {
		prefix += name + "/"
	}
	var out []fs.DirEntry
	last := ""
	for o, err := range s.store.List(context.Background(), prefix) {
		if err != nil {
			return nil, err
		}
		base, _, deeper := strings.Cut(strings.TrimPrefix(o.Name, prefix), "/")
		if base == last {
			continue // another version, or another file below
		}
		last = base
		info := shelved(base, o)
		if deeper {
			out = append(out, shelfDir{info})
		} else {
			out = append(out, info)
		}
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return slices.CompactFunc(out, func(a, b fs.DirEntry) bool { return a.Name() == b.Name() }), nil
}

type shelfDir struct{ fileInfo }

func (shelfDir) IsDir() bool       { return true }
func (shelfDir) Type() fs.FileMode { return fs.ModeDir }

// Link implements durable.FS and fails: a backup needs no second names.
func (s *Shelf) Link(_, to string) error {
	return &fs.PathError{Op: "link", Path: to, Err: errors.ErrUnsupported}
}

// Chmod implements durable.FS and does nothing.
func (s *Shelf) Chmod(string, fs.FileMode) error { return nil }

// MkdirAll implements durable.FS and does nothing.
func (s *Shelf) MkdirAll(string) error { return nil }

// SyncDir implements durable.FS and does nothing.
func (s *Shelf) SyncDir(string) error { return nil }

// Sub implements durable.FS and fails.
func (s *Shelf) Sub(dir string) (durable.FS, error) {
	return nil, &fs.PathError{Op: "sub", Path: dir, Err: errors.ErrUnsupported}
}

// Close removes what was not stored.
func (s *Shelf) Close() error { return errors.Join(s.scratch.Close(), os.RemoveAll(s.path)) }
