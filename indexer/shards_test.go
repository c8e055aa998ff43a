package indexer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// openShards opens an index whose shards hold few documents.
func openShards(t testing.TB, dir string, docs int) *Index {
	t.Helper()
	return opened(t, Options{Dir: dir, ShardDocs: docs, BatchBytes: 2 << 10, Linger: time.Millisecond})
}

// sharded returns an index of all that l holds, in shards of few documents, and
// its directory.
func sharded(t testing.TB, l *fakeLedger, docs int) (*Index, string) {
	t.Helper()
	dir := t.TempDir()
	x := openShards(t, dir, docs)
	catchUp(t, x, l)
	return x, dir
}

// checkSwept verifies that all directories of shards are those that the manifest
// names, and returns that.
func checkSwept(t *testing.T, dir string) *manifest {
	t.Helper()
	m, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := m.names()
	for _, e := range entries {
		if _, ok := numberOf(e.Name()); ok && !slices.Contains(names, e.Name()) {
			t.Errorf("%s was left behind", e.Name())
		}
	}
	return m
}

// checkShards verifies what must be true of an index that has nothing to do.
func checkShards(t *testing.T, x *Index, dir string) {
	t.Helper()
	if s := x.State(); s.Building || len(s.Missing) > 0 || s.Sealed != s.Shards-1 {
		t.Errorf("state %+v", s)
	}
	for _, s := range checkSwept(t, dir).Serving.Shards {
		if !s.Sealed {
			continue
		}
		zaps, err := filepath.Glob(filepath.Join(dir, s.Dir, engineDir, "store", "*.zap"))
		if err != nil || len(zaps) > 1 {
			t.Errorf("the sealed shard %s has the segments %v, error %v", s.Dir, zaps, err)
		}
	}
}

func TestShardsAnswerAsOneIndex(t *testing.T) {
	t.Parallel()
	l := corpus(sample(600, 500), 7)
	one := indexed(t, l)
	x, dir := sharded(t, l, 70)
	checkShards(t, x, dir)
	if n := x.State().Shards; n < 7 {
		t.Fatalf("%d shards", n)
	}
	if got, want := summary(t, x), summary(t, one); got != want {
		t.Errorf("summary %+v, want %+v", got, want)
	}
	if d := cmp.Diff(searchable(l, l.Size()), documents(t, x)); d != "" {
		t.Errorf("documents (-want +got):\n%s", d)
	}
	for i, q := range append(operatorQueries(), randomQueries(sample(100, 10))...) {
		if i%sample(1, 3) != 0 {
			continue
		}
		// Twice: what is found again comes from the cache.
		for range 2 {
			if d := cmp.Diff(find(t, one, l, q), find(t, x, l, q)); d != "" {
				t.Fatalf("%s (-one +shards):\n%s", q, d)
			}
		}
		a, err := x.Search(t.Context(), mail.SearchRequest{Query: q}, l.Size(), l.message)
		if err != nil {
			t.Fatal(err)
		}
		b, err := one.Search(t.Context(), mail.SearchRequest{Query: q}, l.Size(), l.message)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(b, a); d != "" {
			t.Fatalf("%s (-one +shards):\n%s", q, d)
		}
	}
}

func TestShardsAreReopened(t *testing.T) {
	t.Parallel()
	l := corpus(300, 3)
	x, dir := sharded(t, l, 50)
	want := summary(t, x)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x = openShards(t, dir, 50)
	if x.Position() != l.Size() {
		t.Errorf("position %d", x.Position())
	}
	if got := summary(t, x); got != want {
		t.Errorf("reopened %+v, want %+v", got, want)
	}
	for range 60 {
		l.add("sales", &mail.Message{Text: "late"})
	}
	catchUp(t, x, l)
	checkShards(t, x, dir)
	if got := len(find(t, x, l, "late")); got != 60 {
		t.Errorf("%d of 60 documents found", got)
	}
}

