package poller

import (
	"context"
	"log/slog"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A Drainer drains single mailboxes. Its fields are set before its first use;
// Drain may then be called for different mailboxes at once.
type Drainer struct {
	Archive  Archive
	Leaser   Leaser
	Store    Store
	Logger   *slog.Logger // nil discards
	Observer Observer     // may be nil
	Worker   string       // names this process in captures and events; may be empty

	// Sessions is the fairness slice: how many sessions one Drain may hold. 0
	// means as many as it takes to empty the mailbox.
	Sessions int
	// Grace is how long a session may go on after its context is done, to commit
	// what is sealed; 20 s. Then its connection is closed without QUIT.
	Grace time.Duration
}

// DefaultGrace is the Grace of a Drainer and the StopGrace of Options.
const DefaultGrace = 20 * time.Second

// A Result is the outcome of one Drain.
type Result struct {
	Mailbox  string
	Sessions int   // that logged in
	Listed   int   // messages in the last listing
	Fetched  int   // this and the following: summed over the sessions
	Sealed   int   // receipts held, those of earlier sessions included
	Deleted  int   // DELE answered +OK and QUIT sent
	Held     int   // of the last session: left on the server on purpose
	Octets   int64 // fetched
	Last     mail.Drain
	Outcome  Outcome
	Err      error // what ended the last session; nil if Outcome is "ok"
	// More says that there is work left and that the last session made progress,
	// so that another one is worth while.
	More bool
	// LoginDelay is the minimum between logins that the server announced
	// (RFC 2449 section 6.5); 0 if none.
	LoginDelay time.Duration
	Took       time.Duration
}

// Drain holds sessions until the mailbox is empty, nothing more can be done, or
// the slice is used. When ctx is done, no further message is fetched, what is
// sealed is committed, and the session ends within Grace.
//
// The error is that of Result.Err. Its Outcome is given by OutcomeOf.
func (d *Drainer) Drain(ctx context.Context, m Mailbox) (Result, error) {
	return Result{}, nil
}
