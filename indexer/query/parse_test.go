package query

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
)

func word(s string) Node             { return Word{s} }
func phrase(s string) Node           { return Phrase{strings.Fields(s)} }
func in(name string, n Node) Node    { return Field{name, n} }
func day(y, m, d int) time.Time      { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }
func size(name string, n int64) Node { return Size{name, n} }

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in        string
		want      Node
		canonical string
		warnings  int
	}{
		{"", nil, "", 0},
		{"  \t\n ", nil, "", 0},
		{"invoice", word("invoice"), "invoice", 0},
		{"invoice march", And{word("invoice"), word("march")}, "invoice march", 0},
		{"a AND b", And{word("a"), word("b")}, "a b", 0},
		{"a and b", And{word("a"), word("and"), word("b")}, "a and b", 0},
		{"a OR b c", Or{word("a"), And{word("b"), word("c")}}, "a OR b c", 0},
		{"(a OR b) c", And{Or{word("a"), word("b")}, word("c")}, "(a OR b) c", 0},
		{"(a OR b)c", And{Or{word("a"), word("b")}, word("c")}, "(a OR b) c", 0},
		{"((a)) (b c)", And{word("a"), word("b"), word("c")}, "a b c", 0},
		{"a OR (b OR c)", Or{word("a"), word("b"), word("c")}, "a OR b OR c", 0},
		{"-a", Not{word("a")}, "-a", 0},
		{"NOT a b", And{Not{word("a")}, word("b")}, "-a b", 0},
		{"NOT(a b)", Not{And{word("a"), word("b")}}, "-(a b)", 0},
		{"-(a OR b)", Not{Or{word("a"), word("b")}}, "-(a OR b)", 0},
		{"NOT NOT a", word("a"), "a", 0},
		{"NOT -a", word("a"), "a", 0},
		{"--force", word("--force"), `"--force"`, 0},
		{"e-mail a - b", And{word("e-mail"), word("a"), word("-"), word("b")}, `e-mail a "-" b`, 0},
		{`-"a b"`, Not{phrase("a b")}, `-"a b"`, 0},
		{`"annual  report"`, phrase("annual report"), `"annual report"`, 0},
		{`x"a b"y`, And{word("x"), phrase("a b"), word("y")}, `x "a b" y`, 0},
		{`"AND"`, phrase("AND"), `"AND"`, 0},
		{"invo*", Prefix{"invo"}, "invo*", 0},
		{"NOT*", Prefix{"NOT"}, "NOT*", 0},
		{"from:anna", in("from", word("anna")), "from:anna", 0},
		{"FROM:anna", in("from", word("anna")), "from:anna", 0},
		{"from:anna@example.org", in("from", word("anna@example.org")), "from:anna@example.org", 0},
		{"-to:@example.org", Not{in("to", word("@example.org"))}, "-to:@example.org", 0},
		{`subject:"annual report"`, in("subject", phrase("annual report")), `subject:"annual report"`, 0},
		{"filename:repo*", in("filename", Prefix{"repo"}), "filename:repo*", 0},
		{"cc:a bcc:b", And{in("cc", word("a")), in("bcc", word("b"))}, "cc:a bcc:b", 0},
		{"from:(anna OR -bob)", Or{in("from", word("anna")), Not{in("from", word("bob"))}}, "from:anna OR -from:bob", 0},
		{"from:(anna subject:x) b", And{in("from", word("anna")), in("subject", word("x")), word("b")}, "from:anna subject:x b", 0},
		{"mailbox:sales", in("mailbox", word("sales")), "mailbox:sales", 0},
		{`mailbox:"sales east"`, in("mailbox", phrase("sales east")), `mailbox:"sales east"`, 0},
		{"has:attachment", Has{"attachment"}, "has:attachment", 0},
		{"has:Attachments", Has{"attachment"}, "has:attachment", 0},
		{"before:2024-02-29", Date{"before", "2024-02-29", time.Time{}, day(2024, 2, 29)}, "before:2024-02-29", 0},
		{"after:2024-01", Date{"after", "2024-01", day(2024, 1, 1), time.Time{}}, "after:2024-01", 0},
		{"on:2024", Date{"on", "2024", day(2024, 1, 1), day(2025, 1, 1)}, "on:2024", 0},
		{"on:2024-12", Date{"on", "2024-12", day(2024, 12, 1), day(2025, 1, 1)}, "on:2024-12", 0},
		{"on:2024-12-31", Date{"on", "2024-12-31", day(2024, 12, 31), day(2025, 1, 1)}, "on:2024-12-31", 0},
		{"larger:10M", size("larger", 10<<20), "larger:10M", 0},
		{"smaller:500k", size("smaller", 500<<10), "smaller:500k", 0},
		{"smaller:2048KB", size("smaller", 2<<20), "smaller:2M", 0},
		{"larger:1000", size("larger", 1000), "larger:1000", 0},
		{"larger:0", size("larger", 0), "larger:0", 0},

		// What has no exact reading gets one, with a warning.
		{"RE: hello", And{word("RE:"), word("hello")}, `"RE:" hello`, 1},
		{"http://example.org/x", word("http://example.org/x"), `"http://example.org/x"`, 1},
		{"10:30", word("10:30"), "10:30", 0},
		{`a "b c`, And{word("a"), phrase("b c")}, `a "b c"`, 1},
		{`"`, nil, "", 2},
		{"(a b", And{word("a"), word("b")}, "a b", 1},
		{"a) b", And{word("a"), word("b")}, "a b", 1},
		{")(", nil, "", 3},
		{"()", nil, "", 1},
		{"a OR", word("a"), "a", 1},
		{"OR a", word("a"), "a", 1},
		{"a OR OR b", Or{word("a"), word("b")}, "a OR b", 1},
		{"AND", nil, "", 1},
		{"a AND", word("a"), "a", 1},
		{"NOT", nil, "", 1},
		{"a NOT OR b", Or{word("a"), word("b")}, "a OR b", 1},
		{"from:", nil, "", 1},
		{"a from: OR b", Or{word("a"), word("b")}, "a OR b", 1},
		{"from: anna", in("from", word("anna")), "from:anna", 1},
		{"from:()", nil, "", 1},
		{"*", nil, "", 1},
		{"ab*", word("ab"), "ab", 1},
		{"a*b", word("a*b"), `"a*b"`, 1},
		{"x:abc*", word("x:abc*"), `"x:abc*"`, 2},
		{"mailbox:sales*", in("mailbox", word("sales")), "mailbox:sales", 1},
		{"\xff\xfe", word("??"), "??", 0},
	} {
		q, err := Parse(tt.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.in, err)
			continue
		}
		if d := cmp.Diff(tt.want, q.Root); d != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", tt.in, d)
		}
		if got := q.String(); got != tt.canonical {
			t.Errorf("Parse(%q).String() = %q, want %q", tt.in, got, tt.canonical)
		}
		if len(q.Warnings) != tt.warnings {
			t.Errorf("Parse(%q): warnings %v, want %d", tt.in, q.Warnings, tt.warnings)
		}
		checkStable(t, q)
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a larger:abc":               "at 9: larger: takes a size such as",
		"larger:-1":                  "at 7",
		"larger:1.5M":                "at 7",
		"larger:999999999999999999G": "too large",
		"larger:(1M)":                "at 7",
		"before:yesterdayish":        "at 7: before: takes a day",
		"on:2023-02-29":              "on: takes a day",
		"on:2024-13":                 "on: takes a day",
		"before:0001":                "before: takes a day", "has:wings": "at 4: has: takes attachment",
		strings.Repeat("a ", 33):          "at 64: the query has more than 32 terms",
		strings.Repeat("(", 9):            "at 8: parentheses and negations are nested deeper than 8",
		strings.Repeat("NOT ", 9) + "a":   "nested deeper than 8",
		strings.Repeat("from:(", 9) + "a": "nested deeper than 8",
		`"1 2 3 4 5 6 7 8 9"`:             "at 0: a phrase has at most 8 words, this one has 9",
		strings.Repeat("x", MaxLength+1):  "4097 octets, at most 4096",
	} {
		_, err := Parse(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%.40q): error %v, want it to contain %q", in, err, want)
		}
		if k := mail.KindOf(err); k != mail.Invalid {
			t.Errorf("Parse(%.40q): kind %v, want invalid", in, k)
		}
	}
}

