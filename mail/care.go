package mail

import "time"

// The Types of the events that care for the archive leaves.
const (
	EventVerify  = "verify"  // records were verified
	EventRepair  = "repair"  // damaged octets were replaced by those that were written
	EventRestore = "restore" // the archive was made anew from a backup
)

// A Verify is the result of verifying a run of records.
type Verify struct {
	Level    string    `json:"level"` // "chain", "bodies"
	From     uint64    `json:"from"`  // first record
	Until    uint64    `json:"until"` // behind the last one
	Segments int       `json:"segments"`
	Octets   int64     `json:"octets"`
	Findings int       `json:"findings"` // 0: no damage
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
}

// A Repair tells what was replaced in one file.
type Repair struct {
	File   string `json:"file"`  // below the directory of the archive
	Aside  string `json:"aside"` // what the damaged file is called now
	From   string `json:"from"`  // where the good octets were taken from
	First  uint64 `json:"first"` // record of the segment
	Digest Digest `json:"sha256"`
}

// A Restore tells from what an archive was made anew. Records from Records on
// that were sealed before are not the ones that have those numbers now.
type Restore struct {
	Backup int       `json:"backup"` // number of the backup's manifest
	Made   time.Time `json:"made"`
	// Records is where the ledger of the backup ended.
	Records uint64 `json:"records"`
	// Known is the largest number of records that somebody could prove by a signed
	// checkpoint; 0 if nobody was asked.
	Known uint64 `json:"known,omitempty"`
}
