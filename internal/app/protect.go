package app

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mailkeep/mailkeep/sink/store"
)

// protectEvery is how often sealed segments are looked for that lack the immutable
// flag.
const protectEvery = time.Minute

// A ProtectStatus tells of the immutable flag on the segments of a partition.
type ProtectStatus struct {
	Segments int    `json:"segments"`          // that have it
	Problem  string `json:"problem,omitempty"` // why others have not
}

// startProtection has the immutable flag set on sealed segments, if that is wanted.
func (a *App) startProtection(ctx context.Context) error {
	if !a.has(RoleArchive) || a.cfg.Archive.Immutable != "auto" {
		return nil
	}
	for _, p := range a.partitions {
		files, err := a.dir.ledgerFiles(p.number)
		if err != nil {
			return err
		}
		a.life.onStop("protected segments", func(context.Context) error { return files.Close() })
		p.protected = new(atomic.Pointer[ProtectStatus])
		a.life.work(ctx, "immutable flag", func(ctx context.Context) error {
			tick := time.NewTicker(protectEvery)
			defer tick.Stop()
			for {
				n, err := store.Protect(files)
				a.protected(ctx, p, n, err)
				select {
				case <-tick.C:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
	}
	return nil
}

// protected publishes the outcome of one look. What cannot be changed is logged once.
func (a *App) protected(ctx context.Context, p *partition, n int, err error) {
	now := ProtectStatus{Segments: n}
	if err != nil {
		now.Problem = err.Error()
	}
	before := p.protected.Swap(&now)
	a.metrics.Immutable(p.number, n)
	if err != nil && (before == nil || before.Problem != now.Problem) {
		a.log.WarnContext(ctx, "sealed segments cannot be made immutable", slog.Int("partition", int(p.number)), slog.Any("error", err))
	}
}

// protectStatus is nil where nothing is to be protected.
func (p *partition) protectStatus() *ProtectStatus {
	if p.protected == nil {
		return nil
	}
	return p.protected.Load()
}
