package indexer

import (
	"cmp"
	"context"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"
)

// A slot is one place of a phrase: any of the terms, at the offset from the
// phrase's beginning.
type slot struct {
	terms  []string
	offset uint64
	docs   uint64 // how many documents have any of the terms

	readers []places // of the segment that is being read
	at      []uint64 // room for positions
}

// places walks the occurrences of one term in a segment.
type places struct {
	segment.PostingsIterator
	at    segment.Posting // where it stands; nil before the first and at the end
	ended bool
}

// slots returns the slots of the tokens in the field, the rarest first, and the
// documents that have something for each.
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
		slots[i] = slot{terms: terms, offset: uint64(toks[i].offset), docs: docs.GetCardinality()}
		if found == nil {
			found = docs
		} else {
			found.And(docs)
		}
		if found.IsEmpty() {
			return nil, found, nil
		}
	}
	slices.SortStableFunc(slots, func(a, b slot) int { return cmp.Compare(a.docs, b.docs) })
	return slots, found, nil
}

// narrow returns those of the candidates that fit. Bleve's own phrase searcher
// takes time in the product of a document's occurrences, which one hostile
// message makes hours; what fits here takes time in their sum. Postings are read
// from the segments: of documents that are no candidates the engine skips the
// places, and none of them takes memory. fits gets numbers of the segment.
func (s *snapshot) narrow(ctx context.Context, field string, slots []slot, candidates *roaring.Bitmap, fits func(doc uint32) (bool, error)) (*roaring.Bitmap, error) {
	found := roaring.New()
	it := candidates.Iterator()
	for _, g := range s.segments {
		it.AdvanceIfNeeded(g.offset)
		if !it.HasNext() {
			break
		}
		if it.PeekNext() >= g.end() {
			continue
		}
		if err := open(slots, g, field); err != nil {
			return nil, err
		}
		for n := 0; it.HasNext() && it.PeekNext() < g.end(); n++ {
			if n%16 == 0 && ctx.Err() != nil { // a document may have a million places
				return nil, ctx.Err()
			}
			doc := it.Next()
			ok, err := fits(doc - g.offset)
			if err != nil {
				return nil, err
			}
			if ok {
				found.Add(doc)
			}
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

// open begins to read the postings of the slots in a segment.
func open(slots []slot, g segmentView, field string) error {
	dict, err := g.segment.Dictionary(field)
	if err != nil {
		return err
	}
	for i := range slots {
		k := &slots[i]
		k.readers = k.readers[:0]
		for _, term := range k.terms {
			// Documents that are deleted are no candidates, so nothing is to be left
			// out; the engine moves faster that way.
			list, err := dict.PostingsList([]byte(term), nil, nil)
			if err != nil {
				return err
			}
			if list.Count() > 0 {
				k.readers = append(k.readers, places{PostingsIterator: list.Iterator(true, false, true, nil)})
			}
		}
	}
	return nil
}

// positions returns, ascending, the positions of the slot's terms in doc less
// offset, each once; they are good until the next call. Documents must be asked
// for in ascending order.
func (k *slot) positions(doc uint32, offset uint64) ([]uint64, error) {
	at := k.at[:0]
	for i := range k.readers {
		r := &k.readers[i]
		found, err := r.move(uint64(doc))
		if err != nil {
			return nil, err
		}
		if found {
			at = readPlaces(at, r.at)
		}
	}
	k.at = at
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

// move goes to the document and reports whether the term is in it.
func (p *places) move(doc uint64) (bool, error) {
	if p.ended {
		return false, nil
	}
	if p.at == nil || p.at.Number() < doc {
		var err error
		if p.at, err = p.Advance(doc); err != nil || p.at == nil {
			p.ended = true
			return false, err
		}
	}
	return p.at.Number() == doc, nil
}
