package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	bolt "go.etcd.io/bbolt"

	"github.com/mailkeep/mailkeep/mail"
)

// Summary returns the cursor, the number of entries and a digest over all of
// them in order. Two catalogs that have applied the same records have the same
// summary. It reads the whole catalog.
func (c *Catalog) Summary() (mail.ViewSummary, error) {
	var s mail.ViewSummary
	err := c.view(func(tx *bolt.Tx) error {
		s = mail.ViewSummary{Position: readCursor(tx)}
		sum := sha256.New()
		for _, name := range views {
			writePart(sum, name)
			err := tx.Bucket(name).ForEach(func(key, value []byte) error {
				s.Entries++
				writePart(sum, key)
				writePart(sum, value)
				return nil
			})
			if err != nil {
				return err
			}
		}
		sum.Sum(s.Digest[:0])
		return nil
	})
	return s, err
}

// writePart hashes b with its length, so that parts cannot run into each other.
func writePart(h hash.Hash, b []byte) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(b)))
	h.Write(n[:])
	h.Write(b)
}
