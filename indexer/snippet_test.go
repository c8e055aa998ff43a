package indexer

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

func snippetsOf(t testing.TB, q string, m *mail.Message) []mail.Fragment {
	t.Helper()
	parsed, err := query.Parse(q, query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return snippets(m, wantedOf(parsed.Root))
}

// marked writes the marks of fragments as brackets.
func marked(list []mail.Fragment) []string {
	var out []string
	for _, f := range list {
		var b strings.Builder
		at := 0
		for _, m := range f.Marks {
			b.WriteString(f.Text[at:m[0]] + "[" + f.Text[m[0]:m[1]] + "]")
			at = m[1]
		}
		out = append(out, f.Field+": "+b.String()+f.Text[at:])
	}
	return out
}

func TestSnippets(t *testing.T) {
	t.Parallel()
	m := &mail.Message{
		Subject: "Re: Annual report", Text: "The annual\r\nreport of Isenböck & Co.\x1b[31m An annual fair.",
		Parts: []mail.Part{{FileName: "annual.csv", Text: "report;1"}},
	}
	body := "The annual  report of Isenböck & Co. [31m An annual fair."
	for q, want := range map[string][]string{
		"annual":          {"subject: Re: [Annual] report", "body: The [annual]  report of Isenböck & Co. [31m An [annual] fair.", "annual.csv: [annual].csv"},
		`"annual report"`: {"subject: Re: [Annual report]", "body: The [annual  report] of Isenböck & Co. [31m An annual fair."},
		"isenbock":        {"body: The annual  report of [Isenböck] & Co. [31m An annual fair."},
		"isen* -annual":   {"body: The annual  report of [Isenböck] & Co. [31m An annual fair."},
		"subject:annual":  {"subject: Re: [Annual] report"},
		"filename:annual": {"annual.csv: [annual].csv"},
		"report OR csv":   {"subject: Re: Annual [report]", "body: The annual  [report] of Isenböck & Co. [31m An annual fair.", "annual.csv: annual.[csv]"},
		"nothing":         {"body: " + body},
		"mailbox:sales":   {"body: " + body},
		"":                {"body: " + body},
	} {
		if d := cmp.Diff(want, marked(snippetsOf(t, q, m))); d != "" {
			t.Errorf("%s (-want +got):\n%s", q, d)
		}
	}
	if got := snippetsOf(t, "x", &mail.Message{Subject: "s"}); len(got) != 0 {
		t.Errorf("a message without text: %v", got)
	}
}

func TestSnippetsOfALongText(t *testing.T) {
	t.Parallel()
	filler := strings.Repeat("lorem ipsum ", 100)
	m := &mail.Message{Text: filler + "first needle here " + filler + "second needle " + filler + "third needle"}
	got := marked(snippetsOf(t, "needle", m))
	if len(got) != perSection || !strings.Contains(got[0], "first [needle] here") || !strings.Contains(got[1], "second [needle]") {
		t.Errorf("%q", got)
	}
	for _, s := range got {
		if strings.HasPrefix(s, "body: orem") || strings.HasSuffix(s, "lor") {
			t.Errorf("a word is cut: %q", s)
		}
	}
}

func TestMarksOfScriptsWithoutSpaces(t *testing.T) {
	t.Parallel()
	m := &mail.Message{Text: "明日の会議は東京です"}
	for q, want := range map[string]string{
		"会議": "body: 明日の[会議]は東京です", "東京です": "body: 明日の会議は[東京です]", "京": "body: 明日の会議は東[京で]す",
	} {
		if got := marked(snippetsOf(t, q, m)); !cmp.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", q, got, want)
		}
	}
}

// FuzzSnippets checks that fragments are short and clean, and that their marks
// lie on characters, in order.
func FuzzSnippets(f *testing.F) {
	f.Add("needle", "a needle in "+strings.Repeat("häy ", 90))
	f.Add(`"a b" c*`, strings.Repeat("x", 400)+" a b cc")
	f.Add("日本", strings.Repeat("日本語", 100)+"\xff\x1b")
	f.Fuzz(func(t *testing.T, q, text string) {
		parsed, err := query.Parse(q, query.Options{})
		if err != nil {
			return
		}
		list := snippets(&mail.Message{Subject: text, Text: text, Parts: []mail.Part{{Text: text}}}, wantedOf(parsed.Root))
		if len(list) > maxFragments {
			t.Fatalf("%d fragments", len(list))
		}
		for _, f := range list {
			if len(f.Text) > fragmentSize || !utf8.ValidString(f.Text) || strings.ContainsAny(f.Text, "\x1b\r\n\x00") {
				t.Fatalf("fragment %q", f.Text)
			}
			at := 0
			for _, m := range f.Marks {
				if m[0] < at || m[1] <= m[0] || m[1] > len(f.Text) {
					t.Fatalf("marks %v in %q", f.Marks, f.Text)
				}
				if !utf8.ValidString(f.Text[:m[0]]) || !utf8.ValidString(f.Text[m[0]:m[1]]) {
					t.Fatalf("marks %v cut a character of %q", f.Marks, f.Text)
				}
				at = m[1]
			}
		}
	})
}
