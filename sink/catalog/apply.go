package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/mailkeep/mailkeep/mail"
)

// KeepDrains is how many reports of sessions are kept per mailbox. With them
// goes the memory of their session ids, so an event that comes again is known
// as long as the mailbox had fewer sessions since. All of them stay in the
// ledger.
const KeepDrains = 2000

// Apply takes the next records of the ledger, in order, and moves the cursor
// behind the last of them, all in one transaction. Records before the cursor
// are passed over, so a batch may be applied again. It returns mail.Invalid for
// records of another partition or out of order, mail.NoSpace if the disk is
// full, and mail.Corrupt if the file is damaged; in each case nothing of the
// batch is applied.
func (c *Catalog) Apply(records []mail.Record) error {
	if len(records) == 0 {
		return nil
	}
	if err := c.checkOrder(records); err != nil {
		return err
	}
	var cursor uint64
	err := c.update(func(tx *bolt.Tx) error {
		w := newWriter(tx, c.opts.Partition)
		for _, r := range records {
			if err := w.add(r); err != nil {
				return fmt.Errorf("record %s: %w", r.ID, err)
			}
		}
		cursor = w.cursor
		return w.finish()
	})
	if err != nil {
		return fmt.Errorf("apply records to the catalog: %w", err)
	}
	c.cursor.Store(cursor)
	return nil
}

func (c *Catalog) checkOrder(records []mail.Record) error {
	var next uint64
	for _, r := range records {
		if r.ID.Partition != c.opts.Partition {
			return mail.Errorf(mail.Invalid, "record %s is not of partition %d", r.ID, c.opts.Partition)
		}
		if r.ID.Seq < next || r.Next <= r.ID.Seq {
			return mail.Errorf(mail.Invalid, "record %s (next %d) is out of order", r.ID, r.Next)
		}
		next = r.Next
	}
	return nil
}

// rowFill is how full a page of the bucket row is left that is split. Where keys
// come at random, pages are a little emptier for it than with a half.
const rowFill = 0.7

// A writer adds records within one transaction. Counters are gathered in memory
// and written once per mailbox and transaction.
type writer struct {
	tx        *bolt.Tx
	partition uint16
	cursor    uint64
	last      *mail.Record // the last record added; nil if all were known
	stats     map[uint32]*statsRow
}

func newWriter(tx *bolt.Tx, partition uint16) *writer {
	// Positions only grow, so pages of this bucket never need room for more. Most
	// servers give unique-ids that grow, too.
	tx.Bucket(bucketRecord).FillPercent = 1
	tx.Bucket(bucketRow).FillPercent = rowFill
	return &writer{
		tx:        tx,
		partition: partition,
		cursor:    readCursor(tx),
		stats:     make(map[uint32]*statsRow),
	}
}

func (w *writer) add(r mail.Record) error {
	if r.ID.Seq < w.cursor {
		return nil
	}
	var err error
	switch {
	case r.Erased: // nothing is known of it
	case r.Kind == mail.KindMessage || r.Kind == mail.KindReference:
		err = w.delivery(r)
	case r.Kind == mail.KindEvent && r.Event != nil:
		err = w.event(r)
	}
	w.cursor, w.last = r.Next, &r
	return err
}

// event adds what the catalog keeps of an event.
func (w *writer) event(r mail.Record) error {
	switch e := r.Event; {
	case e.Drain != nil:
		return w.drain(r)
	case e.Hold != nil:
		return w.hold(r)
	case e.Erase != nil && e.Erase.Done:
		return w.erase(e.Erase.Records, w.partition)
	case e.Erase != nil:
		return w.condemn(e.Erase.Records, r.ID.Seq)
	}
	return nil
}

// delivery adds a message or a reference.
func (w *writer) delivery(r mail.Record) error {
	box, err := w.mailbox(r.Delivery.Mailbox)
	if err != nil {
		return err
	}
	e, seq := entryOf(r, box), r.ID.Seq
	put := w.tx.Bucket(bucketRecord).Put(seqKey(seq), e.append(nil, seq))
	put = errors.Join(put, w.lead(e, seq))
	if key := e.rowKey(); key != nil {
		put = errors.Join(put, w.tx.Bucket(bucketRow).Put(key, seqKey(seq)))
	}
	w.stats[box].delivery(r)
	return put
}

