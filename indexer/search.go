package indexer

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	index "github.com/blevesearch/bleve_index_api"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// The limits of a page of hits.
const (
	DefaultLimit = 20
	MaxLimit     = 200
)

// Search answers req. Hits are ordered by effective date, newest first, and by
// position where dates are equal. size is the ledger's size, for the statement
// of coverage; text, unless nil, gives the messages that snippets are cut from,
// and a message that it cannot give goes without.
//
// It returns when ctx ends, at the latest. Errors: mail.Invalid for a query or
// page that cannot be read or asks for too much, mail.Temporary if the index is
// busy, being opened again, or ctx ended first.
func (x *Index) Search(ctx context.Context, req mail.SearchRequest, size uint64, text TextFunc) (mail.SearchAnswer, error) {
	asked, p, err := readRequest(req, x.opts.Now())
	if err != nil {
		return mail.SearchAnswer{}, err
	}
	q, err := asked.Resolve(x.outside(ctx))
	if err != nil {
		return mail.SearchAnswer{}, err
	}
	select {
	case x.searches <- struct{}{}:
	case <-ctx.Done():
		return mail.SearchAnswer{}, outOfTime(ctx.Err())
	}
	e, r, err := x.reader()
	if err != nil {
		<-x.searches
		return mail.SearchAnswer{}, err
	}
	var answer mail.SearchAnswer
	done := make(chan error, 1)
	go func() {
		defer func() { <-x.searches; x.running.Done() }()
		done <- e.read(r, func() (err error) {
			answer, err = x.answer(ctx, r, q, p, size)
			return err
		})
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err() // the goroutine sees it soon; what it does is not waited for
	}
	if err != nil {
		return mail.SearchAnswer{}, outOfTime(err)
	}
	describe(&answer, req, asked)
	x.addSnippets(ctx, answer.Hits, asked, text)
	return answer, nil
}

// outOfTime gives the end of a context a kind and a hint.
func outOfTime(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	return mail.WithHint(mail.Errorf(mail.Temporary, "the search did not end in time: %w", err),
		"narrow it, for example with mailbox: or after:")
}

// A page is where the hits wanted begin and how many they are.
type page struct {
	after string // the order key before it; empty for the first
	limit int
}

func readRequest(req mail.SearchRequest, now time.Time) (*query.Query, page, error) {
	q, err := readQuery(req, now)
	if err != nil {
		return nil, page{}, err
	}
	p := page{after: req.After, limit: req.Limit}
	switch {
	case p.limit < 0 || p.limit > MaxLimit:
		return nil, page{}, mail.Errorf(mail.Invalid, "a page has 1 to %d hits, not %d", MaxLimit, p.limit)
	case p.limit == 0:
		p.limit = DefaultLimit
	}
	if p.after != "" {
		if _, ok := seqOf(p.after); !ok {
			return nil, page{}, mail.Errorf(mail.Invalid, "%q does not name a page: give the value of next of the page before", p.after)
		}
	}
	return q, p, nil
}

// seqOf returns the position in an order key.
func seqOf(key string) (uint64, bool) {
	if len(key) != orderKeySize {
		return 0, false
	}
	_, errDate := strconv.ParseUint(key[:10], 16, 64)
	seq, errSeq := strconv.ParseUint(key[10:], 16, 64)
	return seq, errDate == nil && errSeq == nil
}

