package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"

	"github.com/mailkeep/mailkeep/mail"
)

// An FS is a directory tree in which changes are made durable explicitly. It
// may be used by many goroutines at once.
type FS interface {
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// Create makes a new file, open for reading and writing, of mode 0600.
	// It fails with fs.ErrExist if the name is taken. Neither the name nor
	// the bytes are durable before SyncDir and Sync.
	Create(name string) (File, error)
	// Link gives the file old the second name new; fs.ErrExist if it is taken.
	Link(old, new string) error
	// Rename moves old to new and replaces a file that is there.
	Rename(old, new string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// Chmod sets the permission bits.
	Chmod(name string, mode fs.FileMode) error
	// MkdirAll makes a directory and its parents, of mode 0700.
	MkdirAll(name string) error
	// ReadDir lists a directory in the order of names.
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
	// Lock takes an exclusive lock on a file, which it makes if need be, and
	// holds it until Close. It never waits: if somebody else holds the lock,
	// in this process or another, it returns a mail.InUse error.
	Lock(name string) (io.Closer, error)
	// Sub returns the tree below an existing directory.
	Sub(dir string) (FS, error)
	// Close releases the root; files that are open stay usable.
	Close() error
}

// A File is an open file of an FS.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	Stat() (fs.FileInfo, error)
	// Sync makes the bytes written so far durable, and of the metadata what is
	// needed to read them. See the package comment on what an error means.
	Sync() error
}

// WriteFile replaces the file name by data such that after a crash either the
// old or the new content is there, whole. On nil the new one is durable.
func WriteFile(fsys FS, name string, data []byte) error {
	if err := PlaceFile(fsys, name, data); err != nil {
		return err
	}
	if err := fsys.SyncDir(path.Dir(name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// PlaceFile is WriteFile without the end: the new content is durable after the
// next SyncDir of its directory. Who writes many files syncs it once for all.
func PlaceFile(fsys FS, name string, data []byte) error {
	tmp := name + ".tmp"
	if err := writeNew(fsys, tmp, data); err != nil {
		_ = fsys.Remove(tmp) // best effort: the next WriteFile removes it too
		return fmt.Errorf("write %s: %w", name, err)
	}
	// If we die here, the old content stands and a stray .tmp beside it.
	if err := fsys.Rename(tmp, name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// ReadFile returns the content of a file.
func ReadFile(fsys FS, name string) ([]byte, error) {
	return ReadBounded(fsys, name, math.MaxInt64-1)
}

// ReadBounded returns the content of a file of at most limit octets, and
// mail.Corrupt if it has more.
func ReadBounded(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, mail.Errorf(mail.Corrupt, "%s has more than %d octets", name, limit)
	}
	return b, nil
}

func writeNew(fsys FS, name string, data []byte) error {
	f, err := fsys.Create(name)
	if isExist(err) { // left by a crash
		if err = fsys.Remove(name); err == nil {
			f, err = fsys.Create(name)
		}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// InUse is the error of a Lock that another holds.
func InUse(name string) error {
	return mail.WithHint(mail.Errorf(mail.InUse, "%s is locked by another process", name),
		"Another mailkeep uses this directory: stop it, or use a directory of its own.")
}
