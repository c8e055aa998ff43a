package indexer

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// letters that Unicode does not decompose but that readers type without.
var plainLetters = map[rune]string{
	'ß': "ss", 'ẞ': "ss", 'æ': "ae", 'Æ': "ae", 'œ': "oe", 'Œ': "oe",
	'ø': "o", 'Ø': "o", 'ł': "l", 'Ł': "l", 'đ': "d", 'Đ': "d", 'ð': "d", 'Ð': "d",
	'þ': "th", 'Þ': "th", 'ħ': "h", 'Ħ': "h", 'ı': "i", 'ς': "σ",
}

// appendFolded appends the search form of r: compatibility decomposed, without
// marks, in lower case. Marks alone vanish.
func appendFolded(b []byte, r rune) []byte {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r |= 0x20
		}
		return append(b, byte(r))
	}
	if r < latinEnd {
		return append(b, latinFold[r]...)
	}
	return appendDecomposed(b, r)
}

// latinFold gives the search form of the characters that most texts get by with.
var latinFold = func() (t [latinEnd]string) {
	for r := range rune(latinEnd) {
		t[r] = string(appendDecomposed(nil, r))
	}
	return t
}()

const latinEnd = 0x250 // behind Latin Extended-B

// appendDecomposed does the work of appendFolded beyond ASCII.
func appendDecomposed(b []byte, r rune) []byte {
	if s, ok := plainLetters[r]; ok {
		return append(b, s...)
	}
	var buf [utf8.UTFMax]byte
	p := norm.NFKD.Properties(buf[:utf8.EncodeRune(buf[:], r)])
	d := p.Decomposition()
	if d == nil {
		return appendLower(b, r)
	}
	for len(d) > 0 {
		r, n := utf8.DecodeRune(d)
		b = appendLower(b, r)
		d = d[n:]
	}
	return b
}

// spelledOut returns the letter that stands for the mark of r where r is spelled
// with two letters instead, as the ö of Isenböck in "Isenboeck"; else 0. folded
// ends in the search form of r or, if r is a mark, of the letter below it.
//
// Such words are indexed in both forms. Folding ae to a would do with one, and
// make "Michael" unfindable by half of its spellings.
func spelledOut(r rune, folded []byte) byte {
	if len(folded) == 0 {
		return 0
	}
	base := folded[len(folded)-1]
	switch r {
	case 'ä', 'Ä', 'ö', 'Ö', 'ü', 'Ü', 'ø', 'Ø', '\u0308':
		if base == 'a' || base == 'o' || base == 'u' {
			return 'e'
		}
	case 'å', 'Å', '\u030a':
		if base == 'a' {
			return 'a'
		}
	}
	return 0
}

// appendLower appends r in lower case unless it is no part of a word.
func appendLower(b []byte, r rune) []byte {
	if !unicode.IsLetter(r) && !unicode.IsNumber(r) {
		return b
	}
	r = unicode.ToLower(r)
	if s, ok := plainLetters[r]; ok {
		return append(b, s...)
	}
	return utf8.AppendRune(b, r)
}

// A script tells how a character takes part in words.
type script uint8

const (
	between   script = iota // separates words
	letter                  // part of a word between separators
	mark                    // belongs to the letter before it
	ideograph               // of a script written without spaces
)

// firstIdeograph is where the scripts written without spaces begin: with Thai.
const firstIdeograph = 0x0e00

func scriptOf(r rune) script {
	switch {
	case r < utf8.RuneSelf:
		if c := r | 0x20; 'a' <= c && c <= 'z' || '0' <= r && r <= '9' {
			return letter
		}
		return between
	case r >= firstIdeograph && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar):
		switch {
		case unicode.IsLetter(r), unicode.IsNumber(r):
			return ideograph
		case unicode.Is(unicode.M, r):
			return mark
		}
		return between
	case unicode.IsLetter(r), unicode.IsNumber(r):
		return letter
	case unicode.Is(unicode.M, r), r == '\u200c', r == '\u200d', r == '\u00ad':
		return mark
	}
	return between
}
