package indexer

import (
	"context"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A watched is a Found whose calls return when their context ends, whatever the
// shard does. A call that then goes on for hangLimit has its shard taken for dead;
// what was found is closed when the call ends.
type watched struct {
	found Found
	shard Shard
	rouse func() // has the shard looked after

	mu     sync.Mutex
	busy   bool // a call is under way
	closed bool
}

// watch makes a call of what w has found. After a call that was given up no other
// is made but Close, so what the call writes to is nobody else's any more.
func watch[T any](ctx context.Context, w *watched, call func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	w.mu.Lock()
	w.busy = true
	w.mu.Unlock()
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		if err := guard(func() error { o.value, o.err = call(); return nil }); err != nil {
			w.shard.Fail(err)
			o.err = err
		}
		w.end()
		done <- o
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	}
	go func() {
		limit := time.NewTimer(hangLimit)
		defer limit.Stop()
		select {
		case <-done:
		case <-limit.C:
			w.shard.Fail(mail.Errorf(mail.Other, "the reading of hits did not end within %v after its time", hangLimit))
			w.rouse()
		}
	}()
	var none T
	return none, ctx.Err()
}

// end says that the call has ended, and closes what was to be closed meanwhile.
func (w *watched) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = false
	if w.closed {
		_ = w.found.Close() // nobody waits for it
	}
}

// Close implements Found.
func (w *watched) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.busy {
		return nil
	}
	return w.found.Close()
}

// Tally implements Found; it is known.
func (w *watched) Tally() Tally { return w.found.Tally() }

// Keys implements Found.
func (w *watched) Keys(ctx context.Context, before string, limit int) ([]string, error) {
	return watch(ctx, w, func() ([]string, error) { return w.found.Keys(ctx, before, limit) })
}

// Hits implements Found.
func (w *watched) Hits(ctx context.Context, keys []string) ([]mail.Hit, error) {
	return watch(ctx, w, func() ([]mail.Hit, error) { return w.found.Hits(ctx, keys) })
}

// Positions implements Found.
func (w *watched) Positions(ctx context.Context, into []uint64) ([]uint64, error) {
	return watch(ctx, w, func() ([]uint64, error) { return w.found.Positions(ctx, into) })
}

// Count implements Found.
func (w *watched) Count(ctx context.Context, facet string, zone *time.Location, into map[string]uint64) error {
	_, err := watch(ctx, w, func() (struct{}, error) { return struct{}{}, w.found.Count(ctx, facet, zone, into) })
	return err
}

// Frequencies implements Found.
func (w *watched) Frequencies(ctx context.Context, words []scored) (docs uint64, have []uint64, err error) {
	have, err = watch(ctx, w, func() ([]uint64, error) {
		n, have, err := w.found.Frequencies(ctx, words)
		return append([]uint64{n}, have...), err
	})
	if err != nil {
		return 0, nil, err
	}
	return have[0], have[1:], nil
}

// Best implements Found.
func (w *watched) Best(ctx context.Context, words []scored, behind score, limit int) ([]score, error) {
	return watch(ctx, w, func() ([]score, error) { return w.found.Best(ctx, words, behind, limit) })
}

// Members implements Found.
func (w *watched) Members(ctx context.Context, into []member) ([]member, error) {
	return watch(ctx, w, func() ([]member, error) { return w.found.Members(ctx, into) })
}

// Statuses implements Found.
func (w *watched) Statuses(ctx context.Context, seq uint64) ([]mail.TextStatus, error) {
	return watch(ctx, w, func() ([]mail.TextStatus, error) { return w.found.Statuses(ctx, seq) })
}
