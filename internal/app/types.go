package app

import (
	"io"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/store"
)

// A Role is a part of the work that a process takes on.
type Role string

// The roles. A process without any named role takes all of them.
const (
	RolePoller  Role = "poller"  // fetch from mailboxes; any number of processes
	RoleArchive Role = "archive" // own the ledger of each partition; one process
	RoleIndex   Role = "index"   // follow the ledger and answer searches
)

// Roles returns all roles.
func Roles() []Role { return []Role{RolePoller, RoleArchive, RoleIndex} }

// A Console is where one run of the program shows what it does. The zero
// Console shows nothing.
type Console struct {
	// Logs receives whole log lines, one per Write, from several goroutines.
	Logs io.Writer
	// Progress is told how far the work has come. It is called from several
	// goroutines, must not block, and may be nil.
	Progress func(Progress)
}

// A Phase names the work that a Progress is about.
type Phase string

// The phases.
const (
	PhaseDrain  Phase = "drain"  // Subject is a mailbox; Done and Total count messages
	PhaseVerify Phase = "verify" // Subject is "partition N"; Done and Total count records
	PhaseIndex  Phase = "index"  // Subject is "partition N"; Done and Total count records

	PhaseBackup  Phase = "backup"  // Subject is "archive"; Done and Total count octets
	PhaseRestore Phase = "restore" // Subject is "archive"; Done and Total count octets
	PhaseRepair  Phase = "repair"  // Subject is "archive"; Done and Total count octets
	PhaseRecall  Phase = "recall"  // Subject is "partition N"; Done and Total count records
	PhaseReparse Phase = "reparse" // Subject is "archive"; Done and Total count messages
)

// A Progress tells how far one piece of work has come.
type Progress struct {
	Phase   Phase
	Subject string
	Done    int64
	Total   int64 // 0 while it is unknown
	Octets  int64 // handled so far
	// Finished says that no more will be told about this subject.
	Finished bool
}

// A DrainResult is the outcome of one round over mailboxes.
type DrainResult struct {
	Mailboxes []DrainedMailbox `json:"mailboxes"`
}

// Failed counts the mailboxes that could not be drained.
func (r DrainResult) Failed() int {
	n := 0
	for _, m := range r.Mailboxes {
		if m.Error != "" {
			n++
		}
	}
	return n
}

