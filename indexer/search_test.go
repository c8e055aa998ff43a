package indexer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// An oracle answers queries by looking at every message, with rules of its own
// for what a word is.
type oracle struct {
	l    *fakeLedger
	msgs map[uint64]*mail.Message
}

func newOracle(t testing.TB, l *fakeLedger) *oracle {
	o := &oracle{l: l, msgs: map[uint64]*mail.Message{}}
	for _, r := range l.records {
		if !r.Searchable() {
			continue
		}
		m, err := l.message(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		o.msgs[r.ID.Seq] = m
	}
	return o
}

func (o *oracle) find(t testing.TB, q string) []uint64 {
	parsed, err := query.Parse(q, query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var out []uint64
	for seq, m := range o.msgs {
		if parsed.Root == nil || o.matches(o.l.records[seq], m, parsed.Root) {
			out = append(out, seq)
		}
	}
	slices.SortFunc(out, func(a, b uint64) int {
		return cmp.Or(o.msgs[b].DateHeader.Compare(o.msgs[a].DateHeader), cmp.Compare(b, a))
	})
	return out
}

func (o *oracle) matches(r mail.Record, m *mail.Message, n query.Node) bool {
	switch n := n.(type) {
	case query.And:
		return !slices.ContainsFunc(n, func(k query.Node) bool { return !o.matches(r, m, k) })
	case query.Or:
		return slices.ContainsFunc(n, func(k query.Node) bool { return o.matches(r, m, k) })
	case query.Not:
		return !o.matches(r, m, n.Node)
	case query.Has:
		return len(m.Parts) > 0
	case query.Date:
		d := m.DateHeader
		return (n.From.IsZero() || !d.Before(n.From)) && (n.To.IsZero() || d.Before(n.To))
	case query.Size:
		if n.Name == "larger" {
			return r.Delivery.Size > n.Octets
		}
		return r.Delivery.Size < n.Octets
	case query.Exact:
		return n.Name == "mailbox" && strings.EqualFold(n.Value, r.Delivery.Mailbox)
	case query.Field:
		return o.fieldMatches(r, m, n)
	}
	return anyText(n, texts(m)...)
}

func (o *oracle) fieldMatches(r mail.Record, m *mail.Message, f query.Field) bool {
	lists := map[string][]mail.Address{"from": m.From, "to": m.To, "cc": m.Cc, "bcc": m.Bcc}
	switch f.Name {
	case "subject":
		return anyText(f.Node, m.Subject)
	case "filename":
		return anyText(f.Node, fileNames(m.Parts)...)
	}
	text, as := literal(f.Node)
	for _, a := range lists[f.Name] {
		switch {
		case strings.HasPrefix(text, "@"):
			_, domain, _ := strings.Cut(a.Addr, "@")
			if strings.HasSuffix("."+domain, "."+text[1:]) && domain != "" {
				return true
			}
		case strings.Contains(text, "@"):
			if a.Addr == text || as == begins && strings.HasPrefix(a.Addr, text) {
				return true
			}
		case anyText(f.Node, addressTexts([]mail.Address{a})...):
			return true
		}
	}
	return false
}

func texts(m *mail.Message) []string {
	out := []string{m.Subject, m.Text}
	for _, list := range [][]mail.Address{m.From, m.To, m.Cc, m.Bcc} {
		out = append(out, addressTexts(list)...)
	}
	for _, p := range m.Parts {
		out = append(out, p.FileName, p.Text)
	}
	return out
}

// anyText reports whether n, a word, phrase or prefix, is in one of the texts.
func anyText(n query.Node, texts ...string) bool {
	text, as := literal(n)
	want := " " + strings.Join(simpleWords(text), " ")
	if as != begins {
		want += " "
	}
	return slices.ContainsFunc(texts, func(s string) bool {
		return strings.Contains(" "+strings.Join(simpleWords(s), " ")+" ", want)
	})
}

var simpleFold = strings.NewReplacer("ö", "o", "ü", "u", "ß", "ss", "é", "e", "ï", "i", "č", "c")

func simpleWords(s string) []string {
	return strings.FieldsFunc(simpleFold.Replace(strings.ToLower(s)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

func TestEveryOperatorAgainstBruteForce(t *testing.T) {
	t.Parallel()
	l := corpus(600, 7)
	x := indexed(t, l)
	o := newOracle(t, l)
	for _, q := range append(operatorQueries(), randomQueries(sample(300, 50))...) {
		want, got := o.find(t, q), find(t, x, l, q)
		if !slices.Equal(want, got) {
			t.Errorf("%s: %d hits, want %d; (-want +got):\n%s", q, len(got), len(want), gocmp.Diff(want, got))
		}
	}
}

// sample returns all, or few under the race detector.
func sample(all, few int) int {
	if underRace {
		return few
	}
	return all
}

func operatorQueries() []string {
	return []string{
		"", "invoice", "INVOICE", "isenbock", "Isenböck", "strasse", "straße", "zurich", "cafe naive",
		"e-mail", "don't", "3.14", "the of", "nosuchword", "-invoice", "-nosuchword", "NOT the NOT of",
		"invoice OR report", "(invoice OR report) -budget", "-(the OR of)", "-(the of)", `"the annual report"`,
		`"of the"`, `"the the"`, `"and the and"`, `-"of the"`, `"isenbock müller"`, `"don't report"`, "inv*", "invoices*", "isen*", "e-ma*",
		"from:anna", "from:ANNA", "from:berg", `from:"Anna Berg"`, `from:"berg anna"`, "from:anna@example.org", "from:anna@example",
		"from:@example.org", "from:@mail.example.org", "from:@org", "to:@example.com", "to:bob", "cc:muller", "bcc:sales", "from:mue*", "from:bob.mue*",
		"from:anna@ex*", "from:undisclosed", "from:(anna OR bob)", "-from:anna", "subject:report", `subject:"annual report"`, "subject:inv*",
		"mailbox:sales", "mailbox:Board", "mailbox:board", `mailbox:"sales east"`, "mailbox:east", "has:attachment", "-has:attachment",
		"filename:invoice", "filename:pdf", "filename:rep*", `filename:"report 3 pdf"`, "filename:report-3.pdf",
		"before:2026", "after:2026", "on:2026", "before:2026-05", "after:2026-05", "on:2026-05", "before:2026-05-17", "after:2026-05-17",
		"on:2024-01-01", "after:2024 before:2034", "after:1970 before:2999", "before:1000", "after:9999", "-on:2026",
		"larger:0", "larger:1024", "smaller:1024", "larger:1023 smaller:1025", "larger:1M", "smaller:1M", "larger:10M", "larger:100G", "smaller:0", "-larger:1k",
	}
}

func randomQueries(n int) []string {
	r := rand.New(rand.NewPCG(11, 3))
	leaves := operatorQueries()[1:] // without the empty one
	out := make([]string, n)
	for i := range out {
		var parts []string
		for range 2 + r.IntN(3) {
			leaf := pick(r, leaves)
			if strings.Contains(leaf, "OR") {
				leaf = "(" + leaf + ")"
			}
			parts = append(parts, leaf, pick(r, []string{" ", " OR ", " AND ", " -"}))
		}
		out[i] = strings.Join(parts[:len(parts)-1], "")
	}
	return out
}

func TestHitsShowWhatWasIndexed(t *testing.T) {
	t.Parallel()
	l := newLedger()
	date := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	r := l.add("sales", &mail.Message{
		Subject: "Quarterly figures", From: people[:1], To: people[:2], Size: 4321, DateHeader: date,
		Text:  "The figures are attached.",
		Parts: []mail.Part{{Role: mail.RoleAttachment, FileName: "figures.csv", TextStatus: mail.TextOK, Text: "42"}},
	})
	x := indexed(t, l)
	a, err := x.Search(t.Context(), mail.SearchRequest{Query: "Figures 42"}, l.Size(), l.message)
	if err != nil {
		t.Fatal(err)
	}
	want := mail.SearchAnswer{
		Query: "Figures 42", Understood: "Figures 42", Total: 1,
		Coverage: mail.Coverage{Cursors: []mail.Cursor{{Position: 1, Size: 1}}, Complete: true},
		Hits: []mail.Hit{{
			ID: r.ID, Mailbox: "sales", Date: date, Sealed: r.Time, Subject: "Quarterly figures", From: "Anna Berg <anna@example.org>",
			To: "Anna Berg <anna@example.org>, Bob Müller <bob.mueller@mail.example.org>", Size: 4321, Attachments: []string{"figures.csv"}, Thread: new(mail.ID{}),
			Snippets: []mail.Fragment{
				{Field: "subject", Text: "Quarterly figures", Marks: [][2]int{{10, 17}}},
				{Field: "body", Text: "The figures are attached.", Marks: [][2]int{{4, 11}}},
				{Field: "figures.csv", Text: "figures.csv", Marks: [][2]int{{0, 7}}},
			},
		}},
	}
	want.Fingerprint = a.Fingerprint // see TestResultSet
	want.Hits[0].After = orderKey(a.Hits[0].Date, a.Hits[0].ID.Seq)
	if d := gocmp.Diff(want, a); d != "" {
		t.Errorf("answer (-want +got):\n%s", d)
	}
}

func TestCoverage(t *testing.T) {
	t.Parallel()
	l := newLedger()
	part := func(s mail.TextStatus) *mail.Message {
		return &mail.Message{Subject: "minutes", From: people[:1], DateHeader: epoch, Text: "x",
			Parts: []mail.Part{{Role: mail.RoleAttachment, FileName: "a.bin", TextStatus: s}}}
	}
	l.add("sales", part(mail.TextEncrypted))
	l.add("sales", part(mail.TextUnsupported))
	l.add("board", part(mail.TextTruncated))
	l.add("board", part(mail.TextOK))
	bad := l.add("board", part(mail.TextOK))
	l.rawErr[bad.ID.Seq] = mail.Errorf(mail.Corrupt, "bad sector")
	x := indexed(t, l)
	all := map[mail.TextStatus]uint64{mail.TextEncrypted: 1, mail.TextUnsupported: 1, mail.TextTruncated: 1, mail.TextFailed: 1}
	for q, want := range map[string]map[mail.TextStatus]uint64{
		"":                      all,
		"anything":              all, // it may be in what could not be read
		"-anything":             all,
		"minutes":               all,
		"mailbox:sales secret":  {mail.TextEncrypted: 1, mail.TextUnsupported: 1},
		"mailbox:board -secret": {mail.TextTruncated: 1, mail.TextFailed: 1},
		"mailbox:nobody secret": nil,
		"from:anna secret":      all,
		"-from:anna secret":     {mail.TextFailed: 1}, // of the others the sender is known
		"subject:other":         {mail.TextFailed: 1},
		"filename:secret":       {mail.TextFailed: 1, mail.TextEncrypted: 1},
		"on:2030 secret":        {mail.TextFailed: 1},
		"larger:1G secret":      nil,
	} {
		a, err := x.Search(t.Context(), mail.SearchRequest{Query: q}, l.Size(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := gocmp.Diff(want, a.Coverage.Partly); d != "" {
			t.Errorf("%q: partly (-want +got):\n%s", q, d)
		}
	}
	a, err := x.Search(t.Context(), mail.SearchRequest{}, 9, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c := a.Coverage; c.Complete || c.Cursors[0] != (mail.Cursor{Position: 5, Size: 9}) {
		t.Errorf("coverage of 5 in 9 records: %+v", c)
	}
	if got := find(t, x, l, "mailbox:board"); !slices.Contains(got, bad.ID.Seq) {
		t.Errorf("the unreadable message is not found by its mailbox: %v", got)
	}
}

func TestOneTextIsNoPhraseWithTheNext(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.add("a", &mail.Message{Subject: "red green", Text: "blue", From: []mail.Address{{Name: "black"}, {Name: "white"}}})
	x := indexed(t, l)
	for q, want := range map[string]int{`"red green"`: 1, `"green blue"`: 0, `"green black"`: 0, `from:"black white"`: 0, "green blue black": 1} {
		if got := find(t, x, l, q); len(got) != want {
			t.Errorf("%s: %d hits, want %d", q, len(got), want)
		}
	}
}

func TestScriptsWithoutSpaces(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.add("a", &mail.Message{Text: "明日の会議は東京です。ABC商事"})
	l.add("a", &mail.Message{Text: "京都の会社"})
	x := indexed(t, l)
	for q, want := range map[string][]uint64{
		"会議": {0}, "京": {1, 0}, "東京": {0}, "京都": {1}, "会社": {1}, "社": {1}, "東都": nil, "会": {1, 0},
		"東京です": {0}, `"京 都"`: {1}, `"京 会"`: nil, "abc商事": {0}, "です": {0}, "す": {0}, "商事ABC": nil, "会議は*": {0},
	} {
		if got := find(t, x, l, q); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", q, got, want)
		}
	}
}

func TestWordsWithoutLettersArePassedOver(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.add("a", &mail.Message{Text: "hello"})
	x := indexed(t, l)
	for _, q := range []string{"!!!", "hello !!!", "-!!!", "nothing OR hello -!!!"} {
		a, err := x.Search(t.Context(), mail.SearchRequest{Query: q}, 1, nil)
		if err != nil || a.Total != 1 || len(a.Warnings) != 1 {
			t.Errorf("%q: total %d, warnings %v, error %v", q, a.Total, a.Warnings, err)
		}
	}
}

func TestPagesAreRefused(t *testing.T) {
	t.Parallel()
	x := openIndex(t, t.TempDir())
	for _, req := range []mail.SearchRequest{
		{Limit: -1}, {Limit: MaxLimit + 1}, {After: "x"}, {After: strings.Repeat("z", orderKeySize)}, {Query: "larger:abc"},
	} {
		if _, err := x.Search(t.Context(), req, 0, nil); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%+v: error %v, want an invalid one", req, err)
		}
	}
}

func TestPagesStayWhileTheIndexGrows(t *testing.T) {
	t.Parallel()
	l := newLedger()
	for i := range 50 {
		l.add("a", &mail.Message{Text: "word", DateHeader: epoch.AddDate(0, 0, i%7)})
	}
	x := indexed(t, l)
	before := find(t, x, l, "word")
	first, err := x.Search(t.Context(), mail.SearchRequest{Query: "word", Limit: 10}, l.Size(), nil)
	if err != nil {
		t.Fatal(err)
	}
	l.add("a", &mail.Message{Text: "word", DateHeader: epoch.AddDate(1, 0, 0)})
	catchUp(t, x, l)
	second, err := x.Search(t.Context(), mail.SearchRequest{Query: "word", Limit: 10, After: first.Next}, l.Size(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for _, h := range append(first.Hits, second.Hits...) {
		got = append(got, h.ID.Seq)
	}
	if !slices.Equal(got, before[:20]) {
		t.Errorf("two pages %v, want %v", got, before[:20])
	}
}

func TestHostileQueriesAreBounded(t *testing.T) {
	t.Parallel()
	l := newLedger()
	var b strings.Builder
	for i := range 3 * maxExpansion {
		fmt.Fprintf(&b, "abc%d ", i)
	}
	l.add("a", &mail.Message{Text: b.String()})
	l.add("a", &mail.Message{Text: strings.Repeat("a ", maxText/2)})
	x := indexed(t, l)
	_, err := x.Search(t.Context(), mail.SearchRequest{Query: "abc*"}, 2, nil)
	if mail.KindOf(err) != mail.Invalid || mail.HintOf(err) == "" {
		t.Errorf("a prefix of too many words: error %v, hint %q", err, mail.HintOf(err))
	}
	if got := find(t, x, l, "abc12*"); len(got) != 1 {
		t.Errorf("a prefix of few words: %v", got)
	}
	for q, want := range map[string]int{
		`"a a a a a a a a"`: 1, `"a a a a a a a b"`: 0, strings.Repeat(`"a a a a" `, 32): 1, strings.Repeat("abc99* -a ", 16): 1,
	} {
		if got := find(t, x, l, q); len(got) != want {
			t.Errorf("%.30s: %d hits, want %d", q, len(got), want)
		}
	}
}

func TestSearchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	l := corpus(50, 3)
	x := indexed(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := x.Search(ctx, mail.SearchRequest{Query: "the"}, 1, nil)
	if mail.KindOf(err) != mail.Temporary || !errors.Is(err, context.Canceled) || mail.HintOf(err) == "" {
		t.Errorf("error %v", err)
	}
	// No place is free: the search waits for one no longer than its context.
	for range cap(x.searches) {
		x.searches <- struct{}{}
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := x.Search(ctx, mail.SearchRequest{Query: "the"}, 1, nil); mail.KindOf(err) != mail.Temporary {
		t.Errorf("error %v", err)
	}
	for range cap(x.searches) {
		<-x.searches
	}
	if got := find(t, x, l, "the"); len(got) == 0 {
		t.Error("nothing found after the places were free again")
	}
}
