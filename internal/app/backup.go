package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/backup"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// Backup copies what is new of the archive to a directory, or to s3://BUCKET/PREFIX, also while a process
// works on it. Of the manifests there it keeps the newest, as many as keep says;
// 0 keeps all.
func Backup(ctx context.Context, c *configs.Config, to string, keep int, console Console) (backup.Report, error) {
	cl, err := Open(ctx, c, console)
	if err != nil {
		return backup.Report{}, err
	}
	report, err := cl.backup(ctx, to, keep)
	return report, errors.Join(err, cl.Close())
}

func (c *Client) backup(ctx context.Context, to string, keep int) (report backup.Report, err error) {
	if err := refuseDirect(c.cfg, "there is no backup by mailkeep", "Replicate both buckets with the means of the store: segments never change, and archive.dir holds nothing else."); err != nil {
		return report, err
	}
	target, err := c.backupTarget(to)
	if err != nil {
		return report, err
	}
	defer func() { err = joinClose(err, target) }()
	total, err := c.usage()
	if err != nil {
		return report, err
	}
	archive := backup.Archive{FS: wholeArchive{c.dir.root, c.dir}, UUID: c.dir.Identity.Archive, Ledgers: c.extents}
	return backup.Make(ctx, target, archive, backup.Options{Keep: keep, Progress: c.console.octets(PhaseBackup, total)})
}

// apart refuses a directory inside the other one: a backup would back up itself.
func apart(archive, other string) error {
	a, err := filepath.Abs(archive)
	if err != nil {
		return err
	}
	b, err := filepath.Abs(other)
	if err != nil {
		return err
	}
	for _, p := range [][2]string{{a, b}, {b, a}} {
		if rel, err := filepath.Rel(p[0], p[1]); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return mail.WithHint(mail.Errorf(mail.Invalid, "%s and %s lie in one another", archive, other), "name a directory outside of the archive, best on another disk")
		}
	}
	return nil
}

// usage is the size of all ledgers, in octets.
func (c *Client) usage() (total int64, err error) {
	for _, s := range c.sources {
		_, n, err := s.Usage()
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// durable is where the records end, by partition, that the process which writes
// the ledgers has made durable; zeros if there is none.
func (c *Client) durable(ctx context.Context) ([]uint64, error) {
	ends := make([]uint64, len(c.sources))
	if c.catalogDoor == nil {
		return ends, nil
	}
	var r StatusReport
	if err := c.catalogDoor.Status(ctx, &r); err != nil {
		return nil, fmt.Errorf("ask the running process: %w", err)
	}
	for _, p := range r.Partitions {
		if int(p.Partition) < len(ends) {
			ends[p.Partition] = p.Records
		}
	}
	return ends, nil
}

// extents is what is durable of the ledgers. If no process writes them, what the
// last one left is made durable first: it may have ended between writing and
// syncing.
func (c *Client) extents(ctx context.Context) ([][]ledger.Extent, error) {
	ends, err := c.durable(ctx)
	if err != nil {
		return nil, err
	}
	out := make([][]ledger.Extent, len(c.sources))
	for p, s := range c.sources {
		if err := s.Refresh(); err != nil {
			return nil, err
		}
		if c.catalogDoor == nil {
			ends[p] = s.Size()
		}
		extents, err := s.Extents(ends[p])
		if err == nil && c.catalogDoor == nil {
			err = c.settle(uint16(p), extents)
		}
		if err != nil {
			return nil, fmt.Errorf("partition %d: %w", p, err)
		}
		out[p] = extents
	}
	return out, nil
}

// settle makes the open segment of a process that died durable.
func (c *Client) settle(p uint16, extents []ledger.Extent) error {
	if len(extents) == 0 || !extents[len(extents)-1].Open {
		return nil
	}
	f, err := c.dir.root.Open(backup.LedgerPath(p) + "/" + extents[len(extents)-1].Name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// CheckBackup reads a whole backup and compares it with its hashes. The configuration
// is asked only where the backup is in a store.
func CheckBackup(ctx context.Context, c *configs.Config, dir string, console Console) (backup.CheckReport, error) {
	files, err := openBackup(c, dir)
	if err != nil {
		return backup.CheckReport{}, err
	}
	report, err := backup.Check(ctx, files, console.octets(PhaseBackup, 0))
	return report, joinClose(err, files)
}

// octets returns what is told of octets that are done, of total; 0: unknown.
func (c Console) octets(phase Phase, total int64) func(int) {
	var done atomic.Int64
	return func(n int) {
		at := done.Add(int64(n))
		if c.Progress != nil {
			c.Progress(Progress{Phase: phase, Subject: "archive", Done: at, Total: max(total, 0), Octets: at})
		}
	}
}
