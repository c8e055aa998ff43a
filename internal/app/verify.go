package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/catalog"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// Verify checks the ledgers as deep as the level says, and what is derived from
// them. It works beside a running process: it reads the ledger's files itself and
// asks the process for its views, and how far the ledger is durable.
func Verify(ctx context.Context, c *configs.Config, o VerifyOptions, console Console) (VerifyReport, error) {
	if err := o.complete(); err != nil {
		return VerifyReport{}, err
	}
	cl, err := Open(ctx, c, console)
	if err != nil {
		return VerifyReport{}, err
	}
	report, err := cl.verify(ctx, o)
	return report, errors.Join(err, cl.Close())
}

func (c *Client) verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	brought, err := readCheckpoints(o.Checkpoints, c.dir.Identity)
	if err != nil {
		return VerifyReport{}, err
	}
	return c.verifyAgainst(ctx, o.Level, brought)
}

func (c *Client) verifyAgainst(ctx context.Context, level Level, brought []broughtCheckpoint) (report VerifyReport, err error) {
	v := verifier{client: c, level: level, brought: brought, report: VerifyReport{Level: level, Started: time.Now().UTC()}}
	for _, p := range c.dir.partitions() {
		if err = v.partition(ctx, p); err != nil {
			err = fmt.Errorf("partition %d: %w", p, err)
			break
		}
	}
	v.report.Ended = time.Now().UTC()
	return v.report, err
}

type verifier struct {
	client  *Client
	level   Level
	brought []broughtCheckpoint
	report  VerifyReport
	skipped uint64 // messages that could not be looked for
}

func (v *verifier) found(f Finding) { v.report.Findings = append(v.report.Findings, f) }

func (v *verifier) partition(ctx context.Context, p uint16) (err error) {
	// The views are asked first: whatever they have, the ledger had before.
	var have views
	if v.level.covers(LevelViews) {
		if have, err = v.askViews(ctx, p); err != nil {
			return err
		}
	}
	damaged := false
	if depth, ok := v.level.depth(); ok {
		if damaged, err = v.ledger(ctx, p, depth); err != nil {
			return err
		}
	}
	if v.level.covers(LevelEvidence) {
		if err := v.log(ctx, p); err != nil {
			return fmt.Errorf("compare the transparency log: %w", err)
		}
	}
	if damaged {
		return nil // what follows cannot be judged by a damaged ledger
	}
	return v.derived(ctx, p, have)
}

// derived compares what follows from the ledger with it.
func (v *verifier) derived(ctx context.Context, p uint16, have views) error {
	if err := v.client.sources[p].Refresh(); err != nil {
		return err
	}
	if v.level.covers(LevelViews) {
		if err := v.catalog(ctx, p, have.catalog); err != nil {
			return fmt.Errorf("compare the catalog: %w", err)
		}
		if err := v.index(ctx, p, have.index); err != nil {
			return fmt.Errorf("compare the index: %w", err)
		}
	}
	if v.level == LevelIndex {
		if err := v.recallAll(ctx, p); err != nil {
			return fmt.Errorf("look for messages in the index: %w", err)
		}
	}
	if v.level.covers(LevelGaps) {
		if err := v.gaps(ctx, p); err != nil {
			return fmt.Errorf("compare the reports of sessions: %w", err)
		}
	}
	return nil
}

func (v *verifier) ledger(ctx context.Context, p uint16, depth ledger.Depth) (damaged bool, err error) {
	files, err := v.client.dir.ledger(p)
	if err != nil {
		return false, err
	}
	defer func() { err = joinClose(err, files) }()
	end, err := v.client.durable(ctx)
	if err != nil {
		return false, err
	}
	o := v.client.dir.ledgerOptions(p)
	r, err := ledger.Verify(ctx, files, ledger.VerifyOptions{
		Partition: p, Archive: o.Archive, Depth: depth, Durable: end[p], Dictionaries: o.Dictionaries, Keys: o.Keys,
		Progress: func(done, total int64) {
			if v.client.console.Progress != nil {
				v.client.console.Progress(Progress{Phase: PhaseVerify, Subject: fmt.Sprintf("partition %d", p), Done: done, Total: total, Finished: done >= total})
			}
		},
		Found: func(f ledger.Finding) { damaged = v.inLedger(p, f) || damaged },
	})
	if err != nil {
		return false, err
	}
	v.report.Partitions = append(v.report.Partitions, VerifiedPartition{
		Partition: p, Records: r.Records, Messages: r.Messages, Segments: r.Segments, Octets: r.Octets, Head: r.Root.String(),
	})
	return damaged, nil
}

