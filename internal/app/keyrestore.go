package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// KeyRestoreOptions say what to restore keys from.
type KeyRestoreOptions struct {
	// Escrow is a copy for escrow, or a directory with copies below it; empty: those in
	// the archive.
	Escrow   string
	Identity string // file with the secret key of a recipient
	// ReplaceSource says that the key source of the archive is lost, and that the one
	// that is configured takes its place.
	ReplaceSource bool
}

// RestoreKeys makes key files that were lost from their copies in escrow. No process
// may run on the archive if the source is replaced. Errors: mail.Denied if the
// identity opens no copy; mail.Invalid if a copy is of another archive.
func RestoreKeys(ctx context.Context, c *configs.Config, o KeyRestoreOptions) (done keys.Recovery, err error) {
	if err := refuseDirect(c, "keys are not restored from escrow", "The key files are in the store, not in archive.dir. If they are lost there, open a copy of the archive with store.mode: spool."); err != nil {
		return done, err
	}
	ids, err := readIdentities(o.Identity)
	if err != nil {
		return done, err
	}
	dir, err := openDirectory(c.Archive.Dir)
	if err != nil {
		return done, err
	}
	defer func() { err = joinClose(err, dir) }()
	replaced, err := dir.openForRestore(ctx, c, o.ReplaceSource)
	if err != nil {
		return done, err
	}
	if replaced {
		release, err := dir.lockLedgers()
		if err != nil {
			return done, err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	if o.Escrow != "" {
		if err := dir.takeEscrow(o.Escrow, ids); err != nil {
			return done, err
		}
	}
	for _, d := range dir.library.keys {
		one, err := d.RestoreAll(ctx, ids, o.ReplaceSource)
		done.Restored, done.Kept = done.Restored+one.Restored, done.Kept+one.Kept
		if err != nil {
			return done, fmt.Errorf("partition %d: %w", d.Partition, err)
		}
	}
	if replaced {
		err = dir.adoptSource(ctx)
	}
	return done, err
}

func readIdentities(file string) (*keys.Identities, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, mail.Errorf(mail.Invalid, "read the identity: %w", err)
	}
	defer clear(text)
	return keys.ParseIdentities(text)
}

// openForRestore opens the key files with the configured source. It reports whether
// that takes the place of another.
func (d *directory) openForRestore(ctx context.Context, c *configs.Config, replace bool) (replaced bool, err error) {
	err = d.openKeys(ctx, c, false)
	if mail.KindOf(err) == mail.Denied && replace {
		replaced, err = true, d.makeKeyDirs(d.library.source.Wrapper, d.library.source.escrow)
	}
	switch {
	case err != nil:
		return false, err
	case d.Identity.KeyCheck == nil || len(d.library.keys) == 0:
		return false, mail.WithHint(mail.Errorf(mail.NotFound, "the archive in %s is not encrypted", d.Path), "set a key source in the section encryption, and start mailkeep")
	}
	return replaced, nil
}

// takeEscrow puts copies that were kept elsewhere beside the key files.
func (d *directory) takeEscrow(from string, ids *keys.Identities) error {
	taken := 0
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || path != from && filepath.Ext(path) != ".age" {
			return err
		}
		taken++
		if err := d.takeOne(path, ids); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return mail.Errorf(mail.Invalid, "read the copies in escrow: %w", err)
	case err == nil && taken == 0:
		return mail.Errorf(mail.Invalid, "there are no copies in escrow in %s", from)
	}
	return err
}

// maxEscrowCopy bounds one copy, in octets.
const maxEscrowCopy = 64 << 20

func (d *directory) takeOne(path string, ids *keys.Identities) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, f) }()
	content, err := io.ReadAll(io.LimitReader(f, maxEscrowCopy))
	if err != nil {
		return err
	}
	first, s, err := keys.ReadEscrowFile(filepath.Base(path), bytes.NewReader(content), ids)
	if err != nil {
		return err
	}
	if int(s.Partition) >= len(d.library.keys) {
		return mail.Errorf(mail.Invalid, "it is of partition %d, which the archive does not have", s.Partition)
	}
	return d.library.keys[s.Partition].TakeEscrow(first, content, s)
}

// adoptSource makes the configured source that of the archive, once it opens every
// key file.
func (d *directory) adoptSource(ctx context.Context) error {
	for _, k := range d.library.keys {
		files, err := k.List()
		if err != nil {
			return err
		}
		for _, f := range files {
			t, err := k.Load(ctx, f.First, f.Segment.Number)
			if err != nil {
				return mail.WithHint(fmt.Errorf("the source is not replaced, because it does not open all key files: %w", err),
					"bring the copy in escrow of this segment too")
			}
			t.Wipe()
		}
	}
	check, err := keys.NewCheck(ctx, d.library.source.Wrapper, d.Identity.UUID())
	if err != nil {
		return err
	}
	d.Identity.KeyCheck = check
	return d.writeIdentity()
}

// lockLedgers keeps every other process from writing, until release.
func (d *directory) lockLedgers() (release func() error, err error) {
	var locks []io.Closer
	release = func() (err error) {
		for _, l := range locks {
			err = errors.Join(err, l.Close())
		}
		return err
	}
	for _, p := range d.partitions() {
		files, err := d.ledgerFiles(p)
		if err != nil {
			return nil, errors.Join(err, release())
		}
		locks = append(locks, files)
		lock, err := files.Lock(ledger.LockName)
		if err != nil {
			return nil, errors.Join(err, release())
		}
		locks = append(locks, lock)
	}
	return release, nil
}

// MoveKeys seals all key files under keys of the source that another configuration
// names, and makes that the archive's. No process may run on the archive: mail.InUse.
// Until it has succeeded neither source opens the whole archive; the same call again
// goes on.
func MoveKeys(ctx context.Context, c, to *configs.Config) (done keys.Rotation, err error) {
	dir, err := openEncrypted(ctx, c)
	if err != nil {
		return done, err
	}
	defer func() { err = joinClose(err, dir) }()
	release, err := dir.lockLedgers()
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, release()) }()
	next, err := openKeySource(to)
	if err != nil {
		return done, err
	}
	defer func() { err = joinClose(err, next) }()
	if next.Wrapper == nil {
		return done, mail.Errorf(mail.Invalid, "the other configuration names no key source")
	}
	if done, err = keys.Move(ctx, dir.library.keys, next.Wrapper); err != nil {
		return done, err
	}
	for _, k := range dir.library.keys {
		k.Wrapper = next.Wrapper
	}
	old := dir.library.source
	dir.library.source = keySource{Wrapper: next.Wrapper}
	return done, joinClose(dir.adoptSource(ctx), old)
}
