package ledger_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

var update = flag.Bool("update", false, "write the golden files")

// acked is what receipts were given for.
type acked map[mail.ID][]byte

func quiet(t testing.TB) ledger.Options {
	opts := options(t)
	opts.Logger = slog.New(slog.DiscardHandler)
	opts.SegmentSize = 8 << 10
	return opts
}

// work opens the ledger, appends in several batches and segments, closes it,
// and does so once more. It ends at the first error.
func work(t testing.TB, fsys *durabletest.FS, sealed acked) error {
	for round := range 2 {
		l, err := ledger.Open(fsys, quiet(t))
		if err != nil {
			return err
		}
		for b := range 4 {
			if err := appendSome(t, l, sealed, uint64(100*round+10*b)); err != nil {
				_ = l.Close() // gives up the lock, as the death of the process does
				return err
			}
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// appendSome appends three messages and, if there is one before, a reference.
func appendSome(t testing.TB, l *ledger.Ledger, sealed acked, seed uint64) error {
	var batch []*ledger.Entry
	var raws [][]byte
	for i := range uint64(3) {
		raw := text(seed+i, 1500)
		batch, raws = append(batch, message(t, raw)), append(raws, raw)
	}
	if raw, ok := sealed[mail.ID{Seq: 1}]; ok {
		e, err := ledger.Reference(delivery("accounts", raw), mail.ID{Seq: 1}, false)
		if err != nil {
			t.Fatal(err)
		}
		batch, raws = append(batch, e), append(raws, raw)
	}
	out, err := l.Append(t.Context(), batch)
	if err != nil {
		return err
	}
	for i, s := range out {
		if s.Err != nil {
			t.Fatal(s.Err)
		}
		sealed[s.ID] = raws[i]
	}
	return nil
}

// survives opens what a crash has left, and judges it.
func survives(t testing.TB, fsys *durabletest.FS, sealed acked, what string) {
	t.Helper()
	l, err := ledger.Open(fsys, quiet(t))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for id, raw := range sealed {
		got, err := content(l, id)
		if err != nil || !bytes.Equal(got, raw) {
			t.Fatalf("%s: raw %s, which was acknowledged: %v", what, id, err)
		}
	}
	if err := appendSome(t, l, sealed, 900); err != nil {
		t.Fatalf("%s: append after recovery: %v", what, err)
	}
	if n := len(collect(t, l, 0)); n < len(sealed) {
		t.Fatalf("%s: %d records of %d that were acknowledged", what, n, len(sealed))
	}
	closeOK(t, l)
	for _, f := range verify(t, fsys) {
		t.Fatalf("%s: %+v", what, f)
	}
	if n := fsys.OpenFiles(); n != 0 {
		t.Fatalf("%s: %d files are still open", what, n)
	}
}

func TestX3CrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	whole := durabletest.New()
	if err := work(t, whole, acked{}); err != nil {
		t.Fatal(err)
	}
	for k, way := range ways(len(whole.Ops()), 6) {
		persist, keep := way&1 != 0, []float64{0, 0.4, 1}[way>>1]
		fsys, sealed := durabletest.New(), acked{}
		fsys.StopAt(k, persist)
		if err := work(t, fsys, sealed); !errors.Is(err, durabletest.ErrStopped) {
			t.Fatalf("the work ended with %v", err)
		}
		survives(t, fsys.Crash(uint64(k), keep), sealed, fmt.Sprintf("crash at %d (%+v), persist %v, keep %v", k, whole.Ops()[k], persist, keep))
	}
}

// Recovery is cut off too, at each of its operations.
func TestX3CrashInRecovery(t *testing.T) {
	t.Parallel()
	whole := durabletest.New()
	if err := work(t, whole, acked{}); err != nil {
		t.Fatal(err)
	}
	for k := range ways(len(whole.Ops()), 1) {
		if k%3 != 1 {
			continue
		}
		fsys, sealed := durabletest.New(), acked{}
		fsys.StopAt(k, false)
		_ = work(t, fsys, sealed) // stops
		for j := 0; ; j++ {
			again := fsys.Crash(uint64(k), 0.6)
			again.StopAt(j, j%2 == 0)
			l, err := ledger.Open(again, quiet(t))
			if err == nil {
				closeOK(t, l)
				break
			}
			survives(t, again.Crash(uint64(j), 0.5), copyOf(sealed), fmt.Sprintf("crash at %d and at %d of recovery", k, j))
		}
	}
}

func copyOf(in acked) acked {
	out := acked{}
	maps.Copy(out, in)
	return out
}

// One operation fails, the process lives on and appends again.
func TestEveryFailureIsSurvived(t *testing.T) {
	t.Parallel()
	whole := durabletest.New()
	if err := work(t, whole, acked{}); err != nil {
		t.Fatal(err)
	}
	all := []struct {
		persist bool // never with a full disk, which has no effect
		cause   error
	}{{false, syscall.ENOSPC}, {false, syscall.EIO}, {true, syscall.EIO}}
	for k, way := range ways(len(whole.Ops()), len(all)) {
		persist, cause := all[way].persist, all[way].cause
		failOnce(t, k, persist, cause, fmt.Sprintf("%v at %d (%+v), persist %v", cause, k, whole.Ops()[k], persist))
	}
}

func failOnce(t *testing.T, k int, persist bool, cause error, what string) {
	t.Helper()
	fsys, sealed := durabletest.New(), acked{}
	fsys.FailAt(k, persist, cause)
	want := mail.Temporary
	if cause == syscall.ENOSPC {
		want = mail.NoSpace
	}
	l, err := ledger.Open(fsys, quiet(t))
	if err != nil {
		if mail.KindOf(err) != want && k > 0 {
			t.Fatalf("%s: open: %v", what, err)
		}
		l = open(t, fsys, quiet(t))
	}
	for b := range 6 {
		size := l.Size()
		err := appendSome(t, l, sealed, uint64(10*b))
		if err == nil {
			if l.Healthy() != nil {
				t.Fatalf("%s: unhealthy after success: %v", what, l.Healthy())
			}
			continue
		}
		if mail.KindOf(err) != want || l.Healthy() == nil || l.Size() != size || !errors.Is(err, cause) {
			t.Fatalf("%s: %v (healthy %v), size %d then %d", what, err, l.Healthy(), size, l.Size())
		}
		for id, raw := range sealed {
			wantRaw(t, l, id, raw)
		}
	}
	_ = l.Close() // fails where k is an operation of it
	for _, keep := range []float64{0, 1} {
		survives(t, fsys.Crash(uint64(k), keep), copyOf(sealed), what)
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	fsys, sealed := durabletest.New(), acked{}
	l := open(t, fsys, quiet(t))
	if err := appendSome(t, l, sealed, 1); err != nil {
		t.Fatal(err)
	}
	fsys.SetCapacity(700)
	for i := range 3 {
		if err := appendSome(t, l, sealed, 20); mail.KindOf(err) != mail.NoSpace || mail.HintOf(err) == "" {
			t.Fatalf("append %d on a full disk: %v", i, err)
		}
		if mail.KindOf(l.Healthy()) != mail.NoSpace {
			t.Fatalf("healthy: %v", l.Healthy())
		}
	}
	for id, raw := range sealed {
		wantRaw(t, l, id, raw)
	}
	fsys.SetCapacity(-1)
	if err := appendSome(t, l, sealed, 30); err != nil || l.Healthy() != nil {
		t.Fatalf("append with space again: %v, %v", err, l.Healthy())
	}
	closeOK(t, l)
	survives(t, fsys.Crash(1, 0), sealed, "after the disk was full")
}

// A large message that a crash cuts in the middle is never seen.
func TestCrashInALargeMessage(t *testing.T) {
	t.Parallel()
	base := durabletest.New()
	sealed := acked{}
	l := open(t, base, quiet(t))
	if err := appendSome(t, l, sealed, 1); err != nil {
		t.Fatal(err)
	}
	closeOK(t, l)
	raw := text(7, 2*ledger.ChunkSize+5)
	for _, keep := range []float64{0, 0.7, 1} {
		fsys := base.Crash(0, 1)
		l := open(t, fsys, quiet(t))
		last := 0
		fsys.Inject(func(op durabletest.Op) durabletest.Outcome {
			if op.Kind == "sync" {
				last++
			}
			if last == 2 { // the open record's, and that of the batch
				return durabletest.Outcome{Err: durabletest.ErrStopped}
			}
			return durabletest.Outcome{}
		})
		_, err := l.Append(t.Context(), []*ledger.Entry{ledger.LargeMessage(delivery("sales", raw), bytes.NewReader(raw))})
		if err == nil {
			t.Fatal("append succeeded")
		}
		_ = l.Close() // it is broken
		survives(t, fsys.Crash(3, keep), copyOf(sealed), fmt.Sprint("keep ", keep))
	}
}

// What a view has seen is never cut off as a torn tail.
func TestKnownPosition(t *testing.T) {
	t.Parallel()
	fsys, sealed := durabletest.New(), acked{}
	l := open(t, fsys, options(t))
	for seed := range uint64(3) {
		if err := appendSome(t, l, sealed, seed*10); err != nil {
			t.Fatal(err)
		}
	}
	known := l.Size()
	cut := fsys.Crash(0, 0)
	name := only(t, cut, ".seg.open")
	info, err := cut.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := cut.Truncate(name, info.Size()-3); err != nil {
		t.Fatal(err)
	}
	opts := options(t)
	opts.Known = known
	before := len(cut.Ops())
	if _, err := ledger.Open(cut, opts); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("open: %v", err)
	}
	if ops := cut.Ops()[before:]; len(ops) > 1 { // the lock file alone
		t.Errorf("the refusal changed something: %v", ops)
	}
	opts.Known = known - 1
	closeOK(t, open(t, cut, opts))
	closeOK(t, l)
}

func only(t testing.TB, fsys *durabletest.FS, suffix string) string {
	t.Helper()
	entries, err := fsys.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			return e.Name()
		}
	}
	t.Fatalf("no %s", suffix)
	return ""
}

