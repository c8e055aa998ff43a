package ledger_test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/ledger/dictionary"
)

// mix returns the first n messages of the reference mix below 1 MB, as servers
// send them.
func mix(n int) (raws [][]byte, octets int) {
	m := lab.NewMix(1)
	for i := 0; len(raws) < n; i++ {
		if b := bytes.ReplaceAll(m.Message(1, i), []byte("\n"), []byte("\r\n")); len(b) < 1<<20 {
			raws, octets = append(raws, b), octets+len(b)
		}
	}
	return raws, octets
}

// BenchmarkStored compares what a ledger takes on disk, headers and metadata
// included, with a Maildir (whole blocks of 4 KB) and with gzip -6 of each message.
func BenchmarkStored(b *testing.B) {
	raws, received := mix(500)
	for b.Loop() {
		var maildir, zipped int
		for _, raw := range raws {
			maildir += (len(raw) + 4095) / 4096 * 4096
			zipped += len(gzipped(raw))
		}
		share := func(n int) float64 { return float64(n) / float64(received) }
		b.ReportMetric(share(maildir), "maildir/received")
		b.ReportMetric(share(zipped), "gzip/received")
		b.ReportMetric(share(storedBy(b, raws, nil, false)), "plain/received")
		b.ReportMetric(share(storedBy(b, raws, mailDictionary(b), false)), "dictionary/received")
		b.ReportMetric(share(storedBy(b, raws, mailDictionary(b), true)), "encrypted/received")
	}
}

// BenchmarkLevels compresses the reference mix, by what the messages hold, with
// gzip -6 and at the levels of zstd against the dictionary, nothing of it folded:
// what there is to gain beyond the fastest, and what it costs. The record is what
// the ledger makes of it: folded where that is possible, with its header and
// metadata, in all the time that a message takes until it is appended.
func BenchmarkLevels(b *testing.B) {
	raws, _ := mix(500)
	kinds := map[string][][]byte{}
	for _, raw := range raws {
		kind := "text"
		switch {
		case bytes.Contains(raw, []byte("multipart/alternative")):
			kind = "html"
		case bytes.Contains(raw, []byte("multipart/mixed")):
			kind = "attachment"
		}
		kinds[kind] = append(kinds[kind], raw)
	}
	for _, kind := range []string{"text", "html", "attachment"} {
		b.Run(kind+"/record", func(b *testing.B) { benchRecords(b, kinds[kind]) })
		b.Run(kind+"/gzip-6", func(b *testing.B) {
			benchLevel(b, kinds[kind], func(i int) int { return len(gzipped(kinds[kind][i])) })
		})
		for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBetterCompression} {
			b.Run(kind+"/zstd-"+level.String(), func(b *testing.B) {
				e := newBareEncoder(b, level)
				benchLevel(b, kinds[kind], func(i int) int { return len(e.EncodeAll(kinds[kind][i], nil)) })
			})
		}
	}
}

func benchRecords(b *testing.B, raws [][]byte) {
	l := openDisk(b, b.TempDir(), mailDictionary(b), false)
	defer closeOK(b, l)
	var deliveries []mail.Delivery
	for _, raw := range raws {
		deliveries = append(deliveries, delivery("sales", raw))
	}
	benchLevel(b, raws, func(i int) int {
		e, err := l.Maker().Message(deliveries[i], raws[i])
		if err != nil {
			b.Fatal(err)
		}
		return int(e.Size())
	})
}

func benchLevel(b *testing.B, raws [][]byte, compress func(i int) int) {
	var times []time.Duration
	var in, out int
	for b.Loop() {
		in, out = 0, 0
		times = append(times, spent(b, func() {
			for i, raw := range raws {
				in, out = in+len(raw), out+compress(i)
			}
		}))
	}
	b.ReportMetric(float64(out)/float64(in), "stored/received")
	b.ReportMetric(float64(median(times).Microseconds())/float64(len(raws)), "cpu-us/msg")
}

func gzipped(raw []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, 6)
	w.Write(raw) //nolint:errcheck // into memory
	w.Close()    //nolint:errcheck // into memory
	return out.Bytes()
}

// storedBy returns how many octets a ledger of the messages has.
func storedBy(b *testing.B, raws [][]byte, d *ledger.Dictionary, encrypt bool) int {
	dir := b.TempDir()
	l := openDisk(b, dir, d, encrypt)
	for batch := range slices.Chunk(raws, 50) {
		appendOK(b, l, entries(b, l, batch)...)
	}
	_, octets, err := l.Usage()
	if err != nil {
		b.Fatal(err)
	}
	closeOK(b, l)
	return int(octets)
}

