package indexer

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A bigLedger makes its mails when they are read, so that their bytes do not
// count as memory of the index: about 4 KB of text each, words distributed as in
// prose, 200 mailboxes.
type bigLedger struct{ n uint64 }

func (l bigLedger) Size() uint64 { return l.n }

func (l bigLedger) Wait(ctx context.Context, _ uint64) error { <-ctx.Done(); return ctx.Err() }

func (l bigLedger) Records(_ context.Context, from uint64) iter.Seq2[mail.Record, error] {
	return func(yield func(mail.Record, error) bool) {
		for seq := from; seq < l.n; seq++ {
			r := mail.Record{
				ID: mail.ID{Seq: seq}, Next: seq + 1, Kind: mail.KindMessage, Time: epoch.Add(time.Duration(seq) * time.Minute),
				Delivery: delivery(fmt.Sprintf("box%03d", seq%200), 4000),
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (l bigLedger) Raw(context.Context, mail.ID) (mail.Raw, error) {
	return fakeRaw{bytes.NewReader(nil)}, nil
}

// parseBig makes the mail of a record, which has no bytes.
func parseBig(_ context.Context, r mail.Record, _ mail.Raw) (*mail.Message, error) {
	return new(bigMail(r.ID.Seq)), nil
}

func bigMail(seq uint64) mail.Message {
	r := rand.New(rand.NewPCG(seq, 2))
	z := rand.NewZipf(r, 1.3, 2.7, 300_000)
	var b strings.Builder
	for b.Len() < 4000 {
		w := z.Uint64()
		fmt.Fprintf(&b, "%s%x ", "etaoinshrdlucmfwypvbgkqjxz"[w%26:w%26+1], w*2654435761%(1<<(8+w%20)))
	}
	return mail.Message{
		Subject: fmt.Sprintf("subject %d", seq), From: people[:1], To: people[1:3], Text: b.String(),
		DateHeader: epoch.Add(time.Duration(seq)*time.Minute - time.Duration(r.IntN(3600))*time.Second),
	}
}

// statusOf returns a value of the system's status of the process, in MB; 0 where
// the system does not tell.
func statusOf(name string) float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), name+":")
	kb, _ := strconv.Atoi(strings.Fields(rest + " 0")[0])
	return float64(kb) / 1024
}

// anonymous looks ten times a second at the memory of the process that is no
// file's, until the function that it returns gives the most that it saw, in MB.
func anonymous() func() float64 {
	done, most := make(chan struct{}), make(chan float64)
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		seen := 0.0
		for {
			seen = max(seen, statusOf("RssAnon"))
			select {
			case <-tick.C:
			case <-done:
				most <- seen
				return
			}
		}
	}()
	return func() float64 { close(done); return <-most }
}

// inMany asks for 50 of the mailboxes.
func inMany(q string) string {
	var boxes []string
	for i := range 50 {
		boxes = append(boxes, fmt.Sprintf("box%03d", i*4))
	}
	return q + " mailbox:(" + strings.Join(boxes, " OR ") + ")"
}

// reportShards reports the octets of the shards that are sealed and of the others
// against those of the text.
func reportShards(b *testing.B, x *Index) {
	var octets, docs [2]float64 // live, sealed
	for _, p := range x.serving.parts {
		info, kind := p.describe(), 0
		if info.Sealed {
			kind = 1
			docs[kind] += float64(info.Docs)
		} else {
			docs[kind] += float64(p.engine.docs)
		}
		octets[kind] += float64(diskUse(b, p.dir))
	}
	b.ReportMetric(float64(len(x.serving.parts)), "shards")
	b.ReportMetric(octets[0]/docs[0]/4000, "live/text")
	b.ReportMetric(octets[1]/docs[1]/4000, "sealed/text")
}

