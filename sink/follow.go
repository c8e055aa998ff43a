package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/mailkeep/mailkeep/mail"
)

// followBatch is how many records the catalog takes in one transaction while it
// reads the ledger.
const followBatch = 4096

// A follower keeps the catalog at the ledger's durable size. Its zero state is
// behind: nothing is known before the first catchUp.
type follower struct {
	o       Options
	log     *slog.Logger
	level   atomic.Bool   // the catalog holds all that the ledger does
	damaged atomic.Bool   // the catalog must be emptied before it is used again
	wake    chan struct{} // has room for one: the committer is to catch up

	mu      sync.Mutex // held while the catalog reads the ledger
	checked bool       // the catalog's last record was found in the ledger
}

func (f *follower) init(o Options) {
	f.o, f.log, f.wake = o, o.Logger, make(chan struct{}, 1)
}

func (f *follower) behind() bool { return !f.level.Load() }

// uncertain says that the ledger may hold what the catalog does not.
func (f *follower) uncertain() { f.level.Store(false) }

// lost is told of an error of the catalog. A damaged catalog is behind from now
// on, and the committer is woken to repair it.
func (f *follower) lost(err error) {
	if mail.KindOf(err) != mail.Corrupt {
		return
	}
	f.damaged.Store(true)
	f.level.Store(false)
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// tell gives the catalog what was just sealed: all there is since it was level.
// The records of a message of several records are read from the ledger, which
// alone knows where the next one begins.
func (f *follower) tell(ctx context.Context, records []mail.Record, streamed bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if streamed {
		err = f.read(ctx)
	} else {
		err = f.o.Catalog.Apply(records)
	}
	if err != nil {
		f.uncertain()
		f.lost(err)
	}
	return err
}

// CatchUp makes the catalog read the ledger up to its durable size. A catalog
// that followed another ledger, or is ahead of this one, or is damaged, is
// emptied and reads it from the start. Run does this itself; call it before to
// wait for it, as a command that shows its progress does.
func (s *Sink) CatchUp(ctx context.Context) error { return s.follow.catchUp(ctx) }

func (f *follower) catchUp(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.behind() {
		return nil
	}
	if err := f.settle(ctx); err != nil {
		return err
	}
	err := f.read(ctx)
	if f.damaged.Load() && ctx.Err() == nil {
		// Damage met on the way: once more from the start. If that meets damage
		// too, the disk is at fault, and the caller tries again later.
		if err = f.reset(ctx, "the catalog is damaged"); err == nil {
			err = f.read(ctx)
		}
	}
	if err != nil {
		return err
	}
	f.level.Store(true)
	if f.o.Progress != nil {
		f.o.Progress(f.o.Log.Size(), f.o.Log.Size())
	}
	return nil
}

// settle makes sure that the catalog holds a beginning of this ledger.
func (f *follower) settle(ctx context.Context) error {
	if f.damaged.Load() {
		return f.reset(ctx, "the catalog is damaged")
	}
	if f.checked {
		return nil
	}
	same, err := f.same(ctx)
	switch {
	case f.damaged.Load():
		return f.reset(ctx, "the catalog is damaged")
	case err != nil:
		return err
	case !same:
		return f.reset(ctx, "the catalog followed another ledger")
	}
	f.checked = true
	return nil
}

// same reports whether the catalog's last record is in the ledger.
func (f *follower) same(ctx context.Context) (bool, error) {
	tip, some, err := f.o.Catalog.Tip()
	if err != nil {
		return false, f.catalogError(err)
	}
	if !some {
		return f.o.Catalog.Cursor() == 0, nil
	}
	if f.o.Catalog.Cursor() > f.o.Log.Size() {
		return false, nil
	}
	for r, err := range f.o.Log.Records(ctx, tip) {
		if err != nil {
			return false, fmt.Errorf("read the ledger: %w", err)
		}
		same, err := f.o.Catalog.EndsWith(r)
		return same, f.catalogError(err)
	}
	return false, nil
}

// catalogError notes damage before it passes the error on; an error of the
// ledger must never cost the catalog.
func (f *follower) catalogError(err error) error {
	if mail.KindOf(err) == mail.Corrupt {
		f.damaged.Store(true)
	}
	return err
}

func (f *follower) reset(ctx context.Context, why string) error {
	f.log.WarnContext(ctx, "catalog is emptied and reads the ledger from the start",
		slog.Uint64("partition", uint64(f.o.Partition)), slog.String("reason", why))
	if err := f.o.Catalog.Reset(); err != nil {
		f.damaged.Store(true)
		return err
	}
	f.damaged.Store(false)
	f.checked = true
	return nil
}

// read applies what the ledger holds behind the catalog's cursor.
func (f *follower) read(ctx context.Context) error {
	total := f.o.Log.Size()
	var batch []mail.Record
	for r, err := range f.o.Log.Records(ctx, f.o.Catalog.Cursor()) {
		if err != nil {
			return errors.Join(fmt.Errorf("read the ledger: %w", err), f.flush(batch, total))
		}
		if r.Event != nil && r.Event.Drain != nil {
			r.Event.Drain.Rows = nil // many, and the catalog keeps none
		}
		if batch = append(batch, r); len(batch) == followBatch {
			if err := f.flush(batch, total); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return f.flush(batch, total)
}

func (f *follower) flush(batch []mail.Record, total uint64) error {
	if err := f.o.Catalog.Apply(batch); err != nil {
		return f.catalogError(err)
	}
	if f.o.Progress != nil && len(batch) > 0 {
		f.o.Progress(min(f.o.Catalog.Cursor(), total), total)
	}
	return nil
}
