package poller

import (
	"context"
	"io"

	"github.com/mailkeep/mailkeep/mail"
)

// An Archive is where messages go. Its methods may be called by many sessions
// at once.
//
// Errors carry a mail.Kind. Temporary, NoSpace and Other mean that the archive
// is in trouble: the session stops fetching and the mailbox backs off. Invalid
// and Corrupt mean that this one message is refused: the others go on.
type Archive interface {
	// Lookup tells which rows of a mailbox are sealed. The answer has the length
	// and order of rows; a zero Receipt stands for a row that is not known. Where
	// only a message of another size is sealed under the UIDL, its receipt may be
	// returned: it is no reason to delete, but a contradiction that is counted. It
	// is asked for rows whose UIDL occurs once, at most 10,000 at a time; as a rule
	// once per session, and once more for what is about to be deleted.
	Lookup(ctx context.Context, mailbox string, rows []mail.Listing) ([]mail.Receipt, error)

	// Begin starts the transfer of one message, of about size octets: what LIST
	// announced, -1 if nothing, and never to be relied on. Nothing of it reaches the
	// archive before Commit. ctx bounds the whole transfer, the wait for its receipt
	// included; Begin itself does not wait.
	Begin(ctx context.Context, mailbox string, size int64) (Transfer, error)

	// Report keeps an event. It returns nil once the event is durable on its way
	// to the ledger. An event of the same session may be reported again after an
	// error; the archive keeps it once.
	Report(ctx context.Context, mailbox string, e mail.Event) error
}

// A Transfer takes the raw bytes of one message. It is used by one goroutine
// at a time, and ended by exactly one call of Commit or Abort.
type Transfer interface {
	// Write takes the next bytes. It must not keep p.
	io.Writer

	// Commit hands the message over. On return the message is under way, not
	// sealed: Pending tells when it is. The same message may be committed again
	// in a later session; the archive recognises it by mailbox, UIDL and digest.
	// Several transfers of a session may be committed at once, so the order of
	// the ledger is not that of the mailbox.
	Commit(ctx context.Context, d mail.Delivery) (Pending, error)

	// Abort drops what was written.
	Abort()
}

// A Pending is a message under way to the ledger.
type Pending interface {
	// Receipt waits until the message is sealed or refused, or ctx is done. It is
	// called once. An error says only that there is no receipt: the message may
	// be sealed all the same.
	Receipt(ctx context.Context) (mail.Receipt, error)
}

// A Leaser lets one session at a time work on a mailbox, over all processes.
type Leaser interface {
	// Lease takes the lease of a mailbox, or returns an error of kind mail.InUse
	// if another session holds it. It is renewed until it is released.
	Lease(ctx context.Context, mailbox string) (Lease, error)
}

// A Lease is held until Release, or until it is lost.
type Lease interface {
	// Check asks the source whether the lease is still held. An error means that
	// it is not, or that it could not be asked.
	Check(ctx context.Context) error

	// Lost is closed when the holder learns that the lease is gone.
	Lost() <-chan struct{}

	// Release gives the lease back. It is called once, also after Lost.
	Release(ctx context.Context) error
}

// A Store keeps one small value per mailbox (see state), and one per host under a
// name that begins with NUL, which no mailbox has (see board). Losing it costs
// retries and the count of refused logins, never mail. A value has at most a few
// hundred KiB. Pollers that share mailboxes share the Store.
type Store interface {
	// Load returns the value and its revision; no value is nil and revision 0.
	Load(ctx context.Context, mailbox string) (data []byte, rev uint64, err error)

	// Save replaces the value of revision rev and returns the new revision. If
	// the revision has moved on it returns an error and changes nothing.
	Save(ctx context.Context, mailbox string, data []byte, rev uint64) (uint64, error)
}
