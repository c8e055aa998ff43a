package catalog

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
)

// A model is a catalog of the bytes alone that keeps every key of every record, and
// is slow.
type model struct {
	records   map[uint64]mail.Record
	condemned map[uint64]bool
	keys      map[string]uint64
}

func modelOf(records []mail.Record) *model {
	m := &model{records: map[uint64]mail.Record{}, condemned: map[uint64]bool{}, keys: map[string]uint64{}}
	for _, r := range records {
		m.records[r.ID.Seq] = r
		switch {
		case r.Erased:
		case r.Event != nil && r.Event.Erase != nil:
			for _, id := range r.Event.Erase.Records {
				m.condemned[id.Seq] = true
			}
		case r.Event == nil:
			m.add(r)
		}
	}
	return m
}

func (m *model) add(r mail.Record) {
	keys := []string{inBox(r.Delivery), exactly(r.Delivery)}
	if r.Kind == mail.KindMessage {
		keys = append(keys, r.Delivery.Digest.String())
	}
	for _, k := range keys {
		if before, known := m.keys[k]; !known || m.condemned[before] {
			m.keys[k] = r.ID.Seq
		}
	}
}

func inBox(d mail.Delivery) string { return d.Digest.String() + d.Mailbox }

func exactly(d mail.Delivery) string {
	return fmt.Sprint(inBox(d), "/", d.UIDL, d.Suspect != "")
}

// at returns the record that a key leads to; false if none, or one to be erased.
func (m *model) at(key string) (uint64, bool) {
	seq, known := m.keys[key]
	return seq, known && !m.condemned[seq]
}

// standing is what the catalog is to answer, in short.
func (m *model) standing(d mail.Delivery) string {
	message, known := m.at(d.Digest.String())
	if !known {
		return "unknown"
	}
	_, again := m.at(inBox(d))
	sealed, is := m.at(exactly(d))
	return fmt.Sprint(message, again, is && again, sealed*map[bool]uint64{true: 1}[is && again])
}

// bytesHistory is a history in which some bytes are messages more than once, and
// orders to erase are given that name any records.
func bytesHistory(rng *rand.Rand) (records []mail.Record, orders int) {
	for _, r := range history(rng, 150) {
		switch {
		case r.Kind == mail.KindReference && rng.IntN(6) == 0:
			r.Kind, r.Of = mail.KindMessage, mail.ID{}
		case r.Kind == mail.KindEvent && len(records) > 4 && rng.IntN(2) == 0:
			var ids []mail.ID
			for range 1 + rng.IntN(4) {
				ids = append(ids, records[rng.IntN(len(records))].ID)
			}
			r.Event = &mail.Event{Type: mail.EventErase, Erase: &mail.Erase{Records: ids}}
			orders++
		}
		records = append(records, r)
	}
	return records, orders
}

// TestShortKeys: that a digest stands for the other keys of its message changes no
// answer, whatever comes twice and is to be erased.
func TestShortKeys(t *testing.T) {
	t.Parallel()
	for seed := range uint64(16) {
		rng := rand.New(rand.NewPCG(seed, 7))
		records, orders := bytesHistory(rng)
		if orders == 0 {
			t.Fatalf("seed %d: no order to erase", seed)
		}
		c := open(t, filepath.Join(t.TempDir(), "c"))
		apply(t, c, records...)
		m := modelOf(records)
		compareModel(t, c, m, fmt.Sprint("seed ", seed))

		// One erasure is done: as if its records had never been there.
		i := rng.IntN(len(records))
		ids := []mail.ID{records[i].ID}
		err := c.Apply([]mail.Record{erased(records[len(records)-1].Next, ids...)})
		if records[i].Kind == mail.KindEvent || mail.KindOf(err) == mail.Corrupt {
			continue // its mailbox would have another number
		}
		if err != nil {
			t.Fatal(err)
		}
		compareModel(t, c, modelOf(without(records, ids)), fmt.Sprint("seed ", seed, " without ", ids))
	}
}

func compareModel(t *testing.T, c *Catalog, m *model, when string) {
	t.Helper()
	for _, r := range m.records {
		if r.Event != nil || r.Erased {
			continue
		}
		for box := range 5 {
			for _, suspect := range []string{"", "short"} {
				d := r.Delivery
				d.Mailbox, d.Suspect = fmt.Sprintf("box%d@example.org", box), suspect
				s, err := c.Standings([]mail.Delivery{d})
				if err != nil {
					t.Fatal(err)
				}
				got := "unknown"
				if s[0].Known {
					got = fmt.Sprint(s[0].Message.Seq, s[0].Again, !s[0].Sealed.SealedAt.IsZero(), s[0].Sealed.ID.Seq)
				}
				if want := m.standing(d); got != want {
					t.Fatalf("%s: %s %s (message, again, sealed) is %s, want %s", when, d.Mailbox, d.UIDL, got, want)
				}
			}
		}
	}
	for id, r := range m.records {
		if r.Kind != mail.KindMessage || r.Erased {
			continue
		}
		copies, err := c.Copies(mail.ID{Seq: id})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(copies, r.ID) || !slices.IsSortedFunc(copies, func(a, b mail.ID) int { return int(a.Seq) - int(b.Seq) }) {
			t.Errorf("%s: copies of %v are %v", when, id, copies)
		}
	}
}
