package app

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/store"
)

// inStore begins the name of a backup that is in a store.
const inStore = "s3://"

// InStore reports whether a backup is named that is in a store.
func InStore(where string) bool { return strings.HasPrefix(where, inStore) }

// openShelf opens s3://BUCKET/PREFIX, with what the configuration says of the store.
func openShelf(c *configs.Config, where string) (durable.FS, error) {
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(where, inStore), "/")
	prefix = strings.Trim(prefix, "/")
	if bucket == "" || prefix == "" {
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "%q names no place in a store", where), "write s3://BUCKET/PREFIX; each archive needs a prefix of its own")
	}
	o, access, secret := c.BackupStore()
	if o.Endpoint == "" {
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "no store for backups is configured"), "set backup.s3.endpoint and its keys")
	}
	o.Prefix = prefix
	s, err := s3At(o, bucket, access, secret)
	if err != nil {
		return nil, err
	}
	return store.NewShelf(s, "")
}

// backupTarget opens the place that a backup is made in.
func (c *Client) backupTarget(to string) (durable.FS, error) {
	if InStore(to) {
		return openShelf(c.cfg, to)
	}
	if err := apart(c.dir.Path, to); err != nil {
		return nil, err
	}
	target, err := durable.MakeDir(to)
	if err != nil {
		return nil, fmt.Errorf("make the directory of the backup: %w", err)
	}
	return target, nil
}

// openBackup opens the place of a backup that is there.
func openBackup(c *configs.Config, where string) (durable.FS, error) {
	if InStore(where) {
		return openShelf(c, where)
	}
	files, err := durable.OpenDir(where)
	if err != nil {
		return nil, mail.WithHint(mail.Errorf(mail.NotFound, "open the backup: %w", err), "name the directory that mailkeep backup was given")
	}
	return files, nil
}

// A wholeArchive is the directory of an archive with the segments that are in its
// store alone.
type wholeArchive struct {
	*durable.Dir
	dir *directory
}

// Open implements durable.FS.
func (w wholeArchive) Open(name string) (durable.File, error) {
	f, err := w.Dir.Open(name)
	of, base := path.Split(name)
	if !errors.Is(err, fs.ErrNotExist) || path.Dir(path.Clean(of)) != ledgerDir {
		return f, err
	}
	p, perr := strconv.ParseUint(path.Base(of), 10, 16)
	if perr != nil {
		return nil, err
	}
	files, err := w.dir.ledger(uint16(p))
	if err != nil {
		return nil, err
	}
	f, err = files.Open(base)
	return f, errors.Join(err, files.Close())
}
