package parser

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// plainText makes readable text of decoded text/plain: line ends become LF, and
// control and zero-width characters are dropped. It keeps at most limit octets.
func plainText(s string, limit int) (text string, cut bool) {
	var sb strings.Builder
	sb.Grow(min(len(s), limit))
	for i := 0; i < len(s); {
		run := i
		for i < len(s) && (s[i] >= ' ' && s[i] < 0x7f || s[i] == '\n' || s[i] == '\t') {
			i++
		}
		if room := limit - sb.Len(); i-run > room {
			sb.WriteString(s[run : run+room])
			return strings.TrimSpace(sb.String()), true
		}
		sb.WriteString(s[run:i])
		if i == len(s) {
			break
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		if r == '\r' && (i == len(s) || s[i] != '\n' && s[i] != '\r') {
			r = '\n'
		}
		if r != '\n' && invisible(r) {
			continue
		}
		if sb.Len()+n > limit {
			return strings.TrimSpace(sb.String()), true
		}
		sb.WriteRune(r)
	}
	return strings.TrimSpace(sb.String()), false
}

// invisible reports whether the character is a control or takes no width, so
// that it would part or hide words without being seen. Directional marks are
// not: they belong to the writing of some languages.
func invisible(r rune) bool {
	switch r {
	case '\t', '\n':
		return false
	case 0x00ad, 0x034f, 0x180e, 0x200b, 0x200c, 0x200d, 0x2060, 0xfeff:
		return true
	}
	return unicode.IsControl(r)
}

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
