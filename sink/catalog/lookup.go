package catalog

import (
	"bytes"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/mailkeep/mailkeep/mail"
)

// Lookup tells which rows of a mailbox's listing are sealed. The answer has the
// length of rows; a zero Receipt means unknown. A row is known if a delivery of
// the mailbox had the same non-empty UIDL and the same LIST size and was not
// suspect; of several the latest is returned. If there is none, but one of
// another size, that is returned: it contradicts the row, and its LIST size says
// so. A receipt holds everything that Receipt.Covers compares, and First, but of
// the capture only mailbox, UIDL, LIST size and time.
func (c *Catalog) Lookup(mailbox string, rows []mail.Listing) ([]mail.Receipt, error) {
	receipts := make([]mail.Receipt, len(rows))
	err := c.view(func(tx *bolt.Tx) error {
		r := c.reader(tx)
		box, known := r.number(mailbox)
		for i, row := range rows {
			if !known || !nameable(row) {
				continue
			}
			var err error
			if receipts[i], err = r.row(mailbox, box, row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return receipts, nil
}

// ByDigest returns the receipt of the first delivery of the bytes to the
// mailbox, sound or suspect; false if there is none.
func (c *Catalog) ByDigest(mailbox string, digest mail.Digest) (mail.Receipt, bool, error) {
	var receipt mail.Receipt
	err := c.view(func(tx *bolt.Tx) error {
		r := c.reader(tx)
		box, known := r.number(mailbox)
		if !known {
			return nil
		}
		var err error
		receipt, err = r.at(bucketBytes, digestKey(box, digest), mailbox, func(e entry) bool {
			return e.box == box && e.print.Digest == digest
		})
		return err
	})
	return receipt, !receipt.SealedAt.IsZero(), err
}

// Message returns the receipt of the message record that holds the bytes of the
// digest, to whichever mailbox it was delivered; false if there is none. The
// receipt's mailbox is the one of that delivery.
func (c *Catalog) Message(digest mail.Digest) (mail.Receipt, bool, error) {
	var receipt mail.Receipt
	err := c.view(func(tx *bolt.Tx) error {
		r := c.reader(tx)
		var box uint32
		var err error
		receipt, err = r.at(bucketBytes, digest[:], "", func(e entry) bool {
			box = e.box
			return e.kind == mail.KindMessage && e.print.Digest == digest
		})
		if err != nil || receipt.SealedAt.IsZero() {
			return err
		}
		row, err := readStats(tx.Bucket(bucketStats).Get(mailboxKey(box)))
		if err == nil {
			receipt.Mailbox = string(row.Name)
		}
		return err
	})
	return receipt, !receipt.SealedAt.IsZero(), err
}

// A Standing is what the ledger holds already of a delivery that has arrived.
type Standing struct {
	// Sealed is the receipt of the same delivery: same mailbox, UIDL and bytes,
	// and suspect if and only if the delivery is. Zero if there is none.
	Sealed mail.Receipt
	// Known says that the bytes are sealed, and Message by which record.
	Known   bool
	Message mail.ID
	// Again says that this mailbox has delivered these bytes before, and First
	// when it first did.
	Again bool
	First time.Time
}

// Standings tells for each delivery what the ledger holds of it, all as of one
// moment.
func (c *Catalog) Standings(ds []mail.Delivery) ([]Standing, error) {
	standings := make([]Standing, len(ds))
	err := c.view(func(tx *bolt.Tx) error {
		r := c.reader(tx)
		for i, d := range ds {
			var err error
			if standings[i], err = r.standing(d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return standings, nil
}

// A reader answers within one transaction.
type reader struct {
	tx        *bolt.Tx
	partition uint16
}

func (c *Catalog) reader(tx *bolt.Tx) reader { return reader{tx: tx, partition: c.opts.Partition} }

func (r reader) number(mailbox string) (uint32, bool) {
	return readMailbox(r.tx.Bucket(bucketMailbox).Get(octets(nil, mailbox)))
}

// row answers one row of a listing.
func (r reader) row(mailbox string, box uint32, row mail.Listing) (mail.Receipt, error) {
	key := rowKey(box, row)
	if r.tx.Bucket(bucketRow).Get(key) == nil {
		if key = r.otherSize(box, row.UIDL); key == nil {
			return mail.Receipt{}, nil
		}
		row.Size = int64(readSeq(key[len(key)-8:]))
	}
	receipt, err := r.at(bucketRow, key, mailbox, func(e entry) bool {
		return e.box == box && e.uidl == row.UIDL && e.listSize == row.Size && e.suspect == ""
	})
	if err == nil {
		receipt.First, err = r.first(box, receipt)
	}
	return receipt, err
}

// otherSize returns the key of a row with the UIDL, that of its largest size;
// nil if there is none. Sizes are far below 1<<56, so their keys begin with 0.
func (r reader) otherSize(box uint32, uidl mail.Octets) []byte {
	prefix := uidlKey(box, uidl)
	cursor := r.tx.Bucket(bucketRow).Cursor()
	key, _ := cursor.Seek(append(slices.Clone(prefix), 1))
	if key == nil {
		key, _ = cursor.Last()
	} else {
		key, _ = cursor.Prev()
	}
	if len(key) != len(prefix)+8 || !bytes.HasPrefix(key, prefix) {
		return nil
	}
	return key
}

// first returns Receipt.First of a receipt: zero if its delivery was the first
// of its bytes to the mailbox.
func (r reader) first(box uint32, of mail.Receipt) (time.Time, error) {
	receipt, err := r.at(bucketBytes, digestKey(box, of.Digest), of.Mailbox, func(e entry) bool {
		return e.box == box && e.print.Digest == of.Digest
	})
	if err != nil || receipt.ID == of.ID {
		return time.Time{}, err
	}
	return receipt.Since(), nil
}

func (r reader) standing(d mail.Delivery) (Standing, error) {
	var s Standing
	message, err := r.at(bucketBytes, d.Digest[:], "", func(e entry) bool {
		return e.kind == mail.KindMessage && e.print.Digest == d.Digest
	})
	s.Known, s.Message = !message.SealedAt.IsZero(), message.ID
	box, known := r.number(d.Mailbox)
	if err != nil || !s.Known || !known {
		return s, err
	}
	first, err := r.at(bucketBytes, digestKey(box, d.Digest), d.Mailbox, func(e entry) bool {
		return e.box == box && e.print.Digest == d.Digest
	})
	s.Again = !first.SealedAt.IsZero()
	if err != nil || !s.Again {
		return s, err
	}
	s.First = first.Since()
	s.Sealed, err = r.at(bucketBytes, deliveryKey(box, d.Capture, d.Digest), d.Mailbox, func(e entry) bool {
		return e.box == box && e.print.Digest == d.Digest && e.uidl == d.UIDL && (e.suspect == "") == (d.Suspect == "")
	})
	if !s.Sealed.SealedAt.IsZero() && s.Sealed.ID != first.ID {
		s.Sealed.First = s.First
	}
	return s, err
}

// at follows a key of a bucket to the record it leads to and returns its
// receipt, or a zero one if the key is unknown or the record is to be erased. An entry that is damaged, or
// that is not what the key says it is, is mail.Corrupt.
func (r reader) at(bucket, key []byte, mailbox string, fits func(entry) bool) (mail.Receipt, error) {
	seq, known, err := leads(r.tx, bucket, key)
	if err != nil || !known || condemned(r.tx, seq) {
		return mail.Receipt{}, err
	}
	e, sound := readEntry(seq, r.tx.Bucket(bucketRecord).Get(seqKey(seq)))
	if !sound || !fits(e) || e.sealed.IsZero() {
		return mail.Receipt{}, mail.Errorf(mail.Corrupt, "the catalog's entry for record %d is damaged", seq)
	}
	return e.receipt(mailbox, mail.ID{Partition: r.partition, Seq: seq}), nil
}

// leads follows a key of a bucket to a position. A digest of bytes alone also
// stands for the keys of mailbox and delivery of the message that it leads to:
// most bytes are delivered once.
func leads(tx *bolt.Tx, bucket, key []byte) (seq uint64, known bool, err error) {
	b := tx.Bucket(bucket)
	if position := b.Get(key); position != nil {
		return readSeq(position), true, nil
	}
	if !bytes.Equal(bucket, bucketBytes) || len(key) == len(mail.Digest{}) {
		return 0, false, nil
	}
	digest := key[:len(mail.Digest{})]
	position := b.Get(digest)
	if position == nil {
		return 0, false, nil
	}
	seq = readSeq(position)
	e, sound := readEntry(seq, tx.Bucket(bucketRecord).Get(position))
	if !sound || e.kind != mail.KindMessage || !bytes.Equal(e.print.Digest[:], digest) {
		return 0, false, mail.Errorf(mail.Corrupt, "the catalog's entry for record %d is damaged", seq)
	}
	for _, own := range e.sealedKeys() {
		known = known || bytes.Equal(own, key)
	}
	return seq, known, nil
}
