package app

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/indexer"
	"github.com/mailkeep/mailkeep/mail"
)

// A fakePart has hits of known scores, dates and senders.
type fakePart struct {
	number uint16
	hits   []mail.Hit
	facet  []mail.FacetValue
	err    error
	hang   bool
}

func (p *fakePart) ask(ctx context.Context, r mail.SearchRequest) (mail.SearchAnswer, error) {
	if p.hang {
		<-ctx.Done()
		return mail.SearchAnswer{}, mail.Errorf(mail.Temporary, "no answer: %w", ctx.Err())
	}
	if p.err != nil {
		return mail.SearchAnswer{}, p.err
	}
	from := slices.IndexFunc(p.hits, func(h mail.Hit) bool { return h.After == r.After }) + 1
	a := mail.SearchAnswer{
		Total: uint64(len(p.hits)), Groups: 2, Facets: []mail.Facet{{Name: "sender", Values: p.facet, Distinct: uint64(len(p.facet))}},
		Sets:     []mail.ResultSet{{Partition: p.number, Total: uint64(len(p.hits))}},
		Coverage: mail.Coverage{Complete: true, Cursors: []mail.Cursor{{Partition: p.number, Position: 9, Size: 9}}},
	}
	if r.Count {
		return a, nil
	}
	a.Hits = slices.Clone(p.hits[from:min(from+r.Limit, len(p.hits))])
	if end := from + len(a.Hits); end < len(p.hits) && end > 0 {
		a.Next = p.hits[end-1].After
	}
	return a, nil
}

func fakeParts(n int) ([]*fakePart, []searcher) {
	parts, all := []*fakePart{}, []searcher{}
	for i := range n {
		p := &fakePart{number: uint16(i), facet: []mail.FacetValue{{Value: fmt.Sprint("own", i), Count: 3}, {Value: "shared", Count: 2}}}
		for k := range 5 + i {
			p.hits = append(p.hits, mail.Hit{
				ID: mail.ID{Partition: p.number, Seq: uint64(k)}, Score: float64(100 - 7*k - i), After: fmt.Sprintf("%d-%d", i, k),
				Date: time.Date(2024, 1, 1+(k*5+i)%28, 0, 0, 0, 0, time.UTC),
			})
		}
		parts, all = append(parts, p), append(all, p.ask)
	}
	return parts, all
}

// Pages by relevance are one ranking over all partitions, and what is counted is added
// up.
func TestMergeByRelevance(t *testing.T) {
	_, all := fakeParts(3)
	r := mail.SearchRequest{Evidence: true, By: mail.ByRelevance, Limit: 4, Facets: []string{"sender"}, FacetValues: 2}
	var got []mail.Hit
	for {
		a, err := searchPartitions(t.Context(), all, r, 200, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		want := []mail.FacetValue{{Value: "shared", Count: 6}, {Value: "own0", Count: 3}}
		if a.Total != 18 || a.Groups != 6 || len(a.Sets) != 3 || a.Result != indexer.ResultOf(a.Sets, a.Coverage) || !a.Coverage.Complete ||
			!slices.Equal(a.Facets[0].Values, want) || a.Facets[0].Distinct != 4 || a.Facets[0].Off != 0 {
			t.Errorf("%+v", a)
		}
		got = append(got, a.Hits...)
		if r.After = a.Next; r.After == "" {
			break
		}
	}
	if len(got) != 18 || !slices.IsSortedFunc(got, func(a, b mail.Hit) int { return int(b.Score - a.Score) }) || got[0].After != "" {
		t.Errorf("%d hits: %+v", len(got), got)
	}
	r.Count = true
	if a, err := searchPartitions(t.Context(), all, r, 200, time.Minute); err != nil || len(a.Hits) != 0 || a.Total != 18 || a.Next != "" {
		t.Errorf("counted: %+v, %v", a, err)
	}
}

// A partition that fails or does not answer in time makes the answer partial, and
// another result.
func TestMergePartial(t *testing.T) {
	parts, all := fakeParts(3)
	whole, err := searchPartitions(t.Context(), all, mail.SearchRequest{Evidence: true}, 200, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	parts[0].err = mail.Errorf(mail.Temporary, "no process serves it")
	parts[2].hang = true
	a, err := searchPartitions(t.Context(), all, mail.SearchRequest{Evidence: true}, 200, 50*time.Millisecond)
	if err != nil || a.Total != 6 || len(a.Hits) != 6 || len(a.Coverage.Failed) != 2 || a.Coverage.Complete || a.Result == whole.Result {
		t.Errorf("%+v, %v", a, err)
	}
	parts[1].hang = true
	if _, err := searchPartitions(t.Context(), all, mail.SearchRequest{Evidence: true}, 200, 50*time.Millisecond); mail.KindOf(err) != mail.Temporary {
		t.Errorf("no partition answers: %v", err)
	}
}
