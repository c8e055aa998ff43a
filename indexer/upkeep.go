package indexer

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	// lookEvery is how often the upkeep looks unasked.
	lookEvery = time.Minute
	// maxFaults is how often a shard may fail whose files are as they were
	// written before it is built anew all the same.
	maxFaults = 3
)

// keepUp does the chores until ctx ends. One that fails is tried again later;
// what it was to mend stays as it was.
func (x *Index) keepUp(ctx context.Context, f feed) {
	wait := minBackoff
	x.tellState()
	for ctx.Err() == nil {
		more, err := x.chore(ctx, f, nil)
		x.tellState()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			x.opts.Logger.Error("upkeep of the index failed, will be tried again", x.opts.logPartition(), slog.Duration("wait", wait), slog.Any("error", err))
			pause(ctx, wait)
			wait = min(2*wait, maxBackoff)
		case more:
			wait = minBackoff
		default:
			x.awaitChore(ctx)
		}
	}
}

func (x *Index) tellState() {
	if x.opts.Changed != nil {
		x.opts.Changed(x.State())
	}
}

func (x *Index) awaitChore(ctx context.Context) {
	look := time.NewTimer(lookEvery)
	defer look.Stop()
	select {
	case <-x.wake:
	case <-look.C:
	case <-ctx.Done():
	}
}

// chore does the most urgent thing that can be done and reports whether there may
// be more. One that fails is passed over for the next, so that what cannot be
// mended now, such as a shard whose records cannot be read, keeps nothing else
// from being done; the error tells of all that failed. Each one leaves the index
// on disk whole, whenever it is stopped.
func (x *Index) chore(ctx context.Context, f feed, progress func(mail.Cursor)) (more bool, err error) {
	var errs []error
	for do := range x.chores(f, progress) {
		err := do(ctx)
		if err == nil {
			return true, errors.Join(errs...)
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	return false, errors.Join(errs...)
}

// chores yields what there is to do, the most urgent first.
func (x *Index) chores(f feed, progress func(mail.Cursor)) iter.Seq[func(context.Context) error] {
	return func(yield func(func(context.Context) error) bool) {
		x.mu.RLock()
		serving, building := x.serving, x.building
		x.mu.RUnlock()
		fillAll := func(g *generation, hollow []*part) bool {
			return len(hollow) == 0 || yield(func(ctx context.Context) error { return x.fillAll(ctx, f, g, hollow, progress) })
		}
		for _, p := range x.parts() {
			cause := p.broken()
			if cause != nil && p.describe().To != 0 && !yield(func(ctx context.Context) error { return x.mend(ctx, p, cause) }) {
				return
			}
		}
		if !fillAll(serving, x.hollow(serving)) {
			return
		}
		for _, p := range x.parts() {
			if p.due() && !yield(func(ctx context.Context) error { return x.renew(ctx, f, p) }) {
				return
			}
		}
		if building == nil {
			return
		}
		if hollow := x.hollow(building); len(hollow) > 0 {
			fillAll(building, hollow)
			return // all shards are there before it serves
		}
		yield(func(ctx context.Context) error { return x.finish(ctx, f, building, progress) })
	}
}

// due reports whether the part is to be written anew, or merged: it is full, or
// holds what is not to be in it.
func (p *part) due() bool {
	s := p.describe()
	return s.Dir != "" && (s.tainted() || s.To != 0 && !s.Sealed)
}

// tainted reports whether the files of the shard hold what was erased.
func (s *shardInfo) tainted() bool { return s.Dirty || len(s.Gone)+len(s.Redo) > 0 }

// parts lists the parts of all generations.
func (x *Index) parts() []*part {
	x.mu.RLock()
	defer x.mu.RUnlock()
	out := x.serving.parts[:len(x.serving.parts):len(x.serving.parts)]
	if x.building != nil {
		out = append(out, x.building.parts...)
	}
	return out
}

// current reports whether the part is one of the index still. Who holds changes can
// rely on the answer.
func (x *Index) current(p *part) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.serving.has(p) || x.building.has(p)
}

// doubt has a part looked after whose files were read with an error, unless the
// error tells nothing of them.
func (x *Index) doubt(p *part, err error) {
	if passing(err) {
		return
	}
	p.fail(err)
	x.rouse()
}

// hollow lists the parts of a generation that are to be built from the ledger.
func (x *Index) hollow(g *generation) []*part {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var out []*part
	for _, p := range g.parts {
		if p.dir == "" {
			out = append(out, p)
		}
	}
	return out
}

// mend looks after a shard that failed. If its files are as they were written,
// it was the engine's state in memory, and the shard is opened again; else, or
// if that did not help before, it is set aside and built anew.
func (x *Index) mend(ctx context.Context, p *part, cause error) error {
	x.changes.Lock()
	defer x.changes.Unlock()
	if !x.current(p) {
		return nil
	}
	x.opts.Logger.Warn("shard failed", x.opts.logPartition(), slog.String("shard", filepath.Base(p.dir)), slog.Any("cause", cause))
	p.fail(cause) // so that it is not opened meanwhile, and is looked after again if this ends early
	if err := p.shut(); err != nil {
		return err
	}
	err := x.sound(ctx, p)
	switch {
	case passing(err) || ctx.Err() != nil:
		return err
	case err == nil:
		faults := p.fault()
		if faults < maxFaults {
			return nil
		}
		err = mail.Errorf(mail.Corrupt, "it failed %d times: %w", faults, cause)
	}
	return errors.Join(p.shut(), x.exchange(p, func() (*part, error) { return x.hollowOut(p, err) }))
}

// sound opens a part again, if its files are in order.
func (x *Index) sound(ctx context.Context, p *part) error {
	if p.sealed {
		err := checkSealed(ctx, p.dir, p.describe().Files, 0)
		if err == nil {
			p.install(nil)
		}
		return err
	}
	e, err := openEngine(p.dir)
	if err == nil {
		p.install(e)
	}
	return err
}

// exchange puts another part in the place of one, in memory and durably. If that
// fails, the old one stays.
func (x *Index) exchange(old *part, make func() (*part, error)) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	with, err := make()
	if err != nil {
		return err
	}
	for _, g := range []*generation{x.serving, x.building} {
		if g.has(old) {
			g.replace(old, with)
			if err := x.save(); err != nil {
				g.replace(with, old)
				return errors.Join(err, with.shut())
			}
			return nil
		}
	}
	return errors.Join(mail.Errorf(mail.Temporary, "a shard was replaced meanwhile"), with.shut())
}

