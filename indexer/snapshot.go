package indexer

import (
	"context"
	"errors"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	// maxExpansion is how many terms a prefix may stand for.
	maxExpansion = 1024
	// pollEvery is how many postings are read between looks at the context.
	pollEvery = 1024
)

// A snapshot reads one state of an engine: documents and cursor belong
// together. It numbers its documents from 0; sets of them are bitmaps, which
// makes each operator of a query one operation on sets. The sets of terms are
// taken from the segments as they are stored there, not read one by one.
type snapshot struct {
	engine   *engine
	r        index.IndexReader
	segments []segmentView
}

// A segmentView is a segment in a snapshot: its document d has the number
// offset+d there.
type segmentView struct {
	id      uint64
	offset  uint32
	count   uint32
	segment segment.Segment
	deleted *roaring.Bitmap // nil: none
}

// end is the number behind those of the segment's documents.
func (g segmentView) end() uint32 { return g.offset + g.count }

// snapshot takes a snapshot of the present state. Its reader must be closed.
func (e *engine) snapshot() (*snapshot, error) {
	if err := e.poisoned(); err != nil {
		return nil, mail.Errorf(mail.Temporary, "it failed: %w", err)
	}
	s := &snapshot{engine: e}
	err := e.sane(func() (err error) {
		s.r, err = e.scorch.Reader()
		return err
	})
	if err != nil {
		return nil, err
	}
	parts, ok := s.r.(*scorch.IndexSnapshot)
	if !ok {
		return nil, errors.Join(mail.Errorf(mail.Other, "the reader of the index is a %T", s.r), s.r.Close())
	}
	next := uint32(0)
	for _, g := range parts.Segments() {
		v := segmentView{id: g.Id(), offset: next, count: uint32(g.Segment().Count()), segment: g.Segment(), deleted: g.Deleted()}
		s.segments = append(s.segments, v)
		next = v.end()
	}
	e.columns.forget(s)
	return s, nil
}

// poll returns ctx's error at each pollEvery-th n.
func poll(ctx context.Context, n int) error {
	if n%pollEvery == 0 {
		return ctx.Err()
	}
	return nil
}

// all returns all documents.
func (s *snapshot) all(ctx context.Context) (*roaring.Bitmap, error) {
	out := roaring.New()
	for _, g := range s.segments {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		docs := roaring.New()
		docs.AddRange(0, uint64(g.count))
		if g.deleted != nil {
			docs.AndNot(g.deleted)
		}
		pads, err := g.segment.DocNumbers([]string{padding})
		if err != nil {
			return nil, err
		}
		docs.AndNot(pads)
		g.addTo(out, docs)
	}
	return out, nil
}

// addTo adds documents of the segment, by their numbers there, to a set of the
// snapshot's.
func (g segmentView) addTo(out, docs *roaring.Bitmap) {
	if g.offset > 0 {
		docs = roaring.AddOffset64(docs, int64(g.offset))
	}
	out.Or(docs)
}

// term returns the documents that have the term in the field.
func (s *snapshot) term(ctx context.Context, field, term string) (*roaring.Bitmap, error) {
	return s.any(ctx, field, []string{term})
}

// any returns the documents that have any of the terms in the field.
func (s *snapshot) any(ctx context.Context, field string, terms []string) (*roaring.Bitmap, error) {
	out := roaring.New()
	for _, g := range s.segments {
		docs, err := g.any(ctx, field, terms)
		if err != nil {
			return nil, err
		}
		g.addTo(out, docs)
	}
	return out, nil
}

func (g segmentView) any(ctx context.Context, field string, terms []string) (*roaring.Bitmap, error) {
	dict, err := g.segment.Dictionary(field)
	if err != nil {
		return nil, err
	}
	sets := make([]*roaring.Bitmap, 0, len(terms))
	for n, term := range terms {
		if err := poll(ctx, n); err != nil {
			return nil, err
		}
		docs, err := postings(dict, term, g.deleted)
		if err != nil {
			return nil, err
		}
		sets = append(sets, docs)
	}
	if len(sets) == 1 {
		return sets[0], nil
	}
	return roaring.FastOr(sets...), nil
}

// postings returns the documents of a segment that have a term, without those
// of except. It belongs to the caller, but may share memory with the segment.
func postings(dict segment.TermDictionary, term string, except *roaring.Bitmap) (*roaring.Bitmap, error) {
	list, err := dict.PostingsList([]byte(term), except, nil)
	if err != nil {
		return nil, err
	}
	it := list.Iterator(false, false, false, nil)
	if set, ok := it.(segment.OptimizablePostingsIterator); ok {
		if docs := set.ActualBitmap(); docs != nil {
			return docs, nil
		}
		if doc, ok := set.DocNum1Hit(); ok {
			return roaring.BitmapOf(uint32(doc)), nil
		}
	}
	out := roaring.New()
	for {
		p, err := it.Next()
		if err != nil || p == nil {
			return out, err
		}
		out.Add(uint32(p.Number()))
	}
}

// positions returns the documents of the positions that are there.
func (s *snapshot) positions(ctx context.Context, seqs []uint64) (*roaring.Bitmap, error) {
	ids := make([]string, len(seqs))
	for i, seq := range seqs {
		ids[i] = docID(seq)
	}
	return s.any(ctx, "_id", ids)
}
