package indexer

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// How relevance is counted: BM25 (Robertson and Zaragoza, "The Probabilistic
// Relevance Framework: BM25 and Beyond", 2009), for each word of the query in each
// field by itself, weighted by the field, and added up.
//
// How rare a word is, is asked of all shards of the partition once, for the first
// page; the token of a page carries it on. So a document has the same score on
// every page, whatever is indexed meanwhile. The usual length of a field is a
// constant and not the average, for the same reason. Lengths are known to an eighth;
// see lengthClass.
const (
	bm25K = 1.2
	bm25B = 0.5 // long mail is not worse mail: half of what is usual for web pages
)

// fieldWeights are the weight of a word in a field, and the usual length of it.
var fieldWeights = map[string]struct{ weight, length float64 }{
	fieldSubject: {3, 6}, fieldFileName: {2, 3}, fieldFrom: {2, 5}, fieldTo: {1, 8}, fieldCc: {0.5, 8}, fieldBcc: {0.5, 8},
	fieldOther: {0.5, 10}, fieldBody: {1, 150}, fieldAttachment: {0.7, 500},
}

// A scored word is one of a query, in the fields that it is asked for in.
type scored struct {
	fields []string
	token  queryToken
	weight float64 // how rare it is
}

// scoredOf returns the words of a query that count, each once. What is negated does
// not, nor does what is no text.
func scoredOf(n query.Node) []scored {
	var out []scored
	seen := map[string]bool{}
	for _, s := range wantedOf(n).sequences {
		for _, k := range s.toks {
			k.offset = 0
			if key := fmt.Sprint(s.field, k); !seen[key] {
				seen[key] = true
				out = append(out, scored{fields: textFields(s.field), token: k})
			}
		}
	}
	return out
}

// A score is the place of a hit by relevance.
type score struct {
	value float64
	rank
}

// compare orders the better, then the newer behind.
func (a score) compare(b score) int {
	return cmp.Or(cmp.Compare(a.value, b.value), a.rank.compare(b.rank))
}

// relevant is what the token of a page by relevance says: the last hit of the page,
// and how rare the words are.
type relevant struct {
	score
	weights []float64
}

// token writes r: 16 digits for each number, and an order key.
func (r relevant) token() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%016x%s", math.Float64bits(r.value), r.rank.key())
	for _, w := range r.weights {
		fmt.Fprintf(&b, "%016x", math.Float64bits(w))
	}
	return b.String()
}