// Every cut of an open segment is recovered up to the last whole record.
func TestCuts(t *testing.T) {
	t.Parallel()
	fsys, sealed := durabletest.New(), acked{}
	l := open(t, fsys, options(t))
	for seed := range uint64(4) {
		if err := appendSome(t, l, sealed, seed*10); err != nil {
			t.Fatal(err)
		}
	}
	name := only(t, fsys, ".seg.open")
	info, err := fsys.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	all := collect(t, l, 0)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range rounds(1000, 3000) {
		size := rng.Int64N(info.Size())
		if i < 300 && !underRace {
			size = int64(i)
		}
		cut := fsys.Crash(0, 0)
		if err := cut.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
		l, err := ledger.Open(cut, quiet(t))
		if err != nil {
			t.Fatalf("cut at %d: %v", size, err)
		}
		got := collect(t, l, 0)
		if diff := cmp.Diff(all[:len(got)], got, cmp.Transformer("len", func(m []mail.Record) string { return fmt.Sprint(m) })); diff != "" && len(got) > 0 {
			t.Fatalf("cut at %d: %s", size, diff)
		}
		for _, rec := range got {
			wantRaw(t, l, rec.ID, sealed[rec.ID])
		}
		closeOK(t, l)
		wantClean(t, cut)
	}
	closeOK(t, l)
}

