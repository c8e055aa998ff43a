package indexer

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/mailkeep/mailkeep/mail"
)

// A column holds a value for each document of a segment, by its number there.
// A segment never changes, so its columns are made once, when they are first
// needed, and are good for as long as the segment is.
//
// There are two kinds: the order column, from which pages are sorted, and
// ordinal columns of keyword fields, from which facets are counted.

// columns keeps the columns of the segments of an engine.
type columns struct {
	mu       sync.Mutex
	order    map[uint64]*orderColumn // by segment id
	ordinals map[ordinalKey]*Ordinals
}

// An orderColumn holds the order keys of a segment in 8 octets each.
type orderColumn struct {
	base    uint64   // the least seconds
	seconds []uint32 // less base
	seqs    []uint32 // less the first position
	first   uint64
	far     map[uint32]uint64 // seconds less base of documents whose number takes more than 32 bits
}

// A rank is an order key as numbers.
type rank struct{ seconds, seq uint64 }

func (a rank) compare(b rank) int {
	return cmp.Or(cmp.Compare(a.seconds, b.seconds), cmp.Compare(a.seq, b.seq))
}

func (a rank) key() string { return fmt.Sprintf("%010x%016x", a.seconds, a.seq) }

// rankOf reads an order key.
func rankOf(key string) (rank, error) {
	if len(key) == orderKeySize {
		seconds, errDate := strconv.ParseUint(key[:10], 16, 64)
		seq, errSeq := strconv.ParseUint(key[10:], 16, 64)
		if errDate == nil && errSeq == nil {
			return rank{seconds, seq}, nil
		}
	}
	return rank{}, mail.Errorf(mail.Corrupt, "%q is not an order key", key)
}

func (c *orderColumn) rank(doc uint32) rank {
	seconds := uint64(c.seconds[doc])
	if c.seconds[doc] == math.MaxUint32 {
		seconds = c.far[doc]
	}
	return rank{c.base + seconds, c.first + uint64(c.seqs[doc])}
}

// orderOf returns the order column of a segment of the snapshot.
func (s *snapshot) orderOf(ctx context.Context, g segmentView) (*orderColumn, error) {
	c := &s.engine.columns
	c.mu.Lock()
	have := c.order[g.id]
	c.mu.Unlock()
	if have != nil {
		return have, nil
	}
	made, err := makeOrder(ctx, g.segment)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.order == nil {
		c.order = map[uint64]*orderColumn{}
	}
	c.order[g.id] = made
	return made, nil
}

// forget drops the columns of segments that the snapshot, a new one, does not
// have any more.
func (c *columns) forget(s *snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keep := map[uint64]bool{}
	for _, g := range s.segments {
		keep[g.id] = true
	}
	for id := range c.order {
		if !keep[id] {
			delete(c.order, id)
		}
	}
	for k := range c.ordinals {
		if !keep[k.segment] {
			delete(c.ordinals, k)
		}
	}
}

// makeOrder reads the order keys of a segment's documents, those that are
// deleted included.
func makeOrder(ctx context.Context, seg segment.Segment) (*orderColumn, error) {
	ranks, err := readRanks(ctx, seg)
	if err != nil || len(ranks) == 0 {
		return &orderColumn{}, err
	}
	c := &orderColumn{
		seconds: make([]uint32, len(ranks)), seqs: make([]uint32, len(ranks)),
		base:  slices.MinFunc(ranks, rank.compare).seconds,
		first: slices.MinFunc(ranks, func(a, b rank) int { return cmp.Compare(a.seq, b.seq) }).seq,
	}
	for doc, r := range ranks {
		if r.seq-c.first > math.MaxUint32 {
			return nil, mail.Errorf(mail.Corrupt, "a segment of the index holds the positions %d and %d", c.first, r.seq)
		}
		c.seqs[doc] = uint32(r.seq - c.first)
		if d := r.seconds - c.base; d < math.MaxUint32 {
			c.seconds[doc] = uint32(d)
			continue
		}
		if c.far == nil {
			c.far = map[uint32]uint64{}
		}
		c.seconds[doc], c.far[uint32(doc)] = math.MaxUint32, r.seconds-c.base
	}
	return c, nil
}

