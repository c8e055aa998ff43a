package readable

import (
	"bytes"

	"golang.org/x/net/html/atom"
)

// A tag is one piece of markup.
type tag struct {
	kind tagKind
	name []byte // as written
	alt  []byte // value of its first alt attribute
}

type tagKind uint8

const (
	otherTag tagKind = iota // a comment, a declaration, an instruction
	startTag
	endTag
)

const maxTagName = 16 // octets of the longest name that matters

// atom returns the element of the tag; 0 if it is none that is known.
func (t *tag) atom() atom.Atom {
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

// scan reads the markup at the start of b, which begins with "<", into t and
// returns its length; 0 if the bracket is text. Markup without an end runs to the
// end of b and is nothing, as in a browser.
func (t *tag) scan(b []byte) int {
	t.kind = otherTag
	if len(b) < 2 {
		return 0
	}
	switch c := b[1]; {
	case isLetter(c):
		return t.scanNamed(startTag, b, 1)
	case c == '/' && len(b) > 2 && isLetter(b[2]):
		return t.scanNamed(endTag, b, 2)
	case c == '!' && bytes.HasPrefix(b[2:], []byte("--")):
		return 4 + commentEnd(b[4:])
	case c == '!', c == '?', c == '/' && len(b) > 2:
		return through(b, 2, '>')
	}
	return 0
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

// scanNamed reads a start or end tag whose name begins at from. Its loop takes
// one attribute a round and always moves on.
func (t *tag) scanNamed(kind tagKind, b []byte, from int) int {
	i := from
	for i < len(b) && (inName[b[i]] || b[i] == '=') {
		i++
	}
	t.name, t.alt = b[from:i], nil
	hasAlt := false
	for {
		for i < len(b) && betweenAttrs[b[i]] {
			i++
		}
		if i == len(b) {
			return i
		}
		if b[i] == '>' {
			t.kind = kind
			return i + 1
		}
		name := i
		i++ // whatever it is, "=" too
		for i < len(b) && inName[b[i]] {
			i++
		}
		isAlt := i-name == 3 && !hasAlt && bytes.EqualFold(b[name:i], []byte("alt"))
		from, to, next := attrValue(b, i)
		if isAlt {
			t.alt, hasAlt = b[from:to], true // of repeated attributes the first counts
		}
		i = next
	}
}

// attrValue finds the value of the attribute whose name ends at i, and where the
// next attribute may begin. Without a value it is empty.
func attrValue(b []byte, i int) (from, to, next int) {
	j := i
	for j < len(b) && isSpace(b[j]) {
		j++
	}
	if j == len(b) || b[j] != '=' {
		return i, i, i
	}
	j++
	for j < len(b) && isSpace(b[j]) {
		j++
	}
	if j == len(b) {
		return j, j, j
	}
	if q := b[j]; q == '"' || q == '\'' {
		end := bytes.IndexByte(b[j+1:], q)
		if end < 0 {
			return j + 1, len(b), len(b)
		}
		return j + 1, j + 1 + end, j + 2 + end
	}
	end := j
	for end < len(b) && inValue[b[end]] {
		end++
	}
	return j, end, end
}

var (
	// inName are the octets of the name of an attribute.
	inName = octetSet(func(c byte) bool { return !isSpace(c) && c != '/' && c != '>' && c != '=' })

	// inValue are those of a value without quotes.
	inValue = octetSet(func(c byte) bool { return !isSpace(c) && c != '>' })

	// betweenAttrs are what may stand between attributes.
	betweenAttrs = octetSet(func(c byte) bool { return isSpace(c) || c == '/' })
)

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
