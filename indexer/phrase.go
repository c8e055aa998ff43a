package indexer

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	index "github.com/blevesearch/bleve_index_api"
)

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

// slots returns the slots of the tokens in the field, and the documents that
// have something for each.
func (s *snapshot) slots(ctx context.Context, field string, toks []queryToken) ([]slot, *roaring.Bitmap, error) {
	var found *roaring.Bitmap
	slots := make([]slot, len(toks))
	for i := range toks {
		terms, err := s.terms(ctx, field, &toks[i])
		if err != nil {
			return nil, nil, err
		}
		docs, err := s.any(ctx, field, terms)
		if err != nil {
			return nil, nil, err
		}
		if found == nil {
			found = docs
		} else {
			found.And(docs)
		}
		if found.IsEmpty() {
			return nil, found, nil
		}
		slots[i] = slot{terms: terms, offset: uint64(toks[i].offset)}
	}
	return slots, found, nil
}

// narrow returns those of the candidates that fit. Bleve's own phrase searcher
// takes time in the product of a document's occurrences, which one hostile
// message makes hours; what fits here takes time in their sum. The caller closes
// the slots.
func (s *snapshot) narrow(ctx context.Context, field string, slots []slot, candidates *roaring.Bitmap, fits func(doc uint32) (bool, error)) (*roaring.Bitmap, error) {
	for i := range slots {
		if err := slots[i].open(ctx, s, field); err != nil {
			return nil, err
		}
	}
	found := roaring.New()
	for it := candidates.Iterator(); it.HasNext(); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		doc := it.Next()
		ok, err := fits(doc)
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
		at, err := slots[i].positions(doc, slots[i].offset)
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

// together reports whether doc has all slots, in any order, with at most distance
// words between the first and the last beside theirs. A word that is asked for
// twice must be there twice.
func together(slots []slot, doc uint32, distance int) (bool, error) {
	var marks []spot
	need := make([]int, len(slots)) // by the first slot of the same terms
	for i := range slots {
		first := slices.IndexFunc(slots, func(s slot) bool { return slices.Equal(s.terms, slots[i].terms) })
		if need[first]++; first < i {
			continue
		}
		at, err := slots[i].positions(doc, 0)
		if err != nil {
			return false, err
		}
		for _, pos := range at {
			marks = append(marks, spot{pos, i})
		}
	}
	slices.SortFunc(marks, func(a, b spot) int { return cmp.Compare(a.pos, b.pos) })
	return within(marks, need, uint64(distance+len(slots)-1)), nil
}

// A spot is a place of a slot.
type spot struct {
	pos  uint64
	slot int
}

// within reports whether some marks, which ascend, are no further apart than
// span and have each slot as often as needed.
func within(marks []spot, need []int, span uint64) bool {
	missing := 0
	for _, n := range need {
		missing += n
	}
	have, from := make([]int, len(need)), 0
	for _, m := range marks {
		for ; m.pos-marks[from].pos > span; from++ {
			s := marks[from].slot
			if have[s]--; have[s] < need[s] {
				missing++
			}
		}
		if have[m.slot]++; have[m.slot] <= need[m.slot] {
			missing--
		}
		if missing == 0 {
			return true
		}
	}
	return false
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
// offset, each once. Documents must be asked for in ascending order.
func (k *slot) positions(doc uint32, offset uint64) ([]uint64, error) {
	var at []uint64
	id := index.NewIndexInternalID(nil, uint64(doc))
	for _, r := range k.readers {
		found, err := r.move(id)
		if err != nil {
			return nil, err
		}
		if found {
			at = readPlaces(at, r.at)
		}
	}
	if len(k.readers) > 1 {
		slices.Sort(at)
		at = slices.Compact(at)
	}
	out := at[:0]
	for _, pos := range at {
		if pos > offset {
			out = append(out, pos-offset)
		}
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
