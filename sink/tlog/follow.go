package tlog

import (
	"context"
	"log/slog"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// The pauses after a failure, doubled up to the longest.
const (
	firstPause   = time.Second
	longestPause = time.Minute
)

// Follow keeps the log at its ledger until ctx is done: it takes in what becomes
// durable, and signs when a segment is sealed, when something has waited for the
// interval, and at the end. It returns the error of ctx. A failure is logged and
// tried again; Healthy tells of it. Damage is not: then the log stands still.
func (l *Log) Follow(ctx context.Context, src Source) error {
	pause := firstPause
	for {
		size := src.Size()
		wait, err := l.step(ctx, src, false)
		if ctx.Err() != nil {
			break
		}
		l.note(ctx, err)
		switch {
		case err == nil:
			pause = firstPause
			err = waitFor(ctx, src, size, wait)
		default:
			err = rest(ctx, pause)
			pause = min(2*pause, longestPause)
		}
		if err != nil && ctx.Err() == nil {
			return err // the ledger is closed
		}
	}
	_, err := l.step(context.WithoutCancel(ctx), src, true)
	if err != nil {
		l.note(context.WithoutCancel(ctx), err)
	}
	return ctx.Err()
}

// step takes in what there is, and signs it if that is due. It returns after
// what time the rest will be due, 0 if there is none.
func (l *Log) step(ctx context.Context, src Source, last bool) (time.Duration, error) {
	size, root := src.Root()
	if err := l.Extend(ctx, src, size, root); err != nil {
		return 0, err
	}
	wait := l.due()
	if wait > 0 && !last {
		return wait, nil
	}
	_, err := l.Sign(ctx)
	return 0, err
}

// due is how long a checkpoint may still wait.
func (l *Log) due() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.edge == nil || l.sealed || l.edge.size == l.latest.Size {
		return 0
	}
	return max(0, l.o.Interval-l.o.Now().Sub(l.latest.Time))
}

// note keeps and logs why the log does not follow, once for each reason.
func (l *Log) note(ctx context.Context, err error) {
	l.mu.Lock()
	before := l.failed
	l.failed = err
	l.mu.Unlock()
	switch {
	case err == nil && before != nil:
		l.log.InfoContext(ctx, "the transparency log follows again", slog.String("log", l.o.Trust.Origin))
	case err != nil && (before == nil || before.Error() != err.Error()):
		l.log.ErrorContext(ctx, "the transparency log cannot follow the ledger", slog.String("log", l.o.Trust.Origin),
			slog.String("error", err.Error()), slog.String("kind", mail.KindOf(err).String()))
	}
}

// waitFor waits until the ledger has grown, or for the time if it is not 0.
func waitFor(ctx context.Context, src Source, size uint64, most time.Duration) error {
	if most > 0 {
		few, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		err := src.Wait(few, size)
		if few.Err() != nil {
			return nil // due, or ctx is done, which the caller sees
		}
		return err
	}
	return src.Wait(ctx, size)
}

func rest(ctx context.Context, pause time.Duration) error {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return nil
}
