package query

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// leaf reads what stands at pos, in the field unless that is "".
func (p *parser) leaf(field string) (Node, error) {
	at := p.pos
	if read := valueFields[field]; read != nil {
		return p.valueLeaf(field, read)
	}
	n, err := p.text(field)
	if n == nil || err != nil {
		return nil, err
	}
	p.count(at)
	if field != "" {
		n = Field{Name: field, Node: n}
	}
	return n, nil
}

// valueLeaf reads the value of a field that takes one as a whole.
func (p *parser) valueLeaf(field string, read valueFunc) (Node, error) {
	at := p.pos
	p.count(at)
	value, err := p.value(field)
	if err != nil {
		return nil, err
	}
	if value == "" {
		p.warn(at, field+": has no value and was passed over")
		return nil, nil
	}
	return read(p, at, field, value)
}

// value reads a quoted or bare value.
func (p *parser) value(field string) (string, error) {
	if p.peek() == '"' {
		words, err := p.quoted()
		return strings.Join(words, " "), err
	}
	at, w := p.pos, p.bare()
	p.pos += len(w)
	if head, star := strings.CutSuffix(w, "*"); star && !strings.HasSuffix(head, "/") {
		p.warn(at, field+": takes a whole value, so the asterisk was passed over")
		return strings.TrimRight(w, "*"), nil
	}
	return w, nil
}

// fuzzySuffix is what makes a word fuzzy.
var fuzzySuffix = regexp.MustCompile(`~[0-9]?$`)

func (p *parser) text(field string) (Node, error) {
	if p.peek() == '"' {
		return p.phrase()
	}
	at, w := p.pos, p.bare()
	p.pos += len(w)
	switch {
	case strings.Trim(w, "*") == "":
		p.warn(at, "an asterisk needs the beginning of a word before it")
		return nil, nil
	case fuzzySuffix.MatchString(w):
		return p.fuzzy(at, w)
	case addressFields[field] && strings.HasPrefix(w, "*"):
		return p.contains(at, w), nil
	}
	return p.wordOrPrefix(at, w), nil
}

func (p *parser) wordOrPrefix(at int, w string) Node {
	head, star := strings.CutSuffix(w, "*")
	switch {
	case strings.Contains(head, "*"):
		p.warn(at, "an asterisk has a meaning only at the end of a word")
	case star && utf8.RuneCountInString(head) < MinPrefix:
		p.warn(at, "an asterisk needs at least 3 characters before it, so this is searched for as a word")
		return Word{head}
	case star && textual(head) && !fuzzySuffix.MatchString(head):
		return Prefix{head}
	case star:
		p.warn(at, "the asterisk was passed over: what stands before it is not the beginning of a word")
	}
	return Word{w}
}

// fuzzy reads w, which ends in a tilde and at most one digit.
func (p *parser) fuzzy(at int, w string) (Node, error) {
	head := fuzzySuffix.ReplaceAllString(w, "")
	switch suffix := w[len(head):]; {
	case suffix != "~" && suffix != "~1" && utf8.RuneCountInString(head) >= MinFuzzy:
		return nil, invalid(at, "one letter may differ at most, so %s is not possible: write %s~", w, head)
	case utf8.RuneCountInString(head) < MinFuzzy, strings.Contains(head, "*"), !textual(head), fuzzySuffix.MatchString(head):
		p.warn(at, "a tilde needs a word of at least 4 characters before it, so this is searched for as text")
		return Word{w}, nil
	}
	return Fuzzy{head}, nil
}

// contains reads w, which begins with an asterisk.
func (p *parser) contains(at int, w string) Node {
	part := strings.Trim(w, "*")
	switch {
	case strings.Contains(part, "*"):
		p.warn(at, "an asterisk has a meaning only before and after a part of an address")
		return Word{w}
	case !strings.HasSuffix(w, "*"):
		p.warn(at, "read as *"+part+"*: a part of an address may be anywhere in it")
	}
	if utf8.RuneCountInString(part) < MinPrefix {
		p.warn(at, "a part of an address needs at least 3 characters, so this is searched for as a word")
		return Word{part}
	}
	return Contains{part}
}

func (p *parser) phrase() (Node, error) {
	words, err := p.quoted()
	if len(words) == 0 || err != nil {
		return nil, err
	}
	at, w := p.pos, p.bare()
	if !strings.HasPrefix(w, "~") {
		return Phrase{words}, nil
	}
	n, err := strconv.Atoi(w[1:])
	switch {
	case err != nil || n < 1:
		return Phrase{words}, nil // a word of its own follows
	case n > MaxNear:
		return nil, invalid(at, "at most %d words may stand between, not %d", MaxNear, n)
	}
	p.pos += len(w)
	if len(words) == 1 {
		p.warn(at, "a distance needs at least two words in the quotes")
		return Phrase{words}, nil
	}
	return Near{words, n}, nil
}

// quoted reads the words in the quotes that begin at pos.
func (p *parser) quoted() ([]string, error) {
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
	case len(words) > MaxPhrase:
		return nil, invalid(at, "a phrase has at most %d words, this one has %d", MaxPhrase, len(words))
	}
	return words, nil
}
