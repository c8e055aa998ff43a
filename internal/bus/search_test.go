package bus_test

import (
	"context"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/bus"
	"github.com/mailkeep/mailkeep/mail"
)

func TestSearchService(t *testing.T) {
	onEach(t, func(t *testing.T, o bus.Options) {
		b := start(t, o)
		_, err := b.Search(within(t), 0, mail.SearchRequest{Query: "x"})
		wantKind(t, err, mail.Temporary)
		if hint := mail.HintOf(err); !strings.Contains(hint, "index role") {
			t.Errorf("hint %q", hint)
		}
		stop, err := b.ServeSearch(t.Context(), 0, func(_ context.Context, r mail.SearchRequest) (mail.SearchAnswer, error) {
			if r.Query == "bad" {
				return mail.SearchAnswer{}, mail.WithHint(mail.Errorf(mail.Invalid, "bad query"), "another one")
			}
			return mail.SearchAnswer{Query: r.Query, Total: 7, Hits: []mail.Hit{{ID: mail.ID{Seq: 3}, Subject: "Grüße"}}, Next: "n"}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		a, err := b.Search(within(t), 0, mail.SearchRequest{Query: "a b", Limit: 1})
		if err != nil || a.Query != "a b" || a.Total != 7 || a.Next != "n" || len(a.Hits) != 1 || a.Hits[0].Subject != "Grüße" || a.Hits[0].ID.Seq != 3 {
			t.Errorf("%+v, %v", a, err)
		}
		_, err = b.Search(within(t), 0, mail.SearchRequest{Query: "bad"})
		wantKind(t, err, mail.Invalid)
		if mail.HintOf(err) != "another one" {
			t.Errorf("hint %q", mail.HintOf(err))
		}
	})
}

// A page that outgrows the payload comes with fewer hits, and goes on behind
// them.
func TestSearchPageTooLarge(t *testing.T) {
	b := start(t, embedded(t))
	text := strings.Repeat("s", 1<<20)
	stop, err := b.ServeSearch(t.Context(), 0, func(_ context.Context, r mail.SearchRequest) (mail.SearchAnswer, error) {
		a := mail.SearchAnswer{Total: 100, Hits: make([]mail.Hit, r.Limit)}
		for i := range a.Hits {
			a.Hits[i].Subject = text
		}
		return a, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	a, err := b.Search(within(t), 0, mail.SearchRequest{Limit: 40})
	if err != nil || len(a.Hits) != 5 || a.Total != 100 {
		t.Errorf("%d of %d hits, %v", len(a.Hits), a.Total, err)
	}
}
