package ledger

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// An Entry is something to append: made, hashed and compressed before its
// place in the ledger is known. Unless it is a LargeMessage it does not change
// and may be given to Append again after a failure.
type Entry struct {
	typ      recordType
	codec    uint8
	dict     uint32
	body     []byte // as the codec made it
	bodySum  hash32
	summed   bool // bodySum is set
	metaSum  hash32
	plainLen uint64

	// What the commitment to the content is about.
	digest mail.Digest
	size   uint64

	delivery mail.Delivery // of messages and references
	of       mail.ID       // of references
	large    io.Reader     // of large messages, which have no body yet
}

// Sealed tells where an entry of a batch is. If Err is set, this entry is not
// in the ledger although the rest of its batch is.
type Sealed struct {
	ID      mail.ID
	Segment uint32
	At      time.Time
	Err     error
}

// meta is the metadata of messages and references as it stands in the body.
type meta struct {
	mail.Delivery
	Of    *mail.ID `json:"of,omitempty"`
	Again bool     `json:"again,omitempty"`
}

// A Maker makes entries for a ledger: see Ledger.Maker. The zero Maker makes
// such as every ledger takes, without a dictionary. Its methods are safe for
// many goroutines, and do the work that needs no place in the ledger.
type Maker struct {
	dictionary *Dictionary // nil: none
	sealed     bool        // the body will be encrypted, so its hash as it is is of no use
}

// Message is the method of the zero Maker.
func Message(d mail.Delivery, raw []byte) (*Entry, error) { return Maker{}.Message(d, raw) }

// Message makes the entry of a message of at most ChunkSize octets. It returns
// a mail.Corrupt error if raw does not match the fingerprint of d, and a
// mail.Invalid one if it is too large.
func (k Maker) Message(d mail.Delivery, raw []byte) (*Entry, error) {
	if len(raw) > ChunkSize {
		return nil, mail.Errorf(mail.Invalid, "message of %d octets is over the %d of one record", len(raw), ChunkSize)
	}
	if err := matches(d, mail.FingerprintOf(raw)); err != nil {
		return nil, err
	}
	return k.delivered(typeMessage, meta{Delivery: d}, raw)
}

// LargeMessage makes the entry of a message of any size. Append reads raw once
// and holds no more than three chunks of it. If raw fails or does not match
// the fingerprint of d, Sealed.Err says so and nothing of it ever is visible.
func LargeMessage(d mail.Delivery, raw io.Reader) *Entry {
	return &Entry{typ: typeMessage, delivery: d, large: raw}
}

// Reference is the method of the zero Maker.
func Reference(d mail.Delivery, of mail.ID, again bool) (*Entry, error) {
	return Maker{}.Reference(d, of, again)
}

// Reference makes the entry of a delivery of bytes that the message of has
// already; again says that the same mailbox delivered them before. Append
// refuses it (Sealed.Err) unless of is a visible message with d's digest.
func (k Maker) Reference(d mail.Delivery, of mail.ID, again bool) (*Entry, error) {
	e, err := k.delivered(typeReference, meta{Delivery: d, Of: &of, Again: again}, nil)
	if err != nil {
		return nil, err
	}
	e.of = of
	return e, nil
}

// Event is the method of the zero Maker.
func Event(ev mail.Event) (*Entry, error) { return Maker{}.Event(ev) }

// Event makes the entry of an event. Its JSON form must have at most ChunkSize
// octets.
func (k Maker) Event(ev mail.Event) (*Entry, error) {
	raw, err := json.Marshal(ev)
	if err != nil {
		return nil, mail.Errorf(mail.Invalid, "event %s: %w", ev.Type, err)
	}
	if len(raw) > ChunkSize {
		return nil, mail.Errorf(mail.Invalid, "event %s of %d octets is over the %d of one record", ev.Type, len(raw), ChunkSize)
	}
	e := k.entry(typeEvent, nil, raw)
	e.digest, e.size = mail.DigestOf(raw), uint64(len(raw))
	return e, nil
}

// Size is about how many octets the entry will take in the ledger.
func (e *Entry) Size() int64 {
	if e.large != nil {
		return e.delivery.Size
	}
	return int64(frameLen(uint32(len(e.body))))
}

// records is how many records the entry will be.
func (e *Entry) records() int64 {
	if e.large != nil {
		return e.delivery.Size/ChunkSize + 1
	}
	return 1
}

// delivered makes the entry of a message or reference.
func (k Maker) delivered(typ recordType, m meta, raw []byte) (*Entry, error) {
	note, err := m.encode()
	if err != nil {
		return nil, err
	}
	e := k.entry(typ, note, raw)
	e.delivery = m.Delivery
	e.digest, e.size = m.Digest, uint64(m.Size)
	return e, nil
}

// entry compresses and hashes; the commitment to the content is the caller's.
func (k Maker) entry(typ recordType, meta, raw []byte) *Entry {
	c := plain
	if k.dictionary != nil {
		c = k.dictionary.coder
	}
	codec, body := c.encode(meta, raw)
	e := &Entry{typ: typ, codec: codec, body: body, metaSum: sha(meta), plainLen: uint64(len(raw))}
	if codec&^codecFolded == codecZstdDict {
		e.dict = uint32(k.dictionary.id)
	}
	if !k.sealed {
		e.bodySum, e.summed = sha(body), true
	}
	return e
}

// sum returns the SHA-256 of the body.
func (e *Entry) sum() hash32 {
	if e.summed {
		return e.bodySum
	}
	return sha(e.body)
}

// header returns the part of a header that does not depend on the place.
func (e *Entry) header(flags uint8) header {
	return header{typ: e.typ, codec: e.codec, dict: e.dict, flags: flags, plainLen: e.plainLen}
}

// encode returns the JSON of the metadata.
func (m meta) encode() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, mail.Errorf(mail.Invalid, "metadata: %w", err)
	}
	if len(b) > maxMeta {
		return nil, mail.Errorf(mail.Invalid, "metadata of %d octets is over the limit of %d", len(b), maxMeta)
	}
	return b, nil
}

func matches(d mail.Delivery, got mail.Fingerprint) error {
	if d.Fingerprint == got {
		return nil
	}
	what := "digest"
	switch {
	case d.Size != got.Size:
		what = "size"
	case d.Digest == got.Digest:
		what = "header digest"
	}
	return mail.Errorf(mail.Corrupt, "message is %s, its delivery says %s: the %s differs", got, d.Fingerprint, what)
}

// parseMeta reads the metadata of a message or reference.
func parseMeta(b []byte) (meta, error) {
	var m meta
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("metadata: %w", err)
	}
	return m, nil
}
