package mail

import (
	"io"
	"time"
)

// Raw gives random access to the exact bytes of one message. Every byte that
// ReadAt returns has been verified against the hashes of the record that holds
// it. Close releases what backs it.
type Raw interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// A Capture states how a message was obtained: the chain of custody.
type Capture struct {
	Mailbox string `json:"mailbox"`
	// UIDL is the server's unique-id as opaque octets (RFC 1939 section 7);
	// empty where the server has none. It is kept in base64 because servers
	// send octets that are not UTF-8.
	UIDL Octets `json:"uidl"`
	// ListSize is the size in octets that LIST announced; -1 if unknown.
	ListSize int64     `json:"list_size"`
	Session  string    `json:"session"`
	Host     string    `json:"host"`
	TLS      string    `json:"tls,omitempty"` // protocol version and cipher suite; empty on a plain connection
	Worker   string    `json:"worker,omitempty"`
	Fetched  time.Time `json:"fetched"`
	// Suspect says why the bytes may be incomplete ("short: ..."). A suspect
	// delivery is sealed as evidence, but its receipt never allows a deletion.
	Suspect string `json:"suspect,omitempty"`
}

// A Delivery is one message as one mailbox delivered it.
type Delivery struct {
	Capture
	Fingerprint
	// Class is given by the sink when it seals the delivery; whatever it had before
	// counts for nothing. It is zero of what was sealed without one.
	Class Class `json:"class,omitzero"`
}

// Octets is a string of arbitrary bytes that JSON carries in base64.
type Octets string

// MarshalJSON writes the octets as a base64 string.
func (o Octets) MarshalJSON() ([]byte, error) { return marshalOctets(o) }

// UnmarshalJSON reads a base64 string.
func (o *Octets) UnmarshalJSON(b []byte) error { return unmarshalOctets(b, o) }

// A Listing is one row of a mailbox listing as UIDL and LIST give it.
type Listing struct {
	UIDL Octets `json:"uidl"`
	Size int64  `json:"size"`
}

// A Receipt states that a delivery is sealed: its record is written, fsynced
// and hashed. It is made by the sink alone and is what lets the poller delete.
type Receipt struct {
	Delivery
	// ID is the record that seals this delivery: the message itself, or the
	// reference to identical bytes sealed before.
	ID ID `json:"id"`
	// Segment is the number of the ledger segment that holds it.
	Segment  uint32    `json:"segment"`
	SealedAt time.Time `json:"sealed_at"`
	// Duplicate says that the same delivery (mailbox, UIDL, digest) was sealed
	// before and that nothing was appended for this one.
	Duplicate bool `json:"duplicate,omitempty"`
	// First is when the mailbox first brought the same bytes, under whichever
	// unique-id, by the later of the clocks of poller and sink; zero if this
	// delivery is the first.
	First time.Time `json:"first,omitzero"`
}

// Since returns since when the archive has the bytes from the receipt's mailbox:
// First, else the later of Fetched and SealedAt. The zero Receipt has no time.
func (r Receipt) Since() time.Time {
	switch {
	case !r.First.IsZero():
		return r.First
	case r.Fetched.After(r.SealedAt):
		return r.Fetched
	}
	return r.SealedAt
}

// Covers returns nil if r allows deleting, from mailbox, the message that has
// the fingerprint f; otherwise an error that says what differs.
func (r Receipt) Covers(mailbox string, f Fingerprint) error {
	switch {
	case r.SealedAt.IsZero() || r.Digest.IsZero():
		return Errorf(Invalid, "no seal receipt")
	case r.Suspect != "":
		return Errorf(Invalid, "receipt %s is for a suspect copy (%s)", r.ID, r.Suspect)
	case r.Mailbox != mailbox:
		return Errorf(Invalid, "receipt %s is for mailbox %q, not %q", r.ID, r.Mailbox, mailbox)
	case r.Digest != f.Digest || r.Size != f.Size:
		return Errorf(Corrupt, "receipt %s is for %s, the server sent %s", r.ID, r.Fingerprint, f)
	}
	return nil
}
