package query

import (
	"fmt"
	"strings"
	"time"
)

// Explain says in words what the query asks for, one condition a line, groups
// indented by two spaces. Dates are worked out and name the zone of the query.
func (q *Query) Explain() string {
	if q.Root == nil {
		return "every message\n"
	}
	e := &explainer{zone: q.Zone}
	q.Root.explain(e, "anywhere")
	return e.out.String()
}

// An explainer collects the lines of an explanation. where tells a node which
// text it is looked for in.
type explainer struct {
	out    strings.Builder
	indent int
	zone   *time.Location
}

func (e *explainer) line(format string, args ...any) {
	e.out.WriteString(strings.Repeat("  ", e.indent))
	fmt.Fprintf(&e.out, format+"\n", args...)
}

func (e *explainer) group(title string, kids []Node) {
	e.line("%s", title)
	e.indent++
	for _, k := range kids {
		k.explain(e, "anywhere")
	}
	e.indent--
}

func (n And) explain(e *explainer, _ string) { e.group("all of these:", n) }
func (n Or) explain(e *explainer, _ string)  { e.group("any of these:", n) }
func (n Not) explain(e *explainer, _ string) { e.group("not this:", []Node{n.Node}) }

func (n Word) explain(e *explainer, where string) { e.line("the word %q %s", n.Text, where) }

func (n Phrase) explain(e *explainer, where string) {
	e.line("the words %q in this order %s", strings.Join(n.Words, " "), where)
}

func (n Prefix) explain(e *explainer, where string) {
	e.line("a word that begins with %q %s", n.Text, where)
}

func (n Fuzzy) explain(e *explainer, where string) {
	e.line("a word that differs from %q by at most one letter %s", n.Text, where)
}

func (n Near) explain(e *explainer, where string) {
	e.line("the words %q in any order with at most %d others between %s", strings.Join(n.Words, " "), n.Distance, where)
}

func (n Contains) explain(e *explainer, where string) {
	e.line("an address with %q in it %s", n.Text, where)
}

func (n Stem) explain(e *explainer, where string) {
	e.line("a word of the same stem as %q, in English or German, %s", n.Text, where)
}

// places are the texts that fields stand for.
var places = map[string]string{
	"from": "in From", "to": "in To", "cc": "in Cc", "bcc": "in Bcc", "participants": "in any address field",
	"subject": "in the subject", "body": "in the body", "attachment": "in an attachment", "filename": "in a file name",
}

func (n Field) explain(e *explainer, _ string) {
	text := Canonical(n.Node)
	switch w, word := n.Node.(Word); {
	case n.Name == "domain" && word:
		e.line("an address of the domain %q or below it, in any address field", strings.TrimPrefix(w.Text, "@"))
	case n.Name == "domain":
		n.Node.explain(e, "as a domain, in any address field")
	case addressFields[n.Name] && word && strings.HasPrefix(w.Text, "@"):
		e.line("an address of the domain %q or below it %s", w.Text[1:], places[n.Name])
	case addressFields[n.Name] && word && strings.Contains(w.Text, "@"):
		e.line("the address %q %s", text, places[n.Name])
	default:
		n.Node.explain(e, places[n.Name])
	}
}

// titles are what exact fields are called.
var titles = map[string]string{
	"filetype": "a part of the type", "hash": "the message or a part with the SHA-256", "copy": "copies of the message",
	"message-id": "the Message-ID", "list": "the mailing list", "lang": "the language", "mailbox": "the mailbox",
	"defect": "the defect", "parser": "read by the parser of version", "extractor": "a text made by the extractor",
	"class": "the retention class", "hold": "the legal hold", "thread": "the conversation",
}

func (n Exact) explain(e *explainer, _ string) { e.line("%s %q", titles[n.Name], n.Value) }

func (n Records) explain(e *explainer, where string) { n.For.explain(e, where) }

func (n Has) explain(e *explainer, _ string) { e.line("with this in it: %s", n.What) }

func (n Is) explain(e *explainer, _ string) { e.line("of this kind: %s", n.What) }

func (n Size) explain(e *explainer, _ string) { e.line("%s than %d octets", n.Name, n.Octets) }

func (n Date) explain(e *explainer, _ string) {
	what := map[string]string{"received": "received", "sealed": "archived"}[n.Name]
	if what == "" {
		what = "dated"
	}
	at := func(t time.Time) string { return t.In(e.zone).Format("2006-01-02 15:04 -07:00") }
	switch {
	case n.From.IsZero():
		e.line("%s before %s", what, at(n.To))
	case n.To.IsZero():
		e.line("%s %s or later", what, at(n.From))
	default:
		e.line("%s %s or later, and before %s", what, at(n.From), at(n.To))
	}
}
