package query

import (
	"strconv"
	"strings"
)

// A writer collects a canonical form.
type writer struct{ strings.Builder }

// String returns the canonical form.
func (q *Query) String() string {
	if q.Root == nil {
		return ""
	}
	return Canonical(q.Root)
}

// Canonical returns the canonical form of a tree.
func Canonical(n Node) string {
	var b writer
	n.write(&b, "")
	return b.String()
}

func (n And) write(b *writer, _ string) {
	for i, k := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.group(k)
	}
}

func (n Or) write(b *writer, _ string) {
	for i, k := range n {
		if i > 0 {
			b.WriteString(" OR ")
		}
		k.write(b, "")
	}
}

func (n Not) write(b *writer, _ string) {
	b.WriteByte('-')
	if _, ok := n.Node.(And); ok {
		b.WriteByte('(')
		n.Node.write(b, "")
		b.WriteByte(')')
		return
	}
	b.group(n.Node)
}

// group writes n, in parentheses if it is an Or.
func (b *writer) group(n Node) {
	if _, ok := n.(Or); !ok {
		n.write(b, "")
		return
	}
	b.WriteByte('(')
	n.write(b, "")
	b.WriteByte(')')
}

func (n Word) write(b *writer, field string) {
	if plain(n.Text, field) {
		b.WriteString(n.Text)
		return
	}
	b.quote(n.Text)
}

func (n Phrase) write(b *writer, _ string) { b.quote(strings.Join(n.Words, " ")) }

func (n Prefix) write(b *writer, _ string) { b.WriteString(n.Text + "*") }

func (n Fuzzy) write(b *writer, _ string) { b.WriteString(n.Text + "~") }

func (n Near) write(b *writer, _ string) {
	b.quote(strings.Join(n.Words, " "))
	b.WriteString("~" + strconv.Itoa(n.Distance))
}

func (n Contains) write(b *writer, _ string) { b.WriteString("*" + n.Text + "*") }

func (n Stem) write(b *writer, _ string) { b.named("stem", n.Text) }

func (n Field) write(b *writer, _ string) {
	b.WriteString(n.Name + ":")
	n.Node.write(b, n.Name)
}

func (n Exact) write(b *writer, _ string) { b.named(n.Name, n.Value) }

// named writes a field with its value, in quotes if need be.
func (b *writer) named(name, value string) {
	b.WriteString(name + ":")
	if plain(value, name) && strings.IndexFunc(value, ends) < 0 {
		b.WriteString(value)
		return
	}
	b.quote(value)
}

func (n Has) write(b *writer, _ string) { b.WriteString("has:" + n.What) }

func (n Is) write(b *writer, _ string) { b.WriteString("is:" + n.What) }

func (n Date) write(b *writer, _ string) { b.WriteString(n.Name + ":" + n.Spec) }

func (n Size) write(b *writer, _ string) {
	b.WriteString(n.Name + ":" + formatSize(n.Octets))
}

func (n Records) write(b *writer, field string) { n.For.write(b, field) }

func (b *writer) quote(s string) {
	b.WriteByte('"')
	b.WriteString(s)
	b.WriteByte('"')
}

// plain reports whether a word of this text, written without quotes behind
// field (or outside of any), is read back as that word and without a warning.
func plain(s, field string) bool {
	if s == "" || strings.Contains(s, "*") || operator(s) || fuzzySuffix.MatchString(s) {
		return false
	}
	return field != "" || textual(s)
}

// textual reports whether s begins neither with a hyphen nor with what looks
// like a field.
func textual(s string) bool {
	name, _, colon := strings.Cut(s, ":")
	return s[0] != '-' && !(colon && (fieldLike(name) || known(strings.ToLower(name))))
}
