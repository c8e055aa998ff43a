package mail

import "time"

// EventDrill is the Type of the event that a drill of the search leaves.
const EventDrill = "drill"

// A Drill is the result of looking for archived messages in the index by words of
// their own.
type Drill struct {
	Asked   uint64    `json:"asked"`             // messages that were looked for
	Skipped uint64    `json:"skipped,omitempty"` // not read, or in a part of the index that is being built
	Lost    uint64    `json:"lost"`              // messages that were not found; 0: all is well
	First   []Lost    `json:"first,omitempty"`   // of those, at most MaxLost
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
}

// MaxLost is how many lost messages are told one by one.
const MaxLost = 20

// A Lost is a message that the index does not find, and by what. The words
// themselves are not told.
type Lost struct {
	ID  ID     `json:"id"`
	Why string `json:"why"`
}

// A RecallOrder asks for up to Most messages of a partition, from a position on, to be
// read, parsed and looked for in the index.
type RecallOrder struct {
	Partition uint16 `json:"partition"`
	From      uint64 `json:"from"`
	Most      int    `json:"most"`
}

// A Recalled is what came of a RecallOrder.
type Recalled struct {
	Next    uint64 `json:"next"` // where to go on
	Asked   uint64 `json:"asked"`
	Skipped uint64 `json:"skipped,omitempty"`
	Lost    []Lost `json:"lost,omitempty"`
	End     bool   `json:"end,omitempty"` // there is no more
}
