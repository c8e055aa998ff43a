package indexer

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/indexer/query"
)

// A match tells which terms of an index a term of a query stands for.
type match uint8

const (
	whole   match = iota // itself
	begins               // those that begin with it
	similar              // those at an edit distance of at most 1
	stemmed              // those of the same stem
)

// A queryToken is a word of a query at its distance from the first.
type queryToken struct {
	terms  []string // the spellings of the word: any of them
	offset int
	as     match
}

// matches reports whether the token stands for the term.
func (k *queryToken) matches(term string) bool {
	return slices.ContainsFunc(k.terms, func(t string) bool {
		switch k.as {
		case begins:
			return strings.HasPrefix(term, t)
		case similar:
			return within1(t, term)
		case stemmed:
			return sameStem(t, term)
		}
		return term == t
	})
}

// queryTokens cuts the text of a query's node, of which the last token stands
// for terms in the way of the node.
func queryTokens(n query.Node) []queryToken {
	text, as := literal(n)
	var out []queryToken
	t := tokenizer{query: true}
	first, last := 0, 0
	t.each(text, func(k token) bool {
		if out == nil {
			first = k.pos
		}
		if k.pos == last {
			out[len(out)-1].terms = append(out[len(out)-1].terms, string(k.term))
			return true
		}
		last = k.pos
		q := queryToken{terms: []string{string(k.term)}, offset: k.pos - first}
		if k.prefix {
			q.as = begins
		}
		out = append(out, q)
		return true
	})
	if as != whole && len(out) > 0 {
		out[len(out)-1].as = as
	}
	return out
}

// literal returns the text of a leaf that is looked for in texts, and what its
// last word stands for.
func literal(n query.Node) (text string, as match) {
	switch n := n.(type) {
	case query.Word:
		return n.Text, whole
	case query.Phrase:
		return strings.Join(n.Words, " "), whole
	case query.Near:
		return strings.Join(n.Words, " "), whole
	case query.Prefix:
		return n.Text, begins
	case query.Fuzzy:
		return n.Text, similar
	case query.Stem:
		return n.Text, stemmed
	case query.Contains:
		return n.Text, whole
	}
	return "", whole
}

// within1 reports whether one character changed, added or removed makes b of a.
func within1(a, b string) bool {
	for len(a) > 0 && len(b) > 0 {
		ra, na := utf8.DecodeRuneInString(a)
		rb, nb := utf8.DecodeRuneInString(b)
		if ra != rb {
			return a[na:] == b[nb:] || a[na:] == b || a == b[nb:]
		}
		a, b = a[na:], b[nb:]
	}
	return utf8.RuneCountInString(a)+utf8.RuneCountInString(b) <= 1
}
