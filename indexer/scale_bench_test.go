package indexer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
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

func (l bigLedger) Raw(_ context.Context, id mail.ID) (mail.Raw, error) {
	m := bigMail(id.Seq)
	b, err := json.Marshal(&m)
	return fakeRaw{bytes.NewReader(b)}, err
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

// peak returns the most memory that the process had resident, in MB; 0 where
// the system does not tell.
func peak() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kb, _ := strconv.Atoi(strings.Fields(rest + " 0")[0])
	return float64(kb) / 1024
}

// inMany asks for 25 of the mailboxes, which the limit on terms allows.
func inMany(q string) string {
	var boxes []string
	for i := range 25 {
		boxes = append(boxes, fmt.Sprintf("mailbox:box%03d", i*8))
	}
	return q + " (" + strings.Join(boxes, " OR ") + ")"
}

// BenchmarkScale indexes MAILKEEP_BENCH_DOCS mails (default 2,000) into 20
// shards and asks 100 different queries of each kind, none of which was asked
// before; times are in milliseconds.
func BenchmarkScale(b *testing.B) {
	docs := 2000
	if s := os.Getenv("MAILKEEP_BENCH_DOCS"); s != "" {
		var err error
		if docs, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	l := bigLedger{uint64(docs)}
	open := func() *Index {
		x, err := Open(Options{Dir: dir, ShardDocs: max(docs/20, 1)})
		if err != nil {
			b.Fatal(err)
		}
		return x
	}
	x := open()
	before, began := cpu(), time.Now()
	if err := x.CatchUp(b.Context(), l, parseJSON, headerDate, nil); err != nil {
		b.Fatal(err)
	}
	took, busy := time.Since(began), cpu()-before
	b.Logf("%d mails in %d shards: %.0f mails/s, %.0f mails/cpu-s, the making of the mails included; index/text %.2f; peak RSS %.0f MB", docs, x.State().Shards,
		float64(docs)/took.Seconds(), float64(docs)/busy.Seconds(), float64(diskUse(b, dir))/float64(docs*4000), peak())
	if err := x.Close(); err != nil {
		b.Fatal(err)
	}
	began = time.Now()
	x = open()
	b.Logf("restart %v", time.Since(began))
	defer x.Close()
	word := func(i int) string { // of the 200 most common
		w := uint64(i) * 2
		return fmt.Sprintf("%s%x", "etaoinshrdlucmfwypvbgkqjxz"[w%26:w%26+1], w*2654435761%(1<<(8+w%20)))
	}
	for _, kind := range []struct {
		name  string
		query func(i int) string
	}{
		{"warming up", func(i int) string { return word(i) + " after:2001" }},
		{"common word", word},
		{"common word, 25 mailboxes", func(i int) string { return inMany(word(i)) }},
		{"two words", func(i int) string { return word(i) + " " + word(i+7) }},
		{"phrase", func(i int) string { return `"` + word(i) + " " + word(i/10) + `"` }},
		{"prefix", func(i int) string { return word(i + 20)[:3] + "*" }},
		{"next page of a common word", word},
	} {
		askMany(b, x, l, kind.name, kind.query)
	}
	sqlite(b, min(docs, 20_000))
	for b.Loop() { // the numbers above are what is measured
		if _, err := x.Search(b.Context(), mail.SearchRequest{Query: word(1)}, l.n, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func askMany(b *testing.B, x *Index, l bigLedger, name string, q func(int) string) {
	var times []float64
	hits, refused := uint64(0), 0
	for i := range 100 {
		began := time.Now()
		a, err := x.Search(b.Context(), mail.SearchRequest{Query: q(i)}, l.n, nil)
		switch {
		case mail.KindOf(err) == mail.Invalid:
			refused++
			continue
		case err != nil:
			b.Fatalf("%s: %v", q(i), err)
		}
		times = append(times, float64(time.Since(began).Microseconds())/1000)
		hits += a.Total
	}
	if len(times) == 0 {
		b.Logf("%-28s refused", name)
		return
	}
	slices.Sort(times)
	b.Logf("%-28s p50 %6.2f  p99 %6.2f ms, %d hits on average, %d refused", name, times[len(times)/2], times[len(times)*99/100], hits/uint64(len(times)), refused)
}

// ftsScript indexes the lines of its input with SQLite FTS5 and prints the lines
// per second of processor time and the size of the file.
const ftsScript = `
import sqlite3, sys, time, os
db = sqlite3.connect(sys.argv[1])
db.execute("pragma journal_mode=wal"); db.execute("create virtual table m using fts5(body, content='')")
lines = sys.stdin.read().split("\n")
t = time.process_time()
for i, line in enumerate(lines):
    db.execute("insert into m(rowid, body) values(?, ?)", (i + 1, line))
    if i % 500 == 499: db.commit()
db.commit(); t = time.process_time() - t
db.execute("insert into m(m) values('optimize')"); db.commit(); db.execute("pragma wal_checkpoint(truncate)")
print("%.0f mails/cpu-s, index/text %.2f" % (len(lines) / t, os.path.getsize(sys.argv[1]) / sum(map(len, lines))))
`

// sqlite indexes the same texts with SQLite FTS5, where Python has it.
func sqlite(b *testing.B, docs int) {
	python, err := exec.LookPath("python3")
	if err != nil {
		b.Log("SQLite FTS5: not compared, there is no python3")
		return
	}
	var texts strings.Builder
	for seq := range docs {
		texts.WriteString(bigMail(uint64(seq)).Text + "\n")
	}
	cmd := exec.CommandContext(b.Context(), python, "-c", ftsScript, b.TempDir()+"/fts.db")
	cmd.Stdin = strings.NewReader(strings.TrimSpace(texts.String()))
	out, err := cmd.CombinedOutput()
	b.Logf("SQLite FTS5, %d mails: %s (error %v)", docs, strings.TrimSpace(string(out)), err)
}
