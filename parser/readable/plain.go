package readable

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Plain makes readable text of decoded text/plain: line ends become LF, and
// control and zero-width characters are dropped. It keeps at most limit octets.
func Plain(s string, limit int) (text string, cut bool) {
	var sb strings.Builder
	sb.Grow(min(len(s), limit))
	for i := 0; i < len(s); {
		run := i
		for i < len(s) && plain[s[i]] {
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
		if s[i] == '\r' && i+1 < len(s) && s[i+1] == '\n' {
			i++
			continue
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

// plain are the octets that stand as they are.
var plain = octetSet(func(c byte) bool { return c >= ' ' && c < 0x7f || c == '\n' || c == '\t' })

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
