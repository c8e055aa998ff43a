package query

import (
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A Query is a parsed query.
type Query struct {
	// Root is the tree; nil for a query that asks for nothing in particular
	// and so matches every message.
	Root     Node
	Warnings []mail.Warning // in the order of their positions in the text
	// Zone is where days begin and end; never nil after Parse.
	Zone *time.Location
	// Strict makes errors of the warnings of evaluation, too.
	Strict bool
	// Partly asks, in place of what matches, for all in the scope of the query that
	// could not be fully read.
	Partly bool
}

// A Node is one of And, Or, Not, Word, Phrase, Prefix, Fuzzy, Near, Contains,
// Stem, Field, Exact, Has, Is, Date, Size and Records.
type Node interface {
	// write appends the canonical form; field is the name of the Field around
	// the node, if any.
	write(b *writer, field string)
	// explain says in words what the node asks for; see explainer.
	explain(e *explainer, where string)
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

// Fuzzy is a word of which one letter may be another, missing or too many.
type Fuzzy struct{ Text string }

// Near is 2 to MaxPhrase words in any order, with at most Distance others
// between the first and the last of them; Distance is 1 to MaxNear.
type Near struct {
	Words    []string
	Distance int
}

// Contains is a part of an address or domain; only ever within a Field.
type Contains struct{ Text string }

// Stem is a word that stands for all words of the same stem.
type Stem struct{ Text string }

// Field restricts a Word, Phrase, Prefix, Fuzzy, Near or Contains to a field of
// the message.
type Field struct {
	// Name is from, to, cc, bcc, participants, domain, subject, body,
	// attachment or filename.
	Name string
	Node Node
}

// Exact asks for a value of a field as a whole.
type Exact struct {
	// Name is filetype, hash, copy, message-id, list, lang, mailbox, defect,
	// parser, extractor or one of Outside.
	Name string
	// Value is in the form in which values of the field are compared: lower
	// case but for message-id.
	Value string
}

// Has matches messages that have something; What is one of HasValues.
type Has struct{ What string }

// Is matches messages that are something; What is one of IsValues.
type Is struct{ What string }

// Date matches messages of which a date t is From <= t < To; a zero time is an
// open end.
type Date struct {
	// Name is before, after or on, for the effective date, or received or
	// sealed.
	Name     string
	Spec     string // the period as written: 2024, 2024-01, 2024-01-31 or a range
	From, To time.Time
}

// Size matches messages whose raw size is larger or smaller than Octets.
type Size struct {
	Name   string // larger or smaller
	Octets int64
}

// Records matches the records at the positions, which ascend. It has no written
// form of its own: Resolve puts it in place of an Exact, whose form it keeps.
type Records struct {
	For  Exact
	Seqs []uint64
}
