package pop3

import (
	"context"
	"fmt"

	"github.com/mailkeep/mailkeep/mail"
)

// A Warrant permits one deletion. The zero Warrant permits nothing.
type Warrant struct {
	of     *Transaction
	number int
}

// Number is the message the warrant is for; 0 for the zero Warrant.
func (w Warrant) Number() int { return w.number }

// WarrantFetched permits deleting a message that this session retrieved and
// confirmed, if the receipt covers exactly those bytes (mail.Receipt.Covers).
func (t *Transaction) WarrantFetched(mailbox string, r Retrieved, receipt mail.Receipt) (Warrant, error) {
	if r.of != t || r.err != nil || r.fp.Digest.IsZero() {
		return Warrant{}, fmt.Errorf("message %d: %w: it was not retrieved in this session", r.number, ErrDoubt)
	}
	if err := receipt.Covers(mailbox, r.fp); err != nil {
		return Warrant{}, fmt.Errorf("message %d: %w", r.number, err)
	}
	return t.issue(r.number), nil
}

// WarrantKnown permits deleting a message that an earlier session sealed, if
// everything that can be seen of it without fetching it says that it is the
// same: its unique-id, which may be reused, its size, and its header (TOP). The
// caller knows that the unique-id occurs once in the listing, where row and uidl
// are from. Any doubt is ErrDoubt: fetch the message and ask for WarrantFetched.
// Other errors are those of the session.
func (t *Transaction) WarrantKnown(ctx context.Context, mailbox string, row Row, uidl string, receipt mail.Receipt) (Warrant, error) {
	doubt := func(format string, args ...any) (Warrant, error) {
		return Warrant{}, fmt.Errorf("message %d: %w: %s", row.Number, ErrDoubt, fmt.Sprintf(format, args...))
	}
	switch {
	case uidl == "" || uidl != string(receipt.UIDL):
		return doubt("its unique-id is not the receipt's")
	case row.Size < 0 || row.Size != receipt.ListSize:
		return doubt("it has %d octets, the receipt is for %d", row.Size, receipt.ListSize)
	case receipt.Header.IsZero():
		return doubt("the receipt has no header digest")
	case t.c.caps.Known && !t.c.caps.Top:
		return doubt("the server has no TOP")
	}
	// Of the bytes themselves nothing new is known: this checks the rest.
	if err := receipt.Covers(mailbox, receipt.Fingerprint); err != nil {
		return doubt("%v", err)
	}
	header, err := t.Top(ctx, row.Number)
	if err != nil {
		if t.c.dead != nil || ctx.Err() != nil {
			return Warrant{}, err
		}
		return doubt("%v", err) // refused; the session goes on
	}
	if header != receipt.Header {
		return doubt("its header is not the one that was sealed")
	}
	return t.issue(row.Number), nil
}

// WarrantShort permits deleting a message that this session retrieved and
// confirmed, and that is sealed as a suspect copy only, because it came shorter
// than the server announced. It is for the operator who has decided that such a
// message goes: the bytes that were announced and never sent are lost with it.
func (t *Transaction) WarrantShort(mailbox string, r Retrieved, receipt mail.Receipt) (Warrant, error) {
	if r.of != t || r.err != nil || r.fp.Digest.IsZero() {
		return Warrant{}, fmt.Errorf("message %d: %w: it was not retrieved in this session", r.number, ErrDoubt)
	}
	if receipt.Suspect == "" {
		return Warrant{}, fmt.Errorf("message %d: %w: the receipt is not for a suspect copy", r.number, ErrDoubt)
	}
	receipt.Suspect = "" // the rest is what it must be for any deletion
	if err := receipt.Covers(mailbox, r.fp); err != nil {
		return Warrant{}, fmt.Errorf("message %d: %w", r.number, err)
	}
	return t.issue(r.number), nil
}

func (t *Transaction) issue(number int) Warrant {
	if t.issued == nil {
		t.issued = map[int]bool{}
	}
	t.issued[number] = true
	return Warrant{t, number}
}
