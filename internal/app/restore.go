package app

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/backup"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// RestoreOptions say what to restore, and where.
type RestoreOptions struct {
	From   string // directory of the backup, or s3://BUCKET/PREFIX
	To     string // directory of the archive that is made; empty or missing
	Number int    // of the backup; 0: the newest
	// Checkpoints are files with signed checkpoints that were kept elsewhere. They
	// tell how much was sealed after the backup.
	Checkpoints []string
}

// A RestoreReport is what was restored, and what was not.
type RestoreReport struct {
	Archive    string              `json:"archive"`
	Backup     int                 `json:"backup"` // its number
	Made       time.Time           `json:"made"`   // the backup
	Files      int                 `json:"files"`
	Octets     int64               `json:"octets"`
	Partitions []RestoredPartition `json:"partitions"`
	// Notes are what is to be done before the archive can be used.
	Notes []string `json:"notes,omitempty"`
}

// A RestoredPartition is one ledger that was restored.
type RestoredPartition struct {
	Partition uint16    `json:"partition"`
	Records   uint64    `json:"records"`       // that the backup had
	Last      time.Time `json:"last,omitzero"` // when the last of them was sealed
	// Known is the size of the largest checkpoint that was brought; 0: none was.
	// Missing counts the records that it proves and that the backup lacks.
	Known   uint64 `json:"known,omitempty"`
	Missing uint64 `json:"missing,omitempty"`
}

// Restore makes an archive anew from a backup: files, views, and an event that
// tells of it. Every octet is verified before the directory becomes an archive.
// Errors: mail.Invalid if the directory is not empty; mail.NotFound if there is no
// such backup; mail.Corrupt if it is damaged, or contradicts a checkpoint.
func Restore(ctx context.Context, c *configs.Config, o RestoreOptions, console Console) (RestoreReport, error) {
	if err := refuseDirect(c, "nothing is restored", "Restore with store.mode: spool."); err != nil {
		return RestoreReport{}, err
	}
	if !InStore(o.From) {
		if err := apart(o.From, o.To); err != nil {
			return RestoreReport{}, err
		}
	}
	from, err := openBackup(c, o.From)
	if err != nil {
		return RestoreReport{}, err
	}
	defer from.Close()
	m, err := backup.Find(from, o.Number)
	if err != nil {
		return RestoreReport{}, err
	}
	there := *c
	there.Archive.Dir = o.To
	r := restoration{cfg: &there, manifest: m, console: console}
	r.report = RestoreReport{Archive: m.Archive, Backup: m.Number, Made: m.Made, Files: len(m.Files), Octets: m.Octets()}
	err = r.restore(ctx, from, o)
	return r.report, err
}

type restoration struct {
	cfg      *configs.Config // whose archive is the one that is made
	manifest *backup.Manifest
	console  Console
	brought  []broughtCheckpoint
	within   []broughtCheckpoint // of those, the ones that the backup reaches
	report   RestoreReport
}

func (r *restoration) restore(ctx context.Context, from durable.FS, o RestoreOptions) (err error) {
	id := Identity{Archive: r.manifest.Archive, Partitions: len(r.manifest.Ledgers)}
	if r.brought, err = readCheckpoints(o.Checkpoints, id); err != nil {
		return err
	}
	to, err := durable.MakeDir(o.To)
	if err != nil {
		return fmt.Errorf("make the archive's directory: %w", err)
	}
	err = backup.Restore(ctx, from, r.manifest, to, backup.RestoreOptions{
		Identity: identityFile, Progress: r.console.octets(PhaseRestore, r.manifest.Octets()),
		Judge: func(ctx context.Context, identity []byte) error { return r.judge(ctx, to, identity) },
	})
	if err := joinClose(err, to); err != nil {
		return err
	}
	// The archive is there. What follows is done by the next start too, except for
	// the event.
	return r.revive(ctx)
}

