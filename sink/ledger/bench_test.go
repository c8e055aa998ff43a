package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// BenchmarkAppend commits groups of 64 messages of 20 KB to a disk.
func BenchmarkAppend(b *testing.B) {
	l, batch := benchLedger(b)
	defer closeOK(b, l)
	b.SetBytes(64 * 20 << 10)
	b.ReportAllocs()
	for b.Loop() {
		appendOK(b, l, batch...)
	}
	b.ReportMetric(float64(64*b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkMessage hashes and compresses one message of 20 KB.
func BenchmarkMessage(b *testing.B) {
	raw := text(1, 20<<10)
	d := delivery("sales", raw)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ledger.Message(d, raw); err != nil {
			b.Fatal(err)
		}
	}
}

func benchLedger(b *testing.B) (*ledger.Ledger, []*ledger.Entry) {
	return benchIn(b, b.TempDir())
}

func benchIn(b *testing.B, dir string) (*ledger.Ledger, []*ledger.Entry) {
	fsys, err := durable.OpenDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	opts := options(b)
	opts.SegmentSize, opts.Now = 0, time.Now
	var batch []*ledger.Entry
	for i := range uint64(64) {
		batch = append(batch, message(b, text(i, 20<<10)))
	}
	return open(b, fsys, opts), batch
}

// BenchmarkRecords walks over 6,400 messages.
func BenchmarkRecords(b *testing.B) {
	l, batch := benchLedger(b)
	defer closeOK(b, l)
	for range 100 {
		appendOK(b, l, batch...)
	}
	n := 0
	for b.Loop() {
		for _, err := range l.Records(context.Background(), 0) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkRaw opens messages of 20 KB.
func BenchmarkRaw(b *testing.B) {
	l, batch := benchLedger(b)
	defer closeOK(b, l)
	sealed := appendOK(b, l, batch...)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r, err := l.Raw(context.Background(), sealed[i%len(sealed)].ID)
		if err != nil {
			b.Fatal(err)
		}
		closeOK(b, r)
	}
}

// BenchmarkVerify verifies 6,400 messages.
func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	l, batch := benchIn(b, dir)
	for range 100 {
		appendOK(b, l, batch...)
	}
	closeOK(b, l)
	fsys, err := durable.OpenDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	var rep ledger.Report
	for b.Loop() {
		if rep, err = ledger.Verify(context.Background(), fsys, ledger.VerifyOptions{Archive: archive}); err != nil || rep.Damaged > 0 {
			b.Fatal(rep, err)
		}
	}
	b.SetBytes(rep.Octets)
	b.ReportMetric(float64(rep.Records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
