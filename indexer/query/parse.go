package query

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/mail"
)

// The limits of a query.
const (
	MaxLength = 16 << 10 // octets
	MaxTerms  = 32       // words, phrases, prefixes and fields; see MaxValues
	MaxDepth  = 8        // parentheses and negations inside one another
	MaxPhrase = 8        // words of a phrase
	MinPrefix = 3        // characters before the asterisk
	MinFuzzy  = 4        // characters before the tilde
	MaxNear   = 50       // words between those of a Near
)

// Options are what the meaning of a query rests on beside its text.
type Options struct {
	// Now is the present time, for relative dates; they are errors where it is
	// zero.
	Now time.Time
	// Zone is where days begin and end; nil means UTC.
	Zone *time.Location
	// Strict makes each warning an error.
	Strict bool
}

// Parse reads a query. The error is of kind mail.Invalid, names the position
// in octets and says what is allowed; a text that has a plausible reading never
// gives one.
func Parse(s string, o Options) (*Query, error) {
	if len(s) > MaxLength {
		return nil, mail.Errorf(mail.Invalid, "the query has %d octets, at most %d are allowed", len(s), MaxLength)
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	p := &parser{in: validUTF8(s), now: o.Now, zone: o.Zone}
	root, err := p.query()
	if err != nil {
		return nil, err
	}
	if len(p.terms) > MaxTerms {
		return nil, invalid(p.terms[MaxTerms], "the query has more than %d terms", MaxTerms)
	}
	slices.SortStableFunc(p.warnings, func(a, b mail.Warning) int { return a.Pos - b.Pos })
	if o.Strict && len(p.warnings) > 0 {
		return nil, Refusal(p.warnings[0])
	}
	return &Query{Root: root, Warnings: p.warnings, Zone: o.Zone, Strict: o.Strict}, nil
}

// Refusal is the error that a warning becomes in a strict search.
func Refusal(w mail.Warning) error {
	return mail.WithHint(invalid(w.Pos, "%s", w.Text), "write it without doubt, or search without strict")
}

// A parser descends through the grammar
//
//	query = or *( ")" or )
//	or    = and *( "OR" and )
//	and   = *( "AND" / unary )
//	unary = ( "NOT" / "-" ) unary / primary
//	primary = "(" or ")" / field ":" value / phrase / word [ "*" ]
//
// A nil node stands for a part that has no meaning, such as "()".
type parser struct {
	in       string
	pos      int
	depth    int
	terms    []int  // where the terms are
	values   int    // that are not terms of their own
	scope    string // the field before the group around pos
	warnings []mail.Warning
	now      time.Time
	zone     *time.Location
}

func (p *parser) warn(pos int, text string) {
	p.warnings = append(p.warnings, mail.Warning{Pos: pos, Text: text})
}

func invalid(pos int, format string, args ...any) error {
	return mail.Errorf(mail.Invalid, "at %d: "+format, append([]any{pos}, args...)...)
}

func (p *parser) query() (Node, error) {
	var kids []Node
	for {
		n, err := p.or()
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
		if p.peek() != ')' {
			return join(kids), nil
		}
		p.warn(p.pos, "this parenthesis closes nothing and was passed over")
		p.pos++
	}
}

func (p *parser) or() (Node, error) {
	var kids []Node
	fields := map[string]bool{}
	for {
		n, err := p.and()
		if err != nil {
			return nil, err
		}
		if err := p.listed(fields, n); err != nil {
			return nil, err
		}
		if n != nil {
			kids = append(kids, n)
		}
		at := p.pos
		if !p.takeOperator("OR") {
			return either(kids), nil
		}
		if n == nil || p.atEnd() {
			p.warn(at, "OR needs something on both sides")
		}
	}
}

// atEnd reports whether nothing more comes in the group around pos.
func (p *parser) atEnd() bool {
	p.skipSpace()
	return p.pos == len(p.in) || p.in[p.pos] == ')'
}

func (p *parser) and() (Node, error) {
	var kids []Node
	for !p.atEnd() && p.bare() != "OR" {
		at := p.pos
		if p.takeOperator("AND") {
			if len(kids) == 0 || p.atEnd() || operator(p.bare()) && p.bare() != "NOT" {
				p.warn(at, "AND needs something on both sides")
			}
			continue
		}
		n, err := p.unary()
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
	return join(kids), nil
}

func (p *parser) unary() (Node, error) {
	at := p.pos
	if !p.negation() {
		return p.primary()
	}
	if p.atEnd() || p.bare() == "OR" || p.bare() == "AND" {
		p.warn(at, "nothing follows to be excluded")
		return nil, nil
	}
	if err := p.enter(at); err != nil {
		return nil, err
	}
	defer p.leave()
	n, err := p.unary()
	switch n := n.(type) {
	case nil:
		return nil, err
	case Not:
		return n.Node, err
	}
	return Not{n}, err
}

// negation moves behind NOT, or behind a hyphen that something follows at once.
// "--" is text: people search for signatures and command lines.
func (p *parser) negation() bool {
	if p.takeOperator("NOT") {
		return true
	}
	if p.peek() != '-' || p.pos+1 == len(p.in) {
		return false
	}
	r, _ := utf8.DecodeRuneInString(p.in[p.pos+1:])
	if r == '-' || r == ')' || ends(r) && r != '"' && r != '(' {
		return false
	}
	p.pos++
	return true
}

func (p *parser) enter(pos int) error {
	if p.depth++; p.depth > MaxDepth {
		return invalid(pos, "parentheses and negations are nested deeper than %d", MaxDepth)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

func (p *parser) primary() (Node, error) {
	switch p.peek() {
	case '(':
		return p.group()
	case '"':
		return p.leaf(p.scope)
	}
	name, _, colon := strings.Cut(p.bare(), ":")
	switch {
	case !colon:
	case known(strings.ToLower(name)):
		return p.field(name)
	case fieldLike(name) && valueFields[p.scope] == nil:
		p.warn(p.pos, "there is no field "+name+":, so this is searched for as text")
	}
	return p.leaf(p.scope)
}

func (p *parser) group() (Node, error) {
	open := p.pos
	if err := p.enter(open); err != nil {
		return nil, err
	}
	defer p.leave()
	p.pos++
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.peek() == ')' {
		p.pos++
	} else {
		p.warn(open, "this parenthesis is not closed; it was closed at the end")
	}
	if n == nil {
		p.warn(open, "these parentheses hold nothing")
	}
	return n, nil
}

// count accounts for one term. How many there are in the end is known when the
// alternatives around it are.
func (p *parser) count(pos int) { p.terms = append(p.terms, pos) }

// join returns the conjunction of kids, without the nil ones.
func join(kids []Node) Node {
	var out And
	for _, k := range kids {
		switch k := k.(type) {
		case nil:
		case And:
			out = append(out, k...)
		default:
			out = append(out, k)
		}
	}
	switch len(out) {
	case 0:
		return nil
	case 1:
		return out[0]
	}
	return out
}

// either returns the disjunction of kids.
func either(kids []Node) Node {
	var out Or
	for _, k := range kids {
		if o, ok := k.(Or); ok {
			out = append(out, o...)
			continue
		}
		out = append(out, k)
	}
	switch len(out) {
	case 0:
		return nil
	case 1:
		return out[0]
	}
	return out
}
