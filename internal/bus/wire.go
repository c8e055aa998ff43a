package bus

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go"
)

// The header fields of a message of RAW. The body is the raw bytes of a mail,
// the JSON of an event, or empty where chunks hold it.
const (
	fieldTransfer = "Mailkeep-Transfer"
	fieldDelivery = "Mailkeep-Delivery" // JSON of a mail.Delivery; absent for an event
	fieldReceipt  = "Mailkeep-Receipt"  // subject that wants the receipt; absent for an event
	fieldSize     = "Mailkeep-Size"     // octets of the body, in chunks or not
	fieldChunks   = "Mailkeep-Chunks"   // number of chunks; absent if there are none
)

// maxHeader bounds the delivery as JSON, so that it fits into the headroom.
const maxHeader = 48 << 10

// An envelope is what travels with a body.
type envelope struct {
	transfer string
	delivery *mail.Delivery // nil for an event
	receipt  string
	size     int64
	chunks   int // 0 if the body is inline
}

func (e envelope) header() (nats.Header, error) {
	h := nats.Header{}
	h.Set(nats.MsgIdHdr, e.transfer)
	h.Set(fieldTransfer, e.transfer)
	h.Set(fieldSize, strconv.FormatInt(e.size, 10))
	if e.chunks > 0 {
		h.Set(fieldChunks, strconv.Itoa(e.chunks))
	}
	if e.delivery == nil {
		return h, nil
	}
	text, err := json.Marshal(e.delivery)
	if err != nil {
		return nil, fmt.Errorf("encode the delivery: %w", err)
	}
	if len(text) > maxHeader {
		return nil, mail.Errorf(mail.Invalid, "the delivery has %d octets of metadata; the limit is %d", len(text), maxHeader)
	}
	h.Set(fieldDelivery, string(text))
	h.Set(fieldReceipt, e.receipt)
	return h, nil
}

// openEnvelope reads what header wrote. It is strict, because the fields become
// subjects that this process publishes to and purges.
func openEnvelope(h nats.Header, body []byte) (e envelope, err error) {
	e.transfer, e.receipt = h.Get(fieldTransfer), h.Get(fieldReceipt)
	if !validTransfer(e.transfer) {
		return e, mail.Errorf(mail.Invalid, "no transfer identifier")
	}
	if e.size, err = strconv.ParseInt(h.Get(fieldSize), 10, 64); err != nil || e.size < 0 {
		return e, mail.Errorf(mail.Invalid, "no size")
	}
	if text := h.Get(fieldChunks); text != "" {
		if e.chunks, err = strconv.Atoi(text); err != nil || e.chunks < 1 {
			return e, mail.Errorf(mail.Invalid, "unreadable number of chunks")
		}
	}
	if err := e.checkBody(len(body)); err != nil {
		return e, err
	}
	text := h.Get(fieldDelivery)
	if text == "" {
		return e, nil
	}
	if err := json.Unmarshal([]byte(text), &e.delivery); err != nil || e.delivery == nil {
		return e, mail.Errorf(mail.Invalid, "unreadable delivery")
	}
	return e, e.checkDelivery()
}

func (e envelope) checkBody(n int) error {
	want, chunks := e.size, int64(0)
	if e.chunks > 0 {
		want, chunks = 0, (e.size-1)/chunkSize+1
	}
	if int64(n) != want || int64(e.chunks) != chunks {
		return mail.Errorf(mail.Corrupt, "size %d does not agree with %d octets in the body and %d chunks", e.size, n, e.chunks)
	}
	return nil
}

func (e envelope) checkDelivery() error {
	if e.delivery.Size != e.size {
		return mail.Errorf(mail.Corrupt, "the delivery has %d octets, the transfer %d", e.delivery.Size, e.size)
	}
	if !validInbox(e.receipt) {
		return mail.Errorf(mail.Invalid, "the receipt cannot be addressed")
	}
	return nil
}

// validTransfer reports whether s has the form of a NUID.
func validTransfer(s string) bool {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return len(s) == 22 && strings.Trim(s, digits) == ""
}

// validInbox reports whether s is a subject under an inbox: nobody is to
// make the archive publish anywhere else.
func validInbox(s string) bool {
	return strings.HasPrefix(s, "_INBOX") && len(s) < 256 && !strings.ContainsAny(s, "*> \t\r\n") &&
		!strings.Contains(s, "..") && !strings.HasSuffix(s, ".")
}

// An answer is what the archive says to the poller: a receipt or a fault.
type answer struct {
	Receipt *mail.Receipt `json:"receipt,omitempty"`
	Fault   *fault        `json:"fault,omitempty"`
}

func (a answer) open() (mail.Receipt, error) {
	switch {
	case a.Fault != nil:
		return mail.Receipt{}, fmt.Errorf("the archive refused: %w", a.Fault.err())
	case a.Receipt == nil:
		return mail.Receipt{}, mail.Errorf(mail.Temporary, "the archive sent an empty answer")
	}
	return *a.Receipt, nil
}