// A DrainedMailbox is the outcome of one mailbox; its counts are summed over
// the sessions of the round.
type DrainedMailbox struct {
	Name     string        `json:"name"`
	Sessions int           `json:"sessions"`
	Listed   int           `json:"listed"` // messages on the server when the round began
	Fetched  int           `json:"fetched"`
	Sealed   int           `json:"sealed"`
	Deleted  int           `json:"deleted"`
	Held     int           `json:"held"` // left on the server on purpose
	Octets   int64         `json:"octets"`
	Took     time.Duration `json:"took_ns"`
	// Outcome is "ok" or the class of the error; Error and Hint are set if the
	// mailbox failed.
	Outcome string `json:"outcome"`
	Error   string `json:"error,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// A StatusReport is the state of the archive and its mailboxes at one time.
type StatusReport struct {
	Time       time.Time         `json:"time"`
	Mailboxes  []MailboxStatus   `json:"mailboxes"`
	Partitions []PartitionStatus `json:"partitions"`
	// Queue is nil when the queue was not asked, as when the archive is read
	// offline.
	Queue *QueueStatus `json:"queue,omitempty"`
	// Store is nil without one, or when the archive is read offline.
	Store *StoreStatus `json:"store,omitempty"`
	// Extraction is nil when documents are not read, or when the archive is read
	// offline.
	Extraction *ExtractionStatus `json:"extraction,omitempty"`
}

// A MailboxStatus is what the archive knows of a mailbox; the last session is
// taken from the ledger's drain events.
type MailboxStatus struct {
	Name        string    `json:"name"`
	Host        string    `json:"host,omitempty"`
	Configured  bool      `json:"configured"`            // false: in the archive only
	Messages    uint64    `json:"messages"`              // deliveries sealed
	Octets      uint64    `json:"octets"`                // their size
	LastSession time.Time `json:"last_session,omitzero"` // end of the last session
	LastSuccess time.Time `json:"last_success,omitzero"` // end of the last session with outcome "ok"
	Outcome     string    `json:"outcome,omitempty"`
	Error       string    `json:"error,omitempty"`
	ErrorHint   string    `json:"error_hint,omitempty"`
	Running     bool      `json:"running,omitempty"` // a session is going on
	// Listed, Sealed, Deleted and Held are those of the last session.
	Listed   int       `json:"listed"`
	Sealed   int       `json:"sealed"`
	Deleted  int       `json:"deleted"`
	Held     int       `json:"held"`
	NextDue  time.Time `json:"next_due,omitzero"`
	Failures int       `json:"failures"` // in a row
	// HeldBy counts what the last session left on the server for a fault of its
	// own, by mail.Fate.
	HeldBy map[string]int `json:"held_by,omitempty"`
	// Lost counts messages that went before they were sealed, as the last session
	// found it, or all sessions of the running process.
	Lost int `json:"lost,omitempty"`

	// CredentialsOpen says that the secret was refused too often to be tried again.
	// CredentialsUntil is when it is tried once more; zero if only another secret,
	// or a reset, helps.
	CredentialsOpen  bool      `json:"credentials_open,omitempty"`
	CredentialsUntil time.Time `json:"credentials_until,omitzero"`
	// BlastRadius is why the mailbox deletes nothing; empty if that breaker is
	// closed.
	BlastRadius string `json:"blast_radius,omitempty"`
	// HostPaused is until when the host's breaker keeps the mailbox waiting.
	HostPaused time.Time `json:"host_paused,omitzero"`
	// Waits is what the mailbox waits for until NextDue: schedule, backoff,
	// login-delay, daily-limit, breaker, host or lease.
	Waits string `json:"waits,omitempty"`
	// DailyUsed counts the octets fetched in the last 24 hours, where there is a
	// DailyLimit.
	DailyUsed  int64 `json:"daily_used,omitempty"`
	DailyLimit int64 `json:"daily_limit,omitempty"`

	// Problem says in one sentence why the mailbox needs somebody's attention;
	// empty if it does not. Hint says what to do.
	Problem string `json:"problem,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// A PartitionStatus is the state of one ledger and its views.
type PartitionStatus struct {
	Partition uint16 `json:"partition"`
	Records   uint64 `json:"records"` // ledger size, in records
	Segments  int    `json:"segments"`
	Octets    int64  `json:"octets"`  // on disk
	Catalog   uint64 `json:"catalog"` // position of the catalog
	Index     uint64 `json:"index"`   // position of the index
	// IndexMissing are the records before that position that cannot be searched
	// now: their shards failed, or are being built anew.
	IndexMissing []mail.Gap `json:"index_missing,omitempty"`
	// IndexChecked is when all sealed shards of the index had been compared with
	// their checksums; nil if it has none.
	IndexChecked *time.Time `json:"index_checked,omitempty"`
	// IndexBuilding says that the index is being built anew beside this one.
	IndexBuilding bool `json:"index_building,omitempty"`
	// Log is the transparency log, as a running process knows it.
	Log *LogStatus `json:"log,omitempty"`
	// Verified is how far the running process has verified the ledger.
	Verified *PatrolStatus `json:"verified,omitempty"`
	// Stored is how far sealed segments are in the store.
	Stored *store.SpoolStatus `json:"stored,omitempty"`
	// Immutable tells of the immutable flag on its segments, where it is wanted.
	Immutable *ProtectStatus `json:"immutable,omitempty"`
	Problem   string         `json:"problem,omitempty"`
}

// A QueueStatus is what waits between pollers and archive.
type QueueStatus struct {
	Messages uint64 `json:"messages"`
	Octets   uint64 `json:"octets"`
}

// A VerifyReport is the outcome of checking every record against the hashes of
// the ledger, and every view against the ledger.
type VerifyReport struct {
	Level      Level               `json:"level"`
	Started    time.Time           `json:"started"`
	Ended      time.Time           `json:"ended"`
	Partitions []VerifiedPartition `json:"partitions"`
	Findings   []Finding           `json:"findings"`
	// Notes are what is worth knowing and no damage, such as what recovery set
	// aside after a crash.
	Notes []Finding `json:"notes,omitempty"`
}

// A VerifiedPartition counts what was checked in one partition.
type VerifiedPartition struct {
	Partition uint16 `json:"partition"`
	Records   uint64 `json:"records"`
	Messages  uint64 `json:"messages"`
	Segments  int    `json:"segments"`
	Octets    int64  `json:"octets"`
	// Head is the hash that stands for the whole ledger, in hexadecimal.
	Head string `json:"head,omitempty"`
}

// A Finding is one disagreement that verify met.
type Finding struct {
	Partition uint16 `json:"partition"`
	// ID is the record that it is about; nil if it is about something else.
	ID *mail.ID `json:"id,omitempty"`
	// Where names the file, or the view: "catalog", "index".
	Where   string `json:"where"`
	Problem string `json:"problem"`
	// File, below the archive's directory, Offset and Kind (see ledger.Finding) are
	// set for what is found in a ledger.
	File   string `json:"file,omitempty"`
	Offset *int64 `json:"offset,omitempty"`
	Kind   string `json:"kind,omitempty"`
	Hint   string `json:"hint,omitempty"`
}

// DemoOptions configure the demonstration.
type DemoOptions struct {
	Dir         string // where its archive is made; empty: a temporary directory, removed at the end
	KeepRunning bool   // go on draining and answering after the tour, until the context ends
	// Watch returns a console that shows the progress of one step, and how to end
	// the showing before the result is printed. Nil: no progress is shown.
	Watch func() (console Console, done func())
	// The commands lend their ways of showing results.
	ShowDrain  func(io.Writer, DrainResult) error
	ShowHits   func(io.Writer, mail.SearchAnswer) error
	ShowVerify func(io.Writer, VerifyReport) error
}

// Attachments returns the parts of a message that a reader may want to save, in
// the order of their appearance: attachments, nested messages, and inline parts
// that have a file name. The n-th of them, from 1, is what "show --attachment n"
// means.
func Attachments(m *mail.Message) []mail.Part {
	var parts []mail.Part
	for _, p := range m.Parts {
		switch p.Role {
		case mail.RoleAttachment, mail.RoleNested:
			parts = append(parts, p)
		case mail.RoleInline:
			if p.FileName != "" {
				parts = append(parts, p)
			}
		}
	}
	return parts
}
