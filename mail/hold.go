package mail

import "time"

// EventHold is the Type of the events that place and release legal holds.
const EventHold = "hold"

// A Hold places records under a matter, or, with Released, releases all that the
// matter holds. What a matter holds adds up over its events. What is held must not
// be erased, nor removed by any other way.
type Hold struct {
	Matter   string `json:"matter"`
	Released bool   `json:"released,omitempty"`
	Reason   string `json:"reason"`       // for people: the case, the order
	By       string `json:"by,omitempty"` // user of the operating system who asked for it
	// Mailboxes are held with all that they have and will get. Records are messages
	// and references of the partition whose ledger has the event.
	Mailboxes []string `json:"mailboxes,omitempty"`
	Records   []ID     `json:"records,omitempty"`
	// Query is the search that found Records, for people; it is not asked again.
	Query string `json:"query,omitempty"`
}

// A Matter is what is under legal hold for one reason, as the holds of all ledgers
// add up.
type Matter struct {
	Matter    string    `json:"matter"`
	Reason    string    `json:"reason"`
	By        string    `json:"by,omitempty"`
	Placed    time.Time `json:"placed"` // the first event
	Mailboxes []string  `json:"mailboxes,omitempty"`
	Records   uint64    `json:"records"` // held one by one, those of mailboxes left out
	Queries   []string  `json:"queries,omitempty"`
	// Released is when the matter was released, for what reason and by whom; zero
	// while it holds.
	Released      time.Time `json:"released,omitzero"`
	ReleaseReason string    `json:"release_reason,omitempty"`
	ReleasedBy    string    `json:"released_by,omitempty"`
}

// Holds reports whether the matter is not released.
func (m Matter) Holds() bool { return m.Released.IsZero() }

// An EraseOrder asks for records to be erased for good.
type EraseOrder struct {
	Records []ID   `json:"records"` // messages and references; of a message all its references go too
	Reason  string `json:"reason"`
	By      string `json:"by,omitempty"`
	// DespiteRetention erases what its retention keeps still.
	DespiteRetention bool `json:"despite_retention,omitempty"`
	DryRun           bool `json:"dry_run,omitempty"` // only tells what would be erased, or why not
}

// An Erased is what became of an EraseOrder.
type Erased struct {
	// Records are those that were erased: what was asked for, with the references to
	// the messages among it.
	Records []ID `json:"records"`
	Before  int  `json:"before,omitempty"` // of them, erased already
	Keys    int  `json:"keys"`             // that were destroyed
	DryRun  bool `json:"dry_run,omitempty"`
	// Unindexed says that the index had not followed yet: until it has, a search may
	// still name what was erased.
	Unindexed bool `json:"unindexed,omitempty"`
}
