package readable

import (
	"bytes"

	"golang.org/x/net/html/atom"
)

// A tag is one piece of markup.
type tag struct {
	kind  tagKind
	name  []byte // as written
	attrs []byte // what stands between the name and the closing bracket
}

type tagKind uint8

const (
	otherTag tagKind = iota // a comment, a declaration, an instruction
	startTag
	endTag
)

const maxTagName = 16 // octets of the longest name that matters

// atom returns the element of the tag; 0 if it is none that is known.
func (t tag) atom() atom.Atom {
	if len(t.name) > maxTagName {
		return 0
	}
	var low [maxTagName]byte
	for i, c := range t.name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		low[i] = c
	}
	return atom.Lookup(low[:len(t.name)])
}

// scanTag reads the markup at the start of b, which begins with "<", and returns
// its length; 0 if the bracket is text. Markup without an end runs to the end of
// b and is nothing, as in a browser.
func scanTag(b []byte) (t tag, n int) {
	if len(b) < 2 {
		return tag{}, 0
	}
	switch c := b[1]; {
	case isLetter(c):
		return scanNamed(startTag, b, 1)
	case c == '/' && len(b) > 2 && isLetter(b[2]):
		return scanNamed(endTag, b, 2)
	case c == '!' && bytes.HasPrefix(b[2:], []byte("--")):
		return tag{}, 4 + commentEnd(b[4:])
	case c == '!', c == '?', c == '/' && len(b) > 2:
		return tag{}, through(b, 2, '>')
	}
	return tag{}, 0
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// through returns the length of b up to the first c at or behind from, c
// included; all of b if there is none.
func through(b []byte, from int, c byte) int {
	if i := bytes.IndexByte(b[from:], c); i >= 0 {
		return from + i + 1
	}
	return len(b)
}

// commentEnd returns the length of what follows "<!--" in a comment, its end
// included. "<!-->" and "<!--->" are comments, and "--!>" ends one.
func commentEnd(b []byte) int {
	if bytes.HasPrefix(b, []byte(">")) {
		return 1
	}
	if bytes.HasPrefix(b, []byte("->")) {
		return 2
	}
	for i := 0; ; {
		j := bytes.Index(b[i:], []byte("--"))
		if j < 0 {
			return len(b)
		}
		i += j
		end := i + 2
		for end < len(b) && b[end] == '-' {
			end++
		}
		switch {
		case end < len(b) && b[end] == '>':
			return end + 1
		case end+1 < len(b) && b[end] == '!' && b[end+1] == '>':
			return end + 2
		}
		i = end
	}
}

// scanNamed reads a start or end tag whose name begins at from.
func scanNamed(kind tagKind, b []byte, from int) (t tag, n int) {
	i := from
	for i < len(b) && (inName[b[i]] || b[i] == '=') {
		i++
	}
	t = tag{kind: kind, name: b[from:i]}
	rest := b[i:]
	for {
		rest = skipSpace(rest)
		if len(rest) == 0 {
			return tag{}, len(b)
		}
		if rest[0] == '>' {
			end := len(b) - len(rest)
			t.attrs = b[i:end]
			return t, end + 1
		}
		_, _, rest = nextAttr(rest)
	}
}

// nextAttr reads the attribute at the start of b. It always moves on where b is
// not empty.
func nextAttr(b []byte) (name, value, rest []byte) {
	b = skipSpace(b)
	i := 0
	for i < len(b) && (inName[b[i]] || b[i] == '=' && i == 0) {
		i++
	}
	name, rest = b[:i], b[i:]
	after := rest
	for len(after) > 0 && isSpace(after[0]) {
		after = after[1:]
	}
	if len(after) == 0 || after[0] != '=' {
		return name, nil, rest
	}
	after = after[1:]
	for len(after) > 0 && isSpace(after[0]) {
		after = after[1:]
	}
	if len(after) == 0 {
		return name, nil, nil
	}
	if q := after[0]; q == '"' || q == '\'' {
		end := bytes.IndexByte(after[1:], q)
		if end < 0 {
			return name, after[1:], nil
		}
		return name, after[1 : 1+end], after[2+end:]
	}
	i = 0
	for i < len(after) && !isSpace(after[i]) && after[i] != '>' {
		i++
	}
	return name, after[:i], after[i:]
}

// inName are the octets of the name of an attribute.
var inName = octetSet(func(c byte) bool { return !isSpace(c) && c != '/' && c != '>' && c != '=' })

// skipSpace skips what may stand between attributes.
func skipSpace(b []byte) []byte {
	for len(b) > 0 && (isSpace(b[0]) || b[0] == '/') {
		b = b[1:]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' }

// closing returns where the end tag of an element begins whose content is not
// HTML; -1 if there is none.
func closing(b, name []byte) int {
	for from := 0; ; {
		i := bytes.Index(b[from:], []byte("</"))
		if i < 0 {
			return -1
		}
		i += from
		end := i + 2 + len(name)
		if end < len(b) && bytes.EqualFold(b[i+2:end], name) && (isSpace(b[end]) || b[end] == '/' || b[end] == '>') {
			return i
		}
		from = i + 2
	}
}