// purge removes from the files of the shard that grows what was erased. The caller
// holds changes.
func (x *Index) purge(ctx context.Context, p *part, e *engine) error {
	size, err := sizeOf(e.path)
	if err == nil {
		err = spare(x.opts.Dir, size+uint64(x.opts.Reserve))
	}
	if err != nil {
		return err
	}
	if err := e.purge(ctx); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	p.update(func(s *shardInfo) { s.Dirty = false })
	if err := x.save(); err != nil {
		p.update(func(s *shardInfo) { s.Dirty = true })
		return err
	}
	return nil
}

// renew seals a full shard, writes a sealed one anew without what was erased, or
// takes that out of the files of the one that grows.
func (x *Index) renew(ctx context.Context, f feed, p *part) error {
	x.changes.Lock()
	defer x.changes.Unlock()
	if !x.current(p) {
		return nil
	}
	p.pin()
	defer p.unpin()
	e, err := p.open()
	if err != nil {
		return err
	}
	s := p.describe()
	begin := x.opts.Now()
	if s.To == 0 {
		return x.purge(ctx, p, e)
	}
	w := rewriting{gone: s.Gone, fill: func(ctx context.Context, e *engine) error { return x.again(ctx, f, e, s.Redo) }}
	if err := x.rewriteInto(ctx, p, e, w, func(shardInfo) bool { return true }); err != nil {
		return err
	}
	x.opts.Logger.Info("shard sealed", x.opts.logPartition(), slog.Uint64("from", s.From), slog.Uint64("to", s.To), slog.Duration("took", x.opts.Now().Sub(begin)))
	return nil
}

// rewriteInto writes what e holds anew, with the changes, and puts the result in
// the place of p, if still holds then. The caller holds changes.
func (x *Index) rewriteInto(ctx context.Context, p *part, e *engine, w rewriting, still func(shardInfo) bool) error {
	size, err := sizeOf(e.path)
	if err == nil {
		err = spare(x.opts.Dir, 3*size+uint64(x.opts.Reserve))
	}
	if err != nil {
		return err
	}
	x.mu.Lock()
	tmp, to := x.nextDir(), x.nextDir()
	x.mu.Unlock()
	made, err := rewrite(ctx, e, filepath.Join(x.opts.Dir, tmp), filepath.Join(x.opts.Dir, to), w)
	if err != nil {
		return errors.Join(err, os.RemoveAll(filepath.Join(x.opts.Dir, to)))
	}
	// If we die here, the new files are not of the index and are swept.
	err = x.exchange(p, func() (*part, error) {
		now := p.describe()
		if !still(now) {
			return nil, mail.Errorf(mail.Temporary, "a shard is to be built once more: records of it were erased")
		}
		made.From, made.To, made.Dir, made.Checked = now.From, now.To, to, x.opts.Now().UTC()
		return x.newPart(made), nil
	})
	if err != nil {
		return errors.Join(err, os.RemoveAll(filepath.Join(x.opts.Dir, to)))
	}
	return p.retire()
}
