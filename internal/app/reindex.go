package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/indexer"
	"github.com/mailkeep/mailkeep/internal/telemetry"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
	"github.com/mailkeep/mailkeep/sink/catalog"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// Reindex deletes the catalog and the index of every partition and builds them
// again from the ledger. It takes the ledger's lock, so nothing else can work
// on the archive meanwhile. If it is interrupted, the views are behind and
// catch up at the next start.
func Reindex(ctx context.Context, c *configs.Config, console Console) error {
	dir, err := openDirectory(c.Archive.Dir)
	if err != nil {
		return err
	}
	if err := errors.Join(dir.openKeys(ctx, c, false), dir.openStore(c)); err != nil {
		return errors.Join(err, dir.Close())
	}
	r, err := newRebuild(c, dir, console)
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	for _, p := range dir.partitions() {
		if err = r.partition(ctx, p); err != nil {
			err = fmt.Errorf("partition %d: %w", p, err)
			break
		}
	}
	return errors.Join(err, dir.Close())
}

type rebuild struct {
	dir         *directory
	cfg         *configs.Config
	reading     *reading // but for the texts of documents
	console     Console
	log         *slog.Logger
	segmentSize int64
}

func newRebuild(c *configs.Config, dir *directory, console Console) (rebuild, error) {
	if err := refuseDirect(c, "the archive is changed by the process that owns it alone",
		"Views are made again from the store: start with an empty archive.dir. Holds and erasure are for a running process: start `mailkeep run` beside this command. What the store holds cannot be repaired, only read from its replica."); err != nil {
		return rebuild{}, err
	}
	log, err := telemetry.Logger(console.Logs, c.Log.Format, c.Log.Level)
	return rebuild{cfg: c, dir: dir, reading: newReading(c.Resolve()), console: console, log: log, segmentSize: int64(c.Archive.SegmentSize)}, err
}

// options returns how to open the ledger of a partition.
func (r rebuild) options(p uint16) ledger.Options {
	o := r.dir.ledgerOptions(p)
	o.SegmentSize, o.Logger = r.segmentSize, r.log
	return o
}

func (r rebuild) partition(ctx context.Context, p uint16) (err error) {
	l, closeAll, err := r.open(p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	return r.views(ctx, p, l)
}

// open takes the ledger of a partition for writing.
func (r rebuild) open(p uint16) (l *ledger.Ledger, closeAll func() error, err error) {
	files, err := r.dir.ledger(p)
	if err != nil {
		return nil, nil, err
	}
	if l, err = ledger.Open(files, r.options(p)); err != nil {
		return nil, nil, errors.Join(err, files.Close())
	}
	return l, func() error { return errors.Join(l.Close(), files.Close()) }, nil
}

func (r rebuild) views(ctx context.Context, p uint16, l source) error {
	if err := r.catalog(ctx, p, l); err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	if err := r.index(ctx, p, l); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	return nil
}

func (r rebuild) catalog(ctx context.Context, p uint16, l source) (err error) {
	path := r.dir.catalog(p)
	if err := catalog.Drop(path); err != nil {
		return err
	}
	k, err := catalog.Open(path, catalog.Options{Partition: p, Identity: r.dir.Identity.Archive, Logger: r.log})
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, k) }()
	return fold(ctx, k, l, l.Size())
}

// foldBatch is how many records are applied to a catalog in one transaction.
const foldBatch = 2000

// fold applies the ledger's records before end that the catalog lacks.
func fold(ctx context.Context, k *catalog.Catalog, l source, end uint64) error {
	batch := make([]mail.Record, 0, foldBatch)
	for rec, err := range l.Records(ctx, k.Cursor()) {
		if err != nil {
			return err
		}
		if rec.ID.Seq >= end {
			break
		}
		if batch = append(batch, rec); len(batch) == foldBatch {
			if err := k.Apply(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return k.Apply(batch)
}

// index builds the index of a partition anew, beside the one that is there: if it
// is interrupted, that one serves, and the next to open it goes on.
func (r rebuild) index(ctx context.Context, p uint16, l source) error {
	x, err := indexer.Open(indexer.Options{Dir: r.dir.index(p), Partition: p, Logger: r.log})
	if err != nil {
		return err
	}
	if err := joinClose(x.Renew(l.Size()), x); err != nil {
		return err
	}
	return r.followIndex(ctx, p, l)
}

// followIndex brings the index of a partition up to its ledger.
func (r rebuild) followIndex(ctx context.Context, p uint16, l source) (err error) {
	x, err := indexer.Open(indexer.Options{Dir: r.dir.index(p), Partition: p, Logger: r.log})
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, x) }()
	texts := newTexts(r.cfg, r.log, nil)
	defer func() { err = joinClose(err, texts) }()
	return x.CatchUp(ctx, l, r.reading.with(texts).parse, parser.EffectiveDate, func(c mail.Cursor) {
		r.console.progress(PhaseIndex, p, c.Position, c.Size)
	})
}
