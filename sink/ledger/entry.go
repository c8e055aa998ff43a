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
	body     []byte
	bodySum  hash32
	metaCmt  hash32
	cmt      hash32
	plainLen uint64

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

// Message makes the entry of a message of at most ChunkSize octets. It returns
// a mail.Corrupt error if raw does not match the fingerprint of d, and a
// mail.Invalid one if it is too large. Safe for many goroutines.
func Message(d mail.Delivery, raw []byte) (*Entry, error) {
	if len(raw) > ChunkSize {
		return nil, mail.Errorf(mail.Invalid, "message of %d octets is over the %d of one record", len(raw), ChunkSize)
	}
	if err := matches(d, mail.FingerprintOf(raw)); err != nil {
		return nil, err
	}
	e, err := newEntry(typeMessage, meta{Delivery: d}, raw)
	if err != nil {
		return nil, err
	}
	e.delivery = d
	e.cmt = commitTo(d.Digest, uint64(d.Size))
	return e, nil
}

// LargeMessage makes the entry of a message of any size. Append reads raw once
// and holds no more than three chunks of it. If raw fails or does not match
// the fingerprint of d, Sealed.Err says so and nothing of it ever is visible.
func LargeMessage(d mail.Delivery, raw io.Reader) *Entry {
	return &Entry{typ: typeMessage, delivery: d, large: raw}
}

// Reference makes the entry of a delivery of bytes that the message of has
// already; again says that the same mailbox delivered them before. Append
// refuses it (Sealed.Err) unless of is a visible message with d's digest.
func Reference(d mail.Delivery, of mail.ID, again bool) (*Entry, error) {
	e, err := newEntry(typeReference, meta{Delivery: d, Of: &of, Again: again}, nil)
	if err != nil {
		return nil, err
	}
	e.delivery, e.of = d, of
	e.cmt = commitTo(d.Digest, uint64(d.Size))
	return e, nil
}

// Event makes the entry of an event. Its JSON form must have at most ChunkSize
// octets.
func Event(ev mail.Event) (*Entry, error) {
	raw, err := json.Marshal(ev)
	if err != nil {
		return nil, mail.Errorf(mail.Invalid, "event %s: %w", ev.Type, err)
	}
	if len(raw) > ChunkSize {
		return nil, mail.Errorf(mail.Invalid, "event %s of %d octets is over the %d of one record", ev.Type, len(raw), ChunkSize)
	}
	e := plainEntry(typeEvent, nil, raw)
	e.cmt = commitTo(mail.DigestOf(raw), uint64(len(raw)))
	return e, nil
}

// Size is about how many octets the entry will take in the ledger.
func (e *Entry) Size() int64 {
	if e.large != nil {
		return e.delivery.Size
	}
	return int64(frameLen(uint32(len(e.body))))
}

func newEntry(typ recordType, m meta, raw []byte) (*Entry, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, mail.Errorf(mail.Invalid, "metadata: %w", err)
	}
	if len(b) > maxMeta {
		return nil, mail.Errorf(mail.Invalid, "metadata of %d octets is over the limit of %d", len(b), maxMeta)
	}
	return plainEntry(typ, b, raw), nil
}

// plainEntry compresses and hashes; the commitment is the caller's.
func plainEntry(typ recordType, meta, raw []byte) *Entry {
	codec, body := encodeBody(meta, raw)
	return codedEntry(typ, codec, body, meta, len(raw))
}

// storedEntry does not compress.
func storedEntry(typ recordType, meta, raw []byte) *Entry {
	return codedEntry(typ, codecRaw, storedBody(meta, raw), meta, len(raw))
}

func codedEntry(typ recordType, codec uint8, body, meta []byte, plain int) *Entry {
	return &Entry{
		typ: typ, codec: codec, body: body, bodySum: sha(body),
		metaCmt: commitToMeta(meta), plainLen: uint64(plain),
	}
}

// header returns the part of a header that does not depend on the place.
func (e *Entry) header(flags uint8) header {
	return header{
		typ: e.typ, codec: e.codec, flags: flags, plainLen: e.plainLen,
		cmt: e.cmt, bodySum: e.bodySum, metaCmt: e.metaCmt,
	}
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
