package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A Dir is the FS of a directory of the operating system. Names cannot lead
// out of it, not even by symbolic links (see os.Root).
type Dir struct{ root *os.Root }

var _ FS = (*Dir)(nil)

// OpenDir returns the FS of an existing directory.
func OpenDir(path string) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &Dir{root: root}, nil
}

// MakeDir returns the FS of a directory and makes it, durably, if it is not
// there. Parents that are missing are made too.
func MakeDir(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := makeDurable(path); err != nil {
		return nil, err
	}
	return OpenDir(path)
}

// makeDurable makes path and syncs the directory above each one that it made.
func makeDurable(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) != path {
		if err := makeDurable(filepath.Dir(path)); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	if isExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	above, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(above.Sync(), above.Close())
}

// Open implements FS.
func (d *Dir) Open(name string) (File, error) { return file(d.root.Open(name)) }

// Create implements FS.
func (d *Dir) Create(name string) (File, error) {
	return file(d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600))
}

// Link implements FS.
func (d *Dir) Link(old, new string) error { return d.root.Link(old, new) }

// Rename implements FS.
func (d *Dir) Rename(old, new string) error { return d.root.Rename(old, new) }

// Remove implements FS.
func (d *Dir) Remove(name string) error { return d.root.Remove(name) }

// Chmod implements FS.
func (d *Dir) Chmod(name string, mode fs.FileMode) error { return d.root.Chmod(name, mode) }

// MkdirAll implements FS.
func (d *Dir) MkdirAll(name string) error { return d.root.MkdirAll(name, 0o700) }

// ReadDir implements FS.
func (d *Dir) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(d.root.FS(), name) }

// Stat implements FS.
func (d *Dir) Stat(name string) (fs.FileInfo, error) { return d.root.Stat(name) }

// SyncDir implements FS.
func (d *Dir) SyncDir(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", name, err)
	}
	return nil
}

// Lock implements FS by flock(2), which the kernel drops when the process
// dies, however it dies.
func (d *Dir) Lock(name string) (io.Closer, error) {
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, filepath.Join(d.root.Name(), name)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Sub implements FS.
func (d *Dir) Sub(dir string) (FS, error) {
	root, err := d.root.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Dir{root: root}, nil
}

// Close implements FS.
func (d *Dir) Close() error { return d.root.Close() }

// A diskFile is an os.File whose Sync is fdatasync where there is one.
type diskFile struct{ *os.File }

func (f diskFile) Sync() error { return datasync(f.File) }

func file(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func isExist(err error) bool { return errors.Is(err, fs.ErrExist) }
