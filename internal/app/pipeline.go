package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mailkeep/mailkeep/indexer"
	"github.com/mailkeep/mailkeep/internal/bus"
	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
	"github.com/mailkeep/mailkeep/sink"
	"github.com/mailkeep/mailkeep/sink/catalog"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/store"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// The whole flow. Each hop is durable before the hop behind it lets go:
//
//	poller --Begin/Commit--> bus RAW --Consume--> sink --Append, fdatasync--> ledger
//	   ^                                            |                          |
//	   '---------- receipt (bus) <------------------'                          |
//	   '-- Lookup (bus) --> catalog <--Apply-- (the sink, after the fdatasync)  |
//	                                            index <--Follow, parse---------'
//
// Everything on the left of the bus is wired in poll.go.

// A partition is one ledger with its views, as far as the roles of this
// process own them.
type partition struct {
	number  uint16
	ledger  *ledger.Ledger   // role archive
	catalog *catalog.Catalog // role archive
	sink    *sink.Sink       // role archive
	source  source           // what is read: the ledger, or a reader beside its owner
	index   *indexer.Index   // role index
	log     *tlog.Log        // role archive
	view    *tlog.View       // role archive: of log
	spool   *store.Spool     // role archive: of its segments; nil without a store
	reading *reading         // how its messages are read
	closed  bool             // the ledger was closed in order
	// protected tells of the immutable flag; nil: it is not wanted.
	protected *atomic.Pointer[ProtectStatus]
}

// A source is a ledger to those who follow and read it.
type source interface {
	Size() uint64
	Usage() (segments int, octets int64, err error)
	Wait(ctx context.Context, size uint64) error
	Records(ctx context.Context, from uint64) iter.Seq2[mail.Record, error]
	Raw(ctx context.Context, id mail.ID) (mail.Raw, error)
}

func (a *App) openPartition(ctx context.Context, number uint16) error {
	p := &partition{number: number, reading: a.reading}
	if a.has(RoleArchive) {
		if err := a.openArchive(ctx, p); err != nil {
			return fmt.Errorf("partition %d: %w", number, err)
		}
	} else if err := a.openReader(ctx, p); err != nil {
		return fmt.Errorf("partition %d: %w", number, err)
	}
	if a.has(RoleIndex) {
		if err := a.openIndex(ctx, p); err != nil {
			return fmt.Errorf("partition %d: %w", number, err)
		}
	}
	a.partitions = append(a.partitions, p)
	return nil
}

// openArchive makes this process the owner of the partition's ledger: it seals
// what the queue brings, and answers what is sealed.
func (a *App) openArchive(ctx context.Context, p *partition) (err error) {
	files, err := a.ownFiles(p.number)
	if err != nil {
		return err
	}
	lease, err := a.own(ctx, p)
	if err != nil {
		return err
	}
	opened := func() error { return nil }
	if a.dir.direct != nil {
		if opened, err = a.gatherPartition(ctx, p, lease != nil); err != nil {
			return err
		}
	}
	if err := errors.Join(a.openLedger(ctx, p, files, lease), opened()); err != nil {
		return err
	}
	p.source = p.ledger
	if err := a.followLog(ctx, p); err != nil {
		return err
	}
	class, err := classOf(a.cfg)
	if err != nil {
		return err
	}
	so := sink.Options{
		Log: p.ledger, Catalog: p.catalog, Partition: p.number, Class: class, MaxMessage: int64(a.cfg.Message.MaxSize), Logger: a.log,
		Observe: func(b sink.Batch) { a.metrics.Sealed(b.Messages+b.References, b.Octets) },
	}
	if a.dir.direct != nil {
		so.BatchBytes, so.BatchCount, so.Pace = int64(a.cfg.Store.Direct.MaxBytes), directBatch, time.Duration(a.cfg.Store.Direct.Linger)
	}
	if p.sink, err = sink.New(so); err != nil {
		return err
	}
	if err := p.sink.CatchUp(ctx); err != nil {
		return err
	}
	a.health.Add(fmt.Sprintf("ledger %d", p.number), p.sink.Healthy)
	a.life.work(ctx, "sink", p.sink.Run)
	// The services end with their steps and not with ctx: the sessions in flight,
	// here and in other processes, still ask while this one stops.
	ctx = context.WithoutCancel(ctx)
	stop, err := a.bus.ServeLookup(ctx, p.number, p.sink.Lookup)
	if err != nil {
		return err
	}
	a.life.onStop("lookup service", func(context.Context) error { stop(); return nil })
	if stop, err = a.bus.ServeSize(ctx, p.number, p.ledger.Size); err != nil {
		return err
	}
	a.life.onStop("size service", func(context.Context) error { stop(); return nil })
	if stop, err = a.bus.ServeRaw(ctx, p.number, p.ledger.Raw); err != nil {
		return err
	}
	a.life.onStop("get service", func(context.Context) error { stop(); return nil })
	a.life.work(ctx, "announce", func(ctx context.Context) error { return a.announce(ctx, p) })
	a.life.work(ctx, "consumer", func(ctx context.Context) error { return a.bus.Consume(ctx, p.number, a.accept(p.sink)) })
	return nil
}

