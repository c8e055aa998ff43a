package indexer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// hostileIndex has a message of many words, one of many places of one word, and
// one with many addresses.
func hostileIndex(t *testing.T) (*Index, *fakeLedger) {
	l := newLedger()
	var words strings.Builder
	for i := range 3 * maxExpansion {
		fmt.Fprintf(&words, "abc%d abcd%c%c%c ", i, 'a'+i%26, 'a'+i/26%26, 'a'+i/676%26)
	}
	l.add("a", &mail.Message{Text: words.String()})
	l.add("a", &mail.Message{Text: strings.Repeat("a b ", maxText/4)})
	var to []mail.Address
	for i := range 3 * maxExpansion {
		to = append(to, mail.Address{Addr: fmt.Sprintf("p%d.common@d%d.example.org", i, i)})
	}
	l.add("a", &mail.Message{To: to})
	return indexed(t, l), l
}

// TestHostileQueries: what asks for too much is refused with a hint, and never
// answered in part; what may be asked costs bounded time and memory.
func TestHostileQueries(t *testing.T) {
	t.Parallel()
	x, _ := hostileIndex(t)
	for q, refused := range map[string]bool{
		"abc*":                 true,
		"abc12*":               false,
		"subject:abc*":         false, // no words there
		"-abc*":                true,
		"mailbox:none abc*":    true, // the answer must not depend on the others
		"abcdx~":               false,
		"abcda~":               false,
		"stem:abcdaaa":         false,
		"to:*common*":          true,
		"to:*p77.*":            false,
		"to:*example.org*":     true,
		"domain:*example*":     true,
		"domain:*d77.ex*":      false,
		"participants:common@": false,
		"to:p1*@x":             false, // literal: no asterisk inside
		"hash:00000000":        false,
		"/a.*b/":               false, // no regular expressions: text
		"*a*":                  false, // text
		"before:9999":          false,
		"after:1000":           false,
		strings.Repeat("-(", 4) + "a" + strings.Repeat(")", 4): false,
		strings.Repeat(`"a b a b a b a b" `, query.MaxTerms):   false,
		strings.Repeat(`"a b"~50 `, query.MaxTerms):            false,
		strings.Repeat("abcdaa~ ", query.MaxTerms):             false,
		strings.Repeat("stem:abcdaaa ", query.MaxTerms):        false,
		strings.Repeat("to:*p77.* ", query.MaxTerms):           false,
		strings.Repeat("on:1000..9999 OR ", query.MaxTerms-1):  false,
	} {
		_, err := x.Search(t.Context(), mail.SearchRequest{Query: q}, 3, nil)
		switch {
		case refused && (mail.KindOf(err) != mail.Invalid || mail.HintOf(err) == ""):
			t.Errorf("%.60s: error %v, hint %q; it must be refused with a hint", q, err, mail.HintOf(err))
		case !refused && err != nil:
			t.Errorf("%.60s: %v", q, err)
		}
	}
}

// TestNearIsLinear: occurrences are walked once, however they interleave.
func TestNearIsLinear(t *testing.T) {
	t.Parallel()
	var marks []spot
	for i := range uint64(1 << 20) {
		marks = append(marks, spot{pos: 2*i + 1, slot: int(i % 7)})
	}
	start := time.Now()
	if within(marks, []int{1, 1, 1, 1, 1, 1, 1, 1}, 50) {
		t.Error("found a word that is not there")
	}
	if d := time.Since(start); d > 20*time.Second { // a product of the counts would take hours
		t.Errorf("took %v", d)
	}
}

func TestNear(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.add("a", &mail.Message{Text: "one two three four five two"})
	l.add("a", &mail.Message{Subject: "one", Text: "five"})
	x := indexed(t, l)
	for q, want := range map[string]int{
		`"one five"~3`: 1, `"one five"~2`: 0, `"five one"~3`: 1, `"two two"~3`: 1, `"two two"~2`: 0, `"two two two"~50`: 0,
		`"one two three"~1`: 1, `"four two three"~1`: 1, `body:"one five"~3`: 1, `subject:"one five"~3`: 0, `"one-two four"~1`: 1, `"one nothing"~50`: 0,
	} {
		if got := find(t, x, l, q); len(got) != want {
			t.Errorf("%s: %d hits, want %d", q, len(got), want)
		}
	}
}

func TestWithin1(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"abcd", "abcd", true}, {"abcd", "abxd", true}, {"abcd", "abc", true}, {"abcd", "bcd", true}, {"abcd", "abcde", true},
		{"abcd", "xabcd", true}, {"abcd", "abdc", false}, {"abcd", "ab", false}, {"abcd", "axxd", false}, {"слово", "слава", false},
		{"слово", "слов", true}, {"слово", "слава"[:8] + "о", true}, {"", "a", true}, {"", "ab", false}, {"", "", true},
	} {
		if got := within1(tt.a, tt.b); got != tt.want {
			t.Errorf("%s, %s: %v", tt.a, tt.b, got)
		}
		if got := within1(tt.b, tt.a); got != tt.want {
			t.Errorf("%s, %s: %v", tt.b, tt.a, got)
		}
	}
}
