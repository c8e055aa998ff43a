package keys

import "fmt"

// A Group is what shares its KEKs: the segments of one retention class whose
// records expire in the same year. A whole group can be made unreadable by
// destroying the newest of its epochs.
type Group struct {
	Class uint16 `json:"class"` // retention class, as in the headers of records
	Year  uint16 `json:"year"`  // of expiry; 0 while there are no classes
}

// String returns "CLASS/YEAR", such as "3/2031".
func (g Group) String() string { return fmt.Sprintf("%d/%d", g.Class, g.Year) }

// checkGroup is reserved for the key check value of an archive (Check).
var checkGroup = Group{Class: 0xffff}

// An Epoch names a KEK: the version, from 1, in its group. Version 0 stands
// for no epoch.
type Epoch struct {
	Group
	Version uint32 `json:"version"`
}

// String returns "CLASS/YEAR/VERSION", such as "3/2031/2".
func (e Epoch) String() string { return fmt.Sprintf("%s/%d", e.Group, e.Version) }

// A Segment names what a key file is for.
type Segment struct {
	Archive   [16]byte // UUID of the archive
	Partition uint16
	Number    uint32 // of the segment in its ledger, as in the headers of records
}

// String returns "segment NUMBER of partition PARTITION".
func (s Segment) String() string {
	return fmt.Sprintf("segment %d of partition %d", s.Number, s.Partition)
}
