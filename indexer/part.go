package indexer

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// A part is a shard of a generation as this process holds it: what the manifest
// says of it, and its engine while it is open. A shard that was written anew is
// a new part; the old one is retired, and goes when its last reader has gone.
//
// Sealed shards are opened when they are first searched; the others have their
// engine from the start, and while it is nil they are being looked after.
//
// Index.mu is taken before part.mu.
type part struct {
	index  *Index
	from   uint64
	dir    string // of the shard; empty if there is none
	sealed bool

	mu   sync.Mutex
	info shardInfo // From, Dir and Sealed stay as they are
	// hidden are info.Gone and info.Redo.
	hidden  []uint64
	engine  *engine // nil: not open
	failed  error   // why it could not be opened
	faults  int     // how often it failed since this process began
	pins    int     // searches and others that rely on it
	used    uint64  // Index.clock when it was last pinned
	retired bool
	stale   []string // directories in which it was being built, to be removed
}

// newPart makes the part of a shard; its engine is not open.
func (x *Index) newPart(info shardInfo) *part {
	p := &part{index: x, from: info.From, sealed: info.Sealed, info: info, hidden: slices.Concat(info.Gone, info.Redo)}
	if info.Dir != "" {
		p.dir = filepath.Join(x.opts.Dir, info.Dir)
	}
	return p
}

// describe returns what the manifest is to say of the part.
func (p *part) describe() shardInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.info
}

// update changes what the manifest is to say of the part. Slices are replaced,
// never changed.
func (p *part) update(f func(*shardInfo)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.info)
	p.hidden = slices.Concat(p.info.Gone, p.info.Redo)
}

// beginAgain gives up what is built of a part that is not there yet.
func (p *part) beginAgain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.info.Rebuild != "" {
		p.stale, p.info.Rebuild = append(p.stale, p.info.Rebuild), ""
	}
}

// takeStale returns the directories that the part left, to be removed by the
// caller.
func (p *part) takeStale() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.stale
	p.stale = nil
	return out
}

// contains reports whether the record belongs to the shard.
func (s *shardInfo) contains(seq uint64) bool {
	return seq >= s.From && (s.To == 0 || seq < s.To)
}

// pin keeps the files of the part where they are until unpin.
func (p *part) pin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pins++
	p.used = p.index.clock.Add(1)
}

func (p *part) unpin() {
	p.mu.Lock()
	p.pins--
	last := p.pins == 0 && p.retired
	p.mu.Unlock()
	if last {
		_ = p.remove() // what is left is swept at the next start
	}
}

// open returns the engine of a part that is pinned, opened if need be.
func (p *part) open() (*engine, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.dir == "":
		return nil, mail.Errorf(mail.Temporary, "it is being built from the ledger")
	case p.failed != nil:
		return nil, mail.Errorf(mail.Temporary, "it failed: %w", p.failed)
	case p.engine == nil && !p.sealed:
		return nil, mail.Errorf(mail.Temporary, "it is being opened again after a fault")
	case p.engine == nil:
		e, err := openSealed(p.dir, p.info.Files)
		if err != nil {
			p.failed = err
			return nil, err
		}
		p.engine = e
	}
	if err := p.engine.poisoned(); err != nil {
		return nil, mail.Errorf(mail.Temporary, "it failed: %w", err)
	}
	return p.engine, nil
}

// broken returns why the part does not answer, or nil. A part without a
// directory is not broken: it is not there yet.
func (p *part) broken() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.failed != nil:
		return p.failed
	case p.engine != nil:
		return p.engine.poisoned()
	}
	return nil
}

// install gives the part an engine.
func (p *part) install(e *engine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.engine, p.failed = e, nil
}

// shut closes the engine, if it is open. Who reads from it goes on: what it
// reads stays until it is done.
func (p *part) shut() error {
	p.mu.Lock()
	e := p.engine
	p.engine = nil
	p.mu.Unlock()
	if e == nil {
		return nil
	}
	end := e.close
	if p.sealed {
		end = e.abandon
	}
	err := end()
	// A fault in the background is else told by the next batch, and there is none.
	if cause := e.poisoned(); cause != nil && !p.sealed {
		p.index.opts.Logger.Warn("shard of the index had failed when it was closed, what it lacks is indexed again",
			p.index.opts.logPartition(), slog.String("shard", filepath.Base(p.dir)), slog.Any("error", cause))
	}
	return err
}

// rest closes a sealed shard that nobody uses.
func (p *part) rest() error {
	p.mu.Lock()
	var e *engine
	if p.pins == 0 && p.sealed {
		e, p.engine = p.engine, nil
	}
	p.mu.Unlock()
	if e == nil {
		return nil
	}
	return e.abandon()
}

// retire lets go of a part that another has taken the place of: its files are
// removed when nobody uses it.
func (p *part) retire() error {
	p.mu.Lock()
	p.retired = true
	idle := p.pins == 0
	p.mu.Unlock()
	if !idle {
		return nil
	}
	return p.remove()
}

func (p *part) remove() error {
	err := p.shut()
	if p.dir == "" {
		return err
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}

// Range implements Shard.
func (p *part) Range() (from, to uint64) {
	info := p.describe()
	return info.From, info.To
}

// Newest implements Shard.
func (p *part) Newest() string {
	if p.sealed {
		return p.describe().Newest
	}
	return maxOrderKey
}

// Find implements Shard. The part must be pinned.
func (p *part) Find(ctx context.Context, q *query.Query) (Found, error) {
	e, err := p.open()
	if err != nil {
		return nil, err
	}
	f, err := e.find(ctx, q, p.hiddenNow(), p.results(), p.dir)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (p *part) hiddenNow() []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hidden
}

// fail says that the files of the part are not as they should be.
func (p *part) fail(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = cause
}

// fault counts a failure of the part while its files were in order, and returns
// how many there were.
func (p *part) fault() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults++
	return p.faults
}

// results returns where what was found may be kept: nowhere, if the shard
// changes.
func (p *part) results() *results {
	if !p.sealed {
		return nil
	}
	return p.index.known
}

// Fail implements Shard.
func (p *part) Fail(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.engine != nil {
		p.engine.fail(cause)
	}
}
