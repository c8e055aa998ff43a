package tlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

const (
	// DefaultInterval is how long a record waits for a checkpoint at most, unless
	// Options say else.
	DefaultInterval = time.Minute

	lockName       = "lock"
	checkpointName = "checkpoint"
)

// Leaves are the leaves of a ledger (*ledger.Ledger, *ledger.Reader).
type Leaves interface {
	// Leaves yields the leaves from to until-1, each valid until the next.
	Leaves(ctx context.Context, from, until uint64) iter.Seq2[[]byte, error]
}

// A Source is a ledger that is being written (*ledger.Ledger).
type Source interface {
	Leaves
	// Root is the number of durable records and the root over them.
	Root() (uint64, mail.Digest)
	// Size grows when records become durable, and Wait waits for that.
	Size() uint64
	Wait(ctx context.Context, size uint64) error
}

// Options are the parts of a Log.
type Options struct {
	FS    durable.FS // the directory of the log; closed by the caller, after the log
	Key   *Key
	Trust Trust // the keys that the log has had; Key is the last of them
	// Interval is how long a durable record waits for a checkpoint at most; 0 is
	// DefaultInterval.
	Interval time.Duration
	Logger   *slog.Logger     // nil: none
	Now      func() time.Time // nil: time.Now
	// Signed is told of each new checkpoint; it must not block; may be nil.
	Signed func(Checkpoint)
}

// A Log is the one writer of a transparency log. Its methods may be called by
// many goroutines at once.
type Log struct {
	o    Options
	log  *slog.Logger
	lock io.Closer

	mu        sync.Mutex // held while leaves are taken in or a head is signed
	tiles     *tiles
	history   *history
	edge      *frontier  // nil: to be loaded again
	latest    Checkpoint // zero: nothing was signed yet
	published bool       // latest is in the file checkpoint
	sealed    bool       // a segment was sealed behind latest
	failed    error      // why the log cannot follow; nil if it can
}

// Open takes the lock of the log and reads its last checkpoint. It returns
// mail.InUse if another writes the log, and mail.Corrupt if what was signed last
// is not to be read, or is not signed by a key of the log.
func Open(o Options) (*Log, error) {
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	lock, err := o.FS.Lock(lockName)
	if err != nil {
		return nil, fmt.Errorf("open the transparency log: %w", err)
	}
	l := &Log{o: o, log: o.Logger, lock: lock, tiles: newTiles(o.FS)}
	if err := l.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the transparency log: %w", err), lock.Close())
	}
	return l, nil
}

// Lock takes the lock of the log in a directory, as Open does; mail.InUse if
// another has it.
func Lock(fsys durable.FS) (io.Closer, error) { return fsys.Lock(lockName) }

func (l *Log) open() (err error) {
	if l.history, err = openHistory(l.o.FS); err != nil {
		return err
	}
	v := NewView(l.o.FS, l.o.Trust)
	if l.latest, err = v.Latest(); mail.KindOf(err) == mail.NotFound {
		return nil
	}
	return err
}

// Latest is the last checkpoint that was signed; its Size is 0 if none was.
func (l *Log) Latest() Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest
}

// Healthy returns nil, or why the log does not follow its ledger.
func (l *Log) Healthy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// Close ends the log. It signs nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history.end()
	return l.lock.Close()
}

// Extend takes in the leaves up to size, which are durable, and compares the
// root of the tree with that of the ledger. It is mail.Corrupt if the ledger is
// not the one of which the log has signed checkpoints, or is an older copy.
func (l *Log) Extend(ctx context.Context, src Leaves, size uint64, root mail.Digest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.extend(ctx, src, size, root)
	if err != nil {
		l.edge = nil // a leaf may be in it whose tile was not written
	}
	return err
}

func (l *Log) extend(ctx context.Context, src Leaves, size uint64, root mail.Digest) error {
	if size < l.latest.Size {
		return rolledBack(l.o.Trust.Origin, size, l.latest)
	}
	if err := l.load(ctx, src); err != nil {
		return err
	}
	if size <= l.edge.size {
		return nil
	}
	if err := l.take(ctx, src, size); err != nil {
		return err
	}
	got, err := l.edge.root()
	if err != nil {
		return err
	}
	if got != root {
		return forked(l.o.Trust.Origin, size, root, got)
	}
	return nil
}

// take adds leaves to the edge, and writes the tiles that they complete.
func (l *Log) take(ctx context.Context, src Leaves, size uint64) error {
	for leaf, err := range src.Leaves(ctx, l.edge.size, size) {
		if err != nil {
			return err
		}
		if err := l.edge.add(leaf, l.tiles.write); err != nil {
			return err
		}
		l.sealed = l.sealed || ledger.IsSeal(leaf)
	}
	if l.edge.size != size {
		return mail.Errorf(mail.Corrupt, "the ledger has %d leaves, not %d", l.edge.size, size)
	}
	return nil
}