// lead lets the keys of the bytes lead to a record, but for those that lead to one
// before it which stays.
func (w *writer) lead(e entry, seq uint64) error {
	b, digest := w.tx.Bucket(bucketBytes), e.print.Digest[:]
	if e.kind == mail.KindMessage {
		if key, _ := b.Cursor().Seek(digest); !bytes.HasPrefix(key, digest) {
			return b.Put(digest, seqKey(seq)) // which leads for the others
		}
		if before := b.Get(digest); before == nil || condemnedBefore(w.tx, readSeq(before), seq) {
			if err := b.Put(digest, seqKey(seq)); err != nil {
				return err
			}
		}
	}
	for _, key := range e.sealedKeys() {
		before, known, err := leads(w.tx, bucketBytes, key)
		if err != nil {
			return err
		}
		if known && (before == seq || !condemnedBefore(w.tx, before, seq)) {
			continue
		}
		if err := b.Put(key, seqKey(seq)); err != nil {
			return err
		}
	}
	return nil
}

// drain adds the report of a session and forgets the oldest beyond KeepDrains.
func (w *writer) drain(r mail.Record) error {
	d := *r.Event.Drain
	box, err := w.mailbox(d.Mailbox)
	if err != nil {
		return err
	}
	d.Rows = nil
	value, err := json.Marshal(d)
	if err != nil {
		return err
	}
	stats := w.stats[box]
	stats.drain(r.ID, d)
	err = w.tx.Bucket(bucketDrain).Put(drainKey(box, r.ID.Seq), value)
	err = errors.Join(err, w.tx.Bucket(bucketSession).Put(octets(nil, d.Session), seqKey(r.ID.Seq)))
	if stats.Kept++; stats.Kept <= KeepDrains {
		return err
	}
	stats.Kept--
	return errors.Join(err, w.forgetDrain(box))
}

// forgetDrain removes the oldest report of the mailbox and its session id.
func (w *writer) forgetDrain(box uint32) error {
	cursor := w.tx.Bucket(bucketDrain).Cursor()
	key, value := cursor.Seek(mailboxKey(box))
	var d mail.Drain
	if err := json.Unmarshal(value, &d); err != nil || len(key) != 12 {
		return mail.Errorf(mail.Corrupt, "the oldest report of mailbox %d is damaged", box)
	}
	session, seq := octets(nil, d.Session), key[4:]
	// A session id that came again belongs to its later report.
	var err error
	if known := w.tx.Bucket(bucketSession).Get(session); string(known) == string(seq) {
		err = w.tx.Bucket(bucketSession).Delete(session)
	}
	return errors.Join(err, cursor.Delete())
}

// mailbox returns the number of the mailbox, giving it one if it is new, and
// loads its counters.
func (w *writer) mailbox(name string) (uint32, error) {
	names, key := w.tx.Bucket(bucketMailbox), octets(nil, name)
	box, known := readMailbox(names.Get(key))
	if known {
		return box, w.loadStats(box)
	}
	stats := w.tx.Bucket(bucketStats)
	if last, _ := stats.Cursor().Last(); last != nil {
		box, _ = readMailbox(last)
		box++
	}
	row := &statsRow{Name: mail.Octets(name)}
	w.stats[box] = row
	return box, errors.Join(names.Put(key, mailboxKey(box)), putStats(stats, box, row))
}

func (w *writer) loadStats(box uint32) error {
	if w.stats[box] != nil {
		return nil
	}
	row, err := readStats(w.tx.Bucket(bucketStats).Get(mailboxKey(box)))
	w.stats[box] = row
	return err
}

// finish writes the counters, the cursor and the tip.
func (w *writer) finish() error {
	if w.last == nil {
		return nil
	}
	if err := w.putAllStats(); err != nil {
		return err
	}
	stamp := stampOf(*w.last)
	meta := w.tx.Bucket(bucketMeta)
	return errors.Join(
		meta.Put(keyCursor, seqKey(w.cursor)),
		meta.Put(keyTip, append(seqKey(w.last.ID.Seq), stamp[:]...)))
}

// putAllStats writes the counters that were gathered.
func (w *writer) putAllStats() error {
	for box, row := range w.stats {
		if err := putStats(w.tx.Bucket(bucketStats), box, row); err != nil {
			return err
		}
	}
	return nil
}

// stampOf is a digest that two records share only if they are the same one. It
// is not taken over JSON of the whole record: an event as it was made and as it
// was read back may differ in how they spell a time.
func stampOf(r mail.Record) mail.Digest {
	b := entryOf(r, 0).append(nil, r.ID.Seq)
	b = append(b, r.Delivery.Mailbox...)
	if r.Event != nil {
		b = append(b, r.Event.Type...)
		if r.Event.Drain != nil {
			b = append(b, r.Event.Drain.Session...)
		}
	}
	return mail.DigestOf(b)
}
