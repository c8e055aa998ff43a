package query

import (
	"fmt"
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

// now is a leap day, in the evening.
var now = time.Date(2024, 2, 29, 22, 30, 0, 0, time.UTC)

func parse(s string) (*Query, error) { return Parse(s, Options{Now: now}) }

func exact(name, value string) Node { return Exact{name, value} }

func on(name, spec string, from, to time.Time) Node { return Date{name, spec, from, to} }

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
		{"mailbox:sales", exact("mailbox", "sales"), "mailbox:sales", 0},
		{`mailbox:"Sales east"`, exact("mailbox", "sales east"), `mailbox:"sales east"`, 0},
		{"mailbox:(a OR b)", Or{exact("mailbox", "a"), exact("mailbox", "b")}, "mailbox:a OR mailbox:b", 0},
		{"has:attachment", Has{"attachment"}, "has:attachment", 0},
		{"has:Attachments", Has{"attachment"}, "has:attachment", 0},
		{"has:(image OR PDFs)", Or{Has{"image"}, Has{"pdf"}}, "has:image OR has:pdf", 0},
		{"-is:bounce", Not{Is{"bounce"}}, "-is:bounce", 0},
		{`"a b"~5`, Near{[]string{"a", "b"}, 5}, `"a b"~5`, 0},
		{`subject:"a b"~5 c`, And{in("subject", Near{[]string{"a", "b"}, 5}), word("c")}, `subject:"a b"~5 c`, 0},
		{"invoice~", Fuzzy{"invoice"}, "invoice~", 0},
		{"from:mller~1", in("from", Fuzzy{"mller"}), "from:mller~", 0},
		{"a~b", word("a~b"), "a~b", 0},
		{"stem:houses", Stem{"houses"}, "stem:houses", 0},
		{"body:x attachment:y", And{in("body", word("x")), in("attachment", word("y"))}, "body:x attachment:y", 0},
		{"participants:anna", in("participants", word("anna")), "participants:anna", 0},
		{"domain:example.org", in("domain", word("example.org")), "domain:example.org", 0},
		{"domain:*ampl*", in("domain", Contains{"ampl"}), "domain:*ampl*", 0},
		{"filetype:.PDF", exact("filetype", "pdf"), "filetype:pdf", 0},
		{"filetype:image/*", exact("filetype", "image/"), "filetype:image/", 0},
		{"hash:ABCDEF0123", exact("hash", "abcdef0123"), "hash:abcdef0123", 0},
		{"rfc822msgid:<A.b@x>", exact("message-id", "A.b@x"), "message-id:A.b@x", 0},
		{"Message-ID:A", exact("message-id", "A"), "message-id:A", 0},
		{`message-id:"a (b)"`, exact("message-id", "a (b)"), `message-id:"a (b)"`, 0},
		{"list:Announce.example.org lang:DE defect:MIME_NO_CLOSE", And{exact("list", "announce.example.org"), exact("lang", "de"), exact("defect", "mime_no_close")},
			"list:announce.example.org lang:de defect:mime_no_close", 0},
		{"class:tax hold:m-1 thread:<X@y>", And{exact("class", "tax"), exact("hold", "m-1"), exact("thread", "X@y")}, "class:tax hold:m-1 thread:X@y", 0},
		{`list:"OR"`, exact("list", "or"), "list:or", 0},
		{"before:2024-02-29", Date{"before", "2024-02-29", time.Time{}, day(2024, 2, 29)}, "before:2024-02-29", 0},
		{"after:2024-01", Date{"after", "2024-01", day(2024, 1, 1), time.Time{}}, "after:2024-01", 0},
		{"on:2024", Date{"on", "2024", day(2024, 1, 1), day(2025, 1, 1)}, "on:2024", 0},
		{"on:2024-12", Date{"on", "2024-12", day(2024, 12, 1), day(2025, 1, 1)}, "on:2024-12", 0},
		{"on:2024-12-31", Date{"on", "2024-12-31", day(2024, 12, 31), day(2025, 1, 1)}, "on:2024-12-31", 0},
		{"during:2024-12", on("on", "2024-12", day(2024, 12, 1), day(2025, 1, 1)), "on:2024-12", 0},
		{"on:2024-01..2024-03", on("on", "2024-01..2024-03", day(2024, 1, 1), day(2024, 4, 1)), "on:2024-01..2024-03", 0},
		{"on:2024..", on("on", "2024..", day(2024, 1, 1), time.Time{}), "on:2024..", 0},
		{"received:..2023", on("received", "..2023", time.Time{}, day(2024, 1, 1)), "received:..2023", 0},
		{"sealed:today", on("sealed", "2024-02-29", day(2024, 2, 29), day(2024, 3, 1)), "sealed:2024-02-29", 0},
		{"on:(2023 OR yesterday)", Or{on("on", "2023", day(2023, 1, 1), day(2024, 1, 1)), on("on", "2024-02-28", day(2024, 2, 28), day(2024, 2, 29))}, "on:2023 OR on:2024-02-28", 0},
		{"older_than:7d", on("before", "2024-02-22", time.Time{}, day(2024, 2, 22)), "before:2024-02-22", 0},
		{"newer_than:2w", on("after", "2024-02-15", day(2024, 2, 15), time.Time{}), "after:2024-02-15", 0},
		{"older_than:1y", on("before", "2023-02-28", time.Time{}, day(2023, 2, 28)), "before:2023-02-28", 0},
		{"NEWER_THAN:3M", on("after", "2023-11-29", day(2023, 11, 29), time.Time{}), "after:2023-11-29", 0},
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
		{"mailbox:sales*", exact("mailbox", "sales"), "mailbox:sales", 1},
		{"list:*", nil, "", 2},
		{`"a b"~0`, And{phrase("a b"), word("~0")}, `"a b" "~0"`, 1},
		{`"a"~3`, phrase("a"), `"a"`, 1},
		{"abc~", word("abc~"), `"abc~"`, 1},
		{"http://x/~", word("http://x/~"), `"http://x/~"`, 2},
		{"~", word("~"), `"~"`, 1},
		{"from:*ex", in("from", word("ex")), "from:ex", 2},
		{"from:*anna", in("from", Contains{"anna"}), "from:*anna*", 1},
		{"from:*an*na*", in("from", word("*an*na*")), `from:"*an*na*"`, 1},
		{"*infi*", word("*infi*"), `"*infi*"`, 1},
		{"subject:*infi*", in("subject", word("*infi*")), `subject:"*infi*"`, 1},
		{`is:"" a`, word("a"), "a", 2},
		{"\xff\xfe", word("??"), "??", 0},
	} {
		q, err := parse(tt.in)
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
		"larger:(abc)":               "at 8: larger: takes a size",
		"on:2024..2023":              "ends before it begins",
		"on:..":                      "takes a period",
		"on:2024-13..":               "takes a period",
		"older_than:soon":            "takes days, weeks, months or years",
		"older_than:9999y":           "too long ago",
		"word~2":                     "at 0: one letter may differ at most",
		`"a b"~51`:                   "at 5: at most 50 words may stand between",
		"stem:ab":                    "takes one word of at least 3",
		`stem:"a word"`:              "takes one word",
		"hash:abc":                   "takes a SHA-256",
		"hash:zzzzzzzz":              "takes a SHA-256",
		"is:wings":                   "at 3: is: takes abuse, auto",
		"filetype:.":                 "takes an extension",
		"before:yesterdayish":        "at 7: before: takes a day",
		"on:2023-02-29":              "on: takes a day",
		"on:2024-13":                 "on: takes a day",
		"before:0001":                "before: takes a day", "has:wings": "at 4: has: takes archive, attachment",
		strings.Repeat("a ", 33):                                     "at 64: the query has more than 32 terms",
		strings.Repeat("(", 9):                                       "at 8: parentheses and negations are nested deeper than 8",
		strings.Repeat("NOT ", 9) + "a":                              "nested deeper than 8",
		strings.Repeat("from:(", 9) + "a":                            "nested deeper than 8",
		`"1 2 3 4 5 6 7 8 9"`:                                        "at 0: a phrase has at most 8 words, this one has 9",
		strings.Repeat("x", MaxLength+1):                             "16385 octets, at most 16384",
		boxes(MaxValues + 1):                                         "more than 500 values of fields as alternatives",
		boxes(9) + " " + boxes(9) + strings.Repeat(" a", MaxTerms-1): "more than 32 terms",
		strings.Repeat("hold:a OR ", MaxTerms) + "hold:b":            "more than 32 terms",
		strings.Repeat("mailbox:a ", MaxTerms+1):                     "more than 32 terms",
	} {
		_, err := parse(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%.40q): error %v, want it to contain %q", in, err, want)
		}
		if k := mail.KindOf(err); k != mail.Invalid {
			t.Errorf("Parse(%.40q): kind %v, want invalid", in, k)
		}
	}
}

