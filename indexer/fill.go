package indexer

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	// maxBuilders bounds how many shards are built at once.
	maxBuilders = 4
	minBatch    = 256 << 10 // octets of text in a batch of one of several builders
)

// fillAll builds parts from the ledger, several at once. One that fails does not
// stop the others.
func (x *Index) fillAll(ctx context.Context, f feed, g *generation, hollow []*part, progress func(mail.Cursor)) error {
	builders := min(len(hollow), runtime.GOMAXPROCS(0), maxBuilders)
	todo := make(chan *part, len(hollow))
	for _, p := range hollow {
		todo <- p
	}
	close(todo)
	t := x.advance(f, g, progress)
	errs := make([]error, builders)
	var wg sync.WaitGroup
	for i := range builders {
		wg.Go(func() {
			for p := range todo {
				errs[i] = errors.Join(errs[i], x.fillOne(ctx, f, g, p, builders, t))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// fillOne builds a part from the ledger and seals it. It goes on with what it
// had built when the process died.
func (x *Index) fillOne(ctx context.Context, f feed, g *generation, p *part, share int, t *advance) error {
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
	pump.target, pump.committed = s.To, t.of(s.From)
	pump.committed(e.position)
	opts := x.opts
	opts.BatchBytes = max(opts.BatchBytes/share, min(opts.BatchBytes, minBatch))
	pump.opts = &opts
	if err := x.pumpTo(ctx, pump, &writer{index: x, engine: e}); err != nil {
		return errors.Join(err, e.close())
	}
	x.changes.Lock()
	defer x.changes.Unlock()
	err = x.rewriteInto(ctx, p, e, rewriting{}, func(now shardInfo) bool { return now.Rebuild == dir })
	err = errors.Join(err, e.close())
	if err != nil && p.describe().Rebuild == dir {
		return err
	}
	// It is done, or to begin again: what was built is of use to nobody, and may
	// hold what was erased.
	if err := errors.Join(err, os.RemoveAll(at)); err != nil {
		return err
	}
	x.opts.Logger.Info("shard built from the ledger", x.opts.logPartition(), slog.Uint64("from", s.From), slog.Uint64("to", s.To))
	return nil
}

// site names, durably, the directory in which a part is built.
func (x *Index) site(p *part) (string, error) {
	for _, dir := range p.takeStale() {
		if err := os.RemoveAll(filepath.Join(x.opts.Dir, dir)); err != nil {
			return "", classify("remove what was built of a shard", err)
		}
	}
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

// An advance adds up how far the shards of a generation are that are being built
// at once, and tells of the sum as if they were built one after the other.
type advance struct {
	tell func(mail.Cursor) // may be nil
	now  mail.Cursor
	src  Source

	mu    sync.Mutex // held during tell, which is called by one at a time
	built map[uint64]uint64
}

// advance returns one for a generation, with what it has already.
func (x *Index) advance(f feed, g *generation, tell func(mail.Cursor)) *advance {
	t := &advance{tell: tell, src: f.src, now: mail.Cursor{Partition: x.opts.Partition}, built: map[uint64]uint64{}}
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, p := range g.parts {
		if s := p.describe(); s.Dir != "" && s.To != 0 {
			t.now.Position += s.To - s.From
		}
	}
	return t
}

// of returns what is to be called with the position of the shard that begins at
// from.
func (t *advance) of(from uint64) func(position uint64) {
	return func(position uint64) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.now.Position += position - from - t.built[from]
		t.built[from] = position - from
		if t.tell != nil {
			t.now.Size = t.src.Size()
			t.tell(t.now)
		}
	}
}
