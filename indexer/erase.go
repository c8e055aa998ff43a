package indexer

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/mailkeep/mailkeep/mail"
)

// erase takes the documents of records that were destroyed out of the
// generation that p writes to. Documents of references to them hold their text
// too, and are made again: they then say that it cannot be read.
//
// In a shard that is not sealed that is one batch; the upkeep then merges its
// segments, so that what was erased is not on the disk either. For a sealed one the manifest
// says first that the documents are not to be found, so that the answer to the
// next search is right, and the upkeep writes the shard anew without them. A
// shard that is being built begins again: it may have read what was destroyed.
func (p *pump) erase(ctx context.Context, e *mail.Erase) error {
	x := p.writer.index
	x.changes.Lock()
	defer x.changes.Unlock()
	var gone []uint64
	for _, id := range e.Records {
		if id.Partition == x.opts.Partition {
			gone = append(gone, id.Seq)
		}
	}
	x.mu.RLock()
	parts := p.writer.grows.parts
	x.mu.RUnlock()
	if len(gone) == 0 {
		return nil
	}
	if err := x.mended(x.threads.Forget(gone...)); err != nil {
		return err
	}
	if err := x.removeAside(); err != nil { // it may hold them
		return err
	}
	redo, err := references(ctx, parts, gone)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err := p.eraseFrom(ctx, part, gone, redo); err != nil {
			return err
		}
	}
	x.mu.Lock()
	err = x.save()
	x.mu.Unlock()
	x.opts.Logger.Info("erased records taken out of the index", x.opts.logPartition(), slog.Int("records", len(gone)), slog.Int("references", len(redo)))
	x.rouse()
	return err
}

// eraseFrom changes one part. What it changes in the manifest the caller saves.
func (p *pump) eraseFrom(ctx context.Context, part *part, gone, redo []uint64) error {
	s := part.describe()
	gone, redo = inside(&s, gone), inside(&s, redo)
	switch {
	case s.Dir == "":
		part.beginAgain()
		return nil
	case len(gone)+len(redo) == 0:
		return nil
	case s.Sealed:
		part.update(func(s *shardInfo) { s.Gone, s.Redo = union(s.Gone, gone), union(s.Redo, redo) })
		return nil
	}
	part.pin()
	defer part.unpin()
	e, err := part.open()
	if err != nil {
		return err
	}
	if err := e.change(gone, nil); err != nil {
		return err
	}
	part.update(func(s *shardInfo) { s.Dirty = true })
	f := feed{p.src, p.parse, p.date}
	return p.writer.index.again(ctx, f, e, redo)
}

func inside(s *shardInfo, seqs []uint64) []uint64 {
	var out []uint64
	for _, seq := range seqs {
		if s.contains(seq) {
			out = append(out, seq)
		}
	}
	return out
}

// union returns the values of both, ascending.
func union(a, b []uint64) []uint64 {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// references returns the positions of the references to the messages, ascending.
func references(ctx context.Context, parts []*part, to []uint64) ([]uint64, error) {
	terms := make([]string, len(to))
	for i, seq := range to {
		terms[i] = docID(seq)
	}
	var out []uint64
	for _, p := range parts {
		found, err := p.referring(ctx, terms)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	slices.Sort(out)
	return slices.DeleteFunc(out, func(seq uint64) bool { return slices.Contains(to, seq) }), nil
}

// referring returns the positions of the documents that refer to one of the
// terms.
func (p *part) referring(ctx context.Context, terms []string) (out []uint64, err error) {
	if p.dir == "" {
		return nil, nil
	}
	p.pin()
	defer p.unpin()
	e, err := p.open()
	if err != nil {
		return nil, err
	}
	s, err := e.snapshot()
	if err != nil {
		return nil, err
	}
	err = e.sane(func() error {
		docs, err := s.any(ctx, fieldOf, terms)
		if err != nil {
			return err
		}
		out, err = s.seqs(ctx, docs)
		return err
	})
	return out, errors.Join(err, e.sane(s.r.Close))
}

// seqs returns the positions of documents.
func (s *snapshot) seqs(ctx context.Context, docs *roaring.Bitmap) ([]uint64, error) {
	var out []uint64
	for _, g := range s.segments {
		it := docs.Iterator()
		for it.AdvanceIfNeeded(g.offset); it.HasNext() && it.PeekNext() < g.end(); {
			column, err := s.orderOf(ctx, g)
			if err != nil {
				return nil, err
			}
			out = append(out, column.rank(it.Next()-g.offset).seq)
		}
	}
	return out, nil
}
