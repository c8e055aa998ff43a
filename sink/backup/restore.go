package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// RestoreOptions say how to restore.
type RestoreOptions struct {
	// Identity is the file of the archive that is written last: without it nothing
	// opens the directory.
	Identity string
	// Judge verifies what was written before it gets its identity, whose content it
	// is given. Its error ends the restoration.
	Judge    func(ctx context.Context, identity []byte) error
	Progress func(octets int) // told of octets that were copied; may be nil
}

// Restore writes the files of a manifest into an empty directory. Each is
// compared with its hash on the way, and synced. Errors: mail.Invalid if the
// directory is not empty; mail.Corrupt if the backup is damaged; mail.NoSpace.
// After an error the directory holds no archive: it is to be emptied.
func Restore(ctx context.Context, from durable.FS, m *Manifest, to durable.FS, o RestoreOptions) error {
	entries, err := to.ReadDir(".")
	if err != nil {
		return wrap("restore", err)
	}
	if len(entries) > 0 {
		return mail.WithHint(mail.Errorf(mail.Invalid, "the directory to restore to is not empty: there is %s in it", entries[0].Name()),
			"name an empty directory; if an earlier restoration was cut off, remove what it left")
	}
	id, ok := m.find(o.Identity)
	if !ok {
		return mail.Errorf(mail.Corrupt, "the backup has no file %s", o.Identity)
	}
	r := restorer{from: from, to: to, copy: newCopier(o.Progress), dirs: map[string]bool{".": true}}
	return wrap("restore", r.restore(ctx, m, id, o))
}

type restorer struct {
	from, to durable.FS
	copy     *copier
	dirs     map[string]bool // made so far
}

func (r *restorer) restore(ctx context.Context, m *Manifest, id File, o RestoreOptions) error {
	for _, f := range m.Files {
		if f.Path == id.Path {
			continue
		}
		if err := r.file(ctx, f); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	for dir := range r.dirs {
		if err := r.to.SyncDir(dir); err != nil {
			return err
		}
	}
	b, err := durable.ReadBounded(r.from, id.object(), 1<<20)
	if err != nil {
		return fmt.Errorf("%s: %w", id.Path, err)
	}
	if mail.DigestOf(b) != id.Digest {
		return fmt.Errorf("%s: %w", id.Path, damaged(id))
	}
	if o.Judge != nil {
		if err := o.Judge(ctx, b); err != nil {
			return err
		}
	}
	return durable.WriteFile(r.to, id.Path, b)
}

// file writes one file.
func (r *restorer) file(ctx context.Context, f File) error {
	if err := r.makeDirs(path.Dir(f.Path)); err != nil {
		return err
	}
	src, err := r.from.Open(f.object())
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := r.to.Create(f.Path)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = r.copy.all(ctx, dst, h, src, f.Octets)
	if err == nil && mail.Digest(h.Sum(nil)) != f.Digest || mail.KindOf(err) == mail.Corrupt {
		err = damaged(f)
	}
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return err
	}
	return r.to.Chmod(f.Path, f.Mode)
}

func damaged(f File) error {
	return mail.WithHint(mail.Errorf(mail.Corrupt, "the object %s of the backup is damaged", f.object()),
		"run mailkeep backup --check to see all damage, and restore from another copy of the backup")
}

// makeDirs makes a directory and those above it, and notes them to be synced.
func (r *restorer) makeDirs(dir string) error {
	if r.dirs[dir] {
		return nil
	}
	if err := r.makeDirs(path.Dir(dir)); err != nil {
		return err
	}
	r.dirs[dir] = true
	return r.to.MkdirAll(dir)
}
