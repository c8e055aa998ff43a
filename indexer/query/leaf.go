package query

import (
	"strings"
	"unicode/utf8"
)

// leaf reads a phrase, word or prefix at pos, in field unless that is "".
func (p *parser) leaf(field string) (Node, error) {
	at := p.pos
	n, err := p.text()
	if n == nil || err != nil {
		return nil, err
	}
	if err := p.count(at); err != nil {
		return nil, err
	}
	if pre, ok := n.(Prefix); ok && field == "mailbox" {
		p.warn(at, "mailbox: takes a whole name, so the asterisk was passed over")
		n = Word(pre)
	}
	if field != "" {
		n = Field{Name: field, Node: n}
	}
	return n, nil
}

func (p *parser) text() (Node, error) {
	if p.peek() == '"' {
		return p.phrase()
	}
	at, w := p.pos, p.bare()
	p.pos += len(w)
	head, star := strings.CutSuffix(w, "*")
	switch {
	case strings.Trim(w, "*") == "":
		p.warn(at, "an asterisk needs the beginning of a word before it")
		return nil, nil
	case strings.Contains(head, "*"):
		p.warn(at, "an asterisk has a meaning only at the end of a word")
	case star && utf8.RuneCountInString(head) < MinPrefix:
		p.warn(at, "an asterisk needs at least 3 characters before it, so this is searched for as a word")
		return Word{head}, nil
	case star && textual(head):
		return Prefix{head}, nil
	case star:
		p.warn(at, "the asterisk was passed over: what stands before it is not the beginning of a word")
	}
	return Word{w}, nil
}

func (p *parser) phrase() (Node, error) {
	at := p.pos
	body, after, closed := strings.Cut(p.in[at+1:], `"`)
	p.pos = len(p.in) - len(after)
	if !closed {
		p.pos = len(p.in)
		p.warn(at, "this quote is not closed; it was closed at the end")
	}
	words := strings.Fields(body)
	switch {
	case len(words) == 0:
		p.warn(at, "these quotes hold nothing")
		return nil, nil
	case len(words) > MaxPhrase:
		return nil, invalid(at, "a phrase has at most %d words, this one has %d", MaxPhrase, len(words))
	}
	return Phrase{words}, nil
}
