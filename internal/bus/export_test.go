package bus

import (
	"context"
	"log/slog"
	"time"
)

// SetRepair changes how long a Pending waits before it asks the catalog.
func (b *Bus) SetRepair(d time.Duration) { b.repair = d }

// ChunkWindow is how many chunks a large transfer may have in flight now.
func (b *Bus) ChunkWindow() int { return b.chunkWindow() }

// SuperviseNothing supervises where a restart was given up: there is no server.
func SuperviseNothing(ctx context.Context) {
	(&embedded{log: slog.New(slog.DiscardHandler)}).supervise(ctx)
}

// Takes reports whether messages of a partition are handed over.
func (b *Bus) Takes(partition uint16) bool {
	b.hand.mu.Lock()
	defer b.hand.mu.Unlock()
	return b.hand.lines[partition] != nil
}
