package indexer

import (
	"context"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
)

// What a search finds in a range of positions is what it finds at all, cut to the range.
func TestSince(t *testing.T) {
	t.Parallel()
	l := plantedMail(300)
	x, _ := sharded(t, l, 70)
	for _, q := range []string{"third", "", "-third", "nothing at all"} {
		all := walk(t, x, l, mail.SearchRequest{Query: q, Limit: 50})
		for _, r := range [][2]uint64{{0, 300}, {0, 1}, {65, 75}, {100, 100}, {140, 210}, {299, 300}} {
			var want []mail.ID
			for _, h := range all {
				if h.ID.Seq >= r[0] && h.ID.Seq < r[1] {
					want = append(want, h.ID)
				}
			}
			total, hits, err := x.Since(t.Context(), mail.SearchRequest{Query: q}, r[0], r[1], 20)
			if err != nil || total != uint64(len(want)) || len(hits) != min(20, len(want)) {
				t.Fatalf("%q in %v: %d, %d hits, error %v; want %d", q, r, total, len(hits), err, len(want))
			}
			for i, h := range hits {
				if h.ID != want[i] {
					t.Errorf("%q in %v: hit %d is %s, want %s", q, r, i, h.ID, want[i])
				}
			}
		}
	}
	if _, _, err := x.Since(t.Context(), mail.SearchRequest{Query: "x"}, 0, 301, 5); mail.KindOf(err) != mail.Temporary {
		t.Errorf("beyond the index: %v", err)
	}
	if _, _, err := x.Since(t.Context(), mail.SearchRequest{Query: "wo*rd", Strict: true}, 0, 300, 5); mail.KindOf(err) != mail.Invalid {
		t.Errorf("a query that cannot be read: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := x.Since(ctx, mail.SearchRequest{Query: "x"}, 0, 300, 5); err == nil {
		t.Error("an answer after the end")
	}
}
