package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// A store writes the objects of a backup.
type store struct {
	fs   durable.FS
	copy *copier
	new  int   // objects written
	size int64 // their octets
}

// put stores n octets of r, or all there are if n is negative, under their
// hash. covered is judged when so many octets of it are hashed. On nil the
// octets are durable and were read back; the name is durable after sync.
func (s *store) put(ctx context.Context, r io.Reader, n int64, judge *judge) (d mail.Digest, size int64, err error) {
	f, err := createNew(s.fs, incoming)
	if err != nil {
		return d, 0, err
	}
	h := sha256.New()
	size, err = s.fill(ctx, f, h, r, n, judge)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return d, size, errors.Join(err, s.fs.Remove(incoming))
	}
	h.Sum(d[:0])
	return d, size, s.settle(ctx, d, size)
}

// fill copies, in two parts if there is something to judge between them.
func (s *store) fill(ctx context.Context, w io.Writer, h hash.Hash, r io.Reader, n int64, judge *judge) (int64, error) {
	if judge == nil {
		return s.copy.all(ctx, w, h, r, n)
	}
	if _, err := s.copy.all(ctx, w, h, r, judge.covered); err != nil {
		return 0, err
	}
	if got := mail.Digest(h.Sum(nil)); got != judge.sum {
		return 0, mail.WithHint(mail.Errorf(mail.Corrupt, "the segment is damaged: its SHA-256 is %s, its seal says %s", got, judge.sum),
			"Run mailkeep verify. An earlier backup may have the segment whole; mailkeep repair puts it back.")
	}
	rest, err := s.copy.all(ctx, w, h, r, n-judge.covered)
	return judge.covered + rest, err
}

// A judge says what the first octets must hash to.
type judge struct {
	covered int64
	sum     mail.Digest
}

// settle reads back what came in and gives it its name.
func (s *store) settle(ctx context.Context, d mail.Digest, size int64) error {
	back := copier{buf: s.copy.buf}
	got, n, err := back.digest(ctx, s.fs, incoming, -1)
	if err == nil && (got != d || n != size) {
		err = mail.Errorf(mail.Corrupt, "what was written reads back as other octets: the disk of the backup is failing")
	}
	if err != nil {
		return errors.Join(err, s.fs.Remove(incoming))
	}
	name := File{Digest: d}.object()
	if info, err := s.fs.Stat(name); err == nil && info.Size() == size {
		return s.fs.Remove(incoming) // two files of the same octets
	}
	s.new, s.size = s.new+1, s.size+size
	return errors.Join(s.fs.Chmod(incoming, 0o400), s.fs.Rename(incoming, name))
}

// has reports whether an object is there with the size.
func (s *store) has(f File) bool {
	info, err := s.fs.Stat(f.object())
	return err == nil && info.Size() == f.Octets
}

// sync makes the names of all objects durable.
func (s *store) sync() error { return s.fs.SyncDir(objectsDir) }

// createNew makes a file in place of one that a crash has left.
func createNew(fsys durable.FS, name string) (durable.File, error) {
	f, err := fsys.Create(name)
	if errors.Is(err, fs.ErrExist) {
		if err = fsys.Remove(name); err == nil {
			f, err = fsys.Create(name)
		}
	}
	return f, err
}

// prune removes all but the newest manifests, and the objects that only those
// named which are gone.
func prune(fsys durable.FS, keep int) (removed int, err error) {
	all, err := listManifests(fsys)
	if err != nil || keep < 1 || len(all) <= keep {
		return 0, err
	}
	named := map[string]bool{}
	for _, n := range all[len(all)-keep:] {
		m, err := readManifest(fsys, n)
		if err != nil {
			return 0, err
		}
		for _, f := range m.Files {
			named[f.Digest.String()] = true
		}
	}
	for _, n := range all[:len(all)-keep] {
		if err := fsys.Remove(n.path()); err != nil {
			return 0, err
		}
	}
	// If we die behind the next line, there are objects that nothing names: they
	// go with the next manifest that does.
	if err := fsys.SyncDir(manifestsDir); err != nil {
		return 0, err
	}
	return sweep(fsys, named)
}

// sweep removes the objects that are not named.
func sweep(fsys durable.FS, named map[string]bool) (removed int, err error) {
	entries, err := fsys.ReadDir(objectsDir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if named[e.Name()] || len(e.Name()) != 2*len(mail.Digest{}) {
			continue
		}
		if err := fsys.Remove(objectsDir + "/" + e.Name()); err != nil {
			return removed, fmt.Errorf("remove an object: %w", err)
		}
		removed++
	}
	return removed, fsys.SyncDir(objectsDir)
}
