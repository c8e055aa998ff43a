package indexer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/indexer/query"
)

// cutUp returns the tokens of text as "term@position[octets]".
func cutUp(text string, query bool) []string {
	var out []string
	t := tokenizer{query: query}
	t.each(text, func(k token) bool {
		s := fmt.Sprintf("%s@%d[%s]", k.term, k.pos, text[k.start:k.end])
		if k.prefix {
			s += "*"
		}
		out = append(out, s)
		return true
	})
	return out
}

func TestTokenizer(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		"":                      nil,
		" .,-_!":                nil,
		"Hello, World":          {"hello@1[Hello]", "world@2[World]"},
		"don't e-mail me_now":   {"don@1[don]", "t@2[t]", "e@3[e]", "mail@4[mail]", "me@5[me]", "now@6[now]"},
		"Isenböck":              {"isenbock@1[Isenböck]", "isenboeck@1[Isenböck]"},
		"Isenbo\u0308ck ok":     {"isenbock@1[Isenbo\u0308ck]", "isenboeck@1[Isenbo\u0308ck]", "ok@2[ok]"},
		"Gänsefüße Århus":       {"gansefusse@1[Gänsefüße]", "gaensefuesse@1[Gänsefüße]", "arhus@2[Århus]", "aarhus@2[Århus]"},
		"naïve été Ǘ":           {"naive@1[naïve]", "ete@2[été]", "u@3[Ǘ]"},
		"STRASSE straße":        {"strasse@1[STRASSE]", "strasse@2[straße]"},
		"Ærø ŁÓDŹ İstanbul ıI":  {"aero@1[Ærø]", "aeroe@1[Ærø]", "lodz@2[ŁÓDŹ]", "istanbul@3[İstanbul]", "ii@4[ıI]"},
		"ΣΊΣΥΦΟΣ σίσυφος":       {"σισυφοσ@1[ΣΊΣΥΦΟΣ]", "σισυφοσ@2[σίσυφος]"},
		"ﬁne ①２":                {"fine@1[ﬁne]", "12@2[①２]"},
		"a\x1eb":                {"a@1[a]", "b@102[b]"},
		"a\x00b\xffc":           {"a@1[a]", "b@2[b]", "c@3[c]"},
		"co\u00adop":            {"coop@1[co\u00adop]"},
		"\u0308a":               {"a@1[a]"},
		"日本語":                   {"日本@1[日本]", "本語@2[本語]", "語@3[語]"},
		"a日b":                   {"a@1[a]", "日@2[日]", "b@3[b]"},
		"한국어 문서":                {"한국@1[한국]", "국어@2[국어]", "어@3[어]", "문서@4[문서]", "서@5[서]"},
		strings.Repeat("x", 70): {strings.Repeat("x", 64) + "@1[" + strings.Repeat("x", 70) + "]"},
		strings.Repeat("я", 40): {strings.Repeat("я", 32) + "@1[" + strings.Repeat("я", 40) + "]"},
	} {
		if d := cmp.Diff(want, cutUp(in, false)); d != "" {
			t.Errorf("%q (-want +got):\n%s", in, d)
		}
	}
	for in, want := range map[string][]string{
		"日本語 b": {"日本@1[日本]", "本語@2[本語]", "b@4[b]"},
		"日":     {"日@1[日]*"},
		"öl":    {"ol@1[öl]", "oel@1[öl]"},
	} {
		if d := cmp.Diff(want, cutUp(in, true)); d != "" {
			t.Errorf("query %q (-want +got):\n%s", in, d)
		}
	}
}

func TestTokenizerStops(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a b c d", "日本語日本語"} {
		n := 0
		(&tokenizer{}).each(text, func(token) bool { n++; return n < 2 })
		if n != 2 {
			t.Errorf("%q: %d tokens after a stop at 2", text, n)
		}
	}
}

// FuzzTokenizer checks what the index and the snippets rest on.
func FuzzTokenizer(f *testing.F) {
	for _, s := range []string{"Hello, Wörld", "日本語 text", "a\x1eb\xff\u0308", strings.Repeat("ß", 80), "กขค ﬃ Ⅷ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pos, start := 0, -1
		var whole []string
		(&tokenizer{}).each(text, func(k token) bool {
			switch {
			case len(k.term) == 0 || len(k.term) > maxToken || !utf8.Valid(k.term):
				t.Fatalf("term %q", k.term)
			case k.pos == pos && k.start == start: // another spelling
			case k.pos <= pos || k.start <= start || k.end <= k.start || k.end > len(text):
				t.Fatalf("token %q at %d[%d:%d] after %d[%d", k.term, k.pos, k.start, k.end, pos, start)
			case !utf8.ValidString(text[k.start:k.end]):
				t.Fatalf("token cuts a character: %q", text[k.start:k.end])
			}
			pos, start = k.pos, k.start
			whole = append(whole, string(k.term))
			return true
		})
		// What was found as a word is found as the same word again.
		for _, term := range whole {
			if len(term) > maxToken/2 {
				continue
			}
			again := cutUp(term, false)
			if len(again) == 0 {
				t.Fatalf("term %q is no word", term)
			}
		}
		// A query for the text itself lines up with the text.
		if toks := queryTokens(query.Word{Text: text}); len(toks) > 0 && !occurs(text, toks) {
			t.Fatalf("%q does not contain itself: %v", text, toks)
		}
	})
}

// occurs looks for the tokens in text as the engine does.
func occurs(text string, toks []queryToken) bool {
	w := &wanted{terms: map[string]bool{}}
	w.add(sequence{toks: toks})
	var places []place
	(&tokenizer{}).each(text, func(k token) bool {
		places = append(places, place{string(k.term), k.pos, k.start, k.end})
		return true
	})
	return len(w.sequences[0].find(places)) > 0
}

func TestDigitsCoverRangesExactly(t *testing.T) {
	t.Parallel()
	const width = 3
	for _, r := range [][2]uint64{{0, 0}, {0, 4095}, {1, 4094}, {15, 16}, {16, 31}, {17, 17}, {255, 257}, {1000, 3000}, {4095, 9999}, {5, 4}} {
		terms := cover(r[0], r[1], width)
		for v := range uint64(4096) {
			n := 0
			for _, d := range digits(v, width) {
				if slices.Contains(terms, d) {
					n++
				}
			}
			want := 0
			if v >= r[0] && v <= r[1] {
				want = 1
			}
			if n != want {
				t.Fatalf("%v: %d is covered %d times by %v", r, v, n, terms)
			}
		}
	}
}

func TestDigitsCoverWithFewTerms(t *testing.T) {
	t.Parallel()
	for _, r := range [][3]uint64{
		{1, maxDigits(sizeDigits) - 1, sizeDigits},
		{quarterOf(epoch) + 1, quarterOf(epoch.AddDate(10, 0, 0)) + 1, timeDigits},
		{1, maxDigits(timeDigits) - 1, timeDigits},
	} {
		if n, most := len(cover(r[0], r[1], int(r[2]))), 30*int(r[2]); n > most {
			t.Errorf("%v: %d terms, at most %d expected", r, n, most)
		}
	}
	if got := digits(1<<40, 2); !slices.Equal(got, []string{"f", "ff"}) {
		t.Errorf("a number that does not fit: %v", got)
	}
}
