package indexer

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	// lookEvery is how often the upkeep looks unasked.
	lookEvery = time.Minute
	// maxFaults is how often a shard may fail whose files are as they were
	// written before it is built anew all the same.
	maxFaults = 3
	// maxBuilders bounds how many shards are built at once.
	maxBuilders = 4
	minBatch    = 256 << 10 // octets of text in a batch of one of several builders
)

// keepUp does the chores until ctx ends. One that fails is tried again later;
// what it was to mend stays as it was.
func (x *Index) keepUp(ctx context.Context, f feed) {
	wait := minBackoff
	for ctx.Err() == nil {
		more, err := x.chore(ctx, f, nil)
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

func (x *Index) awaitChore(ctx context.Context) {
	look := time.NewTimer(lookEvery)
	defer look.Stop()
	select {
	case <-x.wake:
	case <-look.C:
	case <-ctx.Done():
	}
}

// chore does the most urgent thing that there is to do and reports whether there
// may be more. Each one leaves the index on disk whole, whenever it is stopped.
func (x *Index) chore(ctx context.Context, f feed, progress func(mail.Cursor)) (more bool, err error) {
	for _, p := range x.parts() {
		if cause := p.broken(); cause != nil && p.describe().To != 0 {
			return true, x.mend(ctx, p, cause)
		}
	}
	x.mu.RLock()
	serving, building := x.serving, x.building
	x.mu.RUnlock()
	if hollow := x.hollow(serving); len(hollow) > 0 {
		return true, x.fillAll(ctx, f, serving, hollow)
	}
	for _, p := range x.parts() {
		s := p.describe()
		if s.Dir != "" && s.To != 0 && (!s.Sealed || len(s.Gone)+len(s.Redo) > 0) {
			return true, x.renew(ctx, f, p)
		}
	}
	if building == nil {
		return false, nil
	}
	if hollow := x.hollow(building); len(hollow) > 0 {
		return true, x.fillAll(ctx, f, building, hollow)
	}
	return true, x.finish(ctx, f, building, progress)
}

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
	x.opts.Logger.Warn("shard failed", x.opts.logPartition(), slog.String("shard", filepath.Base(p.dir)), slog.Any("cause", cause))
	if err := p.shut(); err != nil {
		return err
	}
	p.mu.Lock()
	p.failed = cause // it has no engine, and is not to be opened meanwhile
	p.faults++
	faults := p.faults
	p.mu.Unlock()
	err := x.sound(ctx, p)
	switch {
	case err == nil && faults < maxFaults:
		return nil
	case err == nil:
		err = mail.Errorf(mail.Corrupt, "it failed %d times: %w", faults, cause)
	case passing(err) || ctx.Err() != nil:
		return err
	}
	return errors.Join(p.shut(), x.exchange(p, func() (*part, error) { return x.hollowOut(p, err) }))
}

// sound opens a part again, if its files are in order.
func (x *Index) sound(ctx context.Context, p *part) error {
	if p.sealed {
		err := checkSealed(ctx, p.dir, p.describe().Files)
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

// fillAll builds parts from the ledger, several at once.
func (x *Index) fillAll(ctx context.Context, f feed, g *generation, hollow []*part) error {
	builders := min(len(hollow), runtime.GOMAXPROCS(0), maxBuilders)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	todo := make(chan *part, len(hollow))
	for _, p := range hollow {
		todo <- p
	}
	close(todo)
	errs := make([]error, builders)
	var wg sync.WaitGroup
	for i := range builders {
		wg.Go(func() {
			for p := range todo {
				if errs[i] = x.fillOne(ctx, f, g, p, builders); errs[i] != nil {
					cancel()
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// fillOne builds a part from the ledger and seals it. It goes on with what it
// had built when the process died.
func (x *Index) fillOne(ctx context.Context, f feed, g *generation, p *part, share int) error {
	dir, err := x.site(p)
	if err != nil {
		return err
	}
	at := filepath.Join(x.opts.Dir, dir)
	s := p.describe()
	e, err := x.openSite(at, s, g.format)
	if err != nil {
		return err
	}
	pump := f.pump()
	pump.target = s.To
	opts := x.opts
	opts.BatchBytes = max(opts.BatchBytes/share, min(opts.BatchBytes, minBatch))
	pump.opts = &opts
	if err := x.pumpTo(ctx, pump, &writer{index: x, engine: e}); err != nil {
		return errors.Join(err, e.close())
	}
	x.changes.Lock()
	defer x.changes.Unlock()
	err = x.rewriteInto(ctx, p, e, rewriting{}, func(now shardInfo) bool { return now.Rebuild == dir })
	if err = errors.Join(err, e.close()); err != nil {
		return err
	}
	x.opts.Logger.Info("shard built from the ledger", x.opts.logPartition(), slog.Uint64("from", s.From), slog.Uint64("to", s.To))
	return os.RemoveAll(at)
}

// site names, durably, the directory in which a part is built.
func (x *Index) site(p *part) (string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if dir := p.describe().Rebuild; dir != "" {
		return dir, nil
	}
	dir := x.nextDir()
	p.update(func(s *shardInfo) { s.Rebuild = dir })
	if err := x.save(); err != nil {
		p.update(func(s *shardInfo) { s.Rebuild = "" })
		return "", err
	}
	return dir, nil
}

// openSite opens what is built of a shard, or begins with it.
func (x *Index) openSite(dir string, s shardInfo, format uint64) (*engine, error) {
	e, err := openEngine(dir)
	if err == nil && e.format == format && e.position >= s.From && e.position <= s.To {
		return e, nil
	}
	if err == nil {
		err = e.abandon()
	}
	if passing(err) {
		return nil, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, classify("remove a shard that is half built", err)
	}
	return createEngine(dir, s.From)
}

// renew seals a full shard, or writes a sealed one anew without what was erased.
func (x *Index) renew(ctx context.Context, f feed, p *part) error {
	x.changes.Lock()
	defer x.changes.Unlock()
	p.pin()
	defer p.unpin()
	e, err := p.open()
	if err != nil {
		return err
	}
	s := p.describe()
	begin := x.opts.Now()
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
		made.From, made.To, made.Dir = now.From, now.To, to
		return x.newPart(made), nil
	})
	if err != nil {
		return errors.Join(err, os.RemoveAll(filepath.Join(x.opts.Dir, to)))
	}
	return p.retire()
}
