package indexer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
)

// TestInterruptedSummaryDoubtsNothing: who stops a verification takes no shard
// out of the searches that follow.
func TestInterruptedSummaryDoubtsNothing(t *testing.T) {
	t.Parallel()
	x, _ := sharded(t, corpus(200, 5), 60)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Summary(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if s := x.State(); len(s.Missing) > 0 {
		t.Errorf("missing %+v", s.Missing)
	}
}

// TestWantIsNoDamage: an index is not thrown away because the process had no file
// descriptor left, whether the engine tells the error or only its words.
func TestWantIsNoDamage(t *testing.T) {
	t.Parallel()
	open := &fs.PathError{Op: "open", Path: "store/000000000001.zap", Err: syscall.EMFILE}
	for err, want := range map[error]bool{
		classify("open the index", open):                                                   true,
		classify("open the index", fmt.Errorf("error opening segment: %v", open)):          true,
		classify("read a shard", context.Canceled):                                         true,
		classify("open the index", &fs.PathError{Op: "read", Path: "x", Err: syscall.EIO}): false,
		mail.Errorf(mail.Corrupt, "the checksum does not match"):                           false,
	} {
		if passing(err) != want {
			t.Errorf("%v: passing is %v", err, !want)
		}
	}
	if passing(nil) {
		t.Error("no error is one that passes")
	}
}

// A holedLedger cannot read the records from <= position < to.
type holedLedger struct {
	*fakeLedger
	from, to uint64
}

func (l holedLedger) Records(ctx context.Context, from uint64) iter.Seq2[mail.Record, error] {
	return func(yield func(mail.Record, error) bool) {
		for r, err := range l.fakeLedger.Records(ctx, from) {
			if err == nil && r.ID.Seq >= l.from && r.ID.Seq < l.to {
				r, err = mail.Record{}, mail.Errorf(mail.Corrupt, "bad frame")
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// TestOneFailureKeepsNothingElse: while the records of a broken shard cannot be
// read, the other one is built, what is full is sealed and what is erased goes.
func TestOneFailureKeepsNothingElse(t *testing.T) {
	t.Parallel()
	l := corpus(300, 5)
	x, dir := sharded(t, l, 40)
	first, other, erased := breakShard(t, x, 1), breakShard(t, x, 3), x.serving.parts[5]
	first.fail(errors.New("freq chunk does not exist"))
	other.fail(errors.New("freq chunk does not exist"))
	seq := searchable(l, l.Size())[5*40+7]
	erased.update(func(s *shardInfo) { s.Gone = []uint64{seq} })
	from, to := first.Range()
	f := feed{holedLedger{l, from, to}, parseJSON, headerDate}
	for range 8 {
		if _, err := x.chore(t.Context(), f, nil); err == nil && len(x.hollow(x.serving)) == 0 {
			t.Fatal("what cannot be read was built")
		}
	}
	if got := x.State().Missing; len(got) != 1 || got[0].From != from {
		t.Errorf("missing %+v, want only the shard at %d", got, from)
	}
	if s := x.serving.parts[5].describe(); len(s.Gone) > 0 {
		t.Error("what was erased is there still")
	}
	catchUp(t, x, l)
	checkShards(t, x, dir)
}

// TestRedoMeetsAnotherShard: a shard that was written anew after Redo had listed
// it is not passed over.
func TestRedoMeetsAnotherShard(t *testing.T) {
	t.Parallel()
	l := corpus(200, 5)
	x, _ := sharded(t, l, 60)
	old, f := x.serving.parts[0], feed{l, parseJSON, headerDate}
	old.pin() // a search reads from it
	defer old.unpin()
	if err := x.renew(t.Context(), f, old); err != nil {
		t.Fatal(err)
	}
	if x.current(old) {
		t.Fatal("the shard was not written anew")
	}
	held, err := x.redoPart(t.Context(), f, old, []uint64{1})
	if held || err != nil {
		t.Errorf("held %v, error %v", held, err)
	}
	if err := x.renew(t.Context(), f, old); err != nil { // nor is it sealed again
		t.Error(err)
	}
}

// TestAbandonedBuildIsRemoved: what was built of a shard that has to begin again,
// because records of it were erased, does not stay on the disk.
func TestAbandonedBuildIsRemoved(t *testing.T) {
	t.Parallel()
	l := corpus(150, 5)
	x, dir := sharded(t, l, 60)
	p := breakShard(t, x, 1)
	p.fail(errors.New("freq chunk does not exist"))
	f := feed{l, parseJSON, headerDate}
	if _, err := x.chore(t.Context(), f, nil); err != nil { // sets it aside
		t.Fatal(err)
	}
	p = x.serving.parts[1]
	erase := func(ctx context.Context, r mail.Record, raw mail.Raw) (*mail.Message, error) {
		p.beginAgain()
		return parseJSON(ctx, r, raw)
	}
	if _, err := x.chore(t.Context(), feed{l, erase, headerDate}, nil); mail.KindOf(err) != mail.Temporary {
		t.Errorf("error %v", err)
	}
	x.mu.Lock()
	err := x.save()
	x.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	checkSwept(t, dir)
	catchUp(t, x, l)
	checkShards(t, x, dir)
}

// TestErasureRemovesWhatWasSetAside: the copy of a damaged shard holds what is to
// be destroyed too.
func TestErasureRemovesWhatWasSetAside(t *testing.T) {
	t.Parallel()
	l := corpus(150, 5)
	x, dir := sharded(t, l, 60)
	breakShard(t, x, 1).fail(errors.New("freq chunk does not exist"))
	catchUp(t, x, l)
	aside := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "*"+asideSuffix))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if len(aside()) != 1 {
		t.Fatalf("set aside: %v", aside())
	}
	l.destroy(searchable(l, l.Size())[70])
	catchUp(t, x, l)
	if names := aside(); len(names) > 0 {
		t.Errorf("set aside still: %v", names)
	}
}

// TestPaddingIsNotShown: the document that merges are forced with is no answer,
// also if the process died before it was removed.
func TestPaddingIsNotShown(t *testing.T) {
	t.Parallel()
	l := corpus(50, 5)
	x := indexed(t, l)
	want := summary(t, x)
	if err := x.serving.last().engine.pad(); err != nil {
		t.Fatal(err)
	}
	if got := summary(t, x); got != want {
		t.Errorf("summary %+v, want %+v", got, want)
	}
	a, err := x.Search(t.Context(), mail.SearchRequest{Query: "-mailbox:none"}, l.Size(), nil)
	if err != nil || a.Total != uint64(len(searchable(l, l.Size()))) {
		t.Errorf("%d hits, error %v", a.Total, err)
	}
	l.destroy(searchable(l, l.Size())[3])
	catchUp(t, x, l)
	if _, clean, err := x.serving.last().engine.shape(); !clean || err != nil {
		t.Errorf("what was erased is in the segments still, error %v", err)
	}
	if d := cmp.Diff(slices.Delete(searchable(corpus(50, 5), 50), 3, 4), documents(t, x)); d != "" {
		t.Errorf("documents (-want +got):\n%s", d)
	}
}

// TestProgressOfManyShards: while shards are built at once, progress is told, and
// never goes back.
func TestProgressOfManyShards(t *testing.T) {
	t.Parallel()
	l := corpus(200, 5)
	x, _ := sharded(t, l, 60)
	if err := x.Renew(l.Size()); err != nil {
		t.Fatal(err)
	}
	var told []uint64
	err := x.CatchUp(t.Context(), l, parseJSON, headerDate, func(c mail.Cursor) {
		if c.Size != l.Size() {
			t.Errorf("size %d", c.Size)
		}
		told = append(told, c.Position)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(told) < 10 || !slices.IsSorted(told) || told[len(told)-1] != l.Size() {
		t.Errorf("progress %v", told)
	}
}

// A lineWriter hands on what is written to it.
type lineWriter chan string

func (w lineWriter) Write(b []byte) (int, error) {
	w <- string(b)
	return len(b), nil
}

// TestFailureIsToldWhileTheLedgerIsStill: a batch that could not be committed is
// tried again, though no other record comes.
func TestFailureIsToldWhileTheLedgerIsStill(t *testing.T) {
	t.Parallel()
	lines := make(lineWriter, 1000)
	x := opened(t, Options{
		Linger: time.Millisecond, Reserve: math.MaxInt64, // no disk has that to spare
		Logger: slog.New(slog.NewTextHandler(lines, nil)),
	})
	follow(t, x, corpus(10, 1))
	for told := 0; told < 2; {
		if line := <-lines; strings.Contains(line, "indexing interrupted") {
			told++
		}
	}
}

// TestErasedIsNotSetAside: the copy that is kept of a damaged shard would hold what
// was erased, if that had not been taken out of its files yet.
func TestErasedIsNotSetAside(t *testing.T) {
	t.Parallel()
	l := corpus(100, 5)
	secret := l.add("sales", &mail.Message{Subject: "xyzzysecret"})
	for range 100 {
		l.add("sales", &mail.Message{Text: "hello"})
	}
	x, dir := sharded(t, l, 60)
	n := slices.IndexFunc(x.serving.parts, func(p *part) bool { s := p.describe(); return s.contains(secret.ID.Seq) })
	l.destroy(secret.ID.Seq)
	pumpAll(t, x, l)
	breakShard(t, x, n).fail(errors.New("freq chunk does not exist"))
	catchUp(t, x, l)
	checkShards(t, x, dir)
	if onDisk(t, dir, "xyzzysecret") {
		t.Error("what was erased is on the disk still")
	}
}

// TestPurgeSparesTheDisk: the segments of a shard that grows are not merged where
// that would take the space that is kept free.
func TestPurgeSparesTheDisk(t *testing.T) {
	t.Parallel()
	l := corpus(50, 5)
	x := indexed(t, l)
	l.destroy(searchable(l, l.Size())[3])
	pumpAll(t, x, l)
	x.opts.Reserve = math.MaxInt64
	f := feed{l, parseJSON, headerDate}
	if _, err := x.chore(t.Context(), f, nil); mail.KindOf(err) != mail.NoSpace {
		t.Errorf("error %v", err)
	}
	if !x.serving.last().describe().Dirty {
		t.Error("it is forgotten what was erased")
	}
	x.opts.Reserve = 1
	catchUp(t, x, l)
	if x.serving.last().describe().Dirty {
		t.Error("what was erased is there still")
	}
}

// TestFaultOfASealedShardIsToldOnce: nothing of it is indexed again when it is
// opened again.
func TestFaultOfASealedShardIsToldOnce(t *testing.T) {
	t.Parallel()
	l := corpus(150, 5)
	x, _ := sharded(t, l, 60)
	var log strings.Builder
	x.opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	p := x.serving.parts[0]
	find(t, x, l, "the") // opens it
	p.Fail(errors.New("freq chunk does not exist"))
	catchUp(t, x, l)
	if n := strings.Count(log.String(), "freq chunk does not exist"); n != 1 || strings.Contains(log.String(), "indexed again") {
		t.Errorf("told %d times:\n%s", n, log.String())
	}
}

// TestShardIsCutWhileItIsOpen: what cannot be read of a file that is mapped, as on a
// bad disk, ends the search of that shard and not the process.
func TestShardIsCutWhileItIsOpen(t *testing.T) {
	t.Parallel()
	l := corpus(200, 5)
	x, dir := sharded(t, l, 60)
	want := find(t, x, l, "the") // opens all
	p := x.serving.parts[1]
	zaps, err := filepath.Glob(filepath.Join(p.dir, engineDir, "store", "*.zap"))
	if err != nil || len(zaps) != 1 {
		t.Fatalf("segments %v, error %v", zaps, err)
	}
	if err := os.Truncate(zaps[0], 0); err != nil {
		t.Fatal(err)
	}
	a, err := x.Search(t.Context(), mail.SearchRequest{Query: "hello"}, l.Size(), nil)
	if from, _ := p.Range(); err != nil || len(a.Coverage.Missing) != 1 || a.Coverage.Missing[0].From != from {
		t.Errorf("coverage %+v, error %v", a.Coverage, err)
	}
	catchUp(t, x, l)
	checkShards(t, x, dir)
	if d := cmp.Diff(want, find(t, x, l, "the")); d != "" {
		t.Errorf("rebuilt (-want +got):\n%s", d)
	}
}

// TestMergeOfACutSegment: the same where segments are merged.
func TestMergeOfACutSegment(t *testing.T) {
	t.Parallel()
	l := corpus(50, 5)
	x := indexed(t, l)
	l.add("sales", &mail.Message{Text: "in another segment"})
	catchUp(t, x, l)
	for _, zap := range segmentFiles(t, x.opts.Dir) {
		if err := os.Truncate(zap, 0); err != nil {
			t.Fatal(err)
		}
	}
	e := x.serving.last().engine
	if err := e.merge(t.Context()); err == nil || e.poisoned() == nil {
		t.Errorf("error %v, the engine is still trusted: %v", err, e.poisoned() == nil)
	}
	catchUp(t, x, l)
	if d := cmp.Diff(searchable(l, l.Size()), documents(t, x)); d != "" {
		t.Errorf("documents (-want +got):\n%s", d)
	}
}