func readRanks(ctx context.Context, seg segment.Segment) ([]rank, error) {
	values, ok := seg.(segment.DocValueVisitable)
	if !ok {
		return nil, mail.Errorf(mail.Corrupt, "a %T has no columns", seg)
	}
	pads, err := seg.DocNumbers([]string{padding})
	if err != nil {
		return nil, err
	}
	ranks := make([]rank, seg.Count())
	var state segment.DocVisitState
	var bad error
	for doc := range ranks {
		if err := poll(ctx, doc); err != nil {
			return nil, err
		}
		if pads.Contains(uint32(doc)) { // it is deleted: any rank will do
			ranks[doc] = ranks[max(0, doc-1)]
			continue
		}
		bad = mail.Errorf(mail.Corrupt, "document %d of a segment has no order key", doc)
		state, err = values.VisitDocValues(uint64(doc), []string{fieldOrder}, func(_ string, term []byte) {
			ranks[doc], bad = rankOf(string(term))
		}, state)
		if err = errors.Join(err, bad); err != nil {
			return nil, err
		}
	}
	return ranks, nil
}

// newest returns the order keys of the documents that are less than before, or
// of all if that is empty; newest first, at most limit.
func (s *snapshot) newest(ctx context.Context, docs *roaring.Bitmap, before string, limit int) ([]string, error) {
	top := page{limit: limit, before: rank{seconds: math.MaxUint64}}
	if before != "" {
		var err error
		if top.before, err = rankOf(before); err != nil {
			return nil, err
		}
	}
	// Later documents are newer, mostly: from the last to the first, few of those
	// that come after the first page's worth of them are taken.
	it := docs.ReverseIterator()
	doc, more := nextOf(it)
	for i := len(s.segments) - 1; i >= 0 && more; i-- {
		g := s.segments[i]
		if doc < g.offset {
			continue
		}
		column, err := s.orderOf(ctx, g)
		if err != nil {
			return nil, err
		}
		for n := 0; more && doc >= g.offset; n++ {
			if err := poll(ctx, n); err != nil {
				return nil, err
			}
			top.offer(column.rank(doc - g.offset))
			doc, more = nextOf(it)
		}
	}
	return top.keys(), nil
}

// nextOf returns the next document, and false if there is none.
func nextOf(it roaring.IntIterable) (doc uint32, more bool) {
	if !it.HasNext() {
		return 0, false
	}
	return it.Next(), true
}

// A page collects the newest ranks below one: a heap with the oldest on top.
type page struct {
	before rank
	limit  int
	ranks  []rank
}

func (p *page) offer(r rank) {
	if r.compare(p.before) >= 0 {
		return
	}
	switch {
	case len(p.ranks) < p.limit:
		heap.Push(p, r)
	case p.limit > 0 && r.compare(p.ranks[0]) > 0:
		p.ranks[0] = r
		heap.Fix(p, 0)
	}
}

func (p *page) keys() []string {
	slices.SortFunc(p.ranks, func(a, b rank) int { return b.compare(a) })
	out := make([]string, len(p.ranks))
	for i, r := range p.ranks {
		out[i] = r.key()
	}
	return out
}

func (p *page) Len() int           { return len(p.ranks) }
func (p *page) Less(i, j int) bool { return p.ranks[i].compare(p.ranks[j]) < 0 }
func (p *page) Swap(i, j int)      { p.ranks[i], p.ranks[j] = p.ranks[j], p.ranks[i] }
func (p *page) Push(r any)         { p.ranks = append(p.ranks, r.(rank)) }
func (p *page) Pop() any {
	last := p.ranks[len(p.ranks)-1]
	p.ranks = p.ranks[:len(p.ranks)-1]
	return last
}
