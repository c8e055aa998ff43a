package tlog_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// Trees around the widths of tiles: every leaf is proved, every checkpoint is
// consistent with those before.
func TestProofs(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	r := started(t, fsys, 16<<10)
	v := tlog.NewView(sub(t, fsys, "tlog/0000"), trust(t))
	var heads []tlog.Checkpoint
	for _, n := range []int{1, 1, 5, 240, 3, 1, 2, 300, 700} {
		c := r.grow(t, n)
		latest, err := v.Latest()
		if err != nil || latest.Size != c.Size || latest.Root != c.Root {
			t.Fatalf("latest %+v, %v", latest, err)
		}
		heads = append(heads, c)
	}
	last := heads[len(heads)-1]
	for _, old := range heads {
		proof, err := v.Consistency(old.Size, last)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckConsistency(proof, old, last); err != nil {
			t.Error(err)
		}
		forged := old
		forged.Root[0]++
		if tlog.CheckConsistency(proof, forged, last) == nil {
			t.Errorf("another root of size %d is consistent", old.Size)
		}
		for index := uint64(0); index < old.Size; index += max(1, old.Size/64) {
			wantProof(t, v, index, old)
		}
	}
	if _, err := v.Inclusion(last.Size, last); mail.KindOf(err) != mail.NotFound {
		t.Errorf("proof beyond the end: %v", err)
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	if got := wantClean(t, fsys); got.Checkpoints != len(heads) {
		t.Errorf("%d checkpoints hold, not %d", got.Checkpoints, len(heads))
	}
}

// wantProof proves a leaf, through the text form, and not another one.
func wantProof(t *testing.T, v *tlog.View, index uint64, c tlog.Checkpoint) {
	t.Helper()
	leaf, err := v.Leaf(index, c)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := v.Inclusion(index, c)
	if err != nil {
		t.Fatal(err)
	}
	read, err := tlog.ParseProof(proof.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(proof, read); diff != "" {
		t.Fatal(diff)
	}
	if got, err := read.Check(trust(t), leaf); err != nil || got.Size != c.Size {
		t.Fatalf("leaf %d in %d: %+v, %v", index, c.Size, got, err)
	}
	leaf[0]++
	if _, err := read.Check(trust(t), leaf); mail.KindOf(err) != mail.Corrupt {
		t.Fatalf("another leaf %d in %d: %v", index, c.Size, err)
	}
}

// The tiles are a view: gone, or damaged at the edge, they come back as they
// were, octet for octet.
func TestTilesAreBuiltAgain(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	r := started(t, fsys, 16<<10)
	for _, n := range []int{3, 250, 40, 500, 7, 2} {
		r.grow(t, n)
	}
	dir := sub(t, fsys, "tlog/0000")
	want := tree(t, dir, "tile")
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(*durabletest.FS){
		"all gone":           func(f *durabletest.FS) { removeAll(t, f, "tlog/0000/tile") },
		"a partial one gone": func(f *durabletest.FS) { removeAll(t, f, "tlog/0000/tile/1/000.p") },
		"an entry altered": func(f *durabletest.FS) {
			for at := range want {
				if strings.Contains(at, "entries/003.p/") {
					if err := f.Flip("tlog/0000/"+at, 77, 3); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
	} {
		bad := copyOf(fsys)
		damage(bad)
		if _, found := check(t, bad); len(found) == 0 {
			t.Errorf("%s: not found", name)
		}
		again := started(t, bad, 16<<10)
		if _, err := again.sign(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := again.close(); err != nil {
			t.Fatal(err)
		}
		got := tree(t, sub(t, bad, "tlog/0000"), "tile")
		for at, b := range want {
			if _, there := got[at]; !there && strings.Contains(at, ".p/") {
				continue // complete by now: the close of the ledger has sealed a segment
			}
			if got[at] != b {
				t.Errorf("%s: %s is not as it was", name, at)
			}
		}
		wantClean(t, bad)
	}
}

// A log that is behind its ledger, and one that knows nothing, follow it.
func TestLogMeetsALongLedger(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	r := started(t, fsys, 64<<10)
	for range 5 {
		if _, err := r.append(200); err != nil {
			t.Fatal(err)
		}
	}
	c, err := r.sign(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if size, root := r.ledger.Root(); c.Size != size || c.Root != root {
		t.Errorf("checkpoint %d %s, ledger %d %s", c.Size, c.Root, size, root)
	}
	again, err := r.sign(t.Context())
	if err != nil || string(again.Note) != string(c.Note) {
		t.Errorf("with nothing new %d was signed, %v", again.Size, err)
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	wantClean(t, fsys)
}

// A ledger that is an older copy, or another one, is refused before anything is
// signed or changed.
func TestRolledBackAndForked(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	r := started(t, fsys, 16<<10)
	r.grow(t, 20)
	old := copyOf(fsys)
	r.grow(t, 300)
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	for name, grow := range map[string]int{"rolled back": 0, "forked": 500} {
		mixed := copyOf(fsys)
		replace(t, mixed, old, "ledger/0000")
		before := tree(t, mixed, "tlog/0000")
		m := started(t, mixed, 16<<10)
		m.n = 1000 // other messages than those that were signed
		for range grow / 100 {
			if _, err := m.append(100); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := m.sign(t.Context()); mail.KindOf(err) != mail.Corrupt || mail.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		if err := m.close(); err != nil {
			t.Fatal(err)
		}
		after := tree(t, mixed, "tlog/0000")
		for at, b := range before {
			if !strings.Contains(at, "/tile/") && after[at] != b {
				t.Errorf("%s: %s was changed", name, at)
			}
		}
		if _, found := check(t, mixed); len(found) == 0 {
			t.Errorf("%s: Check finds nothing", name)
		}
	}
}

// replace puts a directory of another file system in place of one.
func replace(t testing.TB, fsys, from *durabletest.FS, dir string) {
	t.Helper()
	removeAll(t, fsys, dir)
	if err := fsys.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	for name, b := range tree(t, from, dir) {
		if err := fsys.MkdirAll(path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		f, err := fsys.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(b)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), f.Close(), fsys.SyncDir(dir)); err != nil {
			t.Fatal(err)
		}
	}
}

// work is a life: it returns the checkpoints that somebody was shown.
func work(t *testing.T, fsys *durabletest.FS) []tlog.Checkpoint {
	r, err := start(t, fsys, 8<<10)
	if err != nil {
		return nil
	}
	var shown []tlog.Checkpoint
	for _, n := range []int{1, 2, 60, 195, 3, 256} {
		if _, err := r.append(n); err != nil {
			break
		}
		c, err := r.sign(context.Background())
		if err != nil {
			break
		}
		shown = append(shown, c)
	}
	_ = r.close() // it may have failed before
	return shown
}

// Dying at each operation, with and without its effect, and a power cut then:
// what was shown is in the history, nothing was signed that the ledger has lost,
// and the log goes on.
func TestCrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	whole := durabletest.New()
	if shown := work(t, whole); len(shown) != 6 {
		t.Fatalf("%d checkpoints", len(shown))
	}
	ops, step := len(whole.Ops()), 1
	if underRace {
		step = 16
	}
	for k := 0; k < ops; k += step {
		for _, persist := range []bool{false, true} {
			fsys := durabletest.New()
			fsys.StopAt(k, persist)
			shown := work(t, fsys)
			keep := float64(k%3) / 2 // nothing, some, or all of what was not synced
			survives(t, fsys.Crash(uint64(k), keep), shown, fmt.Sprintf("stopped at %v, persist %v, keep %v", whole.Ops()[k], persist, keep))
		}
	}
}

// The same for one operation that fails while the process lives on.
func TestFailAtEveryOperation(t *testing.T) {
	t.Parallel()
	whole := durabletest.New()
	work(t, whole)
	for k, op := range whole.Ops() {
		if underRace && k%16 != 0 {
			continue
		}
		if !strings.HasPrefix(op.Name, "tlog/") && k%5 != 0 {
			continue // the ledger's own tests have all of these
		}
		for _, persist := range []bool{false, true} {
			fsys := durabletest.New()
			fsys.FailAt(k, persist, syscall.EIO)
			shown := persevere(t, fsys)
			survives(t, fsys.Crash(uint64(k), 0), shown, fmt.Sprintf("failed at %v, persist %v", whole.Ops()[k], persist))
		}
	}
}

// persevere is work that tries again.
func persevere(t *testing.T, fsys *durabletest.FS) []tlog.Checkpoint {
	r, err := start(t, fsys, 8<<10)
	if err != nil {
		if r, err = start(t, fsys, 8<<10); err != nil {
			t.Fatal(err)
		}
	}
	var shown []tlog.Checkpoint
	for _, n := range []int{1, 2, 60, 195, 3, 256} {
		for range 3 {
			if _, err = r.append(n); err == nil {
				break
			}
		}
		c, err := r.sign(context.Background())
		if err != nil { // one operation fails, so the second try must not
			if c, err = r.sign(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if size, _ := r.ledger.Root(); c.Size != size {
			t.Fatalf("signed %d of %d", c.Size, size)
		}
		shown = append(shown, c)
	}
	_ = r.close() // the one failure may come here
	return shown
}

func survives(t *testing.T, fsys *durabletest.FS, shown []tlog.Checkpoint, what string) {
	t.Helper()
	// Before anything is repaired: what was signed has its tiles.
	_, at := check(t, fsys)
	for _, f := range at {
		if strings.HasPrefix(f, "tile/") {
			t.Fatalf("%s: %s", what, f)
		}
	}
	r, err := start(t, fsys, 8<<10)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	r.n = 5000
	if _, err := r.append(2); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if _, err := r.sign(t.Context()); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := r.close(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	var claims []tlog.Claim
	known := map[string]bool{}
	for c, err := range tlog.NewView(sub(t, fsys, "tlog/0000"), trust(t)).Checkpoints() {
		if err != nil && !tlog.IsTorn(err) {
			t.Fatalf("%s: %v", what, err)
		}
		known[string(c.Note)] = true
	}
	for _, c := range shown {
		if !known[string(c.Note)] {
			t.Fatalf("%s: the checkpoint of %d records was shown, and is lost", what, c.Size)
		}
		claims = append(claims, tlog.Claim{Size: c.Size, Root: c.Root, Where: "shown"})
	}
	report, found := check(t, fsys, claims...)
	for _, f := range found {
		t.Fatalf("%s: %s", what, f)
	}
	if report.Claims != len(claims) {
		t.Fatalf("%s: %d of %d checkpoints hold", what, report.Claims, len(claims))
	}
}

// Follow signs at once after a quiet time, then at the interval, when a segment
// is sealed, and at the end.
func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fsys := durabletest.New()
		r := started(t, fsys, 8<<10)
		if err := r.log.Close(); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var signed []uint64 // guarded by mu
		l, err := tlog.Open(tlog.Options{FS: sub(t, fsys, "tlog/0000"), Key: key(t), Trust: trust(t), Logger: logger(t),
			Signed: func(c tlog.Checkpoint) {
				mu.Lock()
				defer mu.Unlock()
				signed = append(signed, c.Size)
			}})
		if err != nil {
			t.Fatal(err)
		}
		r.log = l
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Follow(ctx, r.ledger) }()
		step := func(what string, n int, pause time.Duration, want int) {
			t.Helper()
			if n > 0 {
				if _, err := r.append(n); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(pause)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(signed) != want {
				t.Fatalf("%s: signed %v", what, signed)
			}
		}
		step("nothing", 0, time.Hour, 0)
		step("the first", 1, time.Millisecond, 1)
		step("soon after", 1, time.Second, 1)
		step("and again", 1, time.Second, 1)
		step("at the interval", 0, time.Minute, 2)
		step("a quiet hour", 0, time.Hour, 2)
		step("after it", 1, time.Millisecond, 3)
		step("more of it", 8, time.Millisecond, 3)
		step("a segment is sealed", 9, time.Millisecond, 4)
		step("one is left", 1, time.Millisecond, 4)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if size, _ := r.ledger.Root(); len(signed) != 5 || signed[4] != size {
			t.Errorf("signed %v of %d", signed, size)
		}
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
		wantClean(t, fsys)
	})
}

// While the disk is full nothing is signed, Healthy says why, and when there is
// room the log goes on by itself.
func TestFollowHeals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fsys := durabletest.New()
		r := started(t, fsys, 64<<10)
		if _, err := r.append(3); err != nil {
			t.Fatal(err)
		}
		fsys.SetCapacity(10)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.log.Follow(ctx, r.ledger) }()
		synctest.Wait()
		if err := r.log.Healthy(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("healthy: %v", err)
		}
		fsys.SetCapacity(-1)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if size, _ := r.ledger.Root(); r.log.Healthy() != nil || r.log.Latest().Size != size {
			t.Errorf("%v, %d of %d", r.log.Healthy(), r.log.Latest().Size, size)
		}
		cancel()
		<-done
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
		wantClean(t, fsys)
	})
}

// Two processes cannot write one log.
func TestLock(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	r := started(t, fsys, 64<<10)
	_, err := tlog.Open(tlog.Options{FS: sub(t, fsys, "tlog/0000"), Key: key(t), Trust: trust(t)})
	if mail.KindOf(err) != mail.InUse {
		t.Errorf("second open: %v", err)
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
}

// A log whose history is gone, but not what it published, is refused: a new
// history would hide what was signed.
func TestHistoryGone(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	r := started(t, fsys, 64<<10)
	r.grow(t, 3)
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	removeAll(t, fsys, "tlog/0000/checkpoints")
	if _, err := start(t, fsys, 64<<10); mail.KindOf(err) != mail.Corrupt || mail.HintOf(err) == "" {
		t.Errorf("open: %v", err)
	}
	if _, found := check(t, fsys); len(found) != 1 {
		t.Errorf("found %q", found)
	}
}

// The empty tree has the root of RFC 6962 and nothing to sign.
func TestEmpty(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	r := started(t, fsys, 64<<10)
	c, err := r.sign(t.Context())
	if err != nil || c.Size != 0 || c.Note != nil {
		t.Errorf("%+v, %v", c, err)
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	if got := wantClean(t, fsys); got.Root != mail.Digest(sha256.Sum256(nil)) {
		t.Errorf("root %s", got.Root)
	}
}
