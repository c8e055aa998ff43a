package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"reflect"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

func TestSearchForms(t *testing.T) {
	f := &fakeClient{answer: answer()}
	status, out, _ := execute(t, opens(f), "search", "--by", "relevance", "--facets", "sender,month", "--facets", "type", "--facet-values", "3", "--partly", "--count", "x")
	want := mail.SearchRequest{Query: "x", Limit: 20, By: "relevance", Facets: []string{"sender", "month", "type"}, FacetValues: 3, Partly: true, Count: true}
	if status != 0 || !reflect.DeepEqual(f.req, want) {
		t.Errorf("status %d, %+v", status, f.req)
	}
	if !strings.Contains(out, "120 messages") {
		t.Errorf("%s", out)
	}
	for _, args := range []string{
		"--by size", "--group sender", "--facets colour", "--facets sender,colour", "--json --csv", "--csv --count", "--csv --facets type",
		"--alert", "--save a --partly", "--save a --after tok",
		"--group copy --by relevance", "--facet-values -1", "--facet-values 1001", "--facet-values x",
	} {
		status, out, stderr := execute(t, opens(f), append([]string{"search", "x"}, strings.Fields(args)...)...)
		if status != 2 || out != "" || !strings.Contains(stderr, "mailkeep search --help") {
			t.Errorf("%s: status %d, %s", args, status, stderr)
		}
	}
}

// What mail says is one line and no formula, whatever it begins with; the rest of
// the answer is on standard error.
func TestSearchCSV(t *testing.T) {
	a := answer()
	a.Hits = nil
	texts := map[string]string{
		`=HYPERLINK("x")`: `'=HYPERLINK("x")`, "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'=1", " \r\n@x": "'@x",
		"＝1": "'＝1", "|cmd": "'|cmd", "plain": "plain", "a\r\nb\tc": "a  b c", `say "x", y`: `say "x", y`, "": "", "\x1b[31m": "\uFFFD[31m",
	}
	var order []string
	for text := range texts {
		order = append(order, text)
		a.Hits = append(a.Hits, mail.Hit{Subject: text, From: text, Mailbox: text, To: text, Attachments: []string{text, text},
			Group: &mail.Group{Key: "0-1", Members: 7}, Partly: []mail.TextStatus{mail.TextEncrypted, mail.TextFailed}, Score: 1.5})
	}
	status, out, stderr := execute(t, opens(&fakeClient{answer: a}), "search", "--csv", "x")
	if status != 0 || !strings.Contains(stderr, "NOT COMPLETE") || strings.Contains(out, "NOT COMPLETE") {
		t.Errorf("status %d, %s", status, stderr)
	}
	if n := strings.Count(out, "\n"); n != len(order)+1 {
		t.Errorf("%d lines for %d hits", n, len(order))
	}
	lines, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || !reflect.DeepEqual(lines[0], csvHeads) {
		t.Fatalf("%v %v", lines, err)
	}
	for i, line := range lines[1:] {
		if want := texts[order[i]]; line[6] != want || line[3] != want || line[4] != want || line[5] != want {
			t.Errorf("%q became %q, want %q", order[i], line, want)
		}
		if got := strings.Join(line[10:], "|"); got != "1.5|0-1|7|encrypted failed" {
			t.Errorf("%q", got)
		}
	}
}

func TestRenderResults(t *testing.T) {
	a := mail.SearchAnswer{
		Total: 9, Groups: 2, Hits: []mail.Hit{{Subject: "s", Group: &mail.Group{Key: "0-1", Members: 8}, Partly: []mail.TextStatus{mail.TextEncrypted}}},
		Facets: []mail.Facet{{Name: "sender", Distinct: 1234, Off: 2, Values: []mail.FacetValue{{Value: "a\x1b@example.org", Count: 5678}}}},
	}
	var out bytes.Buffer
	if err := renderAnswer(&out, a, style{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"group:    0-1, with 8 messages that match\n", "not read: encrypted\n", "1 of 9 messages\nin 2 groups\n",
		"by sender: 1,234 values\n       5,678  a\uFFFD@example.org\n    each may be up to 2 more",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, &out)
		}
	}
}

func TestSavedCommands(t *testing.T) {
	saved := []mail.SavedSearch{{Name: "offers", Query: "subject:offer \x1b", Zone: "+02:00", By: "ann", Alert: true}, {Name: "quiet", Query: "x"}}
	f := &fakeClient{answer: answer()}
	a := opens(f)
	var kept mail.SavedSearch
	dropped := ""
	a.SavedSearches = func(context.Context, *configs.Config) ([]mail.SavedSearch, error) { return saved, nil }
	a.SaveSearch = func(_ context.Context, _ *configs.Config, s mail.SavedSearch, _ app.Console) (mail.SavedSearch, error) {
		kept = s
		return s, nil
	}
	a.DropSearch = func(_ context.Context, _ *configs.Config, name string) error { dropped = name; return nil }
	status, out, _ := execute(t, a, "saved", "list")
	if status != 0 || strings.Contains(out, "\x1b") || !strings.Contains(out, "offers  yes") || !strings.Contains(out, "quiet   no") {
		t.Errorf("list: %d\n%s", status, out)
	}
	if status, _, _ := execute(t, a, "saved", "run", "offers", "--count"); status != 0 || f.req.Query != saved[0].Query || f.req.Zone != "+02:00" || !f.req.Count {
		t.Errorf("run: %d, %+v", status, f.req)
	}
	if status, _, _ := execute(t, a, "saved", "delete", "quiet"); status != 0 || dropped != "quiet" {
		t.Errorf("delete: %d, %q", status, dropped)
	}
	if status, _, _ := execute(t, a, "search", "--save", "mine", "--alert", "--zone", "+01:00", "a", "b"); status != 0 || kept.Name != "mine" || kept.Query != "a b" || !kept.Alert || kept.By == "" || kept.Zone != "+01:00" {
		t.Errorf("save: %d, %+v", status, kept)
	}
	for args, want := range map[string]int{"saved run": 2, "saved run none": 6, "saved delete": 2, "saved delete a b": 2, "saved list x": 2, "saved nothing": 2} {
		if status, _, _ := execute(t, a, strings.Fields(args)...); status != want {
			t.Errorf("%s: status %d, want %d", args, status, want)
		}
	}
}
