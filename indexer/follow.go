package indexer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// The wait before the follower starts anew after a failure grows between these.
const (
	minBackoff = 500 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// Follow indexes the records of src as they are sealed, until ctx ends; it
// then returns nil. Whatever fails on the way is logged, and tried again with
// growing waits from the last committed position. progress, unless nil, is
// told after each commit; it is called by one goroutine and must not block.
// It returns at once with mail.InUse if the index has a follower already.
func (x *Index) Follow(ctx context.Context, src Source, parse ParseFunc, date DateFunc, progress func(mail.Cursor)) error {
	if !x.following.TryLock() {
		return mail.Errorf(mail.InUse, "the index is being followed already")
	}
	defer x.following.Unlock()
	wait := minBackoff
	for ctx.Err() == nil {
		before := x.Position()
		err := x.pump(ctx, pump{src: src, parse: parse, date: date, progress: progress, endless: true})
		if ctx.Err() != nil {
			break
		}
		if x.Position() > before {
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

// CatchUp indexes the records that src holds at the time of the call and
// returns. It stops at the first failure that retrying within the record does
// not mend, with that error; what was committed before stays.
func (x *Index) CatchUp(ctx context.Context, src Source, parse ParseFunc, date DateFunc, progress func(mail.Cursor)) error {
	if !x.following.TryLock() {
		return mail.Errorf(mail.InUse, "the index is being followed already")
	}
	defer x.following.Unlock()
	begin, from := x.opts.Now(), x.Position()
	if err := x.pump(ctx, pump{src: src, parse: parse, date: date, progress: progress, target: src.Size()}); err != nil {
		return err
	}
	x.opts.Logger.Info("index caught up", x.opts.logPartition(), slog.Uint64("from", from),
		slog.Uint64("position", x.Position()), slog.Duration("took", x.opts.Now().Sub(begin)))
	return nil
}

// pump runs p on an engine that works.
func (x *Index) pump(ctx context.Context, p pump) error {
	e, err := x.sound()
	if err != nil {
		return err
	}
	p.opts, p.engine, p.hurry = &x.opts, e, x.hurry
	p.committed = x.position.Store
	return p.run(ctx)
}

// sound returns the engine, opened again if it is poisoned.
func (x *Index) sound() (*engine, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, mail.Errorf(mail.Other, "the index is closed")
	}
	if x.engine != nil {
		cause := x.engine.poisoned()
		if cause == nil {
			return x.engine, nil
		}
		old := x.engine
		x.engine = nil
		if err := old.close(); err != nil {
			return nil, errors.Join(classify("the index failed", cause), err)
		}
	}
	e, err := openEngine(&x.opts)
	if err != nil {
		return nil, err
	}
	x.engine = e
	x.position.Store(e.position)
	return e, nil
}