// Every flipped bit of a sealed ledger is found where it is, and no reader is
// given it.
func TestFlipsSealed(t *testing.T) {
	t.Parallel()
	fsys, sealed := durabletest.New(), acked{}
	if err := work(t, fsys, sealed); err != nil {
		t.Fatal(err)
	}
	flips(t, fsys, sealed, rounds(1000, 10_000))
}

func TestFlipsOpen(t *testing.T) {
	t.Parallel()
	fsys, sealed := durabletest.New(), acked{}
	l := open(t, fsys, options(t))
	for seed := range uint64(4) {
		if err := appendSome(t, l, sealed, seed*10); err != nil {
			t.Fatal(err)
		}
	}
	flips(t, fsys, sealed, rounds(1000, 10_000))
	closeOK(t, l)
}

func flips(t *testing.T, fsys *durabletest.FS, sealed acked, n int) {
	rng := rand.New(rand.NewPCG(3, 4))
	var names []string
	entries, err := fsys.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), ".seg") {
			names = append(names, e.Name())
		}
	}
	for range n {
		bad := fsys.Crash(0, 1)
		name := names[rng.IntN(len(names))]
		info, err := bad.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		off, bit := rng.Int64N(info.Size()), uint(rng.IntN(8))
		if err := bad.Flip(name, off, bit); err != nil {
			t.Fatal(err)
		}
		flipped(t, bad, sealed, name, off)
	}
}

