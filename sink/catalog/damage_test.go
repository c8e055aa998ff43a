package catalog

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/mailkeep/mailkeep/mail"
)

// Entries that are changed behind the catalog's back are never believed: an
// answer is right, or unknown, or mail.Corrupt.
func TestDamagedEntries(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	const n = 40
	var records []mail.Record
	var rows []mail.Listing
	for i := range uint64(n) {
		d := delivery("a", fmt.Sprint("u", i), fmt.Sprint("body ", i))
		records = append(records, message(i, d))
		rows = append(rows, mail.Listing{UIDL: d.UIDL, Size: d.ListSize})
	}
	damaged := 0
	for range 300 {
		c := open(t, filepath.Join(t.TempDir(), "c.db"))
		apply(t, c, records...)
		victim := views[rng.IntN(3)] // record, bytes, row
		err := c.db.Update(func(tx *bolt.Tx) error { return flipOne(rng, tx.Bucket(victim)) })
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range rows {
			got, err := c.Lookup("a", []mail.Listing{row})
			switch {
			case mail.KindOf(err) == mail.Corrupt:
				damaged++
			case err != nil:
				t.Fatal(err)
			case got[0].SealedAt.IsZero():
			case got[0].ID != records[i].ID || got[0].Covers("a", records[i].Delivery.Fingerprint) != nil:
				t.Fatalf("bucket %s: row %d is answered with %s", victim, i, got[0].ID)
			}
			m, known, err := c.Message(records[i].Delivery.Digest)
			if err == nil && known && m.ID != records[i].ID {
				t.Fatalf("bucket %s: message %d is said to be %s", victim, i, m.ID)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if damaged == 0 {
		t.Error("no damage was noticed: the test does not reach the entries")
	}
}

// flipOne inverts one bit of a random value.
func flipOne(rng *rand.Rand, b *bolt.Bucket) error {
	var keys [][]byte
	if err := b.ForEach(func(k, _ []byte) error { keys = append(keys, append([]byte(nil), k...)); return nil }); err != nil {
		return err
	}
	key := keys[rng.IntN(len(keys))]
	value := append([]byte(nil), b.Get(key)...)
	value[rng.IntN(len(value))] ^= 1 << rng.IntN(8)
	return b.Put(key, value)
}

// A file that rots while the catalog is closed is noticed at every bit.
func TestRottenFile(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	dir := t.TempDir()
	path, rotten := filepath.Join(dir, "c.db"), filepath.Join(dir, "rotten.db")
	c := open(t, path)
	apply(t, c, history(rng, 50)...)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		b := append([]byte(nil), sound...)
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		if err := os.WriteFile(rotten, b, 0o600); err != nil {
			t.Fatal(err)
		}
		copyFile(t, path+".state", rotten+".state")
		again, err := Open(rotten, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Cursor(); got != 0 {
			t.Fatalf("a rotten file is believed up to %d", got)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Pages that rot under an open catalog cost a Reset, not the process.
func TestRotUnderneath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	c := open(t, path)
	records := history(rand.New(rand.NewPCG(6, 6)), 2000)
	apply(t, c, records...)
	want := summary(t, c)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	junk := binary.BigEndian.AppendUint64(nil, 0xdeadbeefdeadbeef)
	for off := int64(2 * 4096); off < info.Size(); off += 4096 {
		if _, err := f.WriteAt(junk, off+4); err != nil { // page id stays, type and counts do not
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Lookup("box1@example.org", []mail.Listing{{UIDL: "u1", Size: 9}}); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("Lookup on rotten pages: %v, want mail.Corrupt", err)
	}
	if err := c.Apply([]mail.Record{message(want.Position+1, delivery("new", "1", "x"))}); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("Apply on rotten pages: %v, want mail.Corrupt", err)
	}
	if err := c.Reset(); err != nil {
		t.Fatal(err)
	}
	apply(t, c, records...)
	if got := summary(t, c); got != want {
		t.Errorf("after Reset: %+v, want %+v", got, want)
	}
}

func FuzzReadEntry(f *testing.F) {
	f.Add(uint64(3), entryOf(message(3, delivery("a", "u", "raw")), 7).append(nil, 3))
	f.Add(uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, seq uint64, b []byte) {
		e, ok := readEntry(seq, b)
		if !ok {
			return
		}
		if again, ok := readEntry(seq, e.append(nil, seq)); !ok || again != e {
			t.Errorf("%+v is written and read as %+v, %t", e, again, ok)
		}
	})
}

func BenchmarkApply(b *testing.B) {
	b.ReportAllocs()
	c := open(b, filepath.Join(b.TempDir(), "c.db"))
	seq := uint64(0)
	for b.Loop() {
		batch := make([]mail.Record, 256)
		for i := range batch {
			batch[i] = message(seq, delivery("box@example.org", fmt.Sprintf("%08x", seq), fmt.Sprint("body ", seq)))
			seq++
		}
		apply(b, c, batch...)
	}
	b.ReportMetric(float64(seq)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkLookup(b *testing.B) {
	b.ReportAllocs()
	c := open(b, filepath.Join(b.TempDir(), "c.db"))
	const n = 10000
	records, rows := make([]mail.Record, n), make([]mail.Listing, n)
	for i := range uint64(n) {
		d := delivery("box@example.org", fmt.Sprintf("%08x", i), fmt.Sprint("body ", i))
		records[i], rows[i] = message(i, d), mail.Listing{UIDL: d.UIDL, Size: d.ListSize}
	}
	apply(b, c, records...)
	for b.Loop() {
		if _, err := c.Lookup("box@example.org", rows); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
}
