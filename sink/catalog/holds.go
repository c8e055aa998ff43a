package catalog

import (
	"bytes"
	"encoding/json"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/mailkeep/mailkeep/mail"
)

// hold adds the event of a hold. What a matter holds is kept apart from the matter,
// by record and by mailbox, until it is released.
func (w *writer) hold(r mail.Record) error {
	h := r.Event.Hold
	m, err := readMatter(w.tx.Bucket(bucketMatter).Get(octets(nil, h.Matter)))
	if err != nil {
		return err
	}
	if h.Released {
		return w.release(r, m)
	}
	if m == nil || !m.Holds() {
		m = &mail.Matter{Matter: h.Matter, Reason: h.Reason, By: h.By, Placed: r.Time.UTC()}
	}
	if h.Query != "" && !slices.Contains(m.Queries, h.Query) {
		m.Queries = append(m.Queries, h.Query)
	}
	held := w.tx.Bucket(bucketHeld)
	for _, box := range h.Mailboxes {
		if slices.Contains(m.Mailboxes, box) {
			continue
		}
		m.Mailboxes = append(m.Mailboxes, box)
		if err := held.Put(heldMailbox(box, h.Matter), []byte(h.Matter)); err != nil {
			return err
		}
	}
	for _, id := range h.Records {
		key := heldRecord(id.Seq, h.Matter)
		if held.Get(key) != nil {
			continue
		}
		m.Records++
		if err := held.Put(key, []byte(h.Matter)); err != nil {
			return err
		}
	}
	return w.putMatter(m)
}

// release ends all that a matter holds. It reads all that is held.
func (w *writer) release(r mail.Record, m *mail.Matter) error {
	if m == nil || !m.Holds() {
		return nil
	}
	var keys [][]byte
	err := w.tx.Bucket(bucketHeld).ForEach(func(key, matter []byte) error {
		if string(matter) == m.Matter {
			keys = append(keys, slices.Clone(key))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := w.tx.Bucket(bucketHeld).Delete(key); err != nil {
			return err
		}
	}
	m.Released, m.ReleaseReason, m.ReleasedBy = r.Time.UTC(), r.Event.Hold.Reason, r.Event.Hold.By
	return w.putMatter(m)
}

func (w *writer) putMatter(m *mail.Matter) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return w.tx.Bucket(bucketMatter).Put(octets(nil, m.Matter), b)
}

// readMatter returns nil for a matter that is unknown.
func readMatter(b []byte) (*mail.Matter, error) {
	if b == nil {
		return nil, nil
	}
	m := new(mail.Matter)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, mail.Errorf(mail.Corrupt, "a matter of the catalog is damaged: %w", err)
	}
	return m, nil
}

// Matters returns the matters of the partition by name, the released ones too.
func (c *Catalog) Matters() (all []mail.Matter, err error) {
	err = c.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketMatter).ForEach(func(_, value []byte) error {
			m, err := readMatter(value)
			if err == nil {
				all = append(all, *m)
			}
			return err
		})
	})
	return all, err
}

// HeldBy returns the matters that hold a message or reference, by name: its own,
// those of its mailbox, and for a message those of all references to it, whose bytes
// it has. None for a record that is not in the catalog.
func (c *Catalog) HeldBy(id mail.ID) (matters []string, err error) {
	err = c.view(func(tx *bolt.Tx) error {
		value := tx.Bucket(bucketRecord).Get(seqKey(id.Seq))
		if value == nil || id.Partition != c.opts.Partition || !anyHeld(tx) {
			return nil
		}
		e, sound := readEntry(id.Seq, value)
		if !sound {
			return mail.Errorf(mail.Corrupt, "the catalog's entry for record %d is damaged", id.Seq)
		}
		ids := []mail.ID{id}
		if e.kind == mail.KindMessage {
			if ids, err = c.reader(tx).references(id, e.print.Digest, ids); err != nil {
				return err
			}
		}
		for _, one := range ids {
			if matters, err = heldBy(tx, one.Seq, matters); err != nil {
				return err
			}
		}
		return nil
	})
	slices.Sort(matters)
	return slices.Compact(matters), err
}

