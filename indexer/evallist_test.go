package indexer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// TestListsOfValues: any of hundreds of mailboxes is what each of them has, in
// any place of a query, and so is what is not in them.
func TestListsOfValues(t *testing.T) {
	t.Parallel()
	l := newLedger()
	for i := range 300 {
		l.add(fmt.Sprintf("box%d", i), &mail.Message{Subject: fmt.Sprintf("subject w%d", i%7), Text: "hello", DateHeader: epoch})
	}
	x := indexed(t, l)
	boxes := func(n int, sep string) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("mailbox:box%d", i))
		}
		return "(" + strings.Join(out, sep) + ")"
	}
	for q, want := range map[string]uint64{
		boxes(250, " OR "):                                          250,
		boxes(query.MaxValues, " OR "):                              300,
		"-" + boxes(250, " OR "):                                    50,
		"w3 " + boxes(70, " OR "):                                   10,
		"w3 OR " + boxes(70, " OR "):                                70 + 33,
		boxes(2, " "):                                               0,
		"(mailbox:box1 OR mailbox:box1 OR lang:xx OR lang:yy)":      1,
		"(mailbox:box1 OR mailbox:none)":                            1,
		"hello (lang:xx OR mailbox:box1 OR w0 OR mailbox:box2)":     2 + 43,
		"(is:partial OR mailbox:box1 OR mailbox:box2) mailbox:box2": 1,
	} {
		got, err := x.Search(t.Context(), mail.SearchRequest{Query: q}, l.Size(), nil)
		if err != nil || got.Total != want {
			t.Errorf("%.60q: %d hits, want %d (error %v)", q, got.Total, want, err)
		}
	}
}