// inLedger takes over a finding. It reports whether it is damage.
func (v *verifier) inLedger(p uint16, f ledger.Finding) bool {
	file := fmt.Sprintf("%s/%04d/%s", ledgerDir, p, f.Segment)
	where := Finding{
		Partition: p, ID: &mail.ID{Partition: p, Seq: f.Seq}, File: file, Offset: &f.Offset, Kind: f.Kind,
		Where: fmt.Sprintf("%s, offset %d", file, f.Offset), Problem: f.Kind + ": " + f.Detail,
	}
	if f.Note() {
		v.report.Notes = append(v.report.Notes, where)
		return false
	}
	where.Hint = "run mailkeep repair with a backup, or restore this file from a copy of the archive"
	v.found(where)
	return true
}

// views are the summaries of a partition's views.
type views struct{ catalog, index mail.ViewSummary }

func (v *verifier) askViews(ctx context.Context, p uint16) (w views, err error) {
	c := v.client
	if c.catalogDoor != nil {
		w.catalog, err = c.catalogDoor.Summary(ctx, "catalog", p)
	} else if all, e := c.offlineCatalogs(); e != nil {
		err = e
	} else {
		w.catalog, err = all[p].Summary()
	}
	if err != nil {
		return w, fmt.Errorf("read the catalog: %w", err)
	}
	if c.indexDoor != nil {
		w.index, err = c.indexDoor.Summary(ctx, "index", p)
	} else if all, e := c.offline(); e != nil {
		err = e
	} else {
		w.index, err = all[p].index.Summary(ctx)
	}
	if err != nil {
		return w, fmt.Errorf("read the index: %w", err)
	}
	return w, nil
}

const viewHint = "run mailkeep reindex: views are built from the ledger"

// ahead reports a view that has records which the ledger has not: either the
// view belongs to another archive, or the ledger lost its end.
func (v *verifier) ahead(p uint16, view string, have mail.ViewSummary) bool {
	size := v.client.sources[p].Size()
	if have.Position <= size {
		return false
	}
	v.found(Finding{Partition: p, Where: view, Problem: fmt.Sprintf("it holds records up to %d, but the ledger ends at %d: the ledger lost its end, or an older copy of it was restored", have.Position, size), Hint: "compare the ledger with a copy of the archive before you run mailkeep reindex"})
	return true
}

// catalog compares the catalog with one that is built anew, up to the same
// position, in a directory for temporary files.
func (v *verifier) catalog(ctx context.Context, p uint16, have mail.ViewSummary) (err error) {
	if v.ahead(p, "catalog", have) {
		return nil
	}
	tmp, err := os.MkdirTemp("", "mailkeep-verify-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	k, err := catalog.Open(filepath.Join(tmp, "catalog.bolt"), catalog.Options{Partition: p, Identity: v.client.dir.Identity.Archive})
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, k) }()
	if err := fold(ctx, k, v.client.sources[p], have.Position); err != nil {
		return err
	}
	want, err := k.Summary()
	if err == nil && want != have {
		v.found(Finding{Partition: p, Where: "catalog", Problem: fmt.Sprintf("its content differs from what the ledger says: it has %d entries, the ledger gives %d", have.Entries, want.Entries), Hint: viewHint})
	}
	return err
}

// index compares the documents with the searchable records of the ledger.
func (v *verifier) index(ctx context.Context, p uint16, have mail.ViewSummary) error {
	if v.ahead(p, "index", have) {
		return nil
	}
	want := map[uint64]bool{}
	for r, err := range v.client.sources[p].Records(ctx, 0) {
		if err != nil {
			return err
		}
		if r.ID.Seq >= have.Position {
			break
		}
		if r.Searchable() {
			want[r.ID.Seq] = true
		}
	}
	extra := 0
	err := v.documents(ctx, p, func(seq uint64) bool {
		if seq < have.Position && !want[seq] {
			extra++
		}
		delete(want, seq)
		return true
	})
	if err != nil {
		return err
	}
	for seq := range want {
		v.found(Finding{Partition: p, ID: &mail.ID{Partition: p, Seq: seq}, Where: "index", Problem: "the message is sealed but not in the index", Hint: viewHint})
	}
	if extra > 0 {
		v.found(Finding{Partition: p, Where: "index", Problem: fmt.Sprintf("it holds %d documents that are not in the ledger", extra), Hint: viewHint})
	}
	return nil
}

func (v *verifier) documents(ctx context.Context, p uint16, yield func(uint64) bool) error {
	if v.client.indexDoor != nil {
		return v.client.indexDoor.Documents(ctx, p, yield)
	}
	all, err := v.client.offline()
	if err != nil {
		return err
	}
	for seq, err := range all[p].index.Documents(ctx) {
		if err != nil {
			return err
		}
		if !yield(seq) {
			break
		}
	}
	return nil
}
