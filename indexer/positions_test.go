package indexer

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// TestPositions wants all that searches find page by page, in the order of the
// ledger.
func TestPositions(t *testing.T) {
	t.Parallel()
	l := corpus(120, 7)
	x := indexed(t, l)
	for _, text := range []string{"", "from:anna", "-from:anna", "has:attachment", "thread:0-3", "nothingofthiskind"} {
		q, err := query.Parse(text, query.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := x.Positions(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var want []uint64
		for r := (mail.SearchRequest{Query: text, Limit: 50}); ; {
			a, err := x.Search(t.Context(), r, l.Size(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range a.Hits {
				want = append(want, h.ID.Seq)
			}
			if r.After = a.Next; r.After == "" {
				break
			}
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", text, diff)
		}
	}
	q, err := query.Parse("hold:none", query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Positions(t.Context(), q); mail.KindOf(err) != mail.Invalid {
		t.Errorf("a field that nobody knows: %v", err)
	}
}
