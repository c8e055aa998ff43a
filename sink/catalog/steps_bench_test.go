package catalog

import (
	"encoding/binary"
	"errors"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/mailkeep/mailkeep/mail"
)

// The sizes at which BenchmarkScaleSteps measures; MAILKEEP_CATALOG_STEP sets the rows
// of one: five of 10 million take 15 GB of disk and twenty minutes.
const (
	steps     = 5
	stepRows  = 20_000
	stepApply = 100_000 // rows that are applied at each, as a rebuild does
)

// BenchmarkScaleSteps measures Apply and Lookup in a catalog at five sizes. What is
// there before is not applied but written in the order of its keys, bucket by bucket,
// which leaves pages as full as they are otherwise: applying costs the same pages,
// branches and memory as in one that was filled by Apply, at a tenth of the time.
func BenchmarkScaleSteps(b *testing.B) {
	rows := uint64(stepRows)
	if s := os.Getenv("MAILKEEP_CATALOG_STEP"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		rows = n
	}
	if rows%scaleBoxes != 0 {
		b.Fatalf("a step needs a multiple of %d rows", scaleBoxes)
	}
	for b.Loop() {
		f := &filler{b: b, c: open(b, filepath.Join(b.TempDir(), "c.db")), rows: rows, applied: min(rows/2/scaleBoxes*scaleBoxes, stepApply)}
		for f.step = range uint64(steps) {
			f.fill()
			f.measure()
		}
		if err := f.c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// A filler fills a catalog step by step. The digests of a step are those of a range of
// their own, so that its keys too come in order.
type filler struct {
	b       *testing.B
	c       *Catalog
	rows    uint64 // of a step
	applied uint64 // of these, the rows that are applied, at the end
	step    uint64
}

// spread makes positions from places in the order of digests: a step's rows are
// strewn, but each is known. It has no divisor in common with a number of rows that
// is made of twos and fives.
const spread = 7654321

// written is how many rows of a step are written in order.
func (f *filler) written() uint64 { return f.rows - f.applied }

// first is the first position of the step.
func (f *filler) first() uint64 { return f.step * f.rows }

// placed is the record of a position of the step, with the digest of its place.
func (f *filler) placed(seq, place uint64) mail.Record {
	r := scaleRecord(seq)
	at := (1 << 63 / steps / f.rows) * (f.first() + place)
	binary.BigEndian.PutUint64(r.Delivery.Digest[:], at)
	return r
}

// fill writes the rows of a step, each bucket in the order of its keys.
func (f *filler) fill() {
	start, cpu := time.Now(), processorTime()
	n := f.written()
	inverse := new(big.Int).ModInverse(big.NewInt(spread), new(big.Int).SetUint64(n))
	if inverse == nil {
		f.b.Fatalf("%d rows cannot be strewn", n)
	}
	place := func(i uint64) uint64 { return i * inverse.Uint64() % n }
	seq := func(i uint64) uint64 { return f.first() + i }
	boxes := map[uint64]uint32{}
	f.update(1, func(tx *bolt.Tx, _ uint64) error {
		w := newWriter(tx, 0)
		for box := range uint64(scaleBoxes) {
			number, err := w.mailbox(scaleBox(box))
			if err != nil {
				return err
			}
			boxes[box] = number
		}
		return w.putAllStats()
	})
	f.update(n, func(tx *bolt.Tx, i uint64) error {
		r := f.placed(seq(i), place(i))
		return tx.Bucket(bucketRecord).Put(seqKey(seq(i)), entryOf(r, boxes[seq(i)%scaleBoxes]).append(nil, seq(i)))
	})
	f.update(n, func(tx *bolt.Tx, i uint64) error {
		at := i * spread % n
		digest := f.placed(seq(at), i).Delivery.Digest
		return tx.Bucket(bucketBytes).Put(digest[:], seqKey(seq(at)))
	})
	each := n / scaleBoxes
	f.update(n, func(tx *bolt.Tx, i uint64) error {
		at := i%each*scaleBoxes + i/each
		d := scaleRecord(seq(at)).Delivery
		return tx.Bucket(bucketRow).Put(rowKey(boxes[seq(at)%scaleBoxes], mail.Listing{UIDL: d.UIDL, Size: d.ListSize}), seqKey(seq(at)))
	})
	f.b.Logf("%d rows are written: %.1f us of processor time each, in %.0f s", n, float64((processorTime()-cpu).Microseconds())/float64(n), time.Since(start).Seconds())
}

// update calls fn n times, some in a transaction; what it writes comes in order.
func (f *filler) update(n uint64, fn func(tx *bolt.Tx, i uint64) error) {
	for i := uint64(0); i < n; {
		err := f.c.update(func(tx *bolt.Tx) error {
			tx.Bucket(bucketRecord).FillPercent, tx.Bucket(bucketBytes).FillPercent, tx.Bucket(bucketRow).FillPercent = 1, 0.69, rowFill
			for end := min(i+50_000, n); i < end; i++ {
				if err := fn(tx, i); err != nil {
					return err
				}
			}
			return errors.Join(tx.Bucket(bucketMeta).Put(keyCursor, seqKey(f.first()+f.written())))
		})
		if err != nil {
			f.b.Fatal(err)
		}
	}
}

// measure applies the rest of the step's rows, and looks up rows of it.
func (f *filler) measure() {
	debug.FreeOSMemory()
	quiet, from, end := anonymous(f.b), f.first()+f.written(), f.first()+f.rows
	most, start, cpu := quiet, time.Now(), processorTime()
	for seq := from; seq < end; {
		var batch []mail.Record
		for ; len(batch) < scaleBatch && seq < end; seq++ {
			r := scaleRecord(seq)
			h := binary.BigEndian.Uint64(r.Delivery.Digest[:]) % (1 << 63 / steps * (f.step + 1))
			binary.BigEndian.PutUint64(r.Delivery.Digest[:], h)
			batch = append(batch, r)
		}
		apply(f.b, f.c, batch...)
		most = max(most, anonymous(f.b))
	}
	wall, cpu := time.Since(start), processorTime()-cpu
	look, looked := f.look()
	f.b.Logf("%d rows: %.0f rows/s applied, %.1f us of processor time each; memory %d MB before, at most %d MB; %.1f us of processor time to look one up, %.1f us by the clock",
		end, float64(end-from)/wall.Seconds(), float64(cpu.Microseconds())/float64(end-from), quiet>>20, most>>20, look, looked)
}

// look looks up rows of all steps at random.
func (f *filler) look() (cpu, wall float64) {
	const asks = 4000
	rng := rand.New(rand.NewPCG(f.step, 2))
	start, before := time.Now(), processorTime()
	for range asks {
		seq := rng.Uint64N((f.step + 1) * f.rows)
		d := scaleRecord(seq).Delivery
		got, err := f.c.Lookup(d.Mailbox, []mail.Listing{{UIDL: d.UIDL, Size: d.ListSize}})
		if err != nil || got[0].ID.Seq != seq || got[0].SealedAt.IsZero() {
			f.b.Fatalf("row %d is %+v: %v", seq, got, err)
		}
	}
	return float64((processorTime() - before).Microseconds()) / asks, float64(time.Since(start).Microseconds()) / asks
}
