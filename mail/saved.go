package mail

import "time"

// A SavedSearch is a question under a name.
type SavedSearch struct {
	Name    string    `json:"name"`
	Query   string    `json:"query"`
	Zone    string    `json:"zone,omitempty"`
	By      string    `json:"saved_by"` // the user who saved it
	Created time.Time `json:"created"`
	// Alert asks for an alert on each message from From on, by partition, that is
	// found by it. From grows as alerts are delivered.
	Alert bool              `json:"alert"`
	From  map[uint16]uint64 `json:"from,omitempty"`
}

// An Alert tells of messages that were indexed and that a saved search finds.
type Alert struct {
	Search    SavedSearch `json:"search"`
	Partition uint16      `json:"partition"`
	// The messages are at positions From <= position < To. An alert that was not
	// delivered comes again, perhaps with more: whoever gets it tells by ids what is new.
	From  uint64 `json:"from"`
	To    uint64 `json:"to"`
	Total uint64 `json:"total"`
	Hits  []Hit  `json:"hits"` // at most MaxAlertHits, the newest first; without snippets
}

// MaxAlertHits is how many messages an alert tells one by one.
const MaxAlertHits = 100
