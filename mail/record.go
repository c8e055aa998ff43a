package mail

import "time"

// A RecordKind tells what a record of the ledger is to those who follow it.
type RecordKind uint8

// The kinds of records a follower sees. Segment bookkeeping and the further
// chunks of a large message are not shown as records of their own.
const (
	KindMessage   RecordKind = 1 // a message; its raw bytes are in this record (and its chunks)
	KindReference RecordKind = 4 // a delivery of bytes that are sealed already
	KindEvent     RecordKind = 16
)

// String returns "message", "reference" or "event".
func (k RecordKind) String() string {
	switch k {
	case KindMessage:
		return "message"
	case KindReference:
		return "reference"
	case KindEvent:
		return "event"
	}
	return "unknown"
}

// A Record is one entry of the ledger as its followers (catalog, indexer) see
// it. Bodies are opened apart, by ID.
type Record struct {
	ID      ID
	Kind    RecordKind
	Time    time.Time // when the record was appended; never decreases
	Segment uint32
	// Next is the position behind this record and its chunks: the cursor of a
	// follower that has handled it.
	Next uint64
	// Delivery is set for messages and references.
	Delivery Delivery
	// Of is the message whose bytes a reference points at. Again says that the
	// same mailbox delivered the same bytes before, under another UIDL, so the
	// reference adds no new copy to what a reader sees.
	Of    ID
	Again bool
	// Event is set for events.
	Event *Event
	// Erased says that the key of the record was destroyed: nothing is known of it
	// but that it is there. Delivery, Of and Event are not set.
	Erased bool
}

// Searchable reports whether the record is a document of the index: a message,
// or a reference that brings a message to a mailbox for the first time, unless
// it was erased.
func (r Record) Searchable() bool {
	return !r.Erased && (r.Kind == KindMessage || r.Kind == KindReference && !r.Again)
}

// Body returns the ID whose raw bytes the record stands for.
func (r Record) Body() ID {
	if r.Kind == KindReference {
		return r.Of
	}
	return r.ID
}

// An Event is something that happened and that the ledger keeps: exactly one
// of its fields beside Type is set.
type Event struct {
	Type    string   `json:"type"` // one of the constants that begin with Event
	Drain   *Drain   `json:"drain,omitempty"`
	Anchor  *Anchor  `json:"anchor,omitempty"`
	Verify  *Verify  `json:"verify,omitempty"`
	Repair  *Repair  `json:"repair,omitempty"`
	Restore *Restore `json:"restore,omitempty"`
	Erase   *Erase   `json:"erase,omitempty"`
	Stored  *Stored  `json:"stored,omitempty"`
	Hold    *Hold    `json:"hold,omitempty"`
	Drill   *Drill   `json:"drill,omitempty"`
}

// EventAnchor is the Type of the event that names the heads of all logs of an
// archive, so that what vouches for the log that it is in vouches for all.
const EventAnchor = "anchor"

// An Anchor lists the last signed heads of the other logs of the archive.
type Anchor struct {
	Heads []LogHead `json:"heads"`
}

// A LogHead is the size and root of a log (RFC 6962 section 2.1).
type LogHead struct {
	Partition uint16 `json:"partition"`
	Size      uint64 `json:"size"` // records
	Root      Digest `json:"root"`
}

// A Cursor tells how far a follower has come in a ledger.
type Cursor struct {
	Partition uint16 `json:"partition"`
	Position  uint64 `json:"position"` // all records before it are handled
	Size      uint64 `json:"size"`     // the ledger's durable size when asked
}

// A ViewSummary identifies the content of a view, so that it can be compared
// with what the ledger says it must be.
type ViewSummary struct {
	Position uint64 `json:"position"`
	Entries  uint64 `json:"entries"`
	Digest   Digest `json:"digest"` // over the sorted entries
}