// load makes the edge: from the tiles of the last checkpoint, or from the ledger
// where they are not what was signed.
func (l *Log) load(ctx context.Context, src Leaves) error {
	if l.edge != nil {
		return nil
	}
	l.tiles = newTiles(l.o.FS)
	edge, err := restore(l.latest, l.tiles)
	if err == nil {
		l.edge = edge
		return nil
	}
	l.log.WarnContext(ctx, "the tiles of the transparency log are built again from the ledger",
		slog.String("log", l.o.Trust.Origin), slog.Uint64("size", l.latest.Size), slog.String("reason", err.Error()))
	l.edge = &frontier{}
	return l.rebuild(ctx, src)
}

// rebuild makes the tiles anew up to the last checkpoint. Each checkpoint on the
// way is compared with the ledger; the partial tiles of those that are still
// partial at the end are written, as they were when it was signed.
func (l *Log) rebuild(ctx context.Context, src Leaves) error {
	end := l.latest.Size
	for e, err := range NewView(l.o.FS, l.o.Trust).Checkpoints() {
		switch {
		case errors.Is(err, errTorn):
			continue
		case err != nil:
			return err
		case e.Size < l.edge.size:
			return mail.Errorf(mail.Corrupt, "a checkpoint of size %d follows one of size %d", e.Size, l.edge.size)
		}
		if err := l.take(ctx, src, e.Size); err != nil {
			return err
		}
		got, err := l.edge.root()
		if err != nil {
			return err
		}
		if got != e.Root {
			return forked(l.o.Trust.Origin, e.Size, got, e.Root)
		}
		if err := l.edge.partials(unlessComplete(end, l.tiles.write)); err != nil {
			return err
		}
	}
	l.sealed = false
	return l.tiles.sync()
}

// unlessComplete passes on the tiles that are partial in a tree of the size.
func unlessComplete(size uint64, out emit) emit {
	return func(t tlog.Tile, data []byte) error {
		level := max(t.L, 0)
		if uint64(t.N) < size>>(tileHeight*(level+1)) {
			return nil
		}
		return out(t, data)
	}
}

// Sign signs what Extend took in, stores the checkpoint and publishes it. If
// there is nothing new it returns the last checkpoint.
func (l *Log) Sign(ctx context.Context) (Checkpoint, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.edge == nil || l.edge.size == l.latest.Size {
		return l.latest, l.publish()
	}
	c, err := l.prepare()
	if err != nil {
		return l.latest, err
	}
	// If we die here, there are tiles that no checkpoint speaks of. The next
	// process writes the same ones.
	if err := l.history.append(c); err != nil {
		return l.latest, err
	}
	// If we die from here on, the checkpoint is the log's last one, published by
	// the next process.
	before := l.latest
	l.latest, l.published, l.sealed = c, false, false
	if err := l.publish(); err != nil {
		return c, err
	}
	l.tiles.prune(before.Size, c.Size)
	l.log.DebugContext(ctx, "signed a checkpoint", slog.String("log", c.Origin), slog.Uint64("size", c.Size))
	if l.o.Signed != nil {
		l.o.Signed(c)
	}
	return c, nil
}

// prepare makes the tiles of the edge durable, and signs it.
func (l *Log) prepare() (Checkpoint, error) {
	if err := l.edge.partials(l.tiles.write); err != nil {
		return Checkpoint{}, err
	}
	if err := l.tiles.sync(); err != nil {
		return Checkpoint{}, err
	}
	root, err := l.edge.root()
	if err != nil {
		return Checkpoint{}, err
	}
	c := Checkpoint{Origin: l.o.Trust.Origin, Size: l.edge.size, Root: root, Time: l.o.Now().UTC().Truncate(time.Second)}
	return c.sign(l.o.Key)
}

// publish writes the file that readers look at first.
func (l *Log) publish() error {
	if l.published || l.latest.Size == 0 {
		return nil
	}
	if err := durable.WriteFile(l.o.FS, checkpointName, l.latest.Note); err != nil {
		return err
	}
	l.published = true
	return nil
}

func rolledBack(origin string, size uint64, signed Checkpoint) error {
	return mail.WithHint(mail.Errorf(mail.Corrupt, "the ledger of log %s ends at record %d, but a checkpoint of %d records was signed: it lost its end, or is an older copy", origin, size, signed.Size),
		"Put back the ledger that the checkpoint is of. Nothing was changed.")
}

func forked(origin string, size uint64, ledger, signed mail.Digest) error {
	return mail.WithHint(mail.Errorf(mail.Corrupt, "the first %d records of log %s have the root %s in the ledger, and %s in the log: one of them is not what was written", size, origin, ledger, signed),
		"The ledger was replaced, or the log is of another archive. Compare both with a copy. Nothing was signed.")
}
