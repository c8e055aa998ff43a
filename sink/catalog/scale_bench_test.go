package catalog

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// scaleRows is how many rows BenchmarkScale fills a catalog with, unless
// MAILKEEP_CATALOG_ROWS says else: 50 million take about 15 GB of disk, and an hour.
const scaleRows = 200_000

// scaleBatch is as many records as the sink applies at once while it rebuilds.
const scaleBatch = 4096

// scaleBoxes is over how many mailboxes the rows are spread.
const scaleBoxes = 1000

// BenchmarkScale fills a catalog as a rebuild from the ledger does, then looks up
// rows at random, closes it and opens it again. Memory is that of the process
// without pages of files, which the kernel takes back when it needs them.
func BenchmarkScale(b *testing.B) {
	rows := uint64(scaleRows)
	if s := os.Getenv("MAILKEEP_CATALOG_ROWS"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		rows = n
	}
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "c.db")
		c := open(b, path)
		most := fillScale(b, c, rows)
		lookScale(b, c, rows)
		start := time.Now()
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(start).Seconds(), "close-s")
		start = time.Now()
		c = open(b, path)
		b.ReportMetric(time.Since(start).Seconds(), "open-s")
		most = max(most, anonymous(b))
		if c.Cursor() != rows {
			b.Fatalf("cursor is %d after %d rows", c.Cursor(), rows)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/float64(rows), "octets/row")
		b.ReportMetric(float64(most)/1e6, "memory-MB")
	}
}

// fillScale applies the rows, and returns the most memory that the process had.
func fillScale(b *testing.B, c *Catalog, rows uint64) (most int64) {
	batch := make([]mail.Record, 0, scaleBatch)
	begin := time.Now()
	tenth := newTenth(rows)
	for seq := uint64(0); seq < rows; {
		batch = batch[:0]
		for ; len(batch) < scaleBatch && seq < rows; seq++ {
			batch = append(batch, scaleRecord(seq))
		}
		apply(b, c, batch...)
		most = max(most, anonymous(b))
		tenth.tell(b, seq)
	}
	b.ReportMetric(float64(rows)/time.Since(begin).Seconds(), "rows/s")
	b.ReportMetric(tenth.rate, "last-rows/s")
	return most
}

// A tenth tells after each tenth of the rows what they took.
type tenth struct {
	size, done uint64
	at         time.Time
	cpu        time.Duration
	most       int64   // memory
	rate       float64 // rows a second, of the last tenth
}

func newTenth(rows uint64) *tenth {
	return &tenth{size: max(rows/10, 1), at: time.Now(), cpu: processorTime()}
}

func (t *tenth) tell(b *testing.B, seq uint64) {
	t.most = max(t.most, anonymous(b))
	if seq < t.done+t.size {
		return
	}
	n, now, cpu := float64(seq-t.done), time.Now(), processorTime()
	t.rate = n / now.Sub(t.at).Seconds()
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	b.Logf("%d rows: %.0f rows/s, %.1f us of processor time a row, memory at most %d MB, heap %d MB in use, %d MB for the next collection",
		seq, t.rate, float64((cpu-t.cpu).Microseconds())/n, t.most>>20, heap.HeapInuse>>20, heap.NextGC>>20)
	*t = tenth{size: t.size, done: seq, at: now, cpu: cpu, rate: t.rate}
}

// processorTime is what the process took, in the kernel too.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// lookScale asks for rows of one mailbox after the other, at random.
func lookScale(b *testing.B, c *Catalog, rows uint64) {
	const asks, each = 200, 50
	r := rand.New(rand.NewPCG(1, 2))
	start := time.Now()
	for range asks {
		box := r.Uint64N(scaleBoxes)
		var want []mail.Listing
		for range each {
			d := scaleRecord(r.Uint64N(rows/scaleBoxes)*scaleBoxes + box).Delivery
			want = append(want, mail.Listing{UIDL: d.UIDL, Size: d.ListSize})
		}
		got, err := c.Lookup(scaleBox(box), want)
		if err != nil {
			b.Fatal(err)
		}
		for i := range got {
			if got[i].UIDL != want[i].UIDL {
				b.Fatalf("row %q of %s is not found", want[i].UIDL, scaleBox(box))
			}
		}
	}
	b.ReportMetric(float64(time.Since(start).Microseconds())/(asks*each), "lookup-us")
}

func scaleBox(n uint64) string { return fmt.Sprintf("box%d@example.org", n) }

// scaleRecord is the record of a position: digests at random, unique-ids in order
// within a mailbox, as servers give them.
func scaleRecord(seq uint64) mail.Record {
	var d mail.Delivery
	d.Mailbox = scaleBox(seq % scaleBoxes)
	d.UIDL = mail.Octets(fmt.Sprintf("%08x%08x", 0x65a0b1c2+seq%scaleBoxes, seq/scaleBoxes))
	d.Digest = mail.DigestOf(binary.BigEndian.AppendUint64(nil, seq))
	d.Header = d.Digest
	d.Size = int64(4000 + seq%40_000)
	d.ListSize = d.Size
	d.Session, d.Host = "4f2a61b09c3d7e58", "pop.example.org"
	d.Fetched = time.Unix(1_700_000_000, int64(seq)).UTC()
	return message(seq, d)
}

// anonymous returns how many octets of memory the process has that are of no file.
func anonymous(b *testing.B) int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "RssAnon:"); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return n << 10
		}
	}
	b.Fatal("the system does not tell the memory of the process")
	return 0
}
