package indexer

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
)

// TestClasses: each delivery is found by the class of its own record, be it a
// reference or unreadable, and what has none by class:none.
func TestClasses(t *testing.T) {
	t.Parallel()
	l := newLedger()
	add := func(class string, r mail.Record, body string) mail.Record {
		d := delivery("sales", 10)
		d.Class = mail.Class{Name: class, Years: 6}
		if class == "" {
			d.Class = mail.Class{}
		}
		r.Delivery = d
		l.mu.Lock()
		if r.Kind == mail.KindMessage {
			l.raws[uint64(len(l.records))] = []byte(body)
		}
		l.mu.Unlock()
		return l.append(r)
	}
	message := mail.Record{Kind: mail.KindMessage}
	first := add("tax", message, `{"text":"one invoice"}`)
	add("", message, `{"text":"two invoices"}`)
	add("default", mail.Record{Kind: mail.KindReference, Of: first.ID}, "")
	lost := add("tax", message, "")
	l.rawErr[lost.ID.Seq] = mail.Errorf(mail.Corrupt, "damaged")
	add("tax-2", message, `{"text":"three"}`)
	x := openIndex(t, t.TempDir())
	catchUp(t, x, l)
	for q, want := range map[string][]uint64{
		"class:tax": {3, 0}, "class:TAX": {3, 0}, "class:none": {1}, "class:default": {2}, "-class:tax": {4, 2, 1}, "class:ta": nil,
		"class:(tax OR tax-2)": {4, 3, 0}, "invoice class:tax": {0}, "class:none class:tax": nil,
	} {
		var got []uint64
		for _, h := range walk(t, x, l, mail.SearchRequest{Query: q}) {
			got = append(got, h.ID.Seq)
		}
		if d := gocmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", q, d)
		}
	}
	if a := answerOf(t, x, l, mail.SearchRequest{Query: "class:none"}); len(a.Coverage.Partly) != 0 {
		t.Errorf("of class:none %v could not be read: the class of what is unreadable is known", a.Coverage.Partly)
	}
	a := answerOf(t, x, l, mail.SearchRequest{Facets: []string{"class"}, Count: true})
	want := []mail.Facet{{Name: "class", Distinct: 4, Values: []mail.FacetValue{{Value: "tax", Count: 2}, {Value: "default", Count: 1}, {Value: "none", Count: 1}, {Value: "tax-2", Count: 1}}}}
	if d := gocmp.Diff(want, a.Facets); d != "" {
		t.Errorf("counted (-want +got):\n%s", d)
	}

	x.mu.Lock()
	x.serving.format = classFormat - 1
	x.mu.Unlock()
	for _, q := range []string{"class:none", "invoice -class:tax"} {
		if _, err := x.Search(t.Context(), mail.SearchRequest{Query: q}, l.Size(), nil); mail.KindOf(err) != mail.Temporary || mail.HintOf(err) == "" {
			t.Errorf("%s in an index that knows no classes: %v", q, err)
		}
	}
	if _, err := x.Search(t.Context(), mail.SearchRequest{Query: "invoice"}, l.Size(), nil); err != nil {
		t.Error(err)
	}
}
