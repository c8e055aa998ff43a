package poller

// A Phase is what a session is doing.
type Phase string

// The phases of a session, in order.
const (
	PhaseConnect Phase = "connect" // connection, TLS, login
	PhaseList    Phase = "list"    // STAT, LIST, UIDL, and the archive's lookup
	PhaseFetch   Phase = "fetch"   // RETR and hand-over
	PhaseSeal    Phase = "seal"    // waiting for receipts
	PhaseDelete  Phase = "delete"  // DELE
	PhaseQuit    Phase = "quit"    // QUIT, or close
	PhaseDone    Phase = "done"    // the session is over; its counts are final
)

// A Progress tells how far a session has come.
type Progress struct {
	Mailbox string
	Session string
	Phase   Phase
	Listed  int   // messages in the listing
	Planned int   // of them, those that this session handles
	Left    int   // and those for which it has no budget
	Fetched int   // confirmed and handed over
	Sealed  int   // receipts held
	Deleted int   // DELE answered +OK
	Octets  int64 // fetched
}

// An Observer is told of progress, for progress bars and metrics. Progress is
// called by each session's goroutine and must not block.
type Observer interface {
	Progress(Progress)
}
