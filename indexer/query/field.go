package query

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// textFields take a word, phrase or prefix; the others a value of their own.
var textFields = map[string]bool{
	"from": true, "to": true, "cc": true, "bcc": true,
	"subject": true, "filename": true, "mailbox": true,
}

// valueFields read what stands behind their colon.
var valueFields = map[string]func(pos int, name, value string) (Node, error){
	"has":    hasValue,
	"before": dateValue, "after": dateValue, "on": dateValue,
	"larger": sizeValue, "smaller": sizeValue,
}

func known(name string) bool { return textFields[name] || valueFields[name] != nil }

// field reads the value of a known field whose name stands at pos.
func (p *parser) field(name string) (Node, error) {
	at := p.pos
	p.pos += len(name) + 1
	if next, _ := utf8.DecodeRuneInString(p.in[p.pos:]); p.pos < len(p.in) && unicode.IsSpace(next) {
		p.skipSpace()
		if !p.atEnd() && !operator(p.bare()) {
			p.warn(at, "read as "+name+": with what follows the space")
		}
	}
	if p.atEnd() || operator(p.bare()) {
		p.warn(at, name+": has no value and was passed over")
		return nil, nil
	}
	read := valueFields[name]
	if read == nil {
		return p.textField(name)
	}
	if err := p.count(at); err != nil {
		return nil, err
	}
	at = p.pos
	value, err := p.value()
	if err != nil {
		return nil, err
	}
	return read(at, name, value)
}

func (p *parser) textField(name string) (Node, error) {
	if p.peek() != '(' {
		return p.leaf(name)
	}
	outer := p.scope
	p.scope = name
	defer func() { p.scope = outer }()
	return p.group()
}

// value reads a quoted or bare value.
func (p *parser) value() (string, error) {
	if p.peek() == '"' {
		n, err := p.phrase()
		ph, _ := n.(Phrase)
		return strings.Join(ph.Words, " "), err
	}
	w := p.bare()
	p.pos += len(w)
	return w, nil
}

func hasValue(pos int, _, value string) (Node, error) {
	if v := strings.ToLower(value); v == "attachment" || v == "attachments" {
		return Has{"attachment"}, nil
	}
	return nil, invalid(pos, "has: takes attachment, not %q", value)
}

var sizePattern = regexp.MustCompile(`^([0-9]{1,18})([kKmMgG]?)(?:i?[bB])?$`)

func sizeValue(pos int, name, value string) (Node, error) {
	m := sizePattern.FindStringSubmatch(value)
	if m == nil {
		return nil, invalid(pos, "%s: takes a size such as 500k, 10M or 1G, not %q", name, value)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return nil, invalid(pos, "%s: %q is not a number", name, value)
	}
	factor := int64(1)
	for _, u := range units {
		if strings.EqualFold(u.suffix, m[2]) {
			factor = u.octets
		}
	}
	if n > math.MaxInt64/factor {
		return nil, invalid(pos, "%s: %q is too large", name, value)
	}
	return Size{Name: name, Octets: n * factor}, nil
}

// minYear keeps the zero time free to mean an open end.
const minYear = 1000

// periods are the ways to write one, with the step to the next.
var periods = []struct {
	layout              string
	years, months, days int
}{
	{"2006-01-02", 0, 0, 1},
	{"2006-01", 0, 1, 0},
	{"2006", 1, 0, 0},
}

func dateValue(pos int, name, value string) (Node, error) {
	for _, p := range periods {
		from, err := time.Parse(p.layout, value)
		if err != nil || from.Year() < minYear {
			continue
		}
		d := Date{Name: name, Spec: value, From: from, To: from.AddDate(p.years, p.months, p.days)}
		switch name {
		case "before":
			d.From, d.To = time.Time{}, from
		case "after":
			d.To = time.Time{}
		}
		return d, nil
	}
	return nil, invalid(pos, "%s: takes a day 2024-01-31, a month 2024-01 or a year 2024, not %q", name, value)
}