// entries makes the entries of messages.
func entries(b *testing.B, l *ledger.Ledger, raws [][]byte) (out []*ledger.Entry) {
	for _, raw := range raws {
		e, err := l.Maker().Message(delivery("sales", raw), raw)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func openDisk(b *testing.B, dir string, d *ledger.Dictionary, encrypt bool) *ledger.Ledger {
	fsys, err := durable.OpenDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	opts := options(b)
	opts.SegmentSize, opts.Now, opts.Dictionary = 0, time.Now, d
	if encrypt {
		opts.Keys = &keys.Dir{FS: fsys, Archive: archive, Wrapper: master(b, testKey)}
	}
	return open(b, fsys, opts)
}

// BenchmarkAgainstLimit prepares and appends encrypted messages of 20 KB with 256
// in flight, and does the same work without a ledger: one zstd against the
// dictionary, SHA-256 of what goes in and of what comes out, one AES-GCM. Both are
// measured in turn, in processor time: other programs do not count, and neither
// does the disk.
func BenchmarkAgainstLimit(b *testing.B) {
	const inFlight = 256
	raws, deliveries := make([][]byte, inFlight), make([]mail.Delivery, inFlight)
	for i := range raws {
		raws[i] = text(uint64(i), 20<<10)
		deliveries[i] = delivery("sales", raws[i])
	}
	l := openDisk(b, b.TempDir(), mailDictionary(b), true)
	defer closeOK(b, l)
	bare := newBareTools(b)
	var limit, ours []time.Duration
	prepared := make([]*ledger.Entry, inFlight)
	for b.Loop() {
		limit = append(limit, spent(b, func() { bareWork(b, bare, raws) }))
		ours = append(ours, spent(b, func() {
			each(raws, func(i int) {
				e, err := l.Maker().Message(deliveries[i], raws[i])
				if err != nil {
					b.Error(err)
				}
				prepared[i] = e
			})
			for batch := range slices.Chunk(prepared, 64) {
				appendOK(b, l, batch...)
			}
		}))
	}
	rate := func(t time.Duration) float64 { return inFlight / t.Seconds() }
	b.ReportMetric(rate(median(ours)), "msg/cpu-s")
	b.ReportMetric(rate(median(limit)), "limit-msg/cpu-s")
	b.ReportMetric(median(limit).Seconds()/median(ours).Seconds(), "ratio")
}

// spent returns the processor time that the process took for f.
func spent(b *testing.B, f func()) time.Duration {
	b.Helper()
	before := processorTime(b)
	f()
	return processorTime(b) - before
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func median(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// each runs f for each index, on all processors.
func each(all [][]byte, f func(i int)) {
	var group sync.WaitGroup
	for half := range 2 {
		group.Go(func() {
			for i := half; i < len(all); i += 2 {
				f(i)
			}
		})
	}
	group.Wait()
}

// bareTools are what the work without a ledger is done with.
type bareTools struct {
	enc *zstd.Encoder
	key keys.RecordKey
}

func newBareTools(b *testing.B) *sync.Pool {
	return &sync.Pool{New: func() any { return &bareTools{enc: newBareEncoder(b, zstd.SpeedFastest)} }}
}

func newBareEncoder(b *testing.B, level zstd.EncoderLevel) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithAllLitEntropyCompression(true),
		zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(512<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderDict(dictionary.Mail()))
	if err != nil {
		b.Error(err)
	}
	return e
}

func bareWork(b *testing.B, pool *sync.Pool, raws [][]byte) {
	each(raws, func(i int) {
		t := pool.Get().(*bareTools)
		defer pool.Put(t)
		sha256.Sum256(raws[i])
		body := t.enc.EncodeAll(raws[i], nil)
		aead, err := t.key.AEAD()
		if err != nil {
			b.Error(err)
		}
		var nonce [12]byte
		rand.Read(nonce[:]) //nolint:errcheck // it never fails
		sha256.Sum256(aead.Seal(nil, nonce[:], body, nil))
	})
}

// BenchmarkAgainstFiles compares group commits of 64 with one file per message,
// each written, synced, renamed and its directory synced.
func BenchmarkAgainstFiles(b *testing.B) {
	var batch []*ledger.Entry
	dir := b.TempDir()
	l := openDisk(b, dir, mailDictionary(b), true)
	defer closeOK(b, l)
	raw := text(1, 20<<10)
	for range 64 {
		e, err := l.Maker().Message(delivery("sales", raw), raw)
		if err != nil {
			b.Fatal(err)
		}
		batch = append(batch, e)
	}
	files, err := durable.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	var ours, theirs time.Duration
	n := 0
	for b.Loop() {
		start := time.Now()
		appendOK(b, l, batch...)
		ours += time.Since(start)
		start = time.Now()
		for i := range 8 {
			if err := durable.WriteFile(files, fmt.Sprintf("%d-%d", n, i), raw); err != nil {
				b.Fatal(err)
			}
		}
		theirs += time.Since(start) * 8 // as many as the batch has
		n++
	}
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "times-faster")
	b.ReportMetric(float64(64*n)/ours.Seconds(), "msg/s")
}
