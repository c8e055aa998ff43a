package catalog

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/mailkeep/mailkeep/mail"
)

// errRenumber says that a mailbox would have another number, or none, if the
// catalog were built from what the ledger still tells. It is mail.Corrupt, so the
// catalog is reset and built again: it is rare, and needs no code of its own.
var errRenumber = errors.New("the first record of a mailbox was erased")

// condemn notes that records are to be erased. Until they are, their bytes may be
// there or not, so nothing rests on them any more: no delivery is known by them, and
// what comes again is sealed again. They still have copies, and can be held. The
// order is the record at the position by.
func (w *writer) condemn(ids []mail.ID, by uint64) error {
	records, held := w.tx.Bucket(bucketRecord), w.tx.Bucket(bucketHeld)
	for _, id := range ids {
		if id.Partition != w.partition || records.Get(seqKey(id.Seq)) == nil || condemned(w.tx, id.Seq) {
			continue
		}
		value := append([]byte{0}, seqKey(by)...) // no matter has this name
		if err := held.Put(condemnedKey(id.Seq), value); err != nil {
			return err
		}
	}
	return nil
}

func condemned(tx *bolt.Tx, seq uint64) bool {
	return tx.Bucket(bucketHeld).Get(condemnedKey(seq)) != nil
}

// condemnedBefore reports whether the first order to erase the record stands before
// a position.
func condemnedBefore(tx *bolt.Tx, seq, at uint64) bool {
	by := tx.Bucket(bucketHeld).Get(condemnedKey(seq))
	return len(by) > 1 && readSeq(by[1:]) < at
}

// condemnedKey is the key of bucketHeld of a record that is to be erased.
func condemnedKey(seq uint64) []byte { return append([]byte{'e'}, seqKey(seq)...) }

// An erasing takes records out of the catalog such that it is the same as one that
// is built from a ledger without them.
type erasing struct {
	*writer
	gone map[uint64]bool // positions
	// What led to what is gone. It may lead to others from now on.
	digests map[mail.Digest]bool
	rows    map[string]bool // keys
	boxes   map[uint32]*left
}

// left is what remains of a mailbox.
type left struct {
	lost  uint64 // the first position that is gone
	first uint64 // the first that remains
	stats statsRow
}

// erase takes out the records, of which some may be unknown: they were erased
// before the catalog read of them, or are events.
func (w *writer) erase(ids []mail.ID, partition uint16) error {
	if err := w.putAllStats(); err != nil {
		return err
	}
	e := erasing{
		writer: w, gone: map[uint64]bool{}, digests: map[mail.Digest]bool{}, rows: map[string]bool{}, boxes: map[uint32]*left{},
	}
	for _, id := range ids {
		if id.Partition != partition {
			continue
		}
		if err := e.take(id.Seq); err != nil {
			return err
		}
	}
	if len(e.gone) == 0 {
		return nil
	}
	if err := e.forget(); err != nil {
		return err
	}
	if err := e.settle(); err != nil {
		return err
	}
	return e.count()
}

// forget removes all keys that led to what is gone, and of the same bytes also
// those that led elsewhere: which are needed depends on which record comes first.
func (e *erasing) forget() error {
	sealed := e.tx.Bucket(bucketBytes)
	var keys [][]byte
	for digest := range e.digests {
		cursor := sealed.Cursor()
		for key, _ := cursor.Seek(digest[:]); bytes.HasPrefix(key, digest[:]); key, _ = cursor.Next() {
			keys = append(keys, slices.Clone(key))
		}
	}
	for _, key := range keys {
		if err := sealed.Delete(key); err != nil {
			return err
		}
	}
	for key := range e.rows {
		if err := e.tx.Bucket(bucketRow).Delete([]byte(key)); err != nil {
			return err
		}
	}
	return nil
}

// take removes the entry of a record, and notes what led to it.
func (e *erasing) take(seq uint64) error {
	records := e.tx.Bucket(bucketRecord)
	value := records.Get(seqKey(seq))
	if value == nil {
		return nil
	}
	entry, sound := readEntry(seq, value)
	if !sound {
		return mail.Errorf(mail.Corrupt, "the catalog's entry for record %d is damaged", seq)
	}
	e.gone[seq] = true
	e.digests[entry.print.Digest] = true
	if key := entry.rowKey(); key != nil {
		e.rows[string(key)] = true
	}
	box := e.boxes[entry.box]
	if box == nil {
		box = &left{lost: seq, first: 1<<64 - 1}
		e.boxes[entry.box] = box
	}
	box.lost = min(box.lost, seq)
	return errors.Join(records.Delete(seqKey(seq)), e.tx.Bucket(bucketHeld).Delete(condemnedKey(seq)))
}

