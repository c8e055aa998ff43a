package indexer

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
)

// plantedMail is a ledger whose messages are of known senders, months, file types,
// copies and threads.
func plantedMail(n int) *fakeLedger {
	l := newLedger()
	for i := range n {
		m := &mail.Message{
			Subject: fmt.Sprintf("topic%d", i%41), MessageID: fmt.Sprintf("%d@example.org", i),
			From:       []mail.Address{{Name: "Some One", Addr: fmt.Sprintf("p%d@d%d.example", i%13, i%5)}},
			DateHeader: epoch.AddDate(0, i%29, i%17).Add(23 * time.Hour),
			Text:       "common " + strings.Repeat("filler ", i%9),
		}
		if i%3 == 0 {
			m.Text += " third"
		}
		if i%4 == 0 {
			m.Copy = mail.DigestOf([]byte{byte(i % 24)})
		}
		if i >= 50 && i%2 == 0 {
			m.References = []string{fmt.Sprintf("%d@example.org", i%50)}
		}
		for k := range i % 3 {
			m.Parts = append(m.Parts, mail.Part{Role: mail.RoleAttachment, Type: "application/pdf", FileName: fmt.Sprintf("f%d.%s", k, []string{"pdf", "xls"}[i%2])})
		}
		if i%10 == 7 {
			m.Parts = append(m.Parts, mail.Part{Role: mail.RoleAttachment, TextStatus: mail.TextEncrypted})
		}
		l.add([]string{"Sales", "board", "east"}[i%3], m)
	}
	return l
}

