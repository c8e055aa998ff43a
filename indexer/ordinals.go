package indexer

import (
	"context"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/mailkeep/mailkeep/mail"
)

// maxOrdinals bounds the different terms of a field that a column is made of.
const maxOrdinals = 1 << 20

type ordinalKey struct {
	segment uint64
	field   string
}

// Ordinals is the column of a keyword field in one segment: the terms that each
// document has, as numbers into a list. A million documents with one term each
// take 8 MB.
type Ordinals struct {
	Terms []string
	// The terms of document d are list[from[d]:from[d+1]].
	from []uint32
	list []uint32
}

// Of returns the numbers of the terms of a document; not to be changed.
func (o *Ordinals) Of(doc uint32) []uint32 { return o.list[o.from[doc]:o.from[doc+1]] }

// A columnFunc returns the column of a segment that is counted.
type columnFunc func(ctx context.Context, g segmentView) (*Ordinals, error)

// count adds, for each term that a document of docs has in the column of its
// segment, how many have it. It takes time in the documents, not in the terms.
func (s *snapshot) count(ctx context.Context, docs *roaring.Bitmap, of columnFunc, into map[string]uint64) error {
	return s.inSegments(ctx, docs, func(g segmentView, it roaring.IntPeekable) error {
		column, err := of(ctx, g)
		if err != nil {
			return err
		}
		counts := make([]uint64, len(column.Terms))
		for n := 0; it.HasNext() && it.PeekNext() < g.end(); n++ {
			if err := poll(ctx, n); err != nil {
				return err
			}
			for _, term := range column.Of(it.Next() - g.offset) {
				counts[term]++
			}
		}
		for i, n := range counts {
			if n > 0 {
				into[column.Terms[i]] += n
			}
		}
		return nil
	})
}

// ordinals returns the column of a field in a segment of the snapshot.
func (s *snapshot) ordinals(ctx context.Context, g segmentView, field string) (*Ordinals, error) {
	return s.column(ordinalKey{g.id, field}, func() (*Ordinals, error) { return makeOrdinals(ctx, g.segment, field) })
}

// column returns the column that is kept under key, which it makes if there is
// none yet.
func (s *snapshot) column(key ordinalKey, fresh func() (*Ordinals, error)) (*Ordinals, error) {
	c := &s.engine.columns
	c.mu.Lock()
	have := c.ordinals[key]
	c.mu.Unlock()
	if have != nil {
		return have, nil
	}
	made, err := fresh()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ordinals == nil {
		c.ordinals = map[ordinalKey]*Ordinals{}
	}
	c.ordinals[key] = made
	return made, nil
}

// makeOrdinals inverts the postings of the field's terms: once to count the
// terms of each document, once to write them.
func makeOrdinals(ctx context.Context, seg segment.Segment, field string) (*Ordinals, error) {
	o := &Ordinals{from: make([]uint32, seg.Count()+1)}
	err := eachTerm(ctx, seg, field, func(term string, docs *roaring.Bitmap) error {
		if len(o.Terms) == maxOrdinals {
			return mail.Errorf(mail.Invalid, "the field %s has more than %d values: they cannot be counted", field, maxOrdinals)
		}
		o.Terms = append(o.Terms, term)
		for it := docs.Iterator(); it.HasNext(); {
			o.from[it.Next()+1]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := 1; i < len(o.from); i++ {
		o.from[i] += o.from[i-1]
	}
	o.list = make([]uint32, o.from[len(o.from)-1])
	at := make([]uint32, seg.Count())
	copy(at, o.from)
	term := uint32(0)
	err = eachTerm(ctx, seg, field, func(_ string, docs *roaring.Bitmap) error {
		for it := docs.Iterator(); it.HasNext(); {
			doc := it.Next()
			o.list[at[doc]] = term
			at[doc]++
		}
		term++
		return nil
	})
	return o, err
}

// eachTerm calls f with the terms of a field, ascending, and the documents that
// have them, those that are deleted included.
func eachTerm(ctx context.Context, seg segment.Segment, field string, f func(string, *roaring.Bitmap) error) error {
	dict, err := seg.Dictionary(field)
	if err != nil {
		return err
	}
	it := dict.AutomatonIterator(nil, nil, nil)
	for n := 0; ; n++ {
		if err := poll(ctx, n); err != nil {
			return err
		}
		e, err := it.Next()
		if err != nil || e == nil {
			return err
		}
		docs, err := postings(dict, e.Term, nil)
		if err != nil {
			return fmt.Errorf("the postings of %q: %w", e.Term, err)
		}
		if err := f(e.Term, docs); err != nil {
			return err
		}
	}
}
