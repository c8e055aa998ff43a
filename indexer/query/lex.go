package query

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// skipSpace moves pos behind white space.
func (p *parser) skipSpace() {
	for p.pos < len(p.in) {
		r, n := utf8.DecodeRuneInString(p.in[p.pos:])
		if !unicode.IsSpace(r) {
			return
		}
		p.pos += n
	}
}

// peek returns the octet at pos, or 0 at the end.
func (p *parser) peek() byte {
	if p.pos < len(p.in) {
		return p.in[p.pos]
	}
	return 0
}

// bare returns the run of text at pos up to white space, a quote or a
// parenthesis, without moving.
func (p *parser) bare() string {
	rest := p.in[p.pos:]
	if i := strings.IndexFunc(rest, ends); i >= 0 {
		return rest[:i]
	}
	return rest
}

func ends(r rune) bool {
	return r == '"' || r == '(' || r == ')' || unicode.IsSpace(r)
}

// takeOperator moves behind the operator op if it stands at pos.
func (p *parser) takeOperator(op string) bool {
	p.skipSpace()
	if p.bare() != op {
		return false
	}
	p.pos += len(op)
	return true
}

func operator(s string) bool { return s == "AND" || s == "OR" || s == "NOT" }

// fieldLike reports whether s, before a colon, looks like a field name, known
// or not: ASCII letters only.
func fieldLike(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return s != ""
}

// validUTF8 returns s with a question mark for each octet that is not part of a
// valid character, so that positions stay those of s.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	b := []byte(s)
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			b[i] = '?'
		}
		i += n
	}
	return string(b)
}