// boxes asks for any of n mailboxes.
func boxes(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("mailbox:box%d", i))
	}
	return "(" + strings.Join(out, " OR ") + ")"
}

func TestParseLimitsAreReachable(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		strings.Repeat("a ", MaxTerms),
		strings.Repeat("a ", MaxTerms-1) + boxes(MaxValues),
		strings.Repeat("a ", MaxTerms-2) + boxes(MaxValues/2) + " " + boxes(MaxValues/2),
		strings.Repeat("(", MaxDepth-1) + boxes(MaxValues/2) + strings.Repeat(" OR mailbox:a)", MaxDepth-1) + " OR " + boxes(MaxValues/3),
		"mailbox:" + strings.ReplaceAll(boxes(MaxValues), "mailbox:", ""),
		strings.Repeat("(", MaxDepth) + "a" + strings.Repeat(")", MaxDepth),
		`"1 2 3 4 5 6 7 8"`,
		strings.Repeat("x", MaxLength),
	} {
		if _, err := parse(in); err != nil {
			t.Errorf("Parse(%.40q): %v", in, err)
		}
	}
}

func TestWarningsPointIntoTheQuery(t *testing.T) {
	t.Parallel()
	q, err := parse(`a) RE: "b`)
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
	again, err := parse(s)
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

func TestTimesDependOnTheOptions(t *testing.T) {
	t.Parallel()
	tokyo := time.FixedZone("+09", 9*60*60)
	q, err := Parse("older_than:1d on:2024", Options{Now: now, Zone: tokyo})
	if err != nil {
		t.Fatal(err)
	}
	// It is the 1st of March there already.
	want := And{
		on("before", "2024-02-29", time.Time{}, time.Date(2024, 2, 28, 15, 0, 0, 0, time.UTC)),
		on("on", "2024", time.Date(2023, 12, 31, 15, 0, 0, 0, time.UTC), time.Date(2024, 12, 31, 15, 0, 0, 0, time.UTC)),
	}
	if d := cmp.Diff(Node(want), q.Root); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, s := range []string{"older_than:1d", "on:today"} {
		if _, err := Parse(s, Options{}); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%s without a clock: error %v", s, err)
		}
	}
}

