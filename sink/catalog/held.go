package catalog

import (
	"bytes"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// HeldRecords returns the positions of the records that a matter holds one by one,
// ascending, at most limit of them. It reads the keys of all records that are held
// so, and no others.
func (c *Catalog) HeldRecords(matter string, limit int) (seqs []uint64, err error) {
	err = c.view(func(tx *bolt.Tx) error {
		cursor, prefix := tx.Bucket(bucketHeld).Cursor(), []byte{'r'}
		for key, value := cursor.Seek(prefix); bytes.HasPrefix(key, prefix) && len(seqs) < limit; key, value = cursor.Next() {
			if string(value) == matter {
				seqs = append(seqs, readSeq(key[1:9]))
			}
		}
		return nil
	})
	return slices.Compact(seqs), err
}
