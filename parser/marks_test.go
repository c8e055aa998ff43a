package parser_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

// TestMarks shows quotes as <q>, signatures as <s> in the text they belong to.
func TestMarks(t *testing.T) {
	t.Parallel()
	const head = "Subject: s\n"
	const page = "Content-Type: text/html; charset=utf-8\n\n"
	for name, tc := range map[string]struct{ in, want string }{
		"none":                      {head + "\nwords - and\n--\nmore > words\n", "words - and\n--\nmore > words"},
		"quoted lines":              {head + "\nhello\n> one\n>> two\n\n> three\nanswer\n", "hello\n<q>> one\n>> two\n\n> three</q>\nanswer"},
		"two quotes":                {head + "\n> one\nanswer\n > two\n", "<q>> one</q>\nanswer\n<q> > two</q>"},
		"signature":                 {head + "\nhello\n-- \nAnn\nExample\n", "hello\n<s>-- \nAnn\nExample</s>"},
		"signature over a quote":    {head + "\nhello\n-- \nAnn\n> old\n> -- \n> Bob\n", "hello\n<s>-- \nAnn\n</s><q>> old\n> -- \n> Bob</q>"},
		"ruler":                     {head + "\nhello\n-----Original Message-----\nFrom: a\nSent: b\nTo: c\n\nold\n", "hello\n<q>-----Original Message-----\nFrom: a\nSent: b\nTo: c\n\nold</q>"},
		"forwarded":                 {head + "\nFYI\n\n---------- Weitergeleitete Nachricht ---------\nVon: a\nDatum: b\nBetreff: c\n\nold\n", "FYI\n\n<q>---------- Weitergeleitete Nachricht ---------\nVon: a\nDatum: b\nBetreff: c\n\nold</q>"},
		"underscores":               {head + "\nhello\n________________________________\nFrom: a\nSent: b\nTo: c\nold\n", "hello\n<q>________________________________\nFrom: a\nSent: b\nTo: c\nold</q>"},
		"header without a ruler":    {head + "\nhello\n\n*From:* a\n*Sent:* b\n*To:* c\n\nold", "hello\n\n<q>*From:* a\n*Sent:* b\n*To:* c\n\nold</q>"},
		"one field is none":         {head + "\nFrom: here to there\nwe go\n", "From: here to there\nwe go"},
		"ruler with other words":    {head + "\n--- agenda ---\none\n", "--- agenda ---\none"},
		"quoted header in a quote":  {head + "\n> From: a\n> Sent: b\n> To: c\nx\n", "<q>> From: a\n> Sent: b\n> To: c</q>\nx"},
		"page":                      {page + "<p>hello</p><blockquote type=cite>old<blockquote>older</blockquote>old</blockquote>answer<br>-- <br>Ann", "hello\n\n<q>old\n\nolder\n\nold</q>\n\nanswer\n<s>--\nAnn</s>"},
		"page, open quote":          {page + "hello<blockquote> <b>old</b> mail", "hello\n\n<q>old mail</q>"},
		"page, empty quote":         {page + "<blockquote> </blockquote>hello</blockquote>", "hello"},
		"page, space in front":      {page + "&emsp;<blockquote>ä&emsp;old</blockquote>x", "<q>ä\u2003old</q>\n\nx"},
		"page, Outlook":             {page + "hello<div><b>From:</b> a<br><b>Sent:</b> b<br><b>To:</b> c</div><p>old</p>", "hello\n<q>From: a\nSent: b\nTo: c\n\nold</q>"},
		"alternative":               {multi("alternative", "x", "\nhello\n> old", page+"hello<blockquote>old</blockquote>"), "hello\n<q>> old</q>"},
		"text without words":        {multi("alternative", "x", "\n-", page+"hello<blockquote>old</blockquote>"), "hello\n\n<q>old</q>"},
		"second part":               {multi("mixed", "x", "\none\n> two", "\nthree\n> four"), "one\n<q>> two</q>\n\nthree\n<q>> four</q>"},
		"the tail ends at its part": {multi("mixed", "x", "\none\n-- \nAnn", "\nfooter"), "one\n<s>-- \nAnn</s>\n\nfooter"},
	} {
		m := parser.Parse([]byte(tc.in))
		if got := shownMarks(t, m); got != tc.want {
			t.Errorf("%s: %s", name, cmp.Diff(tc.want, got))
		}
	}
}

// TestMarksAreBounded: a text of nothing but changes keeps the first ones.
func TestMarksAreBounded(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("a\n> b\n", 100_000)
	m := parser.Parse([]byte("Subject: s\n\n" + body))
	if len(m.Marks) != 1000 {
		t.Errorf("%d marks", len(m.Marks))
	}
	if last := m.Marks[len(m.Marks)-1]; m.Text[last.From:last.To] != "> b" {
		t.Errorf("the last mark is of %q", m.Text[last.From:last.To])
	}
	if n := parser.WrittenMarks(body); n > 1001 {
		t.Errorf("%d marks were made", n)
	}
}

// shownMarks writes the marks of a message into its text, and holds that they
// are in order and within it.
func shownMarks(t *testing.T, m *mail.Message) string {
	t.Helper()
	var sb strings.Builder
	at := 0
	for _, k := range m.Marks {
		if k.From < at || k.To <= k.From || k.To > len(m.Text) {
			t.Fatalf("marks %v of a text of %d octets", m.Marks, len(m.Text))
		}
		letter := string(k.Kind[0])
		sb.WriteString(m.Text[at:k.From] + "<" + letter + ">" + m.Text[k.From:k.To] + "</" + letter + ">")
		at = k.To
	}
	return strings.ReplaceAll(sb.String()+m.Text[at:], "<q></q>", "")
}