func TestAMonthEndsAShard(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.step = 10 * 24 * time.Hour // three records a month
	for range 12 {
		l.add("sales", &mail.Message{Text: "hello"})
	}
	x := opened(t, Options{ShardMin: 5})
	catchUp(t, x, l)
	var ends []uint64
	for _, p := range x.serving.parts {
		_, to := p.Range()
		ends = append(ends, to)
	}
	// Records 0-3 are of January, 4-6 of February, 7-9 of March: no shard ends
	// before it has five documents, and none that has holds another month's.
	if want := []uint64{5, 10, 0}; !slices.Equal(ends, want) {
		t.Errorf("shards end at %v, want %v", ends, want)
	}
}

// breakShard flips a bit in the segment of a sealed shard, which is the n-th.
func breakShard(t *testing.T, x *Index, n int) *part {
	t.Helper()
	p := x.serving.parts[n]
	zaps, err := filepath.Glob(filepath.Join(p.dir, engineDir, "store", "*.zap"))
	if err != nil || len(zaps) != 1 {
		t.Fatalf("segments %v, error %v", zaps, err)
	}
	flip(t, zaps[0], 300)
	return p
}

func TestBrokenShardIsSearchedAroundAndRebuilt(t *testing.T) {
	t.Parallel()
	l := corpus(400, 5)
	x, dir := sharded(t, l, 60)
	want, all := summary(t, x), find(t, x, l, "the")
	p := breakShard(t, x, 2)
	from, to := p.Range()
	p.Fail(errors.New("freq chunk does not exist"))
	a, err := x.Search(t.Context(), mail.SearchRequest{Query: "the", Limit: 200}, l.Size(), nil)
	if err != nil {
		t.Fatal(err)
	}
	missing := slices.DeleteFunc(slices.Clone(all), func(seq uint64) bool { return seq < from || seq >= to })
	if a.Total != uint64(len(all)-len(missing)) || len(missing) == 0 {
		t.Errorf("%d hits with a broken shard, %d without, %d in it", a.Total, len(all), len(missing))
	}
	if c := a.Coverage; c.Complete || len(c.Missing) != 1 || c.Missing[0].From != from || c.Missing[0].To != to || !strings.Contains(c.Missing[0].Why, "freq chunk") {
		t.Errorf("coverage %+v", c)
	}
	if got := x.State().Missing; len(got) != 1 {
		t.Errorf("state: missing %+v", got)
	}
	if _, err := x.Summary(t.Context()); err == nil {
		t.Error("a summary of a part")
	}
	catchUp(t, x, l)
	checkShards(t, x, dir)
	if got := summary(t, x); got != want {
		t.Errorf("rebuilt %+v, want %+v", got, want)
	}
	if d := cmp.Diff(all, find(t, x, l, "the")); d != "" {
		t.Errorf("the (-want +got):\n%s", d)
	}
	aside, _ := filepath.Glob(filepath.Join(dir, "*"+asideSuffix))
	if len(aside) != 1 {
		t.Errorf("set aside: %v", aside)
	}
}

// TestFaultInMemoryIsNoDamage: a shard whose files are as they were written is
// opened again and not built anew, unless that happens again and again.
func TestFaultInMemoryIsNoDamage(t *testing.T) {
	t.Parallel()
	l := corpus(200, 5)
	x, dir := sharded(t, l, 60)
	for n := 1; n <= maxFaults; n++ {
		p := x.serving.parts[1]
		find(t, x, l, "the") // opens it
		p.Fail(errors.New("out of memory"))
		catchUp(t, x, l)
		if same := x.serving.parts[1] == p; same != (n < maxFaults) {
			t.Errorf("after fault %d: the same shard: %v", n, same)
		}
		checkShards(t, x, dir)
	}
}

