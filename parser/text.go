package parser

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// hasWords reports whether s holds a letter or a digit.
func hasWords(s string) bool { return strings.IndexFunc(s, isWord) >= 0 }

func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z'
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r)
}

// sameWords reports whether a and b are the same letters and digits in the same
// order, whatever stands between them.
func sameWords(a, b string) bool {
	for {
		for a != "" && b != "" && a[0] == b[0] && a[0] < utf8.RuneSelf {
			a, b = a[1:], b[1:]
		}
		ra, na := nextWordRune(a)
		rb, nb := nextWordRune(b)
		if ra != rb && unicode.ToLower(ra) != unicode.ToLower(rb) {
			return false
		}
		if na == 0 {
			return true
		}
		a, b = a[na:], b[nb:]
	}
}

func nextWordRune(s string) (rune, int) {
	for i, r := range s {
		if isWord(r) {
			return r, i + utf8.RuneLen(r)
		}
	}
	return 0, 0
}