// readRelevant reads a token of a query with so many words that count.
func readRelevant(token string, words int) (*relevant, error) {
	if len(token) != 16+orderKeySize+16*words {
		return nil, mail.Errorf(mail.Invalid, "no page of this query")
	}
	r := &relevant{weights: make([]float64, words)}
	var err error
	if r.value, err = readFloat(token[:16]); err != nil {
		return nil, err
	}
	if r.rank, err = rankOf(token[16 : 16+orderKeySize]); err != nil {
		return nil, err
	}
	for i := range r.weights {
		at := 16 + orderKeySize + 16*i
		if r.weights[i], err = readFloat(token[at : at+16]); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func readFloat(digits string) (float64, error) {
	b, err := hex.DecodeString(digits)
	if err != nil {
		return 0, mail.Errorf(mail.Invalid, "%q is no number", digits)
	}
	n, err := strconv.ParseUint(hex.EncodeToString(b), 16, 64)
	if v := math.Float64frombits(n); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
		return v, nil
	}
	return 0, mail.Errorf(mail.Invalid, "%q is no number", digits)
}

// fillBest puts the hits of the page into a, the most relevant first.
func fillBest(ctx context.Context, a *mail.SearchAnswer, all []asked, w wantedPage) error {
	behind := score{value: math.Inf(1), rank: rank{seconds: math.MaxUint64}}
	if w.behind != nil {
		behind = w.behind.score
		for i := range w.words {
			w.words[i].weight = w.behind.weights[i]
		}
	} else if err := weigh(ctx, all, w.words); err != nil {
		return err
	}
	type place struct {
		score
		shard int
	}
	var top []place
	for i, s := range all {
		if s.found == nil || s.found.Tally().Total == 0 {
			continue
		}
		best, err := s.found.Best(ctx, w.words, behind, w.limit+1)
		if err != nil {
			return halfWay(err)
		}
		for _, b := range best {
			top = append(top, place{b, i})
		}
	}
	slices.SortFunc(top, func(a, b place) int { return b.score.compare(a.score) })
	more := len(top) > w.limit
	top = top[:min(len(top), w.limit)]
	keys := make([]hitKey, len(top))
	for i, t := range top {
		keys[i] = hitKey{t.rank.key(), t.shard}
	}
	var err error
	if a.Hits, err = read(ctx, all, keys); err != nil {
		return err
	}
	for i, t := range top {
		a.Hits[i].Score = t.value
		a.Hits[i].After = relevant{t.score, weights(w.words)}.token()
	}
	if more {
		a.Next = a.Hits[len(top)-1].After
	}
	return nil
}

func weights(words []scored) []float64 {
	out := make([]float64, len(words))
	for i, w := range words {
		out[i] = w.weight
	}
	return out
}

// weigh sets how rare the words are among all documents.
func weigh(ctx context.Context, all []asked, words []scored) error {
	have, docs := make([]uint64, len(words)), uint64(0)
	for _, s := range all {
		if s.found == nil {
			continue
		}
		n, some, err := s.found.Frequencies(ctx, words)
		if err != nil {
			return halfWay(err)
		}
		docs += n
		for i := range some {
			have[i] += some[i]
		}
	}
	for i := range words {
		words[i].weight = math.Log(1 + (float64(docs-have[i])+0.5)/(float64(have[i])+0.5))
	}
	return nil
}

// Frequencies implements Found.
func (f *finding) Frequencies(ctx context.Context, words []scored) (docs uint64, have []uint64, err error) {
	have = make([]uint64, len(words))
	err = f.engine.sane(func() error {
		every, err := f.snap.all(ctx)
		if err != nil {
			return err
		}
		docs = every.GetCardinality()
		for i, w := range words {
			with := roaring.New()
			for _, field := range w.fields {
				terms, err := f.snap.terms(ctx, field, &w.token)
				if err != nil {
					return err
				}
				some, err := f.snap.any(ctx, field, terms)
				if err != nil {
					return err
				}
				with.Or(some)
			}
			have[i] = with.GetCardinality()
		}
		return nil
	})
	return docs, have, err
}

// Best implements Found.
func (f *finding) Best(ctx context.Context, words []scored, behind score, limit int) ([]score, error) {
	top := ranking{behind: behind, limit: limit}
	err := f.engine.sane(func() error {
		terms, err := f.snap.termsOf(ctx, words)
		if err != nil {
			return err
		}
		return f.snap.inSegments(ctx, f.docs, func(g segmentView, it roaring.IntPeekable) error {
			values, err := g.scores(ctx, terms)
			if err != nil {
				return err
			}
			column, err := f.snap.orderOf(ctx, g)
			if err != nil {
				return err
			}
			for n := 0; it.HasNext() && it.PeekNext() < g.end(); n++ {
				if err := poll(ctx, n); err != nil {
					return err
				}
				doc := it.Next() - g.offset
				top.offer(score{values[doc], column.rank(doc)})
			}
			return nil
		})
	})
	slices.SortFunc(top.scores, func(a, b score) int { return b.compare(a) })
	return top.scores, err
}

// A weighedTerm is a term of a field, and what an occurrence counts.
type weighedTerm struct {
	field, term string
	weight      float64
}

func (s *snapshot) termsOf(ctx context.Context, words []scored) ([]weighedTerm, error) {
	var out []weighedTerm
	for _, w := range words {
		for _, field := range w.fields {
			terms, err := s.terms(ctx, field, &w.token)
			if err != nil {
				return nil, err
			}
			for _, t := range terms {
				out = append(out, weighedTerm{field, t, w.weight})
			}
		}
	}
	return out, nil
}

// scores returns the score of each document of the segment.
func (g segmentView) scores(ctx context.Context, terms []weighedTerm) ([]float64, error) {
	out := make([]float64, g.count)
	for _, t := range terms {
		dict, err := g.segment.Dictionary(t.field)
		if err != nil {
			return nil, err
		}
		list, err := dict.PostingsList([]byte(t.term), g.deleted, nil)
		if err != nil {
			return nil, err
		}
		it := list.Iterator(true, true, false, nil)
		for n := 0; ; n++ {
			if err := poll(ctx, n); err != nil {
				return nil, err
			}
			p, err := it.Next()
			if err != nil {
				return nil, err
			}
			if p == nil {
				break
			}
			out[p.Number()] += t.value(p)
		}
	}
	return out, nil
}

// value is what the term counts in one document.
func (t weighedTerm) value(p segment.Posting) float64 {
	f := fieldWeights[t.field]
	often := float64(termCount(p.Frequency()))
	length := float64(fieldLength(p.Norm()))
	return f.weight * t.weight * often * (bm25K + 1) / (often + bm25K*(1-bm25B+bm25B*length/f.length))
}

// fieldLength returns about how many tokens a field has. The engine gives one over
// the root of what AnalyzedLength returned.
func fieldLength(norm float64) int {
	if norm <= 0 {
		return 1
	}
	class := int(math.Round(1 / (norm * norm)))
	if class < 16 {
		return max(class, 1)
	}
	e := class/8 - 1
	return (class - 8*e) << min(e, 32)
}

// A ranking collects the best scores behind one: a heap with the worst on top.
type ranking struct {
	behind score
	limit  int
	scores []score
}

func (r *ranking) offer(s score) {
	if s.compare(r.behind) >= 0 {
		return
	}
	switch {
	case len(r.scores) < r.limit:
		heap.Push(r, s)
	case s.compare(r.scores[0]) > 0:
		r.scores[0] = s
		heap.Fix(r, 0)
	}
}

func (r *ranking) Len() int           { return len(r.scores) }
func (r *ranking) Less(i, j int) bool { return r.scores[i].compare(r.scores[j]) < 0 }
func (r *ranking) Swap(i, j int)      { r.scores[i], r.scores[j] = r.scores[j], r.scores[i] }
func (r *ranking) Push(s any)         { r.scores = append(r.scores, s.(score)) }
func (r *ranking) Pop() any {
	last := r.scores[len(r.scores)-1]
	r.scores = r.scores[:len(r.scores)-1]
	return last
}
