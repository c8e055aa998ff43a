package pop3

import (
	"context"
	"errors"
	"fmt"
	"strconv"

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
// caller knows that the unique-id occurs once in the listing. Any doubt is
// ErrDoubt: fetch the message and ask for WarrantFetched. Other errors are those
// of the session.
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
	case t.caps.Known && !t.caps.Top:
		return doubt("the server has no TOP")
	}
	// Of the bytes themselves nothing new is known: this checks the rest.
	if err := receipt.Covers(mailbox, receipt.Fingerprint); err != nil {
		return doubt("%v", err)
	}
	header, err := t.Top(ctx, row.Number)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok && e.Class == Message && t.c.broken == nil {
			return doubt("%v", err)
		}
		return Warrant{}, err
	}
	if header != receipt.Header {
		return doubt("its header is not the one that was sealed")
	}
	return t.issue(row.Number), nil
}

func (t *Transaction) issue(number int) Warrant {
	if t.issued == nil {
		t.issued = map[int]bool{}
	}
	t.issued[number] = true
	return Warrant{t, number}
}

// deleteWindow is how many DELEs are sent ahead of their answers.
const deleteWindow = 64

// Delete marks messages as deleted; nothing is deleted before Quit. The first
// result has one entry for each warrant: nil, or why that message is not marked.
// The second is an error of the session, or ErrNoWarrant; then nothing is known
// of those without an answer, and the session must not end with Quit.
func (t *Transaction) Delete(ctx context.Context, ws []Warrant) ([]error, error) {
	for _, w := range ws {
		if w.of != t || !t.issued[w.number] {
			return nil, fmt.Errorf("delete message %d: %w", w.number, ErrNoWarrant)
		}
		delete(t.issued, w.number)
	}
	end, err := t.c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if err := t.c.quiet("DELE"); err != nil {
		return nil, err
	}
	window := 1
	if t.pipelining {
		window = deleteWindow
	}
	results := make([]error, len(ws))
	sent := 0
	for i := range ws {
		var batch []byte
		for ; sent < len(ws) && sent < i+window; sent++ {
			batch = append(batch, "DELE "+strconv.Itoa(ws[sent].number)+"\r\n"...)
			t.c.outstanding++
		}
		if len(batch) > 0 {
			t.c.out.send(batch)
		}
		t.c.expect(t.c.t.Command)
		st, err := t.c.status("DELE")
		if err != nil {
			return results, err
		}
		if !st.ok {
			results[i] = t.c.declined("DELE", st, Message)
		}
	}
	return results, nil
}

// Quit ends the session and asks the server to delete what is marked. What it
// returns is what is known: whether the messages are gone a later listing
// tells. It closes the connection.
func (t *Transaction) Quit(ctx context.Context) (mail.Quit, error) {
	defer t.c.close() //nolint:errcheck // the answer to QUIT tells more
	end, err := t.c.begin(ctx)
	if err != nil {
		return mail.QuitNone, err
	}
	defer end()
	if err := t.c.quiet("QUIT"); err != nil {
		return mail.QuitNone, err
	}
	if err := ctx.Err(); err != nil {
		return mail.QuitNone, t.c.fail("QUIT", Temp, err)
	}
	st, err := t.c.ask(t.c.t.Quit, "QUIT")
	switch {
	case err != nil:
		return mail.QuitUnknown, err
	case !st.ok:
		return mail.QuitRefused, t.c.declined("QUIT", st, Temp)
	}
	return mail.QuitAcked, nil
}