func TestParseLimitsAreReachable(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		strings.Repeat("a ", MaxTerms),
		strings.Repeat("(", MaxDepth) + "a" + strings.Repeat(")", MaxDepth),
		`"1 2 3 4 5 6 7 8"`,
		strings.Repeat("x", MaxLength),
	} {
		if _, err := Parse(in); err != nil {
			t.Errorf("Parse(%.40q): %v", in, err)
		}
	}
}

func TestWarningsPointIntoTheQuery(t *testing.T) {
	t.Parallel()
	q, err := Parse(`a) RE: "b`)
	if err != nil {
		t.Fatal(err)
	}
	var at []int
	for _, w := range q.Warnings {
		at = append(at, w.Pos)
	}
	if d := cmp.Diff([]int{1, 3, 7}, at); d != "" {
		t.Errorf("positions (-want +got):\n%s", d)
	}
}

// checkStable checks the promise of Query.String.
func checkStable(t *testing.T, q *Query) {
	t.Helper()
	s := q.String()
	again, err := Parse(s)
	if err != nil {
		t.Fatalf("canonical form %q does not parse: %v", s, err)
	}
	if len(again.Warnings) > 0 {
		t.Fatalf("canonical form %q has warnings: %v", s, again.Warnings)
	}
	if got := again.String(); got != s {
		t.Fatalf("canonical form %q is read back as %q", s, got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`a OR (b -c) "d e`, "from:(x OR y) larger:10M on:2024", "RE: x* NOT NOT -(a) ) AND OR",
		`has:attachment -subject:"q r"`, "from: a mailbox:b* \xff --x", "before:2024-01 K:é",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := Parse(s)
		if err != nil {
			if mail.KindOf(err) != mail.Invalid {
				t.Fatalf("kind %v: %v", mail.KindOf(err), err)
			}
			return
		}
		for _, w := range q.Warnings {
			if w.Pos < 0 || w.Pos > len(s) {
				t.Fatalf("warning at %d of %d octets", w.Pos, len(s))
			}
		}
		// A form that spells a field out for each word of its group may
		// outgrow the limit of the text it came from.
		if len(s) < MaxLength-MaxTerms*len(" OR filename:()") {
			checkStable(t, q)
		}
	})
}
