package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// nextKey is the suffix of a signing key that is to replace the one beside it.
const nextKey = ".next"

// ChangeSigningKey makes a new key that signs checkpoints, for which the old one
// vouches, and returns the public keys of the logs, by partition. It is
// mail.InUse while a process runs on the archive. If it is interrupted, the next
// start finishes the change or forgets it.
func ChangeSigningKey(ctx context.Context, c *configs.Config) (vkeys []string, err error) {
	if err := refuseDirect(c, "the signing key is not changed", "Copy the archive with store.mode: spool, change the key there, or go on with the key."); err != nil {
		return nil, err
	}
	dir, err := openDirectory(c.Archive.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(err, dir) }()
	where := signingKeyPath(c, dir.Path)
	files, err := durable.OpenDir(filepath.Dir(where))
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	defer func() { err = joinClose(err, files) }()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k := keyChange{dir: dir, files: files, name: filepath.Base(where)}
	return k.run()
}

// A keyChange replaces the signing key of an archive.
type keyChange struct {
	dir   *directory
	files durable.FS // where the key file is
	name  string
}

func (k keyChange) run() (vkeys []string, err error) {
	unlock, err := k.lock()
	defer func() { err = errors.Join(err, unlock()) }()
	if err != nil {
		return nil, err
	}
	if err := k.settle(); err != nil {
		return nil, err
	}
	id := k.dir.Identity
	before, err := tlog.LoadKey(k.files, k.name, id.Archive)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	after, err := tlog.NewKey(id.Archive)
	if err != nil {
		return nil, err
	}
	if err := tlog.SaveKey(k.files, k.name+nextKey, after); err != nil {
		return nil, err
	}
	// If we die here, nobody has vouched for the new key: it is forgotten.
	if err := tlog.ChangeKey(k.dir.root, before, after, id.Partitions, time.Now()); err != nil {
		return nil, err
	}
	for _, p := range k.dir.partitions() {
		vkeys = append(vkeys, after.VKey(p))
	}
	return vkeys, k.settle()
}

// lock keeps other processes from signing. What it returns is to be called.
func (k keyChange) lock() (func() error, error) {
	var undo []func() error
	unlock := func() error {
		var errs []error
		for _, f := range undo {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	for _, p := range k.dir.partitions() {
		files, err := k.dir.log(p)
		if err != nil {
			return unlock, err
		}
		undo = append(undo, files.Close)
		l, err := tlog.Lock(files)
		if err != nil {
			return unlock, err
		}
		undo = append(undo, l.Close)
	}
	return unlock, nil
}

// settle finishes a change of keys that was begun, or forgets it: the new key is
// the archive's once the old one has vouched for it.
func (k keyChange) settle() error {
	id := k.dir.Identity
	next, err := tlog.LoadKey(k.files, k.name+nextKey, id.Archive)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("new signing key: %w", err)
	}
	current, err := tlog.IsCurrent(k.dir.root, next)
	if err != nil {
		return err
	}
	if current {
		if err := tlog.PublishKey(k.dir.root, next, id.Partitions); err != nil {
			return err
		}
		if err := durable.WriteFile(k.files, k.name, next.Secret()); err != nil {
			return err
		}
	}
	if err := k.files.Remove(k.name + nextKey); err != nil {
		return err
	}
	return k.files.SyncDir(".")
}