func TestStrict(t *testing.T) {
	t.Parallel()
	if _, err := Parse("a from:b", Options{Strict: true}); err != nil {
		t.Error(err)
	}
	_, err := Parse("hello RE: x", Options{Strict: true})
	if mail.KindOf(err) != mail.Invalid || !strings.Contains(err.Error(), "at 6: there is no field RE:") || mail.HintOf(err) == "" {
		t.Errorf("error %v, hint %q", err, mail.HintOf(err))
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	q, err := Parse(`invoice (from:@example.org OR to:anna@example.org OR -cc:bob) subject:"a b"~2 older_than:1m during:2024.. larger:1k has:pdf hold:m stem:run x~ abcd~ abc* domain:*exa*`,
		Options{Now: now, Zone: time.FixedZone("", 3600)})
	if err != nil {
		t.Fatal(err)
	}
	want := `all of these:
  the word "invoice" anywhere
  any of these:
    an address of the domain "example.org" or below it in From
    the address "anna@example.org" in To
    not this:
      the word "bob" in Cc
  the words "a b" in any order with at most 2 others between in the subject
  dated before 2024-01-29 00:00 +01:00
  dated 2024-01-01 00:00 +01:00 or later
  larger than 1024 octets
  with this in it: pdf
  the legal hold "m"
  a word of the same stem as "run", in English or German, anywhere
  the word "x~" anywhere
  a word that differs from "abcd" by at most one letter anywhere
  a word that begins with "abc" anywhere
  an address with "exa" in it as a domain, in any address field
`
	if d := cmp.Diff(want, q.Explain()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := (&Query{}).Explain(); got != "every message\n" {
		t.Errorf("of nothing: %q", got)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	q, err := parse("a (thread:7 OR -hold:m) class:none")
	if err != nil {
		t.Fatal(err)
	}
	means := func(n Exact) (Node, error) {
		switch n.Name {
		case "thread":
			return Records{For: n, Seqs: []uint64{1, 7}}, nil
		case "hold":
			return exact("mailbox", "sales"), nil
		}
		return nil, nil
	}
	got, err := q.Resolve(means)
	if err != nil {
		t.Fatal(err)
	}
	want := And{
		word("a"),
		Or{Records{Exact{"thread", "7"}, []uint64{1, 7}}, Not{exact("mailbox", "sales")}},
		Records{For: Exact{"class", "none"}},
	}
	if d := cmp.Diff(Node(want), got.Root); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if s := q.String(); s != "a (thread:7 OR -hold:m) class:none" {
		t.Errorf("the query that was asked is now %q", s)
	}
	if _, err := q.Resolve(nil); mail.KindOf(err) != mail.Invalid {
		t.Errorf("where nothing is known of holds: error %v", err)
	}
	many := func(n Exact) (Node, error) { return Records{For: n, Seqs: make([]uint64, MaxRecords+1)}, nil }
	if _, err := q.Resolve(many); mail.KindOf(err) != mail.Invalid {
		t.Errorf("too many records: error %v", err)
	}
	if q, err := (&Query{}).Resolve(nil); err != nil || q.Root != nil {
		t.Errorf("a query of nothing: %v, %v", q, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`a OR (b -c) "d e`, "from:(x OR y) larger:10M on:2024", "RE: x* NOT NOT -(a) ) AND OR",
		`has:attachment -subject:"q r"`, `"a b"~5 wxyz~ from:*abc* on:2024.. is:(list OR reply) older_than:3m stem:abc hash:00112233`, "from: a mailbox:b* \xff --x", "before:2024-01 K:é",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := parse(s)
		if err != nil {
			if mail.KindOf(err) != mail.Invalid {
				t.Fatalf("kind %v: %v", mail.KindOf(err), err)
			}
			return
		}
		_ = q.Explain()
		for _, w := range q.Warnings {
			if w.Pos < 0 || w.Pos > len(s) {
				t.Fatalf("warning at %d of %d octets", w.Pos, len(s))
			}
		}
		// A form that spells a field out for each word of its group may
		// outgrow the limit of the text it came from.
		if len(s) < MaxLength-MaxTerms*2*len(" OR participants:()")-MaxValues*len(`extractor:""`) {
			checkStable(t, q)
		}
	})
}
