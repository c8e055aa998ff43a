package app

import (
	"context"
	"fmt"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// RotateKeys seals the key files of the archive under new key encryption keys
// and destroys the older ones, group by group, also while a process runs on the
// archive. If it is interrupted, the next call goes on. mail.NotFound if the
// archive is not encrypted.
func RotateKeys(ctx context.Context, c *configs.Config) (done []keys.Rotation, err error) {
	dir, err := openEncrypted(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(err, dir) }()
	groups, err := keys.Groups(dir.library.keys)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		r, err := keys.Rotate(ctx, dir.library.keys, g)
		if err != nil {
			return done, fmt.Errorf("rotate the keys of class and year %s: %w", g, err)
		}
		done = append(done, r)
	}
	return done, nil
}

// EscrowKeys writes the copies of all keys for the recipients that are
// configured, in the place of those that are there, and returns of how many
// segments.
func EscrowKeys(ctx context.Context, c *configs.Config) (n int, err error) {
	dir, err := openEncrypted(ctx, c)
	if err != nil {
		return 0, err
	}
	defer func() { err = joinClose(err, dir) }()
	for _, d := range dir.library.keys {
		written, err := d.WriteEscrow(ctx)
		if n += written; err != nil {
			return n, fmt.Errorf("partition %d: %w", d.Partition, err)
		}
	}
	return n, nil
}

// openEncrypted opens an archive that is encrypted with the configured source.
func openEncrypted(ctx context.Context, c *configs.Config) (*directory, error) {
	dir, err := openDirectory(c.Archive.Dir)
	if err != nil {
		return nil, err
	}
	err = dir.openKeys(ctx, c, false)
	if err == nil && c.IsDirect() {
		err = dir.openStore(c)
	}
	if err == nil && dir.Identity.KeyCheck == nil {
		err = mail.WithHint(mail.Errorf(mail.NotFound, "the archive in %s is not encrypted", dir.Path), "set a key source in the section encryption, and start mailkeep")
	}
	if err != nil {
		return nil, joinClose(err, dir)
	}
	return dir, nil
}
