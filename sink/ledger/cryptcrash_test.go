package ledger_test

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// rounds returns the short number of rounds, or the long one in make crash; a
// tenth of the short one under the race detector.
func rounds(short, long int) int {
	switch {
	case os.Getenv("MAILKEEP_KILLS") != "":
		return long
	case underRace:
		return short / 10
	}
	return short
}

// ways names the ways to go on from each operation of some work: all of n at each
// operation, or under the race detector one of them at every fourth operation, and
// another one the next time, so that each kind of operation meets each way.
func ways(operations, n int) iter.Seq2[int, int] {
	return func(yield func(k, way int) bool) {
		for i := range operations * n {
			k, way := i/n, i%n
			if underRace && (k%4 != 0 || way != k/4%n) {
				continue
			}
			if !yield(k, way) {
				return
			}
		}
	}
}

// locked are the options of quiet with all means; the key files lie on the file
// system that crashes, the keys of the keys do not.
func locked(t testing.TB, fsys *durabletest.FS, w keys.Wrapper) ledger.Options {
	opts := sealing(t, fsys, w)
	opts.Logger, opts.SegmentSize = slog.New(slog.DiscardHandler), 6<<10
	return opts
}

// lockedWork is work on an encrypted ledger: it appends, seals and begins
// segments, and erases if the key source can.
func lockedWork(t testing.TB, fsys *durabletest.FS, w keys.Wrapper, sealed acked, erased map[mail.ID]bool) error {
	l, err := ledger.Open(fsys, locked(t, fsys, w))
	if err != nil {
		return err
	}
	for b := range uint64(4) {
		if err = appendLocked(t, l, sealed, 10*b); err != nil {
			break
		}
	}
	if err == nil && erased != nil {
		ids := []mail.ID{{Seq: 2}, {Seq: 3}}
		for _, id := range ids {
			erased[id] = false // it may be erased from now on
		}
		if _, err = l.Erase(t.Context(), ledger.Order{Records: ids, Reason: "test"}); err == nil {
			erased[ids[0]], erased[ids[1]] = true, true
			err = appendLocked(t, l, sealed, 60)
		}
	}
	return errors.Join(err, l.Close())
}

