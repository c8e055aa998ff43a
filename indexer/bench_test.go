package indexer

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// zipfLedger holds n mails of about 4 KB of text each, their words distributed
// as in prose.
func zipfLedger(n int) (*fakeLedger, int) {
	l := newLedger()
	r := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(r, 1.3, 2.7, 300_000)
	octets := 0
	for i := range n {
		var b strings.Builder
		for b.Len() < 4000 {
			w := z.Uint64()
			fmt.Fprintf(&b, "%s%x ", "etaoinshrdlucmfwypvbgkqjxz"[w%26:w%26+1], w*2654435761%(1<<(8+w%20)))
		}
		octets += b.Len()
		l.add("sales", &mail.Message{
			Subject: fmt.Sprintf("subject %d", i), From: people[:1], To: people[1:3], Text: b.String(),
			DateHeader: epoch.Add(time.Duration(i) * 17 * time.Minute),
		})
	}
	return l, octets
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func diskUse(tb testing.TB, dir string) (n int64) {
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if info, e := d.Info(); err == nil && e == nil && !d.IsDir() {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// BenchmarkIndex measures indexing, without the parsing of messages, and the
// size of the index against the text.
func BenchmarkIndex(b *testing.B) {
	const docs = 5000
	l, octets := zipfLedger(docs)
	var busy time.Duration
	var disk int64
	for b.Loop() {
		dir := b.TempDir()
		x, err := Open(Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		before := cpu()
		catchUp(b, x, l)
		busy += cpu() - before
		if err := x.Close(); err != nil {
			b.Fatal(err)
		}
		disk = diskUse(b, dir)
	}
	b.ReportMetric(float64(docs*b.N)/b.Elapsed().Seconds(), "docs/s")
	b.ReportMetric(float64(docs*b.N)/busy.Seconds(), "docs/cpu-s")
	b.ReportMetric(float64(disk)/float64(octets), "disk/text")
}

// BenchmarkSearch measures first pages on 20,000 mails.
func BenchmarkSearch(b *testing.B) {
	large := sync.OnceValue(func() *Index {
		l, _ := zipfLedger(20_000)
		x := openIndex(b, b.TempDir())
		catchUp(b, x, l)
		return x
	})
	for name, q := range map[string]string{
		"all": "", "common": "e0", "two": "e0 t79", "or": "e0 OR t79 OR a3", "phrase": `"e0 t79"`, "prefix": "e2a*", "rare": "subject:4711",
		"address": "from:anna@example.org", "month": "e0 on:2024-03", "years": "e0 after:2015 before:2024-06-15", "size": "e0 larger:4k", "not": "e0 -t79",
	} {
		b.Run(name, func(b *testing.B) {
			x := large()
			var total uint64
			for b.Loop() {
				a, err := x.Search(b.Context(), mail.SearchRequest{Query: q}, 0, nil)
				if err != nil {
					b.Fatal(err)
				}
				total = a.Total
			}
			b.ReportMetric(float64(total), "hits")
		})
	}
}

func BenchmarkTokenizer(b *testing.B) {
	text := strings.Repeat("The quick brown fox, Müller & Söhne. ", 100)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		(&tokenizer{}).each(text, func(token) bool { return true })
	}
}

// BenchmarkDocument measures making one document, the part of indexing that is
// not the engine's.
func BenchmarkDocument(b *testing.B) {
	l, octets := zipfLedger(100)
	var msgs []*mail.Message
	for _, r := range l.records {
		m, err := l.message(b.Context(), r.ID)
		if err != nil {
			b.Fatal(err)
		}
		msgs = append(msgs, m)
	}
	b.SetBytes(int64(octets / len(msgs)))
	b.ReportAllocs()
	var made analysis
	for i := 0; b.Loop(); i++ {
		newDocument(&made, l.records[i%len(msgs)], msgs[i%len(msgs)], epoch)
	}
}
