package indexer

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A writer is where a pump puts documents: one shard, or the end of a
// generation, which begins another shard when the present one is full. The
// goroutine that collects uses it.
type writer struct {
	index  *Index
	engine *engine
	// grows is the generation whose last shard the engine is; nil if only the
	// engine is written to.
	grows *generation
	// keep says that documents take the place of others: the cursor stays.
	keep bool
	// linksOnly says that only the links of documents are written. Those before
	// linked were.
	linksOnly bool
	linked    uint64
	docs      uint64 // in the shard, with those that were not committed yet
}

// begin notes when the first record of a shard was appended.
func (w *writer) begin(r mail.Record) {
	if w.engine.begun == 0 && !w.keep {
		w.engine.begun = uint64(max(1, r.Time.Unix()))
	}
}

// full reports whether the shard ends before r.
func (w *writer) full(r mail.Record) bool {
	if w.grows == nil || w.docs == 0 {
		return false
	}
	o := &w.index.opts
	return w.docs >= uint64(o.ShardDocs) ||
		w.docs >= uint64(o.ShardMin) && month(r.Time) != month(time.Unix(int64(w.engine.begun), 0))
}

func month(t time.Time) string { return t.UTC().Format("2006-01") }

// commit makes documents durable, and the cursor with them.
func (w *writer) commit(docs []*document, position uint64) error {
	if err := spare(w.index.opts.Dir, uint64(w.index.opts.Reserve)); err != nil {
		return err
	}
	if w.linksOnly {
		err := w.index.mended(w.index.threads.Add(w.linked, position, linksOf(docs)...))
		w.linked = position
		return err
	}
	if err := w.link(docs, position); err != nil {
		return err
	}
	if w.keep {
		return w.engine.change(nil, docs)
	}
	return w.engine.commit(docs, position)
}

// roll ends the present shard at the cursor and begins another. Nothing is being
// committed meanwhile.
func (w *writer) roll() error {
	x := w.index
	x.mu.Lock()
	defer x.mu.Unlock()
	old, at := w.grows.last(), w.engine.position
	next := x.newPart(shardInfo{From: at, Dir: x.nextDir()})
	e, err := createEngine(next.dir, at)
	if err != nil {
		return errors.Join(err, os.RemoveAll(next.dir))
	}
	// If we die here, the new directory is not of the index and is swept.
	next.engine = e
	parts := w.grows.parts
	w.grows.parts = append(parts[:len(parts):len(parts)], next)
	old.update(func(s *shardInfo) { s.To = at })
	if err := x.save(); err != nil {
		// Whether the manifest on disk names the new shard is not known. With it
		// the old one is full, without it there is no other: both are true of
		// what is in them, but only one can be gone on with.
		w.engine.fail(err)
		old.update(func(s *shardInfo) { s.To = 0 })
		w.grows.parts = parts
		return errors.Join(err, e.abandon())
	}
	// If we die here, the old shard is full and not sealed: the upkeep seals it.
	x.opts.Logger.Info("shard full", x.opts.logPartition(), slog.String("shard", filepath.Base(old.dir)), slog.Uint64("to", at), slog.Uint64("documents", w.docs))
	w.engine, w.docs = e, 0
	x.rouse()
	return nil
}

// An erasure is the event that records were destroyed.
func erasure(r mail.Record) *mail.Erase {
	if r.Event == nil || r.Event.Erase == nil || !r.Event.Erase.Done {
		return nil
	}
	return r.Event.Erase
}

// pumpTo runs p until its target, with w as its destination.
func (x *Index) pumpTo(ctx context.Context, p pump, w *writer) error {
	p.writer, p.hurry = w, x.hurry
	if p.opts == nil {
		p.opts = &x.opts
	}
	if p.committed == nil {
		p.committed = func(uint64) {}
	}
	return p.run(ctx)
}
