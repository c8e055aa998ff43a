package pop3

import (
	"context"

	"github.com/mailkeep/mailkeep/mail"
)

// A Warrant permits one deletion. The zero Warrant permits nothing.
type Warrant struct {
	of     *Transaction
	number int
}

// Number is the message the warrant is for; 0 for the zero Warrant.
func (w Warrant) Number() int { return w.number }

// WarrantFetched permits deleting a message that this session retrieved.
func (t *Transaction) WarrantFetched(mailbox string, r Retrieved, receipt mail.Receipt) (Warrant, error) {
	return Warrant{}, ErrUnsupported
}

// WarrantKnown permits deleting a message that an earlier session sealed.
func (t *Transaction) WarrantKnown(ctx context.Context, mailbox string, row Row, uidl string, receipt mail.Receipt) (Warrant, error) {
	return Warrant{}, ErrUnsupported
}

// Delete marks messages as deleted.
func (t *Transaction) Delete(ctx context.Context, ws []Warrant) ([]error, error) {
	return nil, ErrUnsupported
}

// Quit ends the session and asks the server to delete what is marked.
func (t *Transaction) Quit(ctx context.Context) (mail.Quit, error) {
	return mail.QuitNone, ErrUnsupported
}
