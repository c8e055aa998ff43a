package indexer

import (
	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/german"
)

// stems returns the stems of a term by the Snowball rules of each language that
// a query may stem in. Terms come folded; the German rules take ä for a anyway.
func stems(term string) [2]string {
	en, de := snowballstem.NewEnv(term), snowballstem.NewEnv(term)
	english.Stem(en)
	german.Stem(de)
	return [2]string{en.Current(), de.Current()}
}

// sameStem reports whether a and b have the same stem in any language.
func sameStem(a, b string) bool {
	sa, sb := stems(a), stems(b)
	return sa[0] == sb[0] || sa[1] == sb[1]
}

// minStem is how many octets the words of one stem must have in common at their
// beginnings.
const minStem = 3

// stemPrefix returns what all terms that are searched for the stems of term
// begin with. The rules change the ends of words, so that a stem differs from
// its words at the end alone: "happi" of "happy".
func stemPrefix(term string) string {
	n := len(term)
	for _, s := range stems(term) {
		n = min(n, common(term, s))
	}
	return clip(term, max(n, min(minStem, len(term))))
}

// common returns how many octets a and b have in common at their beginnings.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