// judge verifies the ledgers, and the checkpoints that were brought.
func (r *restoration) judge(ctx context.Context, root durable.FS, identity []byte) error {
	var id Identity
	if err := json.Unmarshal(identity, &id); err != nil || id.Archive != r.manifest.Archive || id.Partitions != len(r.manifest.Ledgers) {
		return mail.Errorf(mail.Corrupt, "the backup's file %s is not that of the archive %s", identityFile, r.manifest.Archive)
	}
	for _, l := range r.manifest.Ledgers {
		if err := r.judgeLedger(ctx, root, id, l); err != nil {
			return fmt.Errorf("partition %d: %w", l.Partition, err)
		}
	}
	return nil
}

func (r *restoration) judgeLedger(ctx context.Context, root durable.FS, id Identity, l backup.Ledger) (err error) {
	part := RestoredPartition{Partition: l.Partition, Records: l.Records}
	defer func() { r.report.Partitions = append(r.report.Partitions, part) }()
	if l.Records == 0 {
		return r.judgeHeads(root, &part)
	}
	files, err := root.Sub(backup.LedgerPath(l.Partition))
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, files) }()
	var first error
	got, err := ledger.Verify(ctx, files, ledger.VerifyOptions{
		Archive: id.UUID(), Partition: l.Partition, Depth: ledger.DepthBodies,
		Found: func(f ledger.Finding) {
			if !f.Note() && first == nil {
				first = mail.Errorf(mail.Corrupt, "%s, offset %d, record %d: %s: %s", f.Segment, f.Offset, f.Seq, f.Kind, f.Detail)
			}
		},
	})
	if err != nil || first != nil {
		return errors.Join(err, first)
	}
	if got.Size != l.Records {
		return mail.Errorf(mail.Corrupt, "the backup has %d records, its manifest says %d", got.Size, l.Records)
	}
	source, err := ledger.OpenReader(files, ledger.Options{Archive: id.UUID(), Partition: l.Partition})
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, source) }()
	for leaf, err := range source.Leaves(ctx, l.Records-1, l.Records) {
		if err != nil {
			return err
		}
		part.Last = time.Unix(0, int64(binary.BigEndian.Uint64(leaf[24:]))).UTC()
	}
	return r.judgeHeads(root, &part)
}

// judgeHeads tells what the checkpoints that were brought prove to be missing.
// Those that the backup reaches are compared when the archive is complete.
func (r *restoration) judgeHeads(root durable.FS, part *RestoredPartition) error {
	for _, b := range r.brought {
		origin := tlog.Origin(r.manifest.Archive, part.Partition)
		if b.origin() != origin {
			continue
		}
		trust, err := tlog.LoadTrust(root, r.manifest.Archive, part.Partition)
		if err != nil {
			return err
		}
		c, _, err := trust.Open(b.signed)
		if err != nil {
			return fmt.Errorf("%s: %w", b.file, err)
		}
		if part.Known = max(part.Known, c.Size); c.Size <= part.Records {
			r.within = append(r.within, b)
		}
	}
	if part.Known > part.Records {
		part.Missing = part.Known - part.Records
	}
	return nil
}

// revive opens the archive, seals what was open, tells of the restoration and
// builds the views.
func (r *restoration) revive(ctx context.Context) error {
	dir, err := openDirectory(r.cfg.Archive.Dir)
	if err != nil {
		return err
	}
	if err = dir.makeLedgers(); err == nil {
		err = errors.Join(dir.openKeys(ctx, r.cfg, false), dir.openStore(r.cfg))
	}
	if err == nil {
		err = r.partitions(ctx, dir)
	}
	if err = errors.Join(err, dir.Close()); err != nil {
		return mail.WithHint(fmt.Errorf("the files were restored and are good, but: %w", err), "see to this, then start mailkeep run on the restored archive, which does the rest")
	}
	return r.evidence(ctx)
}

