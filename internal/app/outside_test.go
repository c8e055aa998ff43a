package app

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/catalog"
)

// TestHeldUnder: a query folds case, so matters that differ by it alone are both
// meant; what is released holds nothing.
func TestHeldUnder(t *testing.T) {
	t.Parallel()
	k, err := catalog.Open(filepath.Join(t.TempDir(), "c"), catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeOK(t, k)
	var all []mail.Record
	for i, h := range []mail.Hold{
		{Matter: "Doe", Mailboxes: []string{"A"}}, {Matter: "DOE", Mailboxes: []string{"b"}}, {Matter: "doe", Mailboxes: []string{"c"}},
		{Matter: "doe", Released: true}, {Matter: "other", Mailboxes: []string{"d"}},
	} {
		h.Reason = "r"
		all = append(all, mail.Record{
			ID: mail.ID{Seq: uint64(i)}, Next: uint64(i) + 1, Time: time.Unix(1, 0), Kind: mail.KindEvent,
			Event: &mail.Event{Type: mail.EventHold, Hold: &h},
		})
	}
	if err := k.Apply(all); err != nil {
		t.Fatal(err)
	}
	n, err := heldUnder(k, query.Exact{Name: "hold", Value: "doe"})
	if err != nil {
		t.Fatal(err)
	}
	boxes := map[string]bool{}
	or, _ := n.(query.Or)
	for _, part := range or {
		if e, ok := part.(query.Exact); ok {
			boxes[e.Value] = true
		}
	}
	if len(boxes) != 2 || !boxes["a"] || !boxes["b"] {
		t.Errorf("doe holds the mailboxes %v", boxes)
	}
	if n, err := heldUnder(k, query.Exact{Name: "hold", Value: "nothing"}); n != nil || err != nil {
		t.Errorf("a matter that is unknown: %v, %v", n, err)
	}
}
