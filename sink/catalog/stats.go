package catalog

import (
	"encoding/json"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/mailkeep/mailkeep/mail"
)

// MailboxStats counts what the ledger holds of one mailbox.
type MailboxStats struct {
	Mailbox string `json:"mailbox"`
	// Messages counts deliveries of bytes that were new to the archive,
	// References those of bytes that it had; Again those of the latter that
	// this mailbox itself had delivered before.
	Messages   uint64 `json:"messages"`
	References uint64 `json:"references"`
	Again      uint64 `json:"again"`
	// Suspect counts the deliveries sealed as evidence of an incomplete copy.
	Suspect uint64 `json:"suspect"`
	// Octets is the size of all deliveries as the server sent them, those of
	// references included.
	Octets int64 `json:"octets"`
	// FirstSealed and LastSealed are when the first and the latest delivery
	// were sealed; zero if there is none.
	FirstSealed time.Time `json:"first_sealed,omitzero"`
	LastSealed  time.Time `json:"last_sealed,omitzero"`
	// Drains counts sessions, Deleted what they deleted on the server.
	Drains  uint64 `json:"drains"`
	Deleted uint64 `json:"deleted"`
	// LastDrain is the record of the latest session's report; nil if there is
	// none.
	LastDrain *mail.ID `json:"last_drain,omitempty"`
	// LastSuccess is when the latest session with the outcome "ok" ended; zero
	// if there is none.
	LastSuccess time.Time `json:"last_success,omitzero"`
}

// statsRow is how MailboxStats is kept: with the name as octets in place of
// Mailbox, which stays empty, and the number of reports in the bucket drain.
type statsRow struct {
	Name mail.Octets `json:"name"`
	Kept int         `json:"kept"`
	MailboxStats
}

func (s *statsRow) delivery(r mail.Record) {
	switch {
	case r.Kind == mail.KindMessage:
		s.Messages++
	case r.Again:
		s.Again++
		fallthrough
	default:
		s.References++
	}
	if r.Delivery.Suspect != "" {
		s.Suspect++
	}
	s.Octets += r.Delivery.Size
	s.LastSealed = r.Time.UTC()
	if s.FirstSealed.IsZero() {
		s.FirstSealed = s.LastSealed
	}
}

// outcomeOK is the Outcome of a session that ended as it should.
const outcomeOK = "ok"

func (s *statsRow) drain(id mail.ID, d mail.Drain) {
	s.Drains++
	s.Deleted += uint64(max(d.Deleted, 0))
	s.LastDrain = &id
	if d.Outcome == outcomeOK {
		s.LastSuccess = d.Ended
	}
}

func readStats(b []byte) (*statsRow, error) {
	row := new(statsRow)
	if err := json.Unmarshal(b, row); err != nil {
		return nil, mail.Errorf(mail.Corrupt, "the counters of a mailbox are damaged: %w", err)
	}
	return row, nil
}

func putStats(b *bolt.Bucket, box uint32, row *statsRow) error {
	value, err := json.Marshal(row)
	if err != nil {
		return err
	}
	return b.Put(mailboxKey(box), value)
}

// Mailboxes returns the counters of all mailboxes that the ledger knows, in the
// order of their first appearance.
func (c *Catalog) Mailboxes() ([]MailboxStats, error) {
	var all []MailboxStats
	err := c.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketStats).ForEach(func(_, value []byte) error {
			row, err := readStats(value)
			if err == nil {
				row.Mailbox = string(row.Name)
				all = append(all, row.MailboxStats)
			}
			return err
		})
	})
	return all, err
}
