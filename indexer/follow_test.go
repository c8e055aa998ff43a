package indexer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
)

func summary(t testing.TB, x *Index) mail.ViewSummary {
	t.Helper()
	v, err := x.Summary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func documents(t testing.TB, x *Index) []uint64 {
	t.Helper()
	var out []uint64
	for seq, err := range x.Documents(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, seq)
	}
	return out
}

func searchable(l *fakeLedger, before uint64) []uint64 {
	var out []uint64
	for _, r := range l.records[:before] {
		if r.Searchable() {
			out = append(out, r.ID.Seq)
		}
	}
	return out
}

func TestDocumentsAreTheSearchableRecords(t *testing.T) {
	t.Parallel()
	l := corpus(300, 5)
	x := indexed(t, l)
	if d := cmp.Diff(searchable(l, l.Size()), documents(t, x)); d != "" {
		t.Errorf("documents (-want +got):\n%s", d)
	}
	n := 0
	for range x.Documents(t.Context()) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("stopped after %d documents", n)
	}
}

func TestRebuiltIndexHasTheSameSummary(t *testing.T) {
	t.Parallel()
	l := corpus(300, 6)
	whole := summary(t, indexed(t, l))
	x := opened(t, Options{BatchBytes: 300})
	catchUp(t, x, l)
	if got := summary(t, x); got != whole {
		t.Errorf("in small batches %+v, want %+v", got, whole)
	}
	other := corpus(300, 6)
	other.raws[searchable(other, 300)[0]] = []byte(`{"subject":"changed"}`)
	if got := summary(t, indexed(t, other)); got.Digest == whole.Digest {
		t.Error("another message gives the same digest")
	}
}

// follow lets x follow a ledger, until end is called or the test ends. await waits
// until a position is committed.
func follow(t *testing.T, x *Index, l Source) (await func(position uint64), end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cursors, done := make(chan uint64, 1000), make(chan error, 1)
	go func() {
		done <- x.Follow(ctx, l, parseJSON, headerDate, func(c mail.Cursor) { cursors <- c.Position })
	}()
	await = func(position uint64) {
		for <-cursors != position {
		}
	}
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the follower: %v", err)
		}
	})
	t.Cleanup(end)
	return await, end
}

func TestFollowIndexesWhatIsSealed(t *testing.T) {
	t.Parallel()
	l := corpus(20, 1)
	x := opened(t, Options{Linger: time.Millisecond})
	await, end := follow(t, x, l)
	await(20)
	if err := x.CatchUp(t.Context(), l, parseJSON, headerDate, nil); mail.KindOf(err) != mail.InUse {
		t.Errorf("a second follower: error %v", err)
	}
	r := l.add("sales", &mail.Message{Text: "late arrival"})
	await(r.Next)
	if got := find(t, x, l, "late arrival"); !slices.Equal(got, []uint64{r.ID.Seq}) {
		t.Errorf("found %v", got)
	}
	e := l.append(mail.Record{Kind: mail.KindEvent})
	await(e.Next)
	end()
}

func TestHurryEndsTheLingering(t *testing.T) {
	t.Parallel()
	l := corpus(5, 9)
	x := opened(t, Options{Linger: time.Hour, Patience: time.Hour})
	await, end := follow(t, x, l)
	await(5) // what is there at the start is not lingered over
	r := l.add("a", &mail.Message{Text: "somebody waits for this"})
	x.Hurry()
	await(r.Next)
	end()
}

