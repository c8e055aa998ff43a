package mail

import "time"

// EventDrain is the Type of the event that each POP3 session leaves.
const EventDrain = "drain"

// A Drain is the report of one POP3 session.
type Drain struct {
	Session string    `json:"session"` // unique; an event of the same session is sealed once
	Mailbox string    `json:"mailbox"`
	Host    string    `json:"host"`
	TLS     string    `json:"tls,omitempty"`
	Worker  string    `json:"worker,omitempty"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	Listed  int       `json:"listed"` // messages in the listing
	Octets  int64     `json:"octets"` // their announced size
	Fetched int       `json:"fetched"`
	Sealed  int       `json:"sealed"`  // receipts held, those of earlier sessions included
	Deleted int       `json:"deleted"` // DELE answered +OK
	// Quiet counts the sessions since the mailbox's report before this one that
	// found nothing to do and left no report of their own.
	Quiet int  `json:"quiet,omitempty"`
	Held  int  `json:"held"` // left on the server for a fault of their own: short, poison, oversize, undeletable
	Quit  Quit `json:"quit"`
	// Outcome is "ok", or the class of the error that ended the session.
	Outcome string `json:"outcome"`
	Error   string `json:"error,omitempty"`

	// Confirmed tells what the listing of this session shows of the deletions
	// that an earlier one asked for; nil if none was outstanding.
	Confirmed *Confirmation `json:"confirmed,omitempty"`
	// Epoch counts how often the server has given all messages other unique-ids.
	Epoch int `json:"epoch,omitempty"`
	// Vanished tells of mail that went without our asking; nil if none did.
	Vanished *Vanished `json:"vanished,omitempty"`
	// Breaker says why the session deleted nothing although messages are sealed;
	// "" if the breaker on the blast radius is closed.
	Breaker string `json:"breaker,omitempty"`
	Notes   []Note `json:"notes,omitempty"`

	// Fates counts the messages of the listing by their fate; each has exactly
	// one. It is empty if the session did not come as far as a plan.
	Fates map[Fate]int `json:"fates,omitempty"`
	// Rows tell the fate of each message that the session handled; at most one
	// session's budget of them.
	Rows []DrainRow `json:"rows,omitempty"`
}

// A DrainRow is the fate of one message in a session.
type DrainRow struct {
	Number int    `json:"n"`
	UIDL   Octets `json:"uidl"`
	Size   int64  `json:"size"` // as listed
	// ID is the record that seals it, or for a suspect copy keeps it as evidence;
	// nil if there is none.
	ID      *ID    `json:"id,omitempty"`
	Fate    Fate   `json:"fate"`
	Deleted bool   `json:"deleted,omitempty"` // DELE was answered +OK
	Why     string `json:"why,omitempty"`     // the details of the fate, for people
}

// A Fate is what became of one message of a listing in a session. The words
// are closed: a reader may rely on meeting no other.
type Fate string

// The fates of messages that are sealed.
const (
	// FateDeleted: DELE was answered +OK and QUIT was sent. Drain.Quit is how the
	// server answered that; the Confirmed of a later report says if it is gone.
	FateDeleted Fate = "deleted"
	// FateDeletedShort: as deleted, of a message that always came short of what
	// the server announced, by the operator's word (on_short: delete).
	FateDeletedShort Fate = "deleted-short"
	// FateRolledBack: DELE was answered +OK, but the session ended without QUIT,
	// so the server keeps the message.
	FateRolledBack Fate = "rolled-back"
	FateKept       Fate = "kept"  // the policy is to delete nothing
	FateYoung      Fate = "young" // the policy is to delete later
	// FateSealed: the session ended, or could not QUIT, before it came to DELE; a
	// later one deletes.
	FateSealed Fate = "sealed"
	// FateUndeletable: DELE was refused, or was acknowledged several times in vain.
	FateUndeletable Fate = "undeletable"
	// FateUnvouched: the catalog, asked again before DELE, did not confirm the receipt.
	FateUnvouched Fate = "unvouched"
	FateBreaker   Fate = "breaker" // the breaker on the blast radius is open
	// FateChanging: it comes with other content from session to session, of which
	// something is sealed; it is fetched again ever more seldom.
	FateChanging Fate = "changing"
)

// The fates of messages that are not sealed.
const (
	FateLater    Fate = "later"    // not reached: the budget, the time or the session ended before
	FateShort    Fate = "short"    // came short of what the server announced; sealed as evidence
	FatePoison   Fate = "poison"   // the server refuses to hand it out
	FateOversize Fate = "oversize" // larger than the limit of one message
	FateCut      Fate = "cut"      // the session broke off in it
	FateUnsealed Fate = "unsealed" // handed over, no receipt came
	FateRefused  Fate = "refused"  // the archive refuses it
	FateMismatch Fate = "mismatch" // the archive gave a receipt for other bytes than the server sent
)

// AllFates returns the words of Fate, those of sealed messages first.
func AllFates() []Fate {
	return []Fate{
		FateDeleted, FateDeletedShort, FateRolledBack, FateKept, FateYoung, FateSealed, FateUndeletable, FateUnvouched, FateBreaker, FateChanging,
		FateLater, FateShort, FatePoison, FateOversize, FateCut, FateUnsealed, FateRefused, FateMismatch,
	}
}

// A Confirmation is what a listing shows of the deletions that an earlier
// session asked for. What is not among them any more is gone; this is the only
// proof of a deletion that POP3 gives.
type Confirmation struct {
	Session string `json:"session"` // that asked
	Quit    Quit   `json:"quit"`    // how it ended
	Gone    int    `json:"gone"`    // absent, as they should be
	Back    int    `json:"back"`    // listed again
	// Listed are the unique-ids of those that are back, the first MaxListed of
	// them. The other rows of Session that were deleted are gone.
	Listed []Octets `json:"listed,omitempty"`
	// Unnamed counts deletions that nothing can confirm, for no unique-id names
	// the messages.
	Unnamed int `json:"unnamed,omitempty"`
}

// MaxListed bounds Confirmation.Listed.
const MaxListed = 1000

// Vanished counts messages of the last listing that are gone although no
// session asked the server to delete them: another client drains the mailbox,
// or the server's retention does. Of a mailbox with more messages than a
// session remembers it counts at least those of a sample.
type Vanished struct {
	Sealed   int `json:"sealed"`   // the archive has them
	Unsealed int `json:"unsealed"` // the archive is not known to have them: mail may be lost
}

// A Note is a circumstance of a session that a person should know.
type Note string

// The notes.
const (
	// NoteEpoch: all messages have other unique-ids than in the last listing; they
	// are recognised by their content.
	NoteEpoch Note = "epoch"
	// NoteExpire: the server deletes mail by itself (EXPIRE, RFC 2449 section 6.7)
	// sooner than the policy wants it deleted.
	NoteExpire Note = "expire"
	// NoteClock: the clock was set, or a gap in time cannot be told from that:
	// deletions by age wait.
	NoteClock Note = "clock"
	// NoteChanging: sealed messages came with other content again; see the rows.
	NoteChanging Note = "changing"
)

// A Quit tells how a session ended; deletion is proven only by absence in a
// later listing.
type Quit string

// The ways a session ends.
const (
	QuitNone    Quit = "none"    // closed without QUIT: the server deletes nothing (RFC 1939 section 6)
	QuitAcked   Quit = "acked"   // +OK
	QuitRefused Quit = "refused" // -ERR: some or none of the messages were removed
	QuitUnknown Quit = "unknown" // QUIT was sent, no answer came
)