// openLedger opens the ledger of a partition with what it needs at its side.
func (a *App) openLedger(ctx context.Context, p *partition, files durable.FS, lease *ownership) (err error) {
	if p.catalog, err = a.openCatalog(ctx, p.number, lease != nil); err != nil {
		return err
	}
	a.life.onStop("catalog", func(context.Context) error { return p.catalog.Close() })
	if err := a.openLog(p, lease != nil); err != nil {
		return err
	}
	o := a.ledgerOptions(p.number)
	o.SealEach = a.dir.direct != nil
	if lease != nil {
		o.Fence = lease
	}
	o.Known = p.catalog.Cursor() // what a view has seen was durable: recovery must not cut it
	if p.ledger, err = ledger.Open(files, o); err != nil {
		return err
	}
	a.life.onStop("ledger", func(context.Context) error {
		err := p.ledger.Close()
		p.closed = err == nil
		return err
	})
	if a.dir.direct != nil {
		a.life.work(ctx, "fence", func(ctx context.Context) error { return a.watchTaken(ctx, p.ledger) })
	}
	if lease != nil {
		a.life.work(ctx, "lease", func(ctx context.Context) error { return lease.keep(ctx, p.ledger.Taken) })
	}
	return nil
}

// ownFiles returns the directory of a ledger for the process that writes it.
func (a *App) ownFiles(number uint16) (durable.FS, error) {
	if a.dir.direct != nil {
		return a.directFiles(number)
	}
	return a.dir.ledger(number)
}

// accept hands what the queue brings to the sink. The acknowledgement is the
// sink's: it is given once the record is durable.
func (a *App) accept(s *sink.Sink) func(context.Context, bus.Inbound) error {
	return func(ctx context.Context, in bus.Inbound) error {
		if in.Event != nil {
			return s.AcceptEvent(ctx, *in.Event, func(id mail.ID, err error) {
				in.Ack(mail.Receipt{ID: id}, err)
			})
		}
		return s.Accept(ctx, sink.Inbound{Delivery: in.Delivery, Raw: in.Raw, Bytes: in.Bytes, Ack: func(r mail.Receipt, err error) {
			if err == nil {
				a.metrics.Receipt(r)
			}
			a.metrics.Failed("sink", err)
			in.Ack(r, err)
		}})
	}
}

// announce tells followers in other processes how far the ledger is durable.
func (a *App) announce(ctx context.Context, p *partition) error {
	for {
		size := p.ledger.Size()
		a.bus.AnnounceSize(p.number, size)
		a.metrics.Ledger(p.number, size)
		if err := p.ledger.Wait(ctx, size); err != nil {
			return err
		}
	}
}

// openReader reads a ledger that another process owns, through the shared
// directory. How far it is durable the owner tells over the bus; nothing behind
// that is read, so that no view ever holds what a crash may take back.
func (a *App) openReader(ctx context.Context, p *partition) error {
	files, err := a.dir.ledger(p.number)
	if err != nil {
		return err
	}
	r, err := ledger.OpenReader(files, a.ledgerOptions(p.number))
	if err != nil {
		return err
	}
	a.life.onStop("ledger reader", func(context.Context) error { return r.Close() })
	if err := r.SetDurable(0); err != nil {
		return err
	}
	a.life.work(ctx, "ledger size", func(ctx context.Context) error {
		return a.bus.FollowSize(ctx, p.number, func(size uint64) {
			if err := r.SetDurable(size); err != nil {
				a.log.WarnContext(ctx, "cannot read the ledger's end", slog.Any("error", err))
			}
		})
	})
	p.source = r
	return nil
}

func (a *App) ledgerOptions(p uint16) ledger.Options {
	o := a.dir.ledgerOptions(p)
	o.SegmentSize, o.Logger = int64(a.cfg.Archive.SegmentSize), a.log
	return o
}

// openIndex makes this process the owner of the partition's index, which
// follows the ledger from its stored cursor.
func (a *App) openIndex(ctx context.Context, p *partition) (err error) {
	err = patiently(ctx, func() bool { return a.dir.answered(ctx, RoleIndex) }, func() (err error) {
		p.index, err = indexer.Open(indexer.Options{
			Dir: a.dir.index(p.number), Partition: p.number, Logger: a.log,
			Outside: outsideOf(func() (*catalog.Catalog, error) { return p.catalog, nil }),
			Changed: func(s indexer.State) { a.metrics.IndexMissing(p.number, s.Lost()) },
		})
		return err
	})
	if err != nil {
		return err
	}
	a.life.onStop("index", func(context.Context) error { return p.index.Close() })
	stop, err := a.bus.ServeSearch(context.WithoutCancel(ctx), p.number, p.search)
	if err != nil {
		return err
	}
	a.life.onStop("search service", func(context.Context) error { stop(); return nil })
	a.life.work(ctx, "indexer", func(ctx context.Context) error {
		return p.index.Follow(ctx, p.source, a.indexed, parser.EffectiveDate, func(c mail.Cursor) {
			a.metrics.Index(c)
			a.log.DebugContext(ctx, "indexed", slog.Uint64("position", c.Position), slog.Uint64("size", c.Size))
		})
	})
	return nil
}

func joinClose(err error, c io.Closer) error {
	if e := c.Close(); err == nil {
		return e
	}
	return err
}
