package sink

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

const (
	// inlineSize is the largest message that is sealed from memory; a larger one
	// is streamed.
	inlineSize = ledger.ChunkSize
	// largeWeight is what a streamed message holds of memory at most.
	largeWeight = 3 * inlineSize
	// eventWeight is what an event is taken to hold.
	eventWeight = 64 << 10

	maxMailbox = 1000    // octets of a mailbox's name
	maxUIDL    = 8 << 10 // octets; RFC 1939 section 7 allows 70
	maxSuspect = 1 << 10
)

// An item is a message or an event between Accept and its acknowledgement. It
// belongs to one goroutine at a time.
type item struct {
	in       Inbound
	event    *mail.Event
	ackEvent func(mail.ID, error)
	weight   int64

	// entry is set by the preparer for an event and for a message that is
	// sealed from memory, unless its bytes were sealed already.
	entry *ledger.Entry
}

func (it *item) large() bool { return it.event == nil && it.in.Delivery.Size > inlineSize }

func (it *item) size() int64 {
	if it.event != nil {
		return eventWeight
	}
	return it.in.Delivery.Size
}

func (it *item) mailbox() string {
	if it.event != nil {
		if it.event.Drain == nil {
			return "" // of the archive itself
		}
		return it.event.Drain.Mailbox
	}
	return it.in.Delivery.Mailbox
}

// grant acknowledges the item with what seals it, and refuse with an error; one
// of them is called, once.
func (s *Sink) grant(it *item, r mail.Receipt) {
	if it.event != nil {
		it.ackEvent(r.ID, nil)
	} else {
		it.in.Ack(r, nil)
	}
	s.release(it)
}

func (s *Sink) refuse(it *item, err error) {
	if it.event != nil {
		it.ackEvent(mail.ID{}, err)
	} else {
		it.in.Ack(mail.Receipt{}, err)
	}
	s.release(it)
}

// again makes of err one that asks to send again: NoSpace stays, anything else
// is Temporary. It is for failures that say nothing about the bytes.
func again(err error) error {
	if k := mail.KindOf(err); k == mail.NoSpace || k == mail.Temporary {
		return err
	}
	return mail.Errorf(mail.Temporary, "%w", err)
}

// about makes the error that Ack may get of one that reading or sealing the
// bytes of one message gave: bytes that are gone or wrong stay so.
func about(err error) error {
	switch mail.KindOf(err) {
	case mail.Invalid, mail.Corrupt:
		return err
	case mail.NotFound:
		return mail.Errorf(mail.Corrupt, "the bytes are gone: %w", err)
	}
	return again(err)
}

// cleanDelivery returns d as the ledger will give it back, or says why it
// cannot be sealed. Names that are not UTF-8 would come out of the ledger's
// JSON as others than went in.
func cleanDelivery(d mail.Delivery, maxMessage int64) (mail.Delivery, error) {
	switch {
	case d.Mailbox == "" || len(d.Mailbox) > maxMailbox || !utf8.ValidString(d.Mailbox):
		return d, mail.Errorf(mail.Invalid, "the mailbox's name %.40q is not text of 1 to %d octets", d.Mailbox, maxMailbox)
	case len(d.UIDL) > maxUIDL:
		return d, mail.Errorf(mail.Invalid, "the unique-id has %d octets, more than %d", len(d.UIDL), maxUIDL)
	case d.Digest.IsZero() || d.Size < 0:
		return d, mail.Errorf(mail.Invalid, "the delivery has no fingerprint")
	case d.Size > maxMessage:
		return d, mail.Errorf(mail.Invalid, "the message has %d octets, more than the limit of %d", d.Size, maxMessage)
	}
	d.Suspect = strings.ToValidUTF8(d.Suspect[:min(len(d.Suspect), maxSuspect)], "?")
	return d, nil
}

// cleanEvent returns e as the ledger will give it back: a copy that has been
// through JSON.
func cleanEvent(e mail.Event) (*mail.Event, error) {
	switch d := e.Drain; {
	case e.Type == mail.EventAnchor && e.Anchor != nil && d == nil:
	case e.Type == mail.EventStored && e.Stored != nil && d == nil:
	case e.Type == mail.EventVerify && e.Verify != nil && d == nil:
	case e.Type == mail.EventDrill && e.Drill != nil && d == nil:
	case e.Type != mail.EventDrain || d == nil:
		return nil, mail.Errorf(mail.Invalid, "%.40q is not the type of an event, or its content is missing", e.Type)
	case d.Session == "" || !utf8.ValidString(d.Session):
		return nil, mail.Errorf(mail.Invalid, "the report has no session id")
	case d.Mailbox == "" || len(d.Mailbox) > maxMailbox || !utf8.ValidString(d.Mailbox):
		return nil, mail.Errorf(mail.Invalid, "the mailbox's name %.40q is not text of 1 to %d octets", d.Mailbox, maxMailbox)
	}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, mail.Errorf(mail.Invalid, "the event cannot be written: %w", err)
	}
	clean := new(mail.Event)
	if err := json.Unmarshal(b, clean); err != nil {
		return nil, mail.Errorf(mail.Invalid, "the event cannot be read back: %w", err)
	}
	return clean, nil
}
