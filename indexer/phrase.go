package indexer

import (
	"context"
	"errors"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	index "github.com/blevesearch/bleve_index_api"
)

// tokens returns the documents in which the tokens stand in the field at their
// distances.
func (s *snapshot) tokens(ctx context.Context, field string, toks []queryToken) (*roaring.Bitmap, error) {
	var found *roaring.Bitmap
	slots := make([]slot, len(toks))
	for i, k := range toks {
		terms := []string{k.term}
		if k.prefix {
			var err error
			if terms, err = s.expand(ctx, field, k.term); err != nil {
				return nil, err
			}
		}
		docs, err := s.any(ctx, field, terms)
		if err != nil {
			return nil, err
		}
		if found == nil {
			found = docs
		} else {
			found.And(docs)
		}
		slots[i] = slot{terms: terms, offset: uint64(k.offset)}
	}
	if len(toks) == 1 || found.IsEmpty() {
		return found, nil
	}
	return s.inOrder(ctx, field, slots, found)
}

// A slot is one place of a phrase: any of the terms, at the offset from the
// phrase's beginning.
type slot struct {
	terms   []string
	offset  uint64
	readers []*places
}

// places walks the occurrences of one term.
type places struct {
	index.TermFieldReader
	at *index.TermFieldDoc // where it stands; nil at the end
}

// inOrder returns those of the candidates in which the slots line up. Bleve's
// own phrase searcher takes time in the product of a document's occurrences,
// which one hostile message makes hours; this takes time in their sum.
func (s *snapshot) inOrder(ctx context.Context, field string, slots []slot, candidates *roaring.Bitmap) (found *roaring.Bitmap, err error) {
	defer func() {
		for i := range slots {
			err = errors.Join(err, slots[i].close())
		}
	}()
	for i := range slots {
		if err := slots[i].open(ctx, s, field); err != nil {
			return nil, err
		}
	}
	found = roaring.New()
	for it := candidates.Iterator(); it.HasNext(); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		doc := it.Next()
		ok, err := lineUp(slots, doc)
		if err != nil {
			return nil, err
		}
		if ok {
			found.Add(doc)
		}
	}
	return found, nil
}

// lineUp reports whether doc has a place where all slots stand in order.
func lineUp(slots []slot, doc uint32) (bool, error) {
	var begins []uint64 // where the phrase may begin, counted from its first slot
	for i := range slots {
		at, err := slots[i].positions(doc)
		if err != nil {
			return false, err
		}
		if i == 0 {
			begins = at
			continue
		}
		if begins = intersect(begins, at); len(begins) == 0 {
			return false, nil
		}
	}
	return len(begins) > 0, nil
}

// intersect keeps the values of a that are in b; both ascend.
func intersect(a, b []uint64) []uint64 {
	out := a[:0]
	for _, v := range a {
		for len(b) > 0 && b[0] < v {
			b = b[1:]
		}
		if len(b) > 0 && b[0] == v {
			out = append(out, v)
		}
	}
	return out
}

func (k *slot) open(ctx context.Context, s *snapshot, field string) error {
	for _, term := range k.terms {
		r, err := s.r.TermFieldReader(ctx, []byte(term), field, true, false, true)
		if err != nil {
			return err
		}
		k.readers = append(k.readers, &places{TermFieldReader: r, at: &index.TermFieldDoc{}})
	}
	return nil
}

func (k *slot) close() error {
	var err error
	for _, r := range k.readers {
		err = errors.Join(err, r.Close())
	}
	return err
}

// positions returns, ascending, the positions of the slot's terms in doc less
// its offset. Documents must be asked for in ascending order.
func (k *slot) positions(doc uint32) ([]uint64, error) {
	var out []uint64
	id := index.NewIndexInternalID(nil, uint64(doc))
	for _, r := range k.readers {
		found, err := r.move(id)
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		for _, v := range r.at.Vectors {
			if v.Pos > k.offset {
				out = append(out, v.Pos-k.offset)
			}
		}
	}
	if !slices.IsSorted(out) {
		slices.Sort(out)
	}
	return out, nil
}

// move goes to the document and reports whether the term is in it. It never
// asks the engine to go back, which would begin anew.
func (p *places) move(id index.IndexInternalID) (bool, error) {
	if p.at == nil {
		return false, nil
	}
	if len(p.at.ID) == 0 || p.at.ID.Compare(id) < 0 {
		var err error
		// The engine keeps the id of the document it is given: not to be reused.
		if p.at, err = p.Advance(id, &index.TermFieldDoc{Vectors: p.at.Vectors}); err != nil || p.at == nil {
			return false, err
		}
	}
	return p.at.ID.Equals(id), nil
}