// Held calls yield with every record from a position on that is held itself or by
// its mailbox, in order, until it returns false: its position, that of the message
// which has its bytes, and the matters. It returns up to which position of the ledger
// that is true. It reads all entries from there, unless nothing is held at all.
func (c *Catalog) Held(from uint64, yield func(seq, of uint64, matters []string) bool) (upTo uint64, err error) {
	err = c.view(func(tx *bolt.Tx) error {
		upTo = readCursor(tx)
		if !anyHeld(tx) {
			return nil
		}
		boxes, err := heldBoxes(tx)
		if err != nil {
			return err
		}
		cursor := tx.Bucket(bucketRecord).Cursor()
		for key, value := cursor.Seek(seqKey(from)); key != nil; key, value = cursor.Next() {
			seq := readSeq(key)
			e, sound := readEntry(seq, value)
			if !sound {
				return mail.Errorf(mail.Corrupt, "the catalog's entry for record %d is damaged", seq)
			}
			matters := under(tx, heldRecord(seq, ""), slices.Clone(boxes[e.box]))
			if len(matters) == 0 {
				continue
			}
			of := seq
			if e.kind == mail.KindReference {
				of = e.of
			}
			slices.Sort(matters)
			if !yield(seq, of, slices.Compact(matters)) {
				return nil
			}
		}
		return nil
	})
	return upTo, err
}

func anyHeld(tx *bolt.Tx) bool {
	cursor := tx.Bucket(bucketHeld).Cursor()
	if key, _ := cursor.First(); len(key) > 0 && key[0] == 'b' {
		return true
	}
	key, _ := cursor.Seek([]byte{'r'})
	return key != nil
}

// heldBoxes returns the matters by the number of the mailbox that they hold.
func heldBoxes(tx *bolt.Tx) (map[uint32][]string, error) {
	boxes := map[uint32][]string{}
	err := tx.Bucket(bucketStats).ForEach(func(key, value []byte) error {
		row, err := readStats(value)
		if err != nil {
			return err
		}
		if matters := under(tx, heldMailbox(string(row.Name), ""), nil); len(matters) > 0 {
			box, _ := readMailbox(key)
			boxes[box] = matters
		}
		return nil
	})
	return boxes, err
}

// heldBy appends the matters of one entry.
func heldBy(tx *bolt.Tx, seq uint64, matters []string) ([]string, error) {
	e, sound := readEntry(seq, tx.Bucket(bucketRecord).Get(seqKey(seq)))
	if !sound {
		return nil, mail.Errorf(mail.Corrupt, "the catalog's entry for record %d is damaged", seq)
	}
	row, err := readStats(tx.Bucket(bucketStats).Get(mailboxKey(e.box)))
	if err != nil {
		return nil, err
	}
	matters = under(tx, heldRecord(seq, ""), matters)
	return under(tx, heldMailbox(string(row.Name), ""), matters), nil
}

// under appends the matters whose keys begin with the prefix.
func under(tx *bolt.Tx, prefix []byte, matters []string) []string {
	cursor := tx.Bucket(bucketHeld).Cursor()
	for key, matter := cursor.Seek(prefix); bytes.HasPrefix(key, prefix); key, matter = cursor.Next() {
		matters = append(matters, string(matter))
	}
	return matters
}

// heldRecord and heldMailbox are keys of bucketHeld; without a matter they begin
// the keys of all matters. The name of a mailbox has a fixed length in its key, so
// that none begins another.
func heldRecord(seq uint64, matter string) []byte {
	return heldKey(append([]byte{'r'}, seqKey(seq)...), matter)
}

func heldMailbox(box, matter string) []byte {
	sum := mail.DigestOf([]byte(box))
	return heldKey(append([]byte{'b'}, sum[:]...), matter)
}

func heldKey(of []byte, matter string) []byte {
	if matter == "" {
		return of
	}
	sum := mail.DigestOf([]byte(matter))
	return append(of, sum[:]...)
}