func flipped(t *testing.T, bad *durabletest.FS, sealed acked, name string, off int64) {
	t.Helper()
	what := fmt.Sprintf("flip in %s at %d", name, off)
	found := verify(t, bad)
	if len(found) == 0 {
		t.Fatalf("%s was not found", what)
	}
	if f := found[0]; f.Segment != name || f.Offset > off || len(found) > 1 {
		t.Fatalf("%s was found as %+v", what, found)
	}
	r, err := ledger.OpenReader(bad, quiet(t))
	if err != nil {
		if mail.KindOf(err) != mail.Corrupt {
			t.Fatalf("%s: %v", what, err)
		}
		return
	}
	for id, raw := range sealed {
		got, err := content(r, id)
		switch {
		case err == nil && !bytes.Equal(got, raw):
			t.Fatalf("%s: raw %s gave other bytes", what, id)
		case err != nil && mail.KindOf(err) != mail.Corrupt && mail.KindOf(err) != mail.NotFound:
			t.Fatalf("%s: raw %s: %v", what, id, err)
		}
	}
	closeOK(t, r)
}

// Damage in front of records that were committed later is not a torn tail.
func TestCorruptionIsNotATornTail(t *testing.T) {
	t.Parallel()
	fsys, sealed := durabletest.New(), acked{}
	l := open(t, fsys, options(t))
	var last int64 // where the last group commit begins
	name := ""
	for seed := range uint64(4) {
		if name != "" {
			info, err := fsys.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			last = info.Size()
		}
		if err := appendSome(t, l, sealed, seed*10); err != nil {
			t.Fatal(err)
		}
		name = only(t, fsys, ".seg.open")
	}
	for off := int64(0); off < last; off += 37 {
		bad := fsys.Crash(0, 0)
		if err := bad.Flip(name, off, 5); err != nil {
			t.Fatal(err)
		}
		before := len(bad.Ops())
		_, err := ledger.Open(bad, quiet(t))
		if mail.KindOf(err) != mail.Corrupt || !strings.Contains(err.Error(), name) {
			t.Fatalf("flip at %d: %v", off, err)
		}
		if ops := bad.Ops()[before:]; len(ops) > 1 {
			t.Fatalf("the refusal changed something: %v", ops)
		}
	}
	closeOK(t, l)
}

// The order of what is made durable is part of the design: see the golden.
func TestOrderOfSyncs(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	var out strings.Builder
	mark := 0
	step := func(what string) {
		fmt.Fprintf(&out, "# %s\n", what)
		for _, op := range fsys.Ops()[mark:] {
			fmt.Fprintf(&out, "%s %s\n", op.Kind, op.Name)
		}
		mark = len(fsys.Ops())
	}
	opts := options(t)
	opts.SegmentSize = 4000
	l := open(t, fsys, opts)
	step("open, empty")
	appendOK(t, l, message(t, text(1, 100)), message(t, text(2, 100)))
	step("append: the first of a segment")
	appendOK(t, l, message(t, text(3, 100)))
	step("append")
	appendOK(t, l, message(t, text(4, 9000)))
	step("append: over the size of a segment")
	crashed := fsys.Crash(0, 0)
	closeOK(t, l)
	step("close")
	closeOK(t, open(t, fsys, opts))
	step("open and close after a clean end")
	fsys, mark = crashed, 0
	closeOK(t, open(t, fsys, opts))
	step("open after a crash")
	golden(t, "syncs.golden", []byte(out.String()))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs (run with -update and read the diff): %s", name, cmp.Diff(string(want), string(got)))
	}
}

// A small ledger, byte for byte: a change of the format shows here.
func TestGoldenArchive(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	opts := options(t)
	opts.SegmentSize = 3000
	l := open(t, fsys, opts)
	raw := []byte("From: a@example.org\r\nSubject: hello\r\n\r\nHello,\r\nworld.\r\n")
	m := appendOK(t, l, message(t, raw), event(t, "session-1"))[0]
	ref, err := ledger.Reference(delivery("accounts", raw), m.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	appendOK(t, l, ref, message(t, text(1, 4000)))
	closeOK(t, l)
	entries, err := fs.ReadDir(os.DirFS("testdata"), "ledger")
	if err != nil && !*update {
		t.Fatal(err)
	}
	files, err := fsys.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		if f.Name() == "lock" {
			continue
		}
		n++
		golden(t, filepath.Join("ledger", f.Name()), slurp(t, fsys, f.Name()))
	}
	if len(entries) != n && !*update {
		t.Errorf("testdata/ledger has %d files, the ledger %d", len(entries), n)
	}
}