// messages returns the messages of a ledger by position.
func messages(t testing.TB, l *fakeLedger) []*mail.Message {
	t.Helper()
	var out []*mail.Message
	for _, r := range l.records {
		m, err := l.message(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func answerOf(t testing.TB, x *Index, l *fakeLedger, req mail.SearchRequest) mail.SearchAnswer {
	t.Helper()
	a, err := x.Search(t.Context(), req, l.Size(), nil)
	if err != nil {
		t.Fatalf("%+v: %v", req, err)
	}
	return a
}

// walk returns the hits of all pages.
func walk(t testing.TB, x *Index, l *fakeLedger, req mail.SearchRequest) []mail.Hit {
	t.Helper()
	var out []mail.Hit
	for {
		a := answerOf(t, x, l, req)
		out = append(out, a.Hits...)
		if a.Next == "" {
			return out
		}
		req.After = a.Next
	}
}

func TestFacetsAreExact(t *testing.T) {
	t.Parallel()
	l := plantedMail(500)
	want := map[string]map[string]uint64{}
	count := func(facet, value string) {
		if want[facet] == nil {
			want[facet] = map[string]uint64{}
		}
		want[facet][value]++
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	total := uint64(0)
	for i, m := range messages(t, l) {
		if i%9 > 4 {
			continue
		}
		total++
		addr := m.From[0].Addr
		_, domain, _ := strings.Cut(addr, "@")
		count("sender", addr)
		count("domain", domain)
		count("mailbox", []string{"sales", "board", "east"}[i%3])
		count("class", "none")
		count("year", m.DateHeader.In(berlin).Format("2006"))
		count("month", m.DateHeader.In(berlin).Format("2006-01"))
		if i%3 > 0 {
			count("type", []string{"pdf", "xls"}[i%2])
		}
	}
	x, _ := sharded(t, l, 70)
	for _, values := range []int{3, 1000} {
		a := answerOf(t, x, l, mail.SearchRequest{Query: "some -\"filler filler filler filler filler\"", Facets: mail.FacetNames(), FacetValues: values, Zone: "Europe/Berlin", Count: true})
		if len(a.Hits) != 0 || a.Total != total {
			t.Errorf("%d hits, total %d, want %d", len(a.Hits), a.Total, total)
		}
		for _, f := range a.Facets {
			w := mail.Facet{Name: f.Name, Distinct: uint64(len(want[f.Name])), Values: mostFrequent(want[f.Name], values)}
			if d := gocmp.Diff(w, f); d != "" {
				t.Errorf("%s (-want +got):\n%s", f.Name, d)
			}
		}
	}
	// A message with two files of a type counts once.
	a := answerOf(t, x, l, mail.SearchRequest{Query: "has:pdf", Facets: []string{"type"}})
	if n := a.Facets[0].Values[0].Count + a.Facets[0].Values[1].Count; n != a.Total {
		t.Errorf("%d of %d messages by type: %+v", n, a.Total, a.Facets)
	}
}

func TestMergeFacets(t *testing.T) {
	t.Parallel()
	one := mail.Facet{Name: "sender", Distinct: 2, Values: []mail.FacetValue{{Value: "a", Count: 5}, {Value: "b", Count: 1}}}
	two := mail.Facet{Name: "sender", Distinct: 2, Values: []mail.FacetValue{{Value: "c", Count: 4}, {Value: "b", Count: 4}}}
	got := MergeFacets([][]mail.Facet{{one}, {two}}, 2)
	want := []mail.Facet{{Name: "sender", Distinct: 3, Values: []mail.FacetValue{{Value: "a", Count: 5}, {Value: "b", Count: 5}}}}
	if d := gocmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	two.Distinct = 9 // seven were not told
	if got := MergeFacets([][]mail.Facet{{one}, {two}}, 2); got[0].Off != 4 || got[0].Distinct != 9 {
		t.Errorf("%+v", got)
	}
	if got := MergeFacets([][]mail.Facet{{two}}, 0); got[0].Off != 0 || got[0].Distinct != 9 {
		t.Errorf("%+v", got)
	}
	if got := MergeFacets(nil, 0); got != nil {
		t.Errorf("%+v", got)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	l := plantedMail(500)
	x, _ := sharded(t, l, 70)
	all := messages(t, l)
	for group, key := range map[string]func(i int) string{
		mail.GroupCopy: func(i int) string {
			if i%4 == 0 {
				return all[i].Copy.String()[:2*hashSize]
			}
			return mail.ID{Seq: uint64(i)}.String()
		},
		mail.GroupThread: func(i int) string {
			if i >= 50 && i%2 == 0 {
				i %= 50
			}
			return mail.ID{Seq: uint64(i)}.String()
		},
	} {
		members, newest := map[string]uint64{}, map[string]uint64{}
		for i, m := range all {
			if i%3 != 0 {
				continue
			}
			k := key(i)
			members[k]++
			if best, ok := newest[k]; !ok || !m.DateHeader.Before(all[best].DateHeader) {
				newest[k] = uint64(i)
			}
		}
		req := mail.SearchRequest{Query: "third", Group: group, Limit: 7}
		if a := answerOf(t, x, l, req); a.Groups != uint64(len(members)) || a.Total != 167 {
			t.Errorf("%s: %d groups of %d hits, want %d", group, a.Groups, a.Total, len(members))
		}
		hits := walk(t, x, l, req)
		if len(hits) != len(members) {
			t.Errorf("%s: %d hits on all pages, want %d", group, len(hits), len(members))
		}
		for i, h := range hits {
			if h.Group.Members != members[h.Group.Key] || newest[h.Group.Key] != h.ID.Seq {
				t.Errorf("%s: %s stands for %+v, want %d members and %d", group, h.ID, h.Group, members[h.Group.Key], newest[h.Group.Key])
			}
			if i > 0 && hits[i-1].Date.Before(h.Date) {
				t.Errorf("%s: %s stands behind an older one", group, h.ID)
			}
		}
	}
}

// The order by relevance is that of the formula, worked out from the messages.
func TestRelevance(t *testing.T) {
	t.Parallel()
	l := newLedger()
	add := func(subject, text string) {
		l.add("sales", &mail.Message{Subject: subject, Text: text, DateHeader: epoch})
	}
	long := strings.Repeat("filler ", 400)
	add("nothing", "rare once")              // 0
	add("rare", "in the subject")            // 1
	add("nothing", "rare rare rare")         // 2
	add("nothing", "rare once in a "+long)   // 3
	add("nothing", "rare common together")   // 4
	add("-", "common and no more "+long[:9]) // 5
	for range 50 {
		add("noise", "common")
	}
	x, _ := sharded(t, l, 3)
	order := func(q string) []uint64 {
		var out []uint64
		for _, h := range walk(t, x, l, mail.SearchRequest{Query: q, By: mail.ByRelevance, Limit: 2}) {
			out = append(out, h.ID.Seq)
		}
		return out
	}
	if got, want := order("rare"), []uint64{1, 2, 0, 4, 3}; !slices.Equal(got, want) {
		t.Errorf("rare: %v, want %v", got, want)
	}
	if got := order("rare OR common"); len(got) != 56 || got[0] != 1 && got[0] != 4 {
		t.Errorf("rare OR common: %v", got)
	}
	a := answerOf(t, x, l, mail.SearchRequest{Query: "rare", By: mail.ByRelevance})
	have, docs := 5.0, 56.0
	idf := math.Log(1 + (docs-have+0.5)/(have+0.5))
	want := 3 * idf * (bm25K + 1) / (1 + bm25K*(1-bm25B+bm25B/6))
	if got := a.Hits[0].Score; math.Abs(got-want) > 1e-9 {
		t.Errorf("score %v, want %v", got, want)
	}
}

// Pages by relevance are those of one ranking, whatever is indexed between them.
func TestRelevancePagesAreStable(t *testing.T) {
	t.Parallel()
	l := plantedMail(300)
	x, _ := sharded(t, l, 70)
	req := mail.SearchRequest{Query: "common OR third OR topic*", By: mail.ByRelevance, Limit: 200}
	whole := walk(t, x, l, req)
	req.Limit = 19
	var got []mail.Hit
	for {
		a := answerOf(t, x, l, req)
		got = append(got, a.Hits...)
		if req.After = a.Next; req.After == "" {
			break
		}
		if len(got) == 38 { // what is rare is less so now
			for range 30 {
				l.add("east", &mail.Message{Text: "third", DateHeader: epoch.AddDate(-20, 0, 0)})
			}
			catchUp(t, x, l)
		}
	}
	seen := map[uint64]bool{}
	for i, h := range got {
		if seen[h.ID.Seq] {
			t.Errorf("%s is on two pages", h.ID)
		}
		seen[h.ID.Seq] = true
		if i > 0 && got[i-1].Score < h.Score {
			t.Errorf("%s stands behind one that counts less", h.ID)
		}
	}
	for _, h := range whole {
		if !seen[h.ID.Seq] {
			t.Errorf("%s is on no page", h.ID)
		}
	}
}

func TestPartlyLists(t *testing.T) {
	t.Parallel()
	l := plantedMail(300)
	x, _ := sharded(t, l, 70)
	for _, q := range []string{"third", "-third", "mailbox:board", "", "subject:topic3"} {
		plain := answerOf(t, x, l, mail.SearchRequest{Query: q})
		a := answerOf(t, x, l, mail.SearchRequest{Query: q, Partly: true})
		hits := walk(t, x, l, mail.SearchRequest{Query: q, Partly: true, Limit: 9})
		if n := plain.Coverage.Partly[mail.TextEncrypted]; a.Total != n || uint64(len(hits)) != n {
			t.Errorf("%q: %d listed, %d on all pages, of %d", q, a.Total, len(hits), n)
		}
		for _, h := range hits {
			if h.ID.Seq%10 != 7 || !slices.Equal(h.Partly, []mail.TextStatus{mail.TextEncrypted}) {
				t.Errorf("%q: %s %v", q, h.ID, h.Partly)
			}
		}
		if a.Fingerprint == plain.Fingerprint {
			t.Errorf("%q: two questions with one fingerprint", q)
		}
	}
}

// An answer can be repeated, on an index of other shards too, and shown equal; what
// changes it shows.
func TestResultSet(t *testing.T) {
	t.Parallel()
	l := plantedMail(300)
	one := indexed(t, l)
	x, _ := sharded(t, l, 70)
	req := mail.SearchRequest{Query: "third", Evidence: true}
	a, b := answerOf(t, one, l, req), answerOf(t, x, l, req)
	if a.Fingerprint != b.Fingerprint || a.Result != b.Result || a.Result.IsZero() || a.Fingerprint.IsZero() {
		t.Errorf("%s %s and %s %s", a.Fingerprint, a.Result, b.Fingerprint, b.Result)
	}
	var buf []byte
	for seq := uint64(0); seq < 300; seq += 3 {
		buf = binary.BigEndian.AppendUint64(buf, seq)
	}
	want := []mail.ResultSet{{Total: 100, Digest: mail.DigestOf(buf)}}
	if d := gocmp.Diff(want, a.Sets); d != "" {
		t.Error(d)
	}
	text := fmt.Sprintf("set 0 100 %s\nsearched 0 300\ncomplete true\n", want[0].Digest)
	if a.Result != mail.DigestOf([]byte(text)) {
		t.Errorf("the result does not stand for %q", text)
	}
	if c := answerOf(t, x, l, mail.SearchRequest{Query: "third"}); c.Fingerprint != a.Fingerprint || c.Sets != nil || !c.Result.IsZero() {
		t.Errorf("without being asked for: %v, %s, %s", c.Sets, c.Result, c.Fingerprint)
	}
	req.After = b.Next
	if c := answerOf(t, x, l, req); c.Result != a.Result || c.Fingerprint != a.Fingerprint {
		t.Error("the next page is of another answer")
	}
	l.add("east", &mail.Message{Text: "nothing"})
	catchUp(t, x, l)
	req.After = ""
	if c := answerOf(t, x, l, req); c.Result == a.Result || c.Sets[0] != a.Sets[0] {
		t.Errorf("after another message: %+v", c.Sets)
	}
}

func TestResultsRefuse(t *testing.T) {
	t.Parallel()
	l := plantedMail(5)
	x := indexed(t, l)
	page := answerOf(t, x, l, mail.SearchRequest{Query: "common", By: mail.ByRelevance, Limit: 1}).Next
	for _, req := range []mail.SearchRequest{
		{By: "size"}, {Group: "sender"}, {Facets: []string{"colour"}}, {By: mail.ByRelevance, Group: mail.GroupCopy},
		{FacetValues: -1}, {FacetValues: mail.MaxFacetValues + 1}, {By: mail.ByRelevance, After: "x"},
		{Query: "common third", By: mail.ByRelevance, After: page}, {Query: "common", After: page},
		{Query: "common", By: mail.ByRelevance, After: strings.Repeat("f", len(page))},
		{Query: "common", By: mail.ByRelevance, After: strings.Repeat("x", len(page))},
	} {
		if _, err := x.Search(t.Context(), req, l.Size(), nil); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%+v: %v", req, err)
		}
	}
}

func TestFieldLengthIsThatOfTheClass(t *testing.T) {
	t.Parallel()
	for n := 1; n < 1<<18; n += 1 + n/50 {
		norm := float64(float32(1 / math.Sqrt(float64(lengthClass(n)))))
		got := fieldLength(norm)
		if off := math.Abs(float64(got-n)) / float64(n); off > 0.125 {
			t.Fatalf("length %d is read as %d", n, got)
		}
	}
	if fieldLength(0) != 1 {
		t.Error("a field without a norm")
	}
}

// Each page of a long walk is cut from one order: no hit twice, none left out.
func TestWalkIsWhole(t *testing.T) {
	t.Parallel()
	l := plantedMail(400)
	x, _ := sharded(t, l, 50)
	hits := walk(t, x, l, mail.SearchRequest{Query: "common", Limit: 7})
	if len(hits) != 400 || !slices.IsSortedFunc(hits, func(a, b mail.Hit) int {
		return cmp.Or(b.Date.Compare(a.Date), cmp.Compare(b.ID.Seq, a.ID.Seq))
	}) {
		t.Errorf("%d hits", len(hits))
	}
}
