package catalog

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/mailkeep/mailkeep/mail"
)

// A SealedDrain is the report of a session and the record that seals it. Its
// Rows are empty: they are in the record.
type SealedDrain struct {
	ID mail.ID `json:"id"`
	mail.Drain
}

// HasSession returns the record of the session's report; false if none is known
// among the KeepDrains latest of its mailbox.
func (c *Catalog) HasSession(session string) (mail.ID, bool, error) {
	var id mail.ID
	var known bool
	err := c.view(func(tx *bolt.Tx) error {
		position := tx.Bucket(bucketSession).Get(octets(nil, session))
		if known = len(position) == 8; known {
			id = mail.ID{Partition: c.opts.Partition, Seq: binary.BigEndian.Uint64(position)}
		}
		return nil
	})
	return id, known, err
}

// LastDrain returns the latest report of the mailbox, without its rows, and its
// record; nil if there is none.
func (c *Catalog) LastDrain(mailbox string) (*mail.Drain, mail.ID, error) {
	last, err := c.Drains(mailbox, 1)
	if err != nil || len(last) == 0 {
		return nil, mail.ID{}, err
	}
	return &last[0].Drain, last[0].ID, nil
}

// Drains returns up to limit reports of the mailbox, the latest first.
func (c *Catalog) Drains(mailbox string, limit int) ([]SealedDrain, error) {
	var drains []SealedDrain
	err := c.view(func(tx *bolt.Tx) error {
		box, known := c.reader(tx).number(mailbox)
		if !known {
			return nil
		}
		for key, value := range latest(tx.Bucket(bucketDrain), box) {
			if len(drains) >= limit {
				return nil
			}
			d := SealedDrain{ID: mail.ID{Partition: c.opts.Partition, Seq: readSeq(key[4:])}}
			if err := json.Unmarshal(value, &d.Drain); err != nil {
				return mail.Errorf(mail.Corrupt, "the report %s is damaged: %w", d.ID, err)
			}
			drains = append(drains, d)
		}
		return nil
	})
	return slices.Clip(drains), err
}

// latest yields the reports of the mailbox from the last to the first.
func latest(b *bolt.Bucket, box uint32) func(yield func(key, value []byte) bool) {
	return func(yield func(key, value []byte) bool) {
		cursor, prefix := b.Cursor(), mailboxKey(box)
		key, value := cursor.Seek(drainKey(box, 1<<64-1))
		if key == nil {
			key, value = cursor.Last()
		} else if !bytes.HasPrefix(key, prefix) {
			key, value = cursor.Prev()
		}
		for ; bytes.HasPrefix(key, prefix); key, value = cursor.Prev() {
			if !yield(key, value) {
				return
			}
		}
	}
}