// settle reads what remains, in order, and lets the keys lead to it as add would
// have. It reads the whole catalog, once for each order to erase.
func (e *erasing) settle() error {
	rows := e.tx.Bucket(bucketRow)
	return e.tx.Bucket(bucketRecord).ForEach(func(key, value []byte) error {
		seq := readSeq(key)
		entry, sound := readEntry(seq, value)
		if !sound {
			return mail.Errorf(mail.Corrupt, "the catalog's entry for record %d is damaged", seq)
		}
		var err error
		if e.digests[entry.print.Digest] {
			err = e.lead(entry, seq)
		}
		if k := entry.rowKey(); k != nil && e.rows[string(k)] {
			err = errors.Join(err, rows.Put(k, slices.Clone(key)))
		}
		if box := e.boxes[entry.box]; box != nil {
			box.first = min(box.first, seq)
			box.stats.delivery(entry.record())
		}
		return err
	})
}

// count writes the counters of the mailboxes that lost something.
func (e *erasing) count() error {
	drains := e.tx.Bucket(bucketDrain).Cursor()
	for number, box := range e.boxes {
		if key, _ := drains.Seek(mailboxKey(number)); bytes.HasPrefix(key, mailboxKey(number)) {
			box.first = min(box.first, readSeq(key[4:]))
		}
		if box.first > box.lost {
			return mail.Errorf(mail.Corrupt, "%w", errRenumber)
		}
		if err := e.loadStats(number); err != nil {
			return err
		}
		row, now := e.stats[number], box.stats
		row.Messages, row.References, row.Again, row.Suspect = now.Messages, now.References, now.Again, now.Suspect
		row.Octets, row.FirstSealed, row.LastSealed = now.Octets, now.FirstSealed, now.LastSealed
	}
	return nil
}

// sealedKeys are the keys of bucketBytes that may lead to the entry, or that its
// digest alone stands for.
func (e entry) sealedKeys() [2][]byte {
	return [2][]byte{digestKey(e.box, e.print.Digest), deliveryKey(e.box, mail.Capture{UIDL: e.uidl, Suspect: e.suspect}, e.print.Digest)}
}

// rowKey is the key of bucketRow that may lead to the entry; nil if none does.
func (e entry) rowKey() []byte {
	row := mail.Listing{UIDL: e.uidl, Size: e.listSize}
	if !nameable(row) || e.suspect != "" {
		return nil
	}
	return rowKey(e.box, row)
}

// record is what the counters need of the entry's record.
func (e entry) record() mail.Record {
	return mail.Record{
		Kind: e.kind, Again: e.again, Time: e.sealed,
		Delivery: mail.Delivery{Capture: mail.Capture{Suspect: e.suspect}, Fingerprint: e.print},
	}
}

// Copies returns what goes with a record when its bytes are erased: the record, and
// for a message all references to it, in order. A record that is erased already has
// no copies. mail.NotFound if it is no message or reference.
func (c *Catalog) Copies(id mail.ID) (ids []mail.ID, err error) {
	err = c.view(func(tx *bolt.Tx) error {
		value := tx.Bucket(bucketRecord).Get(seqKey(id.Seq))
		if value == nil || id.Partition != c.opts.Partition {
			return mail.Errorf(mail.NotFound, "there is no message %s", id)
		}
		e, sound := readEntry(id.Seq, value)
		if !sound {
			return mail.Errorf(mail.Corrupt, "the catalog's entry for record %d is damaged", id.Seq)
		}
		ids = []mail.ID{id}
		if e.kind == mail.KindMessage {
			ids, err = c.reader(tx).references(id, e.print.Digest, ids)
		}
		return err
	})
	slices.SortFunc(ids, func(a, b mail.ID) int { return cmp.Compare(a.Seq, b.Seq) })
	return slices.Compact(ids), err
}

// Orphans returns the references to a message, which is not in the catalog any more,
// that an order to erase named which was cut off.
func (c *Catalog) Orphans(of mail.ID) (ids []mail.ID, err error) {
	err = c.view(func(tx *bolt.Tx) error {
		cursor, prefix := tx.Bucket(bucketHeld).Cursor(), []byte{'e'}
		for key, _ := cursor.Seek(prefix); bytes.HasPrefix(key, prefix); key, _ = cursor.Next() {
			seq := readSeq(key[1:])
			e, sound := readEntry(seq, tx.Bucket(bucketRecord).Get(key[1:]))
			if !sound {
				return mail.Errorf(mail.Corrupt, "the catalog's entry for record %d is damaged", seq)
			}
			if e.kind == mail.KindReference && e.of == of.Seq && of.Partition == c.opts.Partition {
				ids = append(ids, mail.ID{Partition: of.Partition, Seq: seq})
			}
		}
		return nil
	})
	return ids, err
}

// references appends those to the message, mailbox by mailbox, some of them twice.
func (r reader) references(of mail.ID, digest mail.Digest, ids []mail.ID) ([]mail.ID, error) {
	cursor, records := r.tx.Bucket(bucketBytes).Cursor(), r.tx.Bucket(bucketRecord)
	for key, value := cursor.Seek(digest[:]); bytes.HasPrefix(key, digest[:]); key, value = cursor.Next() {
		seq := readSeq(value)
		e, sound := readEntry(seq, records.Get(value))
		if !sound {
			return nil, mail.Errorf(mail.Corrupt, "the catalog's entry for record %d is damaged", seq)
		}
		if e.kind == mail.KindReference && e.of == of.Seq {
			ids = append(ids, mail.ID{Partition: r.partition, Seq: seq})
		}
	}
	return ids, nil
}