func TestUnreadableMessagesAreDocuments(t *testing.T) {
	t.Parallel()
	l := newLedger()
	for range 5 {
		l.add("sales", &mail.Message{Text: "hello"})
	}
	l.rawErr[0] = mail.Errorf(mail.Corrupt, "bad sector")
	l.rawErr[1] = mail.Errorf(mail.NotFound, "erased")
	l.rawErr[2] = errors.New("flaky")
	parse := func(ctx context.Context, rec mail.Record, r mail.Raw) (*mail.Message, error) {
		m, err := parseJSON(ctx, rec, r)
		if err == nil && m.Subject == "boom" {
			panic("boom")
		}
		return m, err
	}
	boom := l.add("sales", &mail.Message{Subject: "boom"})
	var log strings.Builder
	x := opened(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := x.CatchUp(t.Context(), l, parse, headerDate, nil); err != nil {
		t.Fatal(err)
	}
	if got := find(t, x, l, "hello"); !slices.Equal(got, []uint64{4, 3}) {
		t.Errorf("hello: %v", got)
	}
	if got := find(t, x, l, "mailbox:sales"); len(got) != 6 {
		t.Errorf("by mailbox: %v", got)
	}
	if n := strings.Count(log.String(), "message unreadable"); n != 4 {
		t.Errorf("%d lines about unreadable messages, want 4:\n%s", n, log.String())
	}
	if l.opened[0] != 1 || l.opened[1] != 1 || l.opened[2] != readTries || l.opened[boom.ID.Seq] != 1 {
		t.Errorf("tries: %v", l.opened)
	}
}

// A failingLedger fails to read records from a position on, until it is mended.
type failingLedger struct {
	*fakeLedger
	mu   sync.Mutex
	from uint64
}

func (l *failingLedger) Records(ctx context.Context, from uint64) iter.Seq2[mail.Record, error] {
	l.mu.Lock()
	limit := l.from
	l.mu.Unlock()
	return func(yield func(mail.Record, error) bool) {
		for r, err := range l.fakeLedger.Records(ctx, from) {
			if err == nil && r.ID.Seq >= limit {
				yield(mail.Record{}, mail.Errorf(mail.Corrupt, "bad frame"))
				return
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func TestWhatComesBeforeAFaultIsCommitted(t *testing.T) {
	t.Parallel()
	l := &failingLedger{fakeLedger: corpus(100, 2), from: 60}
	x := openIndex(t, t.TempDir())
	if err := x.CatchUp(t.Context(), l, parseJSON, headerDate, nil); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("CatchUp: %v", err)
	}
	if x.Position() != 60 {
		t.Errorf("position %d, want 60", x.Position())
	}
	l.from = 100
	catchUp(t, x, l.fakeLedger)
}

func TestIndexBeyondItsLedger(t *testing.T) {
	t.Parallel()
	x := indexed(t, corpus(30, 2))
	err := x.CatchUp(t.Context(), corpus(10, 2), parseJSON, headerDate, nil)
	if mail.KindOf(err) != mail.Corrupt || !strings.Contains(mail.HintOf(err), "reindex") {
		t.Errorf("error %v, hint %q", err, mail.HintOf(err))
	}
}

func TestCatchUpEndsWithItsContext(t *testing.T) {
	t.Parallel()
	l := corpus(100, 2)
	x := openIndex(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	parse := func(context.Context, mail.Record, mail.Raw) (*mail.Message, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := x.CatchUp(ctx, l, parse, headerDate, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	catchUp(t, x, l)
	if d := cmp.Diff(searchable(l, l.Size()), documents(t, x)); d != "" {
		t.Errorf("documents (-want +got):\n%s", d)
	}
}

func TestPoisonedEngineIsReplaced(t *testing.T) {
	t.Parallel()
	l := corpus(100, 4)
	x := indexed(t, l)
	want := find(t, x, l, "the")
	broken := x.serving.last().engine
	broken.fail(errors.New("no space left"))
	a, err := x.Search(t.Context(), mail.SearchRequest{Query: "the"}, l.Size(), nil)
	if err != nil || a.Total != 0 || a.Coverage.Complete || a.Coverage.Cursors[0].Position != 0 {
		t.Errorf("search of a poisoned index: %+v, error %v", a, err)
	}
	if _, err := x.Summary(t.Context()); mail.KindOf(err) != mail.Temporary {
		t.Errorf("summary of a poisoned index: error %v", err)
	}
	if err := broken.commit(nil, 1); err == nil {
		t.Error("a poisoned index takes a batch")
	}
	catchUp(t, x, l)
	if x.serving.last().engine == broken {
		t.Fatal("the engine was not replaced")
	}
	if got := find(t, x, l, "the"); !slices.Equal(got, want) {
		t.Errorf("after the fault %v, want %v", got, want)
	}
}

func TestFollowRecoversFromAFault(t *testing.T) {
	t.Parallel()
	l := corpus(50, 4)
	x := opened(t, Options{Linger: time.Millisecond})
	await, end := follow(t, x, l)
	await(50)
	x.mu.RLock()
	e := x.serving.last().engine
	x.mu.RUnlock()
	e.fail(errors.New("panic in the background"))
	r := l.add("a", &mail.Message{Text: "after the fault"})
	await(r.Next)
	end()
	if d := cmp.Diff(searchable(l, l.Size()), documents(t, x)); d != "" {
		t.Errorf("documents (-want +got):\n%s", d)
	}
}

func TestPanicOfAReaderPoisons(t *testing.T) {
	t.Parallel()
	x := openIndex(t, t.TempDir())
	e := x.serving.last().engine
	if err := e.sane(func() error { panic("freq chunk does not exist") }); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("error %v", err)
	}
	if e.poisoned() == nil {
		t.Error("the engine is still trusted")
	}
}

func TestTextIsCapped(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.add("a", &mail.Message{Subject: "big", Text: strings.Repeat("filler ", maxText/7+1) + "end"})
	var to []mail.Address
	for i := range 5000 {
		to = append(to, mail.Address{Addr: fmt.Sprintf("somebody.with.a.very.long.name.and.the.number.%d@example.org", i)})
	}
	l.add("a", &mail.Message{Subject: "many", To: append(to, people[0])})
	x := indexed(t, l)
	a, err := x.Search(t.Context(), mail.SearchRequest{Query: "end"}, 2, nil)
	if err != nil || a.Total != 0 || a.Coverage.Partly[mail.TextTruncated] != 2 {
		t.Errorf("total %d, partly %v, error %v", a.Total, a.Coverage.Partly, err)
	}
	if got := find(t, x, l, "to:anna@example.org"); !slices.Equal(got, []uint64{1}) {
		t.Errorf("the last of many addresses: %v", got)
	}
}

// A sized ledger tells a size and nothing else.
type sized struct {
	Source
	size func() uint64
}

func (s sized) Size() uint64 { return s.size() }

func TestFollowerWaitsForAStillLedger(t *testing.T) {
	t.Parallel()
	began := func() func() time.Duration {
		start := time.Now()
		return func() time.Duration { return time.Since(start) }
	}
	for name, c := range map[string]struct {
		growth, waits time.Duration // the ledger grows until growth has passed
	}{
		"still":       {0, 250 * time.Millisecond},
		"burst":       {time.Second, 1250 * time.Millisecond},
		"never still": {time.Hour, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				elapsed := began()
				o := Options{}
				o.defaults()
				p := pump{opts: &o, src: sized{size: func() uint64 { return uint64(min(elapsed(), c.growth)) }}}
				p.settle(t.Context())
				if got := elapsed(); got != c.waits {
					t.Errorf("waited %v, want %v", got, c.waits)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				p.settle(ctx)
				if got := elapsed(); got != c.waits {
					t.Error("waited although the context had ended")
				}
			})
		})
	}
}