func appendLocked(t testing.TB, l *ledger.Ledger, sealed acked, seed uint64) error {
	var batch []*ledger.Entry
	var raws [][]byte
	for i := range uint64(3) {
		raw := text(seed+i, 1200)
		e, err := l.Maker().Message(delivery("sales", raw), raw)
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

// lockedSurvives opens what a crash has left, and judges it: what was
// acknowledged is there unless it was erased, and what was erased is gone.
func lockedSurvives(t testing.TB, fsys *durabletest.FS, w keys.Wrapper, sealed acked, erased map[mail.ID]bool, what string) {
	t.Helper()
	opts := locked(t, fsys, w)
	l, err := ledger.Open(fsys, opts)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for id, raw := range sealed {
		done, ordered := erased[id]
		got, err := content(l, id)
		switch {
		case done && !errors.Is(err, keys.ErrErased):
			t.Fatalf("%s: %s was erased and reads: %v", what, id, err)
		case !done && !(ordered && errors.Is(err, keys.ErrErased)) && (err != nil || string(got) != string(raw)):
			t.Fatalf("%s: raw %s, which was acknowledged: %v", what, id, err)
		}
	}
	if err := appendLocked(t, l, acked{}, 900); err != nil {
		t.Fatalf("%s: append after recovery: %v", what, err)
	}
	closeOK(t, l)
	if rep, damage := judge(t, fsys, opts); len(damage) > 0 || rep.Locked > 0 {
		t.Fatalf("%s: %+v", what, damage)
	}
}

// The process dies at each write, sync, link, rename and removal, of segments
// and of key files.
func TestX3CrashEncrypted(t *testing.T) {
	t.Parallel()
	w := master(t, testKey)
	whole := durabletest.New()
	if err := lockedWork(t, whole, w, acked{}, nil); err != nil {
		t.Fatal(err)
	}
	for k, way := range ways(len(whole.Ops()), 4) {
		persist, keep := way&1 != 0, []float64{0, 0.6}[way>>1]
		fsys, sealed := durabletest.New(), acked{}
		fsys.StopAt(k, persist)
		if err := lockedWork(t, fsys, w, sealed, nil); !errors.Is(err, durabletest.ErrStopped) {
			t.Fatalf("the work ended with %v", err)
		}
		lockedSurvives(t, fsys.Crash(uint64(k), keep), w, sealed, nil, fmt.Sprintf("crash at %d (%+v), persist %v, keep %v", k, whole.Ops()[k], persist, keep))
	}
}

// The same while records are erased: nothing but what was ordered is lost, and
// no order that was answered is undone.
func TestX3CrashErasing(t *testing.T) {
	t.Parallel()
	whole := durabletest.New()
	if err := lockedWork(t, whole, kekFile(t), acked{}, map[mail.ID]bool{}); err != nil {
		t.Fatal(err)
	}
	n := len(whole.Ops())
	for i, way := range ways(n-n/2, 2) {
		k, keep := n/2+i, float64(way)
		w, fsys, sealed, erased := kekFile(t), durabletest.New(), acked{}, map[mail.ID]bool{}
		fsys.StopAt(k, k%2 == 0)
		_ = lockedWork(t, fsys, w, sealed, erased) // stops
		lockedSurvives(t, fsys.Crash(uint64(k), keep), w, sealed, erased, fmt.Sprintf("crash at %d (%+v), keep %v", k, whole.Ops()[k], keep))
	}
}

// One operation fails, with its effect or without, and the process lives on.
func TestEveryFailureIsSurvivedEncrypted(t *testing.T) {
	t.Parallel()
	w := master(t, testKey)
	whole := durabletest.New()
	if err := lockedWork(t, whole, w, acked{}, nil); err != nil {
		t.Fatal(err)
	}
	for k, way := range ways(len(whole.Ops()), 2) {
		persist := way == 1
		what := fmt.Sprintf("failure at %d (%+v), persist %v", k, whole.Ops()[k], persist)
		fsys, sealed := durabletest.New(), acked{}
		fsys.FailAt(k, persist, syscall.EIO)
		l, err := ledger.Open(fsys, locked(t, fsys, w))
		if err != nil {
			l = open(t, fsys, locked(t, fsys, w))
		}
		failed := 0
		for b := range uint64(6) {
			if err := appendLocked(t, l, sealed, 10*b); err != nil {
				if failed++; mail.KindOf(err) != mail.Temporary || l.Healthy() == nil {
					t.Fatalf("%s: %v (healthy: %v)", what, err, l.Healthy())
				}
			}
		}
		if failed > 1 {
			t.Fatalf("%s: %d appends failed", what, failed)
		}
		_ = l.Close() // fails where k is an operation of it
		lockedSurvives(t, fsys.Crash(uint64(k), 0), w, sealed, nil, what)
	}
}

// Every cut of an encrypted segment recovers to a prefix that holds all records
// which were there before it.
func TestCutsEncrypted(t *testing.T) {
	t.Parallel()
	w := master(t, testKey)
	fsys, sealed := durabletest.New(), acked{}
	opts := locked(t, fsys, w)
	opts.SegmentSize = 1 << 20
	l := open(t, fsys, opts)
	for seed := range uint64(8) {
		if err := appendLocked(t, l, sealed, seed*10); err != nil {
			t.Fatal(err)
		}
	}
	name := only(t, fsys, ".seg.open")
	whole := slurp(t, fsys, name)
	ends := map[mail.ID]int{} // where each record ends
	for off := 0; off < len(whole); {
		off += int(be32(whole[off+8:]))
		ends[mail.ID{Seq: uint64(len(ends))}] = off
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range rounds(80, 3000) {
		size := rng.IntN(len(whole))
		cut := fsys.Crash(0, 0)
		if err := cut.Truncate(name, int64(size)); err != nil {
			t.Fatal(err)
		}
		l, err := ledger.Open(cut, locked(t, cut, w))
		if err != nil {
			t.Fatalf("cut at %d: %v", size, err)
		}
		for id, raw := range sealed {
			got, err := content(l, id)
			if there := ends[id] <= size; there != (err == nil && string(got) == string(raw)) {
				t.Fatalf("cut at %d: record %s, which ends at %d: %v", size, id, ends[id], err)
			}
		}
		closeOK(t, l)
		if _, damage := judge(t, cut, locked(t, cut, w)); len(damage) > 0 {
			t.Fatalf("cut at %d: %+v", size, damage)
		}
	}
	closeOK(t, l)
}

// Every flipped bit of encrypted segments is found, where it is, with the keys
// and without; no reader is given it.
func TestFlipsEncrypted(t *testing.T) {
	t.Parallel()
	w := master(t, testKey)
	fsys, sealed := durabletest.New(), acked{}
	if err := lockedWork(t, fsys, w, sealed, nil); err != nil {
		t.Fatal(err)
	}
	names := segments(t, fsys)
	rng := rand.New(rand.NewPCG(7, 8))
	for range rounds(120, 10_000) {
		bad := fsys.Crash(0, 1)
		name := names[rng.IntN(len(names))]
		off, bit := rng.Int64N(int64(len(slurp(t, bad, name)))), uint(rng.IntN(8))
		if err := bad.Flip(name, off, bit); err != nil {
			t.Fatal(err)
		}
		for what, opts := range map[string]ledger.Options{"with keys": locked(t, bad, w), "without": options(t)} {
			if _, damage := judge(t, bad, opts); len(damage) != 1 || damage[0].Segment != name || damage[0].Offset > off {
				t.Fatalf("%s, flip in %s at %d, bit %d: %+v", what, name, off, bit, damage)
			}
		}
		r, err := ledger.OpenReader(bad, locked(t, bad, w))
		if err != nil {
			continue // refused as a whole
		}
		for id, raw := range sealed {
			if got, err := content(r, id); err == nil && string(got) != string(raw) {
				t.Fatalf("flip in %s at %d: %s gave other bytes", name, off, id)
			}
		}
		closeOK(t, r)
	}
}

// The keys of one ledger do not open what another has sealed under the same
// numbers.
func TestKeysOfAnotherArchive(t *testing.T) {
	t.Parallel()
	a, b := durabletest.New(), durabletest.New()
	w := master(t, testKey)
	for _, fsys := range []*durabletest.FS{a, b} {
		l := open(t, fsys, sealing(t, fsys, w))
		appendOK(t, l, message(t, text(1, 500)))
		closeOK(t, l)
	}
	if err := durable.WriteFile(b, keys.FileName(0), slurp(t, a, keys.FileName(0))); err != nil {
		t.Fatal(err)
	}
	if _, damage := judge(t, b, sealing(t, b, w)); len(damage) != 1 || damage[0].Kind != ledger.FoundContent {
		t.Errorf("verify with the key file of another ledger: %+v", damage)
	}
}
