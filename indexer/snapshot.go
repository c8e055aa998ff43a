package indexer

import (
	"context"
	"errors"

	"github.com/RoaringBitmap/roaring/v2"
	index "github.com/blevesearch/bleve_index_api"
)

const (
	// maxExpansion is how many terms a prefix may stand for.
	maxExpansion = 1024
	// pollEvery is how many postings are read between looks at the context.
	pollEvery = 1024
)

// A snapshot reads one state of the index: documents and cursor belong
// together. It numbers its documents from 0; sets of them are bitmaps, which
// makes each operator of a query one operation on sets, its cost bounded by the
// postings of its terms.
type snapshot struct {
	r index.IndexReader
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
	docs, err := s.r.DocIDReaderAll()
	if err != nil {
		return nil, err
	}
	defer docs.Close()
	out := roaring.New()
	for n := 0; ; n++ {
		if err := poll(ctx, n); err != nil {
			return nil, err
		}
		id, err := docs.Next()
		if err != nil || id == nil {
			return out, err
		}
		out.Add(uint32(id.Value()))
	}
}

// term returns the documents that have the term in the field.
func (s *snapshot) term(ctx context.Context, field, term string) (*roaring.Bitmap, error) {
	out := roaring.New()
	return out, s.addTerm(ctx, out, field, term)
}

func (s *snapshot) addTerm(ctx context.Context, out *roaring.Bitmap, field, term string) (err error) {
	t, err := s.r.TermFieldReader(ctx, []byte(term), field, false, false, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	var doc index.TermFieldDoc
	for n := 0; ; n++ {
		if err := poll(ctx, n); err != nil {
			return err
		}
		d, err := t.Next(doc.Reset())
		if err != nil || d == nil {
			return err
		}
		out.Add(uint32(d.ID.Value()))
	}
}

// any returns the documents that have any of the terms in the field.
func (s *snapshot) any(ctx context.Context, field string, terms []string) (*roaring.Bitmap, error) {
	out := roaring.New()
	for _, t := range terms {
		if err := s.addTerm(ctx, out, field, t); err != nil {
			return nil, err
		}
	}
	return out, nil
}
