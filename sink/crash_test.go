package sink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/catalog"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// dyingSegment is small, so that segments are sealed and begun in each life.
const dyingSegment = 4 << 10

// A life is one run of a sink until its process dies at an operation of the
// file system. It returns what was acknowledged until then, and the catalog as
// the death leaves it.
func life(t *testing.T, fs *durabletest.FS, path string, letters []letter) map[int]mail.Receipt {
	t.Helper()
	acked := make(map[int]mail.Receipt)
	log, err := ledger.Open(fs, ledger.Options{SegmentSize: dyingSegment})
	if err != nil {
		return acked // died in it
	}
	cat, err := catalog.Open(path, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sink, err := New(Options{Log: log, Catalog: cat, BatchCount: 4})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- sink.Run(ctx) }()
	var mu sync.Mutex
	var answered sync.WaitGroup
	for i, l := range letters {
		answered.Add(1)
		err := sink.Accept(ctx, Inbound{Delivery: l.Delivery, Raw: l.open, Ack: func(r mail.Receipt, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				acked[i] = r
			} else {
				cancel() // dead: nothing succeeds any more
			}
			answered.Done()
		}})
		if err != nil {
			answered.Done()
		}
	}
	answered.Wait()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	copyTo(t, path, path+".dead")
	if err := cat.Close(); err != nil {
		t.Error(err)
	}
	_ = log.Close() // the file system is dead
	return acked
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", ".state"} {
		b, err := os.ReadFile(from + suffix)
		if errors.Is(err, os.ErrNotExist) {
			continue // the process died before it had a catalog
		}
		if err == nil {
			err = os.WriteFile(to+suffix, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The process dies at each operation of the file system in turn, with and
// without the effect of that operation. Whatever was acknowledged is there
// after the power comes back, and what comes again is sealed once, whether the
// catalog survived, is gone, or is older.
func TestX3DieAtEveryOperation(t *testing.T) {
	letters := mixed(14)
	dry := durabletest.New()
	life(t, dry, filepath.Join(t.TempDir(), "c.db"), letters)
	ops := len(dry.Ops())
	t.Logf("%d operations", ops)
	if ops < 20 {
		t.Fatalf("only %d operations", ops)
	}
	stale := filepath.Join(t.TempDir(), "stale.db")
	for k := range ops {
		for _, persist := range []bool{false, true} {
			name := fmt.Sprintf("op %d, persisted %t", k, persist)
			fs := durabletest.New()
			path := filepath.Join(t.TempDir(), "c.db")
			fs.StopAt(k, persist)
			acked := life(t, fs, path, letters)
			gone := filepath.Join(t.TempDir(), "gone.db")
			afterDeath(t, name, fs.Crash(uint64(k), 0), path+".dead", acked, letters)
			if k%2 == 0 {
				afterDeath(t, name, fs.Crash(uint64(k), 0.5), gone, acked, letters)
			} else {
				// The catalog of the life before, which is of another ledger.
				afterDeath(t, name, fs.Crash(uint64(k), 1), stale, acked, letters)
			}
			copyTo(t, path+".dead", stale)
		}
	}
}

// afterDeath starts a sink on what a death has left and delivers all again.
func afterDeath(t *testing.T, name string, fs durable.FS, catalog string, acked map[int]mail.Receipt, letters []letter) {
	t.Helper()
	r := segmentRig(t, fs, catalog, Options{}, dyingSegment)
	defer r.halt()
	for i, receipt := range acked {
		r.readable([]mail.Receipt{receipt}, letters[i:i+1])
	}
	receipts := r.deliver(letters...)
	r.readable(receipts, letters)
	for i, receipt := range acked {
		if receipts[i].ID != receipt.ID {
			t.Errorf("%s: letter %d was sealed as %s and now as %s", name, i, receipt.ID, receipts[i].ID)
		}
	}
	r.check(letters...)
	if t.Failed() {
		t.Fatalf("%s: see above", name)
	}
}

// An append that fails with its effect is the death between sync and receipt,
// seen from within one process.
func TestAppendWithUncertainEnd(t *testing.T) {
	r := memRig(t, Options{})
	fail := func(n int32) error {
		if n%2 == 1 && n < 8 {
			return mail.Errorf(mail.Temporary, "the answer of append %d is lost", n)
		}
		return nil
	}
	r.gate.set(nil, fail)
	letters := mixed(60)
	r.readable(r.deliver(letters...), letters)
	if n := r.gate.appends.Load(); n < 2 {
		t.Errorf("%d appends: the fault was not met", n)
	}
	// What an append had sealed without an answer needs none again, so the last
	// fault may stand until there is something new to append.
	for i := 0; r.gate.appends.Load() < 9; i++ {
		l := newLetter("box9@example.org", fmt.Sprint("v", i), fmt.Sprintf("Subject: later %d\r\n\r\n", i))
		letters = append(letters, l)
		r.readable(r.deliver(l), []letter{l})
	}
	r.check(letters...)
	if err := r.sink.Healthy(); err != nil {
		t.Errorf("Healthy after all is sealed: %v", err)
	}
}

// The disk fills up, and later has room again: everything is given back with
// mail.NoSpace and sealed once when it comes again.
func TestDiskFull(t *testing.T) {
	fs := durabletest.New()
	r := newRig(t, fs, filepath.Join(t.TempDir(), "c.db"), Options{})
	letters := mixed(80)
	first := r.deliver(letters[:20]...)
	fs.SetCapacity(3000)
	answers := r.send(letters...)
	full := 0
	for i, a := range answers {
		switch {
		case a.err == nil && i < 20 && a.ID != first[i].ID:
			t.Errorf("letter %d moved from %s to %s", i, first[i].ID, a.ID)
		case a.err != nil:
			full++
			if mail.KindOf(a.err) != mail.NoSpace {
				t.Errorf("letter %d: %v, want mail.NoSpace", i, a.err)
			}
		}
	}
	if full == 0 {
		t.Error("the disk was not full")
	}
	if err := r.sink.Healthy(); mail.KindOf(err) != mail.NoSpace {
		t.Errorf("Healthy on a full disk: %v", err)
	}
	// What is sealed is known as sealed, full disk or not.
	if again := r.send(letters[0])[0]; again.err != nil || again.ID != first[0].ID {
		t.Errorf("a duplicate on a full disk: %+v", again)
	}
	fs.SetCapacity(-1)
	r.readable(r.deliver(letters...), letters)
	r.check(letters...)
	if err := r.sink.Healthy(); err != nil {
		t.Errorf("Healthy with room again: %v", err)
	}
}

func TestSyncFails(t *testing.T) {
	for _, persist := range []bool{false, true} {
		fs := durabletest.New()
		r := newRig(t, fs, filepath.Join(t.TempDir(), "c.db"), Options{})
		letters := mixed(40)
		r.deliver(letters[:10]...)
		failed := 0
		fs.Inject(func(op durabletest.Op) durabletest.Outcome {
			if op.Kind == "sync" && failed < 2 {
				failed++
				return durabletest.Outcome{Err: syscall.EIO, Persist: persist}
			}
			return durabletest.Outcome{}
		})
		receipts := r.deliver(letters...)
		if failed == 0 {
			t.Error("no sync failed")
		}
		r.readable(receipts, letters)
		r.check(letters...)
		r.halt()
		// All of it is there after a power cut, with a new catalog.
		again := newRig(t, fs.Crash(1, 0), filepath.Join(t.TempDir(), "c.db"), Options{})
		again.readable(receipts, letters)
		if err := again.sink.CatchUp(t.Context()); err != nil { // nothing is delivered that would wait for it
			t.Fatal(err)
		}
		again.check(letters...)
		again.halt()
	}
}

// The catalog rots while the sink runs; it is rebuilt from the ledger, and
// nothing is sealed a second time.
func TestCatalogLostInTheMiddle(t *testing.T) {
	r := newRig(t, diskFS(t), filepath.Join(t.TempDir(), "c.db"), Options{})
	letters := mixed(300)
	r.deliver(letters[:200]...)
	for round := range 3 {
		rot(t, r.path)
		if round%2 == 0 { // noticed by a question
			l := letters[0]
			if _, err := r.sink.Lookup(t.Context(), l.Mailbox, []mail.Listing{{UIDL: "u1", Size: l.ListSize}}); err != nil && mail.KindOf(err) != mail.Temporary {
				t.Errorf("Lookup in a rotten catalog: %v", err)
			}
		}
		r.readable(r.deliver(letters...), letters)
		r.check(letters...)
	}
}

// A catalog that is emptied behind the sink's back, and one of another ledger,
// are found out at the next start.
func TestCatalogOfAnotherTime(t *testing.T) {
	dir := t.TempDir()
	fs, other := durabletest.New(), durabletest.New()
	letters := mixed(40)
	path := filepath.Join(dir, "c.db")
	r := newRig(t, fs, path, Options{})
	r.deliver(letters[:10]...)
	r.halt()
	copyTo(t, path, path+".old")
	r = newRig(t, fs, path, Options{})
	r.deliver(letters...)
	r.halt()
	b := newRig(t, other, filepath.Join(dir, "b.db"), Options{})
	b.deliver(newLetter("z", "1", "elsewhere"), newLetter("z", "2", "too"))
	b.halt()
	for _, catalog := range []string{path + ".old", filepath.Join(dir, "b.db"), path, filepath.Join(dir, "none.db")} {
		r := newRig(t, fs, catalog, Options{})
		receipts := r.deliver(letters...)
		for i, receipt := range receipts {
			if !receipt.Duplicate {
				t.Errorf("%s: letter %d is sealed again", catalog, i)
			}
		}
		r.check(letters...)
		r.halt()
	}
	// And a ledger that is behind the catalog, as after a restore.
	short := newRig(t, durabletest.New(), path, Options{})
	short.readable(short.deliver(letters...), letters)
	short.check(letters...)
}

// Many senders send everything several times, while appends fail with and
// without their effect and the sink is stopped and started.
func TestSoak(t *testing.T) {
	rounds := 2
	if testing.Short() {
		rounds = 1
	}
	letters := mixed(120)
	letters = append(letters, newLetter("a", "big", strings.Repeat("big", inlineSize/2)))
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 7))
		var fs durable.FS = durabletest.New()
		path := filepath.Join(t.TempDir(), "c.db")
		ids := make([]mail.ID, len(letters))
		for run := range 3 {
			r := newRig(t, fs, path, Options{BatchCount: 1 + rng.IntN(40), QueueLen: 8 + rng.IntN(100), Preparers: 1 + rng.IntN(4)})
			soakFaults(r.gate, rng.Uint64())
			var senders sync.WaitGroup
			for s := range 4 {
				order := rng.Perm(len(letters))
				senders.Go(func() {
					for _, i := range order[:len(order)*(run+1)/3] {
						if a := <-r.offer(letters[i]); a.err != nil && mail.KindOf(a.err) != mail.Temporary {
							t.Errorf("sender %d: %v", s, a.err)
						}
					}
				})
			}
			senders.Wait()
			r.gate.set(nil, nil)
			receipts := r.deliver(letters...)
			for i, receipt := range receipts {
				if run > 0 && ids[i] != receipt.ID {
					t.Errorf("letter %d moved from %s to %s", i, ids[i], receipt.ID)
				}
				ids[i] = receipt.ID
			}
			r.readable(receipts, letters)
			r.check(letters...)
			r.halt()
		}
	}
}

// soakFaults lets one append in six fail, half of those with its effect, and
// never two in a row, which would only make the test wait longer.
func soakFaults(g *gate, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 8))
	var last int32
	roll := func(n int32) error {
		if n-last < 2 || rng.IntN(12) > 0 {
			return nil
		}
		last = n
		return errors.New("append failed")
	}
	g.set(roll, roll)
}
