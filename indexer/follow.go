package indexer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// The wait before the follower starts anew after a failure grows between these.
const (
	minBackoff = 500 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// A feed is where documents come from.
type feed struct {
	src   Source
	parse ParseFunc
	date  DateFunc
}

func (f feed) pump() pump { return pump{src: f.src, parse: f.parse, date: f.date} }

// Follow indexes the records of src as they are sealed, until ctx ends; it
// then returns nil. Beside that it seals full shards, builds anew what was
// damaged or is of another format, and removes what was erased. Whatever fails
// on the way is logged, and tried again with growing waits from the last
// committed position. Now and then it compares a sealed shard with its checksums.
// progress, unless nil, is told after each commit; it is
// called by one goroutine and must not block. Follow returns at once with
// mail.InUse if the index has a follower already.
func (x *Index) Follow(ctx context.Context, src Source, parse ParseFunc, date DateFunc, progress func(mail.Cursor)) error {
	if !x.following.TryLock() {
		return mail.Errorf(mail.InUse, "the index is being followed already")
	}
	defer x.following.Unlock()
	f := feed{src, parse, date}
	var keeper sync.WaitGroup
	keeper.Go(func() { x.keepUp(ctx, f) })
	keeper.Go(func() { x.audit(ctx) })
	defer keeper.Wait()
	wait := minBackoff
	for ctx.Err() == nil {
		before := x.Position()
		err := x.pumpServing(ctx, f, progress)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errSwapped):
			continue
		case x.Position() > before:
			wait = minBackoff
		}
		x.opts.Logger.Error("indexing interrupted, will be resumed", x.opts.logPartition(),
			slog.Uint64("position", x.Position()), slog.Duration("wait", wait), slog.Any("error", err))
		if !pause(ctx, wait) {
			break
		}
		wait = min(2*wait, maxBackoff)
	}
	return nil
}

// errSwapped is why the pump of a generation ends whose place another took.
var errSwapped = errors.New("another generation serves now")

// pumpServing pumps into the serving generation until something fails.
func (x *Index) pumpServing(ctx context.Context, f feed, progress func(mail.Cursor)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	x.turn.Lock()
	x.pumpGate.Lock()
	defer x.pumpGate.Unlock()
	x.pumping = func() { cancel(errSwapped) }
	x.turn.Unlock()
	p := f.pump()
	p.progress, p.endless = progress, true
	return errors.Join(x.pump(ctx, p), context.Cause(ctx))
}

// pause waits; it reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// CatchUp indexes the records that src holds at the time of the call, does all
// that Follow does beside that, and returns. It stops at the first failure that
// retrying within the record does not mend, with that error; what was committed
// before stays.
func (x *Index) CatchUp(ctx context.Context, src Source, parse ParseFunc, date DateFunc, progress func(mail.Cursor)) error {
	if !x.following.TryLock() {
		return mail.Errorf(mail.InUse, "the index is being followed already")
	}
	defer x.following.Unlock()
	begin, from := x.opts.Now(), x.Position()
	f := feed{src, parse, date}
	// What is about to be replaced need not catch up, and cannot if it is ahead of
	// its ledger.
	if !x.State().Building {
		p := f.pump()
		p.progress, p.target = progress, src.Size()
		if err := x.pump(ctx, p); err != nil {
			return err
		}
	}
	for more := true; more; {
		var err error
		if more, err = x.chore(ctx, f, progress); err != nil {
			return err
		}
	}
	x.opts.Logger.Info("index caught up", x.opts.logPartition(), slog.Uint64("from", from),
		slog.Uint64("position", x.Position()), slog.Duration("took", x.opts.Now().Sub(begin)))
	return nil
}

// pump runs p at the end of the serving generation.
func (x *Index) pump(ctx context.Context, p pump) error {
	x.mu.RLock()
	g := x.serving
	x.mu.RUnlock()
	w, err := x.endOf(g)
	if err != nil {
		return err
	}
	x.position.Store(w.engine.position)
	if err := x.linkUp(ctx, p, w.engine); err != nil {
		return err
	}
	p.committed = x.position.Store
	return x.pumpTo(ctx, p, w)
}

// endOf returns a writer to the last shard of a generation, opened again if it
// failed. One that cannot be opened is set aside, and an empty one begins where
// it began.
func (x *Index) endOf(g *generation) (*writer, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, mail.Errorf(mail.Other, "the index is closed")
	}
	p := g.last()
	cause := p.broken()
	if cause == nil && p.engine != nil {
		n, err := p.engine.count()
		return &writer{index: x, grows: g, engine: p.engine, docs: n}, err
	}
	if err := p.shut(); err != nil {
		return nil, errors.Join(classify("the index failed", cause), err)
	}
	e, err := openEngine(p.dir)
	switch {
	case err == nil && e.format == g.format:
		p.install(e)
	case err == nil:
		return nil, errors.Join(mail.Errorf(mail.Corrupt, "a shard is of format %d", e.format), e.abandon())
	case passing(err):
		return nil, err
	default:
		fresh, err := x.hollowOut(p, err)
		if err != nil {
			return nil, err
		}
		g.replace(p, fresh)
		if err := x.save(); err != nil {
			return nil, err
		}
		p, e = fresh, fresh.engine
	}
	return &writer{index: x, grows: g, engine: e, docs: e.docs}, nil
}

// count returns how many documents there are.
func (e *engine) count() (n uint64, err error) {
	s, err := e.snapshot()
	if err != nil {
		return 0, err
	}
	n, err = s.r.DocCount()
	return n, errors.Join(err, s.r.Close())
}
