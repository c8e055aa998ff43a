package mail

import "time"

// EventStored is the Type of the events that tell that a sealed segment is in a
// store.
const EventStored = "stored"

// A Stored tells where a segment was stored, after it was read back from there.
type Stored struct {
	Segment string    `json:"segment"` // name of the file in the directory of the ledger
	Octets  int64     `json:"octets"`
	Digest  Digest    `json:"sha256"` // of the whole file
	Store   string    `json:"store"`  // such as s3://bucket/prefix
	Object  string    `json:"object"` // below the store
	Version string    `json:"version,omitempty"`
	Mode    string    `json:"mode,omitempty"` // of retention: "governance", "compliance"
	Until   time.Time `json:"until,omitzero"` // when retention ends
}