// BenchmarkScale indexes MAILKEEP_BENCH_DOCS mails (default 2,000) into 20
// shards and asks 100 different queries of each kind, none of which was asked
// before; times are in milliseconds. Then it gives up to 20,000 of the same mails
// to other programs; see beside.
func BenchmarkScale(b *testing.B) {
	docs := 2000
	if s := os.Getenv("MAILKEEP_BENCH_DOCS"); s != "" {
		var err error
		if docs, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	l := bigLedger{uint64(docs)}
	x := scaleIndex(b, l)
	word := func(i int) string { // of the 200 most common
		w := uint64(i) * 2
		return fmt.Sprintf("%s%x", "etaoinshrdlucmfwypvbgkqjxz"[w%26:w%26+1], w*2654435761%(1<<(8+w%20)))
	}
	ask := func(name string, q func(i int) mail.SearchRequest) { askMany(b, x, l, name, q) }
	text := func(q func(i int) string) func(i int) mail.SearchRequest {
		return func(i int) mail.SearchRequest { return mail.SearchRequest{Query: q(i)} }
	}
	ask("warming up", text(func(i int) string { return word(i) + " after:2001" }))
	ask("common word", text(word))
	ask("the same again", text(word))
	after := map[int]string{}
	for i := range 100 {
		a, err := x.Search(b.Context(), mail.SearchRequest{Query: word(i)}, l.n, nil)
		if err != nil {
			b.Fatal(err)
		}
		after[i] = a.Next
	}
	ask("next page of a common word", func(i int) mail.SearchRequest { return mail.SearchRequest{Query: word(i), After: after[i]} })
	ask("common word, 50 mailboxes", text(func(i int) string { return inMany(word(i)) }))
	ask("count of a common word", func(i int) mail.SearchRequest { return mail.SearchRequest{Query: word(i) + " before:2999", Limit: 1} })
	ask("two words", text(func(i int) string { return word(i) + " " + word(i+7) }))
	ask("phrase of two common words", text(func(i int) string { return `"` + word(i) + " " + word(i+7) + `"` }))
	ask("phrase with one of the ten most common", text(func(i int) string { return `"` + word(i) + " " + word(i/10) + `"` }))
	ask("prefix", text(func(i int) string { return word(i + 20)[:3] + "*" }))
	ask("facets of a common word", func(i int) mail.SearchRequest {
		return mail.SearchRequest{Query: word(i) + " before:2998", Facets: []string{"domain", "mailbox", "month", "type"}}
	})
	b.Run("beside", func(b *testing.B) { beside(b, min(docs, 20_000)) })
}

// scaleIndex makes the index and reports what that takes, the making of the mails
// included. It is closed and opened again between.
func scaleIndex(b *testing.B, l bigLedger) *Index {
	o := Options{Dir: b.TempDir(), ShardDocs: max(int(l.n)/20, 1)}
	var x *Index
	b.Cleanup(func() { _ = x.Close() }) // it was read
	b.Run("index", func(b *testing.B) {
		var err error
		if x, err = Open(o); err != nil {
			b.Fatal(err)
		}
		before, began, memory := cpu(), time.Now(), anonymous()
		if err := x.CatchUp(b.Context(), l, parseBig, headerDate, nil); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(l.n)/time.Since(began).Seconds(), "mails/s")
		b.ReportMetric(float64(l.n)/(cpu()-before).Seconds(), "mails/cpu-s")
		b.ReportMetric(memory(), "anon-MB")
		b.ReportMetric(statusOf("VmHWM"), "rss-MB") // with the pages of mapped files
		if err := x.Close(); err != nil {
			b.Fatal(err)
		}
		began = time.Now()
		if x, err = Open(o); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "restart-ms")
		reportShards(b, x)
	})
	return x
}

// askMany reports the times of 100 queries of a kind, after one that is not counted.
func askMany(b *testing.B, x *Index, l bigLedger, name string, q func(int) mail.SearchRequest) {
	b.Run(name, func(b *testing.B) {
		var times []float64
		hits, refused := uint64(0), 0
		if _, err := x.Search(b.Context(), q(0), l.n, nil); err != nil && mail.KindOf(err) != mail.Invalid { // warm
			b.Fatal(err)
		}
		for i := range 100 {
			began := time.Now()
			a, err := x.Search(b.Context(), q(i), l.n, nil)
			switch {
			case mail.KindOf(err) == mail.Invalid:
				refused++
				continue
			case err != nil:
				b.Fatalf("%s: %v", q(i).Query, err)
			}
			times = append(times, float64(time.Since(began).Microseconds())/1000)
			hits += a.Total
		}
		if len(times) == 0 {
			b.Fatal("all were refused")
		}
		slices.Sort(times)
		b.ReportMetric(times[len(times)/2], "p50-ms")
		b.ReportMetric(times[(len(times)*99+99)/100-1], "p99-ms") // by nearest rank
		b.ReportMetric(float64(hits)/float64(len(times)), "hits")
		b.ReportMetric(float64(refused), "refused")
		b.ReportMetric(0, "ns/op") // of 100 queries together: says nothing
	})
}