// reader takes a reader of the present state. The caller calls engine.read with
// it and then running.Done.
func (x *Index) reader() (*engine, index.IndexReader, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return nil, nil, mail.Errorf(mail.Other, "the index is closed")
	}
	if x.engine == nil || x.engine.poisoned() != nil {
		return nil, nil, mail.WithHint(mail.Errorf(mail.Temporary, "the index is being opened again after a fault"),
			"try again in a few seconds")
	}
	var r index.IndexReader
	err := guard(func() (err error) {
		r, err = x.engine.scorch.Reader()
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	x.running.Add(1)
	return x.engine, r, nil
}

// read runs f, which uses r, and closes r. A panic means that what is in memory
// or on disk is damaged: it poisons the engine.
func (e *engine) read(r index.IndexReader, f func() error) error {
	sound := false
	err := guard(func() error {
		err := errors.Join(f(), r.Close())
		sound = true
		return err
	})
	if !sound {
		e.fail(err)
	}
	return err
}

// answer makes everything of an answer but the snippets.
func (x *Index) answer(ctx context.Context, r index.IndexReader, q *query.Query, p page, size uint64) (mail.SearchAnswer, error) {
	position, err := readNumber(r, keyPosition)
	if err != nil {
		return mail.SearchAnswer{}, err
	}
	s := &snapshot{r: r}
	e := newEvaluator(s)
	found, err := e.matches(ctx, q, asIndexed)
	if err != nil {
		return mail.SearchAnswer{}, err
	}
	a := mail.SearchAnswer{Total: found.GetCardinality()}
	if a.Coverage.Partly, err = e.partly(ctx, q); err != nil {
		return mail.SearchAnswer{}, err
	}
	a.Coverage.Cursors = []mail.Cursor{{Partition: x.opts.Partition, Position: position, Size: max(size, position)}}
	a.Coverage.Complete = position >= size
	if a.Warnings, err = e.warned(q); err != nil {
		return mail.SearchAnswer{}, err
	}
	keys, more, err := s.newest(ctx, found, p)
	if err != nil {
		return mail.SearchAnswer{}, err
	}
	if more {
		a.Next = keys[len(keys)-1]
	}
	a.Hits, err = s.hits(keys)
	return a, err
}

// matches returns the documents of a query; one that asks for nothing matches
// all.
func (e *evaluator) matches(ctx context.Context, q *query.Query, as reading) (*roaring.Bitmap, error) {
	if q.Root != nil {
		if found, err := e.find(ctx, q.Root, as); found != nil || err != nil {
			return found, err
		}
	}
	return e.all(ctx)
}

// partly counts the documents in the scope of q that could not be fully read:
// those that q may match for all that is known of them. A document counts once
// for each of its statuses.
func (e *evaluator) partly(ctx context.Context, q *query.Query) (map[mail.TextStatus]uint64, error) {
	var scope *roaring.Bitmap
	var out map[mail.TextStatus]uint64
	for _, status := range partlyStatuses() {
		docs, err := e.snap.term(ctx, fieldStatus, string(status))
		if err != nil {
			return nil, err
		}
		if docs.IsEmpty() {
			continue
		}
		if scope == nil {
			if scope, err = e.matches(ctx, q, possible); err != nil {
				return nil, err
			}
		}
		if n := docs.AndCardinality(scope); n > 0 {
			if out == nil {
				out = map[mail.TextStatus]uint64{}
			}
			out[status] = n
		}
	}
	return out, nil
}

// newest returns the order keys of the page, newest first, and whether there
// are more behind them.
func (s *snapshot) newest(ctx context.Context, docs *roaring.Bitmap, p page) (keys []string, more bool, err error) {
	column, err := s.r.DocValueReader([]string{fieldOrder})
	if err != nil {
		return nil, false, err
	}
	top := make(oldestFirst, 0, p.limit+2)
	take := func(_ string, term []byte) {
		if p.after != "" && string(term) >= p.after || len(top) > p.limit && string(term) <= top[0] {
			return
		}
		heap.Push(&top, string(term))
		if len(top) > p.limit+1 {
			heap.Pop(&top)
		}
	}
	var id index.IndexInternalID
	n := 0
	for it := docs.Iterator(); it.HasNext(); n++ {
		if err := poll(ctx, n); err != nil {
			return nil, false, err
		}
		id = index.NewIndexInternalID(id, uint64(it.Next()))
		if err := column.VisitDocValues(id, take); err != nil {
			return nil, false, err
		}
	}
	slices.Sort(top)
	slices.Reverse(top)
	if more = len(top) > p.limit; more {
		top = top[:p.limit]
	}
	return top, more, nil
}

// oldestFirst is a heap of order keys with the oldest on top.
type oldestFirst []string

func (h oldestFirst) Len() int           { return len(h) }
func (h oldestFirst) Less(i, j int) bool { return h[i] < h[j] }
func (h oldestFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *oldestFirst) Push(k any)        { *h = append(*h, k.(string)) }
func (h *oldestFirst) Pop() any {
	last := len(*h) - 1
	k := (*h)[last]
	*h = (*h)[:last]
	return k
}

// hits reads the stored hits of the keys.
func (s *snapshot) hits(keys []string) ([]mail.Hit, error) {
	out := make([]mail.Hit, 0, len(keys))
	for _, k := range keys {
		seq, _ := seqOf(k)
		_, js, err := s.stored(docID(seq))
		if err != nil {
			return nil, err
		}
		var h mail.Hit
		if err := json.Unmarshal(js, &h); err != nil {
			return nil, mail.Errorf(mail.Corrupt, "document %d of the index: %w", seq, err)
		}
		out = append(out, h)
	}
	return out, nil
}

// stored returns the content hash and the hit of a document.
func (s *snapshot) stored(id string) (sum, hit []byte, err error) {
	d, err := s.r.Document(id)
	if err != nil {
		return nil, nil, err
	}
	var value []byte
	if d != nil {
		d.VisitFields(func(f index.Field) {
			if f.Name() == fieldHit {
				value = f.Value()
			}
		})
	}
	if len(value) < sumSize {
		return nil, nil, mail.Errorf(mail.Corrupt, "document %s of the index is not there as stored", id)
	}
	return value[:sumSize], value[sumSize:], nil
}

// addSnippets cuts the snippets of the hits, for as long as ctx lasts.
func (x *Index) addSnippets(ctx context.Context, hits []mail.Hit, q *query.Query, text TextFunc) {
	if text == nil {
		return
	}
	w := wantedOf(q.Root)
	for i := range hits {
		if ctx.Err() != nil {
			return
		}
		m, err := text(ctx, hits[i].ID)
		if err != nil {
			x.opts.Logger.Warn("no snippets for a hit", slog.String("id", hits[i].ID.String()), slog.Any("error", err))
			continue
		}
		hits[i].Snippets = snippets(m, w)
	}
}
