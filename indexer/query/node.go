package query

import (
	"strconv"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A Query is a parsed query.
type Query struct {
	// Root is the tree; nil for a query that asks for nothing in particular
	// and so matches every message.
	Root     Node
	Warnings []mail.Warning // in the order of their positions in the text
}

// String returns the canonical form.
func (q *Query) String() string {
	if q.Root == nil {
		return ""
	}
	var b strings.Builder
	q.Root.write(&b, "")
	return b.String()
}

// A Node is one of And, Or, Not, Word, Phrase, Prefix, Field, Has, Date, Size.
type Node interface {
	// write appends the canonical form; field is the name of the Field around
	// the node, if any.
	write(b *strings.Builder, field string)
}

// And matches what all of its nodes match. It has at least two; none is an And.
type And []Node

// Or matches what any of its nodes matches. It has at least two; none is an Or.
type Or []Node

// Not matches what its node does not match. The node is never a Not.
type Not struct{ Node Node }

// Word is a run of text without white space. What words it stands for is up to
// the index: "e-mail" may be two.
type Word struct{ Text string }

// Phrase is words in a row, 1 to MaxPhrase of them.
type Phrase struct{ Words []string }

// Prefix is the beginning of a word, without the asterisk.
type Prefix struct{ Text string }

// Field restricts a Word, Phrase or Prefix to a field of the message.
type Field struct {
	// Name is from, to, cc, bcc, subject, filename or mailbox.
	Name string
	Node Node
}

// Has matches messages that have something; What is "attachment".
type Has struct{ What string }

// Date matches messages whose effective date t is From <= t < To, in UTC; a
// zero time is an open end.
type Date struct {
	Name     string // before, after or on
	Spec     string // the period as written: 2024, 2024-01 or 2024-01-31
	From, To time.Time
}

// Size matches messages whose raw size is larger or smaller than Octets.
type Size struct {
	Name   string // larger or smaller
	Octets int64
}

func (n And) write(b *strings.Builder, _ string) {
	for i, k := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		group(b, k)
	}
}

func (n Or) write(b *strings.Builder, _ string) {
	for i, k := range n {
		if i > 0 {
			b.WriteString(" OR ")
		}
		k.write(b, "")
	}
}

func (n Not) write(b *strings.Builder, _ string) {
	b.WriteByte('-')
	if _, ok := n.Node.(And); ok {
		b.WriteByte('(')
		n.Node.write(b, "")
		b.WriteByte(')')
		return
	}
	group(b, n.Node)
}

// group writes n, in parentheses if it is an Or.
func group(b *strings.Builder, n Node) {
	if _, ok := n.(Or); !ok {
		n.write(b, "")
		return
	}
	b.WriteByte('(')
	n.write(b, "")
	b.WriteByte(')')
}

func (n Word) write(b *strings.Builder, field string) {
	if plain(n.Text, field) {
		b.WriteString(n.Text)
		return
	}
	quote(b, n.Text)
}

func (n Phrase) write(b *strings.Builder, _ string) { quote(b, strings.Join(n.Words, " ")) }

func (n Prefix) write(b *strings.Builder, _ string) {
	b.WriteString(n.Text)
	b.WriteByte('*')
}

func (n Field) write(b *strings.Builder, _ string) {
	b.WriteString(n.Name)
	b.WriteByte(':')
	n.Node.write(b, n.Name)
}

func (n Has) write(b *strings.Builder, _ string) { b.WriteString("has:" + n.What) }

func (n Date) write(b *strings.Builder, _ string) { b.WriteString(n.Name + ":" + n.Spec) }

func (n Size) write(b *strings.Builder, _ string) {
	b.WriteString(n.Name + ":" + formatSize(n.Octets))
}

func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	b.WriteString(s)
	b.WriteByte('"')
}

// plain reports whether a word of this text, written without quotes behind
// field (or outside of any), is read back as that word and without a warning.
func plain(s, field string) bool {
	if s == "" || strings.Contains(s, "*") || operator(s) {
		return false
	}
	return field != "" || textual(s)
}

// textual reports whether s begins neither with a hyphen nor with what looks
// like a field.
func textual(s string) bool {
	name, _, colon := strings.Cut(s, ":")
	return s[0] != '-' && !(colon && fieldLike(name))
}

// units are the suffixes of sizes, the largest first.
var units = []struct {
	suffix string
	octets int64
}{{"G", 1 << 30}, {"M", 1 << 20}, {"k", 1 << 10}}

func formatSize(n int64) string {
	for _, u := range units {
		if n != 0 && n%u.octets == 0 {
			return strconv.FormatInt(n/u.octets, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}