func TestDamageIsSeen(t *testing.T) {
	t.Parallel()
	l := corpus(200, 6)
	x, dir := sharded(t, l, 60)
	want := summary(t, x)
	for name, damage := range map[string]func(*part){
		"flipped bit": func(*part) { breakShard(t, x, 1) },
		"missing file": func(p *part) {
			if err := os.Remove(filepath.Join(p.dir, engineDir, "index_meta.json")); err != nil {
				t.Fatal(err)
			}
		},
		"missing shard": func(p *part) {
			if err := os.RemoveAll(p.dir); err != nil {
				t.Fatal(err)
			}
		},
	} {
		p := x.serving.parts[1]
		if err := p.rest(); err != nil {
			t.Fatal(err)
		}
		damage(p)
		if _, err := x.Summary(t.Context()); err == nil {
			t.Errorf("%s: not seen", name)
		}
		catchUp(t, x, l)
		checkShards(t, x, dir)
		if got := summary(t, x); got != want {
			t.Errorf("%s: rebuilt %+v, want %+v", name, got, want)
		}
	}
}

// A faultyShard panics, hangs until it is let go, or refuses.
type faultyShard struct {
	Shard
	find   func(ctx context.Context) error
	failed chan error
}

func (s *faultyShard) Find(ctx context.Context, _ *query.Query) (Found, error) {
	return nil, s.find(ctx)
}

func (s *faultyShard) Fail(err error) { s.failed <- err }

func TestFaultyShard(t *testing.T) {
	t.Parallel()
	l := corpus(200, 6)
	x, _ := sharded(t, l, 60)
	ask := func(ctx context.Context, find func(context.Context) error) (mail.SearchAnswer, *faultyShard, error) {
		v, err := x.view()
		if err != nil {
			t.Fatal(err)
		}
		defer v.close()
		bad := &faultyShard{v.shards[1], find, make(chan error, 1)}
		v.shards[1] = bad
		q, err := query.Parse("", query.Options{})
		if err != nil {
			t.Fatal(err)
		}
		a, err := x.answer(ctx, v, q, wantedPage{limit: 10}, l.Size())
		return a, bad, err
	}
	a, bad, err := ask(t.Context(), func(context.Context) error { panic("index out of range") })
	if err != nil || len(a.Coverage.Missing) != 1 || a.Coverage.Complete {
		t.Errorf("panic: %+v, error %v", a.Coverage, err)
	}
	if err := <-bad.failed; mail.KindOf(err) != mail.Corrupt {
		t.Errorf("panic: the shard was told %v", err)
	}
	a, _, err = ask(t.Context(), func(context.Context) error { return errors.New("no such chunk") })
	if err != nil || len(a.Coverage.Missing) != 1 || a.Coverage.Missing[0].Why != "no such chunk" {
		t.Errorf("error: %+v, error %v", a.Coverage, err)
	}
	_, _, err = ask(t.Context(), func(context.Context) error { return mail.Errorf(mail.Invalid, "too many words") })
	if mail.KindOf(err) != mail.Invalid {
		t.Errorf("what the query is refused for: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	_, _, err = ask(ctx, func(context.Context) error { cancel(); <-release; return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a shard that hangs: %v", err)
	}
	close(release)
}

// TestColumnsCount: what the columns count is what the postings say.
func TestColumnsCount(t *testing.T) {
	t.Parallel()
	l := corpus(300, 8)
	x := indexed(t, l)
	s, err := x.serving.last().engine.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.r.Close()
	docs, err := s.term(t.Context(), fieldSubject, "report")
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{fieldMailbox, fieldFrom + addrSuffix, fieldTo + addrSuffix} {
		got := map[string]uint64{}
		column := func(ctx context.Context, g segmentView) (*Ordinals, error) { return s.ordinals(ctx, g, field) }
		for range 2 { // made, and made before
			clear(got)
			if err := s.count(t.Context(), docs, column, got); err != nil {
				t.Fatal(err)
			}
		}
		if len(got) == 0 {
			t.Errorf("%s: nothing was counted", field)
		}
		for term, n := range got {
			with, err := s.term(t.Context(), field, term)
			if err != nil {
				t.Fatal(err)
			}
			if want := with.AndCardinality(docs); n != want {
				t.Errorf("%s %q: %d, want %d", field, term, n, want)
			}
		}
	}
}
