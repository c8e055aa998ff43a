package indexer

import (
	"context"
	"errors"
	"log/slog"

	"github.com/mailkeep/mailkeep/mail"
)

// Renew begins a new generation of the index, to be built from a ledger of size
// records beside the one that serves: by Follow or CatchUp, which put it in the
// place of that one when it has as much. One that is being built already is gone
// on with.
func (x *Index) Renew(size uint64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.closed:
		return mail.Errorf(mail.Other, "the index is closed")
	case x.building != nil:
		return nil
	}
	fresh, err := x.empty(x.serving, size)
	if err != nil {
		return err
	}
	x.building = fresh
	if err := x.save(); err != nil {
		x.building = nil
		return errors.Join(err, fresh.shut())
	}
	x.rouse()
	return nil
}

// finish lets the end of the building generation catch up, and puts it in the
// place of the serving one.
func (x *Index) finish(ctx context.Context, f feed, g *generation, progress func(mail.Cursor)) error {
	if err := x.extend(ctx, f, g, f.src.Size(), progress); err != nil {
		return err
	}
	// What was sealed meanwhile is little. The pump of the serving generation is
	// stopped for it, so that it does not run away.
	x.turn.Lock()
	defer x.turn.Unlock()
	if x.pumping != nil {
		x.pumping()
	}
	x.pumpGate.Lock()
	defer x.pumpGate.Unlock()
	if err := x.extend(ctx, f, g, min(x.Position(), f.src.Size()), progress); err != nil {
		return err
	}
	x.changes.Lock()
	defer x.changes.Unlock()
	old, err := x.swap(g)
	if err != nil {
		return err
	}
	x.opts.Logger.Info("index built anew", x.opts.logPartition(), slog.Uint64("generation", g.number), slog.Uint64("position", x.Position()))
	var errs []error
	for _, p := range old.parts {
		errs = append(errs, p.retire()) // what is left is swept at the next start
	}
	return errors.Join(errs...)
}

// extend pumps into the last shard of a generation, up to a position.
func (x *Index) extend(ctx context.Context, f feed, g *generation, target uint64, progress func(mail.Cursor)) error {
	w, err := x.endOf(g)
	if err != nil || w.engine.position >= target {
		return err
	}
	p := f.pump()
	p.target, p.progress = target, progress
	if err := x.linkUp(ctx, p, w.engine); err != nil {
		return err
	}
	return x.pumpTo(ctx, p, w)
}

// swap makes g the serving generation, durably, and returns the one before.
func (x *Index) swap(g *generation) (*generation, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	old := x.serving
	x.serving, x.building = g, nil
	if err := x.save(); err != nil {
		x.serving, x.building = old, g
		return nil, err
	}
	x.position.Store(g.last().engine.position)
	return old, nil
}
