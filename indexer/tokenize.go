package indexer

import "unicode/utf8"

const (
	// fieldGap separates texts that are indexed as one, so that no phrase
	// spans two of them.
	fieldGap = '\x1e'
	gapWidth = 100 // positions that a fieldGap takes

	maxToken = 64 // octets of a term; the rest of a longer word is not indexed
)

// A token is one term at one place of a text.
type token struct {
	// term is valid until the next token is made.
	term []byte
	// pos counts words from 1; each ideograph counts as a word. Two spellings
	// of a word follow one another with the same pos.
	pos int
	// start and end are the octets of the text that the token stands for.
	start, end int
	// prefix says, in queries, that any term that begins so is meant.
	prefix bool
}

// A tokenizer cuts text into terms. Documents, queries and snippets go through
// the same one, so that they agree on what a word is:
//
//   - Words are runs of letters, digits and marks, folded to the form of
//     appendFolded and cut at maxToken octets.
//   - A word with letters that are also spelled with two, such as ä, is a second
//     term with all of them spelled so; see spelledOut.
//   - Runs of ideographs become overlapping pairs, each at the position of its
//     first character. A document also has the last character of the run alone,
//     so that every character begins exactly one term; a query has not, unless
//     the run is one character, which then asks for a prefix.
//
// Positions are dense but for fieldGap: a phrase is terms at consecutive
// positions.
type tokenizer struct {
	query bool // cut the way queries need it
	buf   []byte
	long  []byte // buf with letters spelled out, while there are any
	pos   int
}

// asciiFold gives the search form of the ASCII characters that are part of a
// word, and 0 for the others.
var asciiFold = func() (t [utf8.RuneSelf]byte) {
	for c := range byte(utf8.RuneSelf) {
		switch {
		case 'A' <= c && c <= 'Z':
			t[c] = c | 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			t[c] = c
		}
	}
	return t
}()

// each calls emit for the tokens of text, in order, until it returns false.
func (t *tokenizer) each(text string, emit func(token) bool) {
	for i, more := 0, true; i < len(text) && more; {
		if c := text[i]; c < utf8.RuneSelf {
			switch {
			case asciiFold[c] != 0:
				i, more = t.word(text, i, emit)
			case c == fieldGap:
				t.pos += gapWidth
				i++
			default:
				i++
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		switch scriptOf(r) {
		case letter:
			i, more = t.word(text, i, emit)
		case ideograph:
			i, more = t.run(text, i, emit)
		default:
			i += n
		}
	}
}

// word emits the word that begins at i and returns where it ends.
func (t *tokenizer) word(text string, i int, emit func(token) bool) (int, bool) {
	start := i
	t.buf, t.long = t.buf[:0], t.long[:0]
	for i < len(text) {
		c := text[i]
		if c >= utf8.RuneSelf {
			n := t.wide(text[i:])
			if n == 0 {
				break
			}
			i += n
			continue
		}
		f := asciiFold[c]
		if f == 0 {
			break
		}
		t.buf = append(t.buf, f)
		if len(t.long) > 0 {
			t.long = append(t.long, f)
		}
		i++
	}
	if len(t.buf) == 0 {
		return i, true
	}
	t.pos++
	k := token{term: capped(t.buf), pos: t.pos, start: start, end: i}
	if !emit(k) {
		return i, false
	}
	if k.term = capped(t.long); len(k.term) > 0 {
		return i, emit(k)
	}
	return i, true
}

// wide takes the character that s begins with into the word and returns its
// octets, or 0 if it is not part of one.
func (t *tokenizer) wide(s string) int {
	r, n := utf8.DecodeRuneInString(s)
	kind := scriptOf(r)
	if kind != letter && kind != mark {
		return 0
	}
	before := len(t.buf)
	if kind == letter {
		t.buf = appendFolded(t.buf, r)
	}
	second := spelledOut(r, t.buf)
	if second != 0 && len(t.long) == 0 {
		t.long = append(t.long, t.buf[:before]...)
	}
	if second != 0 || len(t.long) > 0 {
		t.long = append(t.long, t.buf[before:]...)
	}
	if second != 0 {
		t.long = append(t.long, second)
	}
	return n
}

// run emits the pairs of the run of ideographs that begins at i.
func (t *tokenizer) run(text string, i int, emit func(token) bool) (int, bool) {
	prev, first := -1, 0 // where the character before i begins, in text and in buf
	t.buf = t.buf[:0]
	for i < len(text) {
		r, n := utf8.DecodeRuneInString(text[i:])
		s := scriptOf(r)
		if s != ideograph && s != mark {
			break
		}
		before := len(t.buf)
		i += n
		if s == mark {
			continue
		}
		t.buf = utf8.AppendRune(t.buf, r)
		if prev >= 0 {
			t.pos++
			if !emit(token{term: capped(t.buf[first:]), pos: t.pos, start: prev, end: i}) {
				return i, false
			}
		}
		prev, first = i-n, before
	}
	t.pos++
	if t.query && first > 0 {
		return i, true
	}
	return i, emit(token{term: capped(t.buf[first:]), pos: t.pos, start: prev, end: i, prefix: t.query})
}

// capped returns b cut to at most maxToken octets, not inside a character.
func capped(b []byte) []byte {
	if len(b) <= maxToken {
		return b
	}
	n := maxToken
	for !utf8.RuneStart(b[n]) {
		n--
	}
	return b[:n]
}
