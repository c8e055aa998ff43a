package store

import (
	"errors"
	"io/fs"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// openSuffix is behind the name of a segment that is being written or sealed.
const openSuffix = ".open"

// Protect sets the immutable flag on the sealed segments in the directory of a
// ledger and returns how many have it. The first one on which it cannot be set ends
// it: mail.Denied, without the right or where the file system has no such flag.
func Protect(fsys durable.FS) (int, error) {
	entries, err := fsys.ReadDir(".")
	if err != nil {
		return 0, classifyFile(err)
	}
	n := 0
	for _, e := range entries {
		if !isSegment(e.Name()) {
			continue
		}
		// A segment that has its open name still is about to lose it, which the flag
		// would forbid.
		if _, err := fsys.Stat(e.Name() + openSuffix); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := setFlag(fsys, e.Name(), true); errors.Is(err, fs.ErrNotExist) {
			continue // it was just moved to the store
		} else if err != nil {
			return n, classifyFile(err)
		}
		n++
	}
	return n, nil
}

func setFlag(fsys durable.FS, name string, on bool) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	err = errors.Join(durable.SetImmutable(f, on), f.Close())
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		return mail.WithHint(mail.Errorf(mail.Denied, "%s: %w", name, err),
			"Use a file system such as ext4, xfs or btrfs and run with the capability CAP_LINUX_IMMUTABLE, or set archive.immutable: off (store.immutable: false for a store in a directory).")
	}
	return err
}

// unflag clears the immutable flag where there is one.
func unflag(fsys durable.FS, name string) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	on, err := durable.IsImmutable(f)
	if err != nil || !on {
		return f.Close() // no such flag here; if there is, removing fails and says so
	}
	return errors.Join(durable.SetImmutable(f, false), f.Close())
}
