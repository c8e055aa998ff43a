package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// The names in the directory of key files: the first sequence number of the
// segment in 16 hexadecimal digits, as in the name of the segment, and these.
const (
	fileSuffix   = ".keys"
	escrowSuffix = ".keys.age"
	tmpSuffix    = ".tmp" // of durable: a file in the making
	lockName     = "keys.lock"
)

// lockPause is between two tries to take a lock that another process holds.
const lockPause = 20 * time.Millisecond

// FileName returns the name of the key file of the segment whose first record
// has this sequence number.
func FileName(first uint64) string { return fmt.Sprintf("%016x%s", first, fileSuffix) }

// EscrowName returns the name of its copy for escrow.
func EscrowName(first uint64) string { return fmt.Sprintf("%016x%s", first, escrowSuffix) }

// Owns reports whether a file of this name belongs to this package, for those
// who keep other files in the same directory.
func Owns(name string) bool {
	name = strings.TrimSuffix(name, tmpSuffix)
	first, ok := firstOf(name)
	return name == lockName || ok && (name == FileName(first) || name == EscrowName(first))
}

func firstOf(name string) (uint64, bool) {
	digits, _, found := strings.Cut(name, ".")
	if !found || len(digits) != 16 {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 16, 64)
	return first, err == nil
}

// A Dir is the key files of one partition. Its methods may be called by many
// goroutines, and the same directory be used by many processes, at once.
type Dir struct {
	FS        durable.FS // whose root is the directory
	Archive   [16]byte   // UUID of the archive
	Partition uint16
	Wrapper   Wrapper
	// Escrow has those to whom each new key file is copied; nil: nobody.
	Escrow *Recipients
}

func (d *Dir) segment(number uint32) Segment { return Segment{d.Archive, d.Partition, number} }

// Create makes the tree of a new segment, and its key file in the current
// epoch of the group. On nil the file is durable, and so is its copy for
// escrow. It never replaces a key file: fs.ErrExist if there is one. That of a
// segment that was begun and never got a durable record may be used with Load:
// the nonces of records are random, so nothing repeats.
func (d *Dir) Create(ctx context.Context, first uint64, number uint32, g Group) (*Tree, error) {
	t := NewTree()
	if err := d.create(ctx, first, number, g, t); err != nil {
		t.Wipe()
		return nil, fmt.Errorf("make the key file of %s: %w", d.segment(number), err)
	}
	return t, nil
}

func (d *Dir) create(ctx context.Context, first uint64, number uint32, g Group, t *Tree) error {
	if g == checkGroup {
		return mail.Errorf(mail.Invalid, "class %d is reserved", g.Class)
	}
	lock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	// The lock is held from the choice of the epoch until the file is there, so
	// that no rotation destroys the epoch in between.
	return errors.Join(d.createLocked(ctx, first, number, g, t), lock.Close())
}

func (d *Dir) createLocked(ctx context.Context, first uint64, number uint32, g Group, t *Tree) error {
	if _, err := d.FS.Stat(FileName(first)); err == nil {
		return &fs.PathError{Op: "create", Path: FileName(first), Err: fs.ErrExist}
	}
	e, err := d.Wrapper.NewEpoch(ctx, g, 0)
	if err != nil {
		return err
	}
	f, err := sealFile(ctx, d.Wrapper, d.segment(number), e, t)
	if err != nil {
		return err
	}
	// If we die here, a copy in escrow has no key file: Create replaces it.
	if d.Escrow != nil {
		if err := d.writeEscrow(first, f, t); err != nil {
			return err
		}
	}
	return classify(durable.WriteOnce(d.FS, FileName(first), f.encode()))
}

// Load returns the tree of a segment. Errors: mail.NotFound if there is no key
// file, or no KEK for it (wrapping ErrNoKEK); mail.Corrupt if it is damaged or
// of another segment; else those of the Wrapper.
func (d *Dir) Load(ctx context.Context, first uint64, number uint32) (*Tree, error) {
	t, _, err := d.load(ctx, first, number)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", FileName(first), err)
	}
	return t, nil
}

func (d *Dir) load(ctx context.Context, first uint64, number uint32) (*Tree, *keyFile, error) {
	var before []byte
	for {
		b, err := d.readFile(FileName(first))
		if err != nil {
			return nil, nil, err
		}
		f, err := parseFile(b)
		if err == nil {
			err = f.belongsTo(d.segment(number))
		}
		if err != nil {
			return nil, nil, err
		}
		t, err := f.open(ctx, d.Wrapper)
		if err == nil {
			return t, f, nil
		}
		// A rotation may have replaced the file, and destroyed the epoch, since
		// it was read.
		if !errors.Is(err, ErrNoKEK) || bytes.Equal(b, before) {
			return nil, nil, err
		}
		before = b
	}
}

// A File is what a key file tells without being opened.
type File struct {
	First   uint64 // sequence number of the segment's first record, from the name
	Segment Segment
	Epoch   Epoch
}

// List returns the key files in the order of their segments. One that cannot
// be read, or is of another partition, is an error.
func (d *Dir) List() ([]File, error) {
	names, err := d.names(fileSuffix)
	if err != nil {
		return nil, err
	}
	files := make([]File, 0, len(names))
	for _, name := range names {
		f, err := d.parse(name)
		if err != nil {
			return nil, fmt.Errorf("key file %s: %w", name, err)
		}
		first, _ := firstOf(name)
		files = append(files, File{First: first, Segment: f.segment, Epoch: f.epoch})
	}
	return files, nil
}

func (d *Dir) parse(name string) (*keyFile, error) {
	b, err := d.readFile(name)
	if err != nil {
		return nil, err
	}
	f, err := parseFile(b)
	if err != nil {
		return nil, err
	}
	return f, f.belongsTo(d.segment(f.segment.Number))
}

// names returns the names of ours that end in the suffix, in order.
func (d *Dir) names(suffix string) ([]string, error) {
	entries, err := d.FS.ReadDir(".")
	if err != nil {
		return nil, classify(err)
	}
	var names []string
	for _, e := range entries {
		first, ok := firstOf(e.Name())
		if ok && e.Name() == fmt.Sprintf("%016x%s", first, suffix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (d *Dir) readFile(name string) ([]byte, error) {
	b, err := durable.ReadBounded(d.FS, name, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, mail.WithHint(mail.Errorf(mail.NotFound, "%w", err),
			"Without its key file a segment cannot be read: restore the file from a backup, or from escrow.")
	}
	return b, classify(err)
}

// lock takes the lock on changes of key files, and waits for it.
func (d *Dir) lock(ctx context.Context) (io.Closer, error) { return acquire(ctx, d.FS, lockName) }

func acquire(ctx context.Context, fsys durable.FS, name string) (io.Closer, error) {
	for {
		l, err := fsys.Lock(name)
		if mail.KindOf(err) != mail.InUse {
			return l, classify(err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w, and waiting for it ended: %w", err, ctx.Err())
		case <-time.After(lockPause):
		}
	}
}

// classify gives an error of the file system the kind that its reader needs.
func classify(err error) error {
	switch {
	case err == nil || mail.KindOf(err) != mail.Other || errors.Is(err, fs.ErrExist):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return mail.Errorf(mail.NotFound, "%w", err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return mail.Errorf(mail.Denied, "%w", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return mail.WithHint(mail.Errorf(mail.NoSpace, "%w", err), "Free some space on the disk of the key files; nothing was changed.")
	}
	return mail.Errorf(mail.Temporary, "%w", err)
}
