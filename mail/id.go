package mail

import (
	"fmt"
	"strconv"
	"strings"
)

// An ID is a position in the ledger: the partition and the sequence number of
// a record in it. It names a delivery for people and documents: "0-1234".
type ID struct {
	Partition uint16
	Seq       uint64
}

// ParseID reads "PARTITION-SEQ", or "SEQ" alone for partition 0.
func ParseID(s string) (ID, error) {
	part, seq, found := strings.Cut(s, "-")
	if !found {
		part, seq = "0", s
	}
	p, errP := strconv.ParseUint(part, 10, 16)
	n, errN := strconv.ParseUint(seq, 10, 64)
	if errP != nil || errN != nil {
		return ID{}, Errorf(Invalid, "%q is not a message id: give PARTITION-NUMBER as search prints it, such as 0-1234", s)
	}
	return ID{Partition: uint16(p), Seq: n}, nil
}

// String returns the form that ParseID reads: "0-1234".
func (id ID) String() string { return fmt.Sprintf("%d-%d", id.Partition, id.Seq) }

// MarshalText implements encoding.TextMarshaler in the form of String.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler in the form of String.
func (id *ID) UnmarshalText(b []byte) error {
	v, err := ParseID(string(b))
	if err != nil {
		return err
	}
	*id = v
	return nil
}

// Partition returns the partition of a mailbox: FNV-1a of its name modulo n
// (n >= 1).
func Partition(mailbox string, n int) uint16 {
	h := uint64(14695981039346656037)
	for i := range len(mailbox) {
		h ^= uint64(mailbox[i])
		h *= 1099511628211
	}
	return uint16(h % uint64(n))
}