func (r *restoration) partitions(ctx context.Context, dir *directory) error {
	b, err := newRebuild(r.cfg, dir, r.console)
	if err != nil {
		return err
	}
	for _, part := range r.report.Partitions {
		if err := r.tell(ctx, b, part); err != nil {
			return fmt.Errorf("partition %d: %w", part.Partition, err)
		}
		if err := r.sign(ctx, b, part.Partition); err != nil {
			return fmt.Errorf("partition %d: sign a checkpoint: %w", part.Partition, err)
		}
	}
	return nil
}

// tell seals the event in the ledger, and builds the views.
func (r *restoration) tell(ctx context.Context, b rebuild, part RestoredPartition) (err error) {
	l, closer, err := b.open(part.Partition)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer()) }()
	err = sealEvents(ctx, l, mail.Event{Type: mail.EventRestore, Restore: &mail.Restore{
		Backup: r.manifest.Number, Made: r.manifest.Made, Records: part.Records, Known: part.Known,
	}})
	if err != nil {
		return err
	}
	return b.views(ctx, part.Partition, l)
}

// sign builds the tiles of the log, which compares every checkpoint of the backup
// with the ledger, and signs what is new.
func (r *restoration) sign(ctx context.Context, b rebuild, p uint16) (err error) {
	trust, err := tlog.LoadTrust(b.dir.root, b.dir.Identity.Archive, p)
	if mail.KindOf(err) == mail.NotFound {
		return nil // the archive had none yet
	}
	if err != nil {
		return err
	}
	key, err := r.signingKey(b.dir)
	if key == nil {
		return err
	}
	files, err := b.dir.log(p)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, files) }()
	log, err := tlog.Open(tlog.Options{FS: files, Key: key, Trust: trust, Logger: b.log})
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, log) }()
	return extend(ctx, b, p, log)
}

// extend takes in and signs the whole of a ledger that is closed.
func extend(ctx context.Context, b rebuild, p uint16, log *tlog.Log) (err error) {
	files, err := b.dir.ledger(p)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, files) }()
	source, err := ledger.OpenReader(files, b.options(p))
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, source) }()
	size, root, err := source.Root()
	if err != nil {
		return err
	}
	if err := log.Extend(ctx, source, size, root); err != nil {
		return err
	}
	_, err = log.Sign(ctx)
	return err
}

// signingKey is the key that signs checkpoints; nil, with a note, if it was kept
// outside of the archive and is not where the configuration says.
func (r *restoration) signingKey(dir *directory) (*tlog.Key, error) {
	where := signingKeyPath(r.cfg, dir.Path)
	files, err := durable.OpenDir(filepath.Dir(where))
	if err == nil {
		defer files.Close()
		var key *tlog.Key
		if key, err = tlog.LoadKey(files, filepath.Base(where), dir.Identity.Archive); err == nil {
			return key, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		note := fmt.Sprintf("the backup does not hold the signing key of the checkpoints: put it back as %s before you run mailkeep", where)
		if !slices.Contains(r.report.Notes, note) {
			r.report.Notes = append(r.report.Notes, note)
		}
		return nil, nil
	}
	return nil, err
}

// evidence compares the finished archive with all that was signed of it, as far as
// the backup reaches.
func (r *restoration) evidence(ctx context.Context) error {
	c, err := Open(ctx, r.cfg, r.console)
	if err != nil {
		return err
	}
	if len(r.report.Notes) > 0 {
		return c.Close() // nothing was signed, and no tiles were built
	}
	report, err := c.verifyAgainst(ctx, LevelEvidence, r.within)
	if err = errors.Join(err, c.Close()); err != nil {
		return err
	}
	if n := len(report.Findings); n > 0 {
		f := report.Findings[0]
		return mail.WithHint(mail.Errorf(mail.Corrupt, "the restored archive contradicts %d checkpoints, such as %s: %s", n, f.Where, f.Problem),
			"the backup, or the checkpoint, is of another history: compare them with what others hold")
	}
	return nil
}
