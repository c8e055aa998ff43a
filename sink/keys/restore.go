package keys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// A Recovery counts what RestoreAll has done.
type Recovery struct {
	Restored int // key files that were made from their copies for escrow
	Kept     int // key files that are there and open
}

// RestoreAll makes the key files of all segments that have a copy for escrow. A key
// file that is there is kept if the source opens it; if not, it is an error, unless
// over says that the source which could is lost: then it is replaced. Calling it
// again goes on where it stopped.
func (d *Dir) RestoreAll(ctx context.Context, ids *Identities, over bool) (Recovery, error) {
	lock, err := d.lock(ctx)
	if err != nil {
		return Recovery{}, err
	}
	done, err := d.restoreAll(ctx, ids, over)
	return done, errors.Join(err, lock.Close())
}

func (d *Dir) restoreAll(ctx context.Context, ids *Identities, over bool) (done Recovery, err error) {
	names, err := d.names(escrowSuffix)
	if err != nil {
		return done, err
	}
	for _, name := range names {
		first, _ := firstOf(name)
		restored, err := d.restoreOne(ctx, first, ids, over)
		switch {
		case err != nil:
			return done, fmt.Errorf("restore from %s: %w", name, err)
		case restored:
			done.Restored++
		default:
			done.Kept++
		}
	}
	return done, nil
}

func (d *Dir) restoreOne(ctx context.Context, first uint64, ids *Identities, over bool) (restored bool, err error) {
	if _, err := d.FS.Stat(FileName(first)); errors.Is(err, fs.ErrNotExist) {
		return true, d.restoreLocked(ctx, first, ids)
	}
	f, err := d.parse(FileName(first))
	if err == nil {
		var t *Tree
		if t, err = f.open(ctx, d.Wrapper); err == nil {
			t.Wipe()
			return false, nil
		}
	}
	if k := mail.KindOf(err); !over || k == mail.Temporary {
		return false, err
	}
	// The file stays until there is another one: its source may be found again.
	made, err := d.fromEscrow(ctx, first, ids)
	if err != nil {
		return false, err
	}
	return true, d.replace(first, made)
}

// TakeEscrow puts a copy for escrow, which was kept elsewhere, under the name of its
// segment into the directory, so that RestoreAll finds it. One that is there already
// is kept. mail.Invalid if the copy is of another archive or partition.
func (d *Dir) TakeEscrow(first uint64, content []byte, s Segment) error {
	if err := (&keyFile{segment: s}).belongsTo(d.segment(s.Number)); err != nil {
		return err
	}
	err := durable.WriteOnce(d.FS, EscrowName(first), content)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return classify(err)
}

// ReadEscrowFile reads a copy for escrow whose name is that of its segment, and
// returns the segment's first record. Errors: mail.Invalid if it has another name;
// else those of ReadEscrow.
func ReadEscrowFile(name string, r io.Reader, ids *Identities) (first uint64, s Segment, err error) {
	first, ok := firstOf(name)
	if !ok || name != EscrowName(first) {
		return 0, s, mail.WithHint(mail.Errorf(mail.Invalid, "%.80q is not the name of a copy in escrow", name),
			"It has the name that it had in the archive: 16 digits and .keys.age.")
	}
	t, s, _, err := ReadEscrow(r, ids)
	if err != nil {
		return first, s, err
	}
	t.Wipe()
	return first, s, nil
}
