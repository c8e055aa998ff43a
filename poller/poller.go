package poller

import (
	"context"
	"log/slog"
	"time"
)

// Options configure a Poller. Zero fields have the default named.
type Options struct {
	Mailboxes []Mailbox
	Archive   Archive
	Leaser    Leaser
	Store     Store

	MaxSessions     int // at once; 32
	PerHost         int // sessions at once on one host; 4
	LoginsPerMinute int // on one host; 30
	// StopGrace is how long sessions may go on when the Poller stops, to commit
	// what is sealed; 20 s.
	StopGrace time.Duration

	Logger   *slog.Logger // nil discards
	Observer Observer     // may be nil
	Worker   string       // names this process in captures and events
}

// A MailboxStatus is what a Poller knows of a mailbox.
type MailboxStatus struct {
	Name      string
	LastStart time.Time // of the last session; zero before the first
	LastEnd   time.Time
	Running   bool
	Outcome   Outcome // of the last session; "" before the first
	Error     string  // of the last session
	Hint      string
	NextDue   time.Time
	Failures  int // sessions in a row that were not ok
	// Blocked says that the password was refused too often and that the mailbox
	// waits for another one.
	Blocked bool
	Listed  int // of the last session
	Held    int // of the last session
	Fetched int // since the start, as the following
	Sealed  int
	Deleted int
}

// A Poller drains mailboxes on a schedule.
type Poller struct{}

// New returns a Poller, or an error that names every fault of the options.
func New(o Options) (*Poller, error) { return nil, nil }

// Run polls until ctx is done. Then it starts no session, and returns nil when
// those in flight have ended, StopGrace later at most.
func (p *Poller) Run(ctx context.Context) error { return nil }

// Once drains the named mailboxes, or all, until each is empty or cannot go on,
// and returns their results in the order of the names.
func (p *Poller) Once(ctx context.Context, names ...string) ([]Result, error) { return nil, nil }

// Status returns the state of each mailbox in the order of Options.Mailboxes.
func (p *Poller) Status() []MailboxStatus { return nil }
