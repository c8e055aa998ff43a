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
	// pos counts words from 1; each ideograph counts as a word.
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
	pos   int
}

// each calls emit for the tokens of text, in order, until it returns false.
func (t *tokenizer) each(text string, emit func(token) bool) {
	for i := 0; i < len(text); {
		r, n := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(text[i:])
		}
		more := true
		switch scriptOf(r) {
		case letter:
			i, more = t.word(text, i, emit)
		case ideograph:
			i, more = t.run(text, i, emit)
		default:
			if r == fieldGap {
				t.pos += gapWidth
			}
			i += n
		}
		if !more {
			return
		}
	}
}

// word emits the word that begins at i and returns where it ends.
func (t *tokenizer) word(text string, i int, emit func(token) bool) (int, bool) {
	start := i
	t.buf = t.buf[:0]
	for i < len(text) {
		c := text[i]
		if c < utf8.RuneSelf {
			if scriptOf(rune(c)) != letter {
				break
			}
			if 'A' <= c && c <= 'Z' {
				c |= 0x20
			}
			t.buf = append(t.buf, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		s := scriptOf(r)
		if s != letter && s != mark {
			break
		}
		if s == letter {
			t.buf = appendFolded(t.buf, r)
		}
		i += n
	}
	if len(t.buf) == 0 {
		return i, true
	}
	t.pos++
	return i, emit(token{term: capped(t.buf), pos: t.pos, start: start, end: i})
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

// A queryToken is a term of a query at its distance from the first.
type queryToken struct {
	term   string
	offset int
	prefix bool
}

// queryTokens cuts a query's text. With prefix, the last token stands for all
// terms that begin so.
func queryTokens(text string, prefix bool) []queryToken {
	var out []queryToken
	t := tokenizer{query: true}
	first := 0
	t.each(text, func(k token) bool {
		if out == nil {
			first = k.pos
		}
		out = append(out, queryToken{term: string(k.term), offset: k.pos - first, prefix: k.prefix})
		return true
	})
	if prefix && len(out) > 0 {
		out[len(out)-1].prefix = true
	}
	return out
}
