package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/backup"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// RepairOptions say what to repair from.
type RepairOptions struct {
	From   string // directory of a backup, or of a copy of the archive, or s3://BUCKET/PREFIX
	DryRun bool
}

// A RepairReport tells what was damaged, and what became of it.
type RepairReport struct {
	DryRun   bool              `json:"dry_run,omitempty"`
	Segments []RepairedSegment `json:"segments"`
}

// Refused counts the segments that stay damaged.
func (r RepairReport) Refused() (n int) {
	for _, s := range r.Segments {
		if s.Refused != "" {
			n++
		}
	}
	return n
}

// A RepairedSegment is a segment that was damaged.
type RepairedSegment struct {
	File   string       `json:"file"`            // below the archive's directory
	Aside  string       `json:"aside,omitempty"` // what was there
	Octets int64        `json:"octets"`          // of the whole segment
	Taken  int64        `json:"taken"`           // of them, from the copy
	Digest *mail.Digest `json:"sha256,omitempty"`
	// By is what shows that the octets are those that were written.
	By      string `json:"by,omitempty"`
	Refused string `json:"refused,omitempty"` // why it was not repaired
}

// Repair puts segments that are damaged together again from a backup or a copy, and
// leaves an event for each. No process may run on the archive: mail.InUse. What was
// refused is in the report.
func Repair(ctx context.Context, c *configs.Config, o RepairOptions, console Console) (report RepairReport, err error) {
	report = RepairReport{DryRun: o.DryRun, Segments: []RepairedSegment{}}
	dir, err := openDirectory(c.Archive.Dir)
	if err != nil {
		return report, err
	}
	defer func() { err = joinClose(err, dir) }()
	copied, err := openCopy(c, o.From, dir.Identity.Archive)
	if err != nil {
		return report, err
	}
	defer func() { err = joinClose(err, copied) }()
	if err := errors.Join(dir.openKeys(ctx, c, false), dir.openStore(c)); err != nil {
		return report, err // without them no event can be sealed
	}
	b, err := newRebuild(c, dir, console)
	if err != nil {
		return report, err
	}
	r := repairing{rebuild: b, copied: copied, o: o, report: &report}
	for _, p := range dir.partitions() {
		if err := r.partition(ctx, p); err != nil {
			return report, fmt.Errorf("partition %d: %w", p, err)
		}
	}
	return report, nil
}

// A copyOf is a backup of an archive, or another copy of it.
type copyOf struct {
	durable.FS
	manifest *backup.Manifest // nil: it is a copy
}

// openCopy opens a directory that must be a copy of the archive.
func openCopy(cfg *configs.Config, path, archive string) (copyOf, error) {
	files, err := openBackup(cfg, path)
	if err != nil {
		return copyOf{}, err
	}
	c := copyOf{FS: files}
	has := archive
	root, local := files.(*durable.Dir)
	if _, err := files.Stat(identityFile); err == nil && local {
		d := directory{Path: path, root: root}
		if err := d.load(); err != nil {
			return c, errors.Join(err, files.Close())
		}
		has = d.Identity.Archive
	} else {
		if c.manifest, err = backup.Find(files, 0); err != nil {
			return c, errors.Join(err, files.Close())
		}
		has = c.manifest.Archive
	}
	if has != archive {
		return c, errors.Join(mail.Errorf(mail.Invalid, "%s is of another archive, %s", path, has), files.Close())
	}
	return c, nil
}

func (c copyOf) open(path string) (durable.File, error) {
	if c.manifest != nil {
		return backup.Open(c.FS, c.manifest, path)
	}
	return c.FS.Open(path)
}

type repairing struct {
	rebuild
	copied copyOf
	o      RepairOptions
	report *RepairReport
}

func (r repairing) partition(ctx context.Context, p uint16) error {
	vouch, closeLog, err := r.vouch(p)
	if err != nil {
		return err
	}
	done, err := r.segments(ctx, p, vouch)
	if err = errors.Join(err, closeLog()); err != nil {
		return err
	}
	var events []mail.Event
	for _, s := range done {
		out := RepairedSegment{File: backup.LedgerPath(p) + "/" + s.File, Octets: s.Octets, Taken: s.Taken, By: s.By}
		if s.Err != nil {
			out.Refused = s.Err.Error()
		}
		if s.Aside != "" {
			out.Aside = backup.LedgerPath(p) + "/" + s.Aside
		}
		if s.Err == nil && !r.o.DryRun {
			out.Digest = &s.Digest
			events = append(events, mail.Event{Type: mail.EventRepair, Repair: &mail.Repair{
				File: out.File, Aside: out.Aside, From: filepath.Base(r.o.From), First: s.First, Digest: s.Digest,
			}})
		}
		r.report.Segments = append(r.report.Segments, out)
	}
	if len(events) == 0 {
		return nil
	}
	if err := r.tell(ctx, p, events); err != nil {
		return mail.WithHint(fmt.Errorf("segments were repaired, but the event that tells of it cannot be sealed: %w", err), "the files *.damaged show what was repaired")
	}
	return nil
}

func (r repairing) segments(ctx context.Context, p uint16, vouch func(uint64) ([]byte, error)) (done []ledger.Repaired, err error) {
	files, err := r.dir.ledger(p)
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(err, files) }()
	told := r.console.octets(PhaseRepair, 0)
	return ledger.Repair(ctx, files, ledger.RepairOptions{
		Archive: r.dir.Identity.UUID(), Partition: p, DryRun: r.o.DryRun, Vouch: vouch,
		Source: func(name string) (durable.File, error) { return r.copied.open(backup.LedgerPath(p) + "/" + name) },
		Pace:   func(_ context.Context, n int64) error { told(int(n)); return nil },
	})
}

// vouch asks the last signed checkpoint for leaves; nil if there is none that can
// be believed.
func (r repairing) vouch(p uint16) (leaf func(uint64) ([]byte, error), closeLog func() error, err error) {
	none := func() error { return nil }
	trust, err := tlog.LoadTrust(r.dir.root, r.dir.Identity.Archive, p)
	if k := mail.KindOf(err); k == mail.NotFound || k == mail.Corrupt {
		return nil, none, nil
	}
	if err != nil {
		return nil, none, err
	}
	files, err := r.dir.log(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, none, nil
	}
	if err != nil {
		return nil, none, err
	}
	view := tlog.NewView(files, trust)
	latest, err := view.Latest()
	if k := mail.KindOf(err); k == mail.NotFound || k == mail.Corrupt {
		return nil, files.Close, nil
	}
	if err != nil {
		return nil, none, errors.Join(err, files.Close())
	}
	return func(seq uint64) ([]byte, error) {
		b, err := view.Leaf(seq, latest)
		if mail.KindOf(err) == mail.Corrupt {
			return nil, mail.Errorf(mail.NotFound, "the tiles of the log are damaged: %w", errors.Unwrap(err))
		}
		return b, err
	}, files.Close, nil
}

// tell seals the events.
func (r repairing) tell(ctx context.Context, p uint16, events []mail.Event) (err error) {
	l, closeAll, err := r.open(p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	return sealEvents(ctx, l, events...)
}

// sealEvents appends events to a ledger that nobody else appends to.
func sealEvents(ctx context.Context, l *ledger.Ledger, events ...mail.Event) error {
	batch := make([]*ledger.Entry, 0, len(events))
	for _, e := range events {
		entry, err := l.Maker().Event(e)
		if err != nil {
			return err
		}
		batch = append(batch, entry)
	}
	sealed, err := l.Append(ctx, batch)
	for _, s := range sealed {
		err = errors.Join(err, s.Err)
	}
	return err
}
