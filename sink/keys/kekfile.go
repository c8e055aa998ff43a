package keys

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// A KEKFile is a key source that is a text file. It is read at each use, so
// that epochs made or destroyed by another process are seen, and so that no KEK
// stays in memory. Only its owner may have access to it.
//
// Destroying a KEK writes the file anew without it. What was in the old file
// may still lie on the medium, and in copies of the file: where that matters,
// keep the file on an encrypted or volatile medium, or use Vault.
type KEKFile struct {
	fs   durable.FS
	name string
	now  func() time.Time
}

var _ Wrapper = (*KEKFile)(nil)

// NewKEKFile returns the key source in a file of fsys, which is read at the
// first use. The lock <name>.lock is beside it. now may be nil.
func NewKEKFile(fsys durable.FS, name string, now func() time.Time) *KEKFile {
	if now == nil {
		now = time.Now
	}
	return &KEKFile{fs: fsys, name: name, now: now}
}

// OpenKEKFile returns the key source in an existing file, which it has read
// once. Close releases its directory.
func OpenKEKFile(path string) (*KEKFile, error) {
	dir, err := durable.OpenDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, classify(err))
	}
	f := NewKEKFile(dir, filepath.Base(path), nil)
	l, err := f.read()
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	l.wipe()
	return f, nil
}

// GenerateKEKFile makes the file of a new key source: see Generate.
func GenerateKEKFile(path string) error {
	dir, err := durable.OpenDir(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("make the key file %s: %w", path, classify(err))
	}
	return errors.Join(NewKEKFile(dir, filepath.Base(path), nil).Generate(), dir.Close())
}

// Close releases the directory of the file.
func (f *KEKFile) Close() error { return f.fs.Close() }

// Generate makes the file, of mode 0600, with fresh KEKs for an archive without
// classes. It replaces nothing: fs.ErrExist if the name is taken.
func (f *KEKFile) Generate() error {
	l := newKEKList()
	defer l.wipe()
	for _, g := range []Group{{}, checkGroup} {
		f.add(l, Epoch{g, 1})
	}
	text := l.encode()
	defer clear(text)
	if err := durable.WriteOnce(f.fs, f.name, text); err != nil {
		return fmt.Errorf("make the file of key encryption keys: %w", classify(err))
	}
	return nil
}

func (f *KEKFile) add(l *kekList, e Epoch) {
	k := kekEntry{created: f.now().UTC().Truncate(time.Second)}
	rand.Read(k.kek[:]) //nolint:errcheck // it never fails
	l.keks[e] = k
}

// Wrap implements Wrapper.
func (f *KEKFile) Wrap(_ context.Context, e Epoch, plain, aad []byte) ([]byte, error) {
	k, err := f.kek(e)
	if err != nil {
		return nil, err
	}
	defer clear(k[:])
	return k.seal(plain, aad)
}

// Unwrap implements Wrapper.
func (f *KEKFile) Unwrap(_ context.Context, e Epoch, box, aad []byte) ([]byte, error) {
	k, err := f.kek(e)
	if err != nil {
		return nil, err
	}
	defer clear(k[:])
	return k.open(f.source(), e, box, aad)
}

func (f *KEKFile) kek(e Epoch) (kek, error) {
	l, err := f.read()
	if err != nil {
		return kek{}, err
	}
	defer l.wipe()
	k, ok := l.keks[e]
	if !ok {
		return kek{}, noKEK(f.source(), e)
	}
	return k.kek, nil
}

// NewEpoch implements Wrapper.
func (f *KEKFile) NewEpoch(ctx context.Context, g Group, after uint32) (Epoch, error) {
	l, err := f.read()
	if err != nil {
		return Epoch{}, err
	}
	there, _ := l.newest(g)
	l.wipe()
	if there > after {
		return Epoch{g, there}, nil
	}
	made := Epoch{Group: g}
	err = f.change(ctx, func(l *kekList) (bool, error) {
		there, ever := l.newest(g)
		if there > after { // made by another meanwhile
			made.Version = there
			return false, nil
		}
		if ever = max(ever, after); ever == math.MaxUint32 {
			return false, mail.Errorf(mail.Invalid, "the group %s has no more versions", g)
		}
		made.Version = ever + 1
		f.add(l, made)
		return true, nil
	})
	if err != nil {
		return Epoch{}, err
	}
	return made, nil
}

// DestroyEpoch implements Wrapper.
func (f *KEKFile) DestroyEpoch(ctx context.Context, e Epoch) error {
	if e.Version == 0 {
		return nil
	}
	return f.change(ctx, func(l *kekList) (bool, error) {
		if _, ever := l.newest(e.Group); e.Version > ever {
			return false, noKEK(f.source(), e)
		}
		return l.destroy(e, f.now().UTC().Truncate(time.Second)), nil
	})
}

// change rewrites the file if edit says so.
func (f *KEKFile) change(ctx context.Context, edit func(*kekList) (bool, error)) error {
	lock, err := acquire(ctx, f.fs, f.name+".lock")
	if err != nil {
		return f.failed("change", err)
	}
	return errors.Join(f.changeLocked(edit), lock.Close())
}

func (f *KEKFile) changeLocked(edit func(*kekList) (bool, error)) error {
	l, err := f.read()
	if err != nil {
		return err
	}
	defer l.wipe()
	changed, err := edit(l)
	if err != nil || !changed {
		return err
	}
	text := l.encode()
	defer clear(text)
	if len(text) > maxKEKFile {
		return mail.Errorf(mail.Invalid, "%s would have more than %d octets", f.source(), maxKEKFile)
	}
	if err := durable.WriteFile(f.fs, f.name, text); err != nil {
		return f.failed("change", classify(err))
	}
	return nil
}

// read returns the KEKs; the caller wipes them.
func (f *KEKFile) read() (*kekList, error) {
	info, err := f.fs.Stat(f.name)
	if err != nil {
		return nil, f.failed("read", classify(err))
	}
	if err := f.checkMode(info); err != nil {
		return nil, err
	}
	text, err := durable.ReadBounded(f.fs, f.name, maxKEKFile)
	if err != nil {
		return nil, f.failed("read", classify(err))
	}
	defer clear(text)
	l, err := parseKEKList(text)
	if err != nil {
		return nil, mail.WithHint(fmt.Errorf("%s: %w", f.source(), err),
			"Restore the file from a copy; do not make a new one: what is sealed under its keys would be lost.")
	}
	return l, nil
}

// checkMode refuses what others may read or write, and what is no file.
func (f *KEKFile) checkMode(info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return mail.Errorf(mail.Invalid, "%s is not a regular file", f.source())
	case info.Mode().Perm()&0o077 != 0:
		return mail.WithHint(mail.Errorf(mail.Denied, "%s may be read or written by others: its mode is %#o", f.source(), info.Mode().Perm()),
			"Run chmod 600 on it. If others had access to it, rotate the keys.")
	}
	return nil
}

func (f *KEKFile) source() string { return "key file " + f.name }

func (f *KEKFile) failed(doing string, err error) error {
	err = fmt.Errorf("%s the %s: %w", doing, f.source(), err)
	switch kind := mail.KindOf(err); {
	case kind == mail.NotFound:
		return mail.WithHint(err, "Restore the file from a copy. For a new archive make one with `mailkeep keys generate`.")
	case kind == mail.Denied && doing == "change":
		return mail.WithHint(err, "New keys are made, and old ones destroyed, by writing the file and its directory: let mailkeep's user own both.")
	}
	return err
}
