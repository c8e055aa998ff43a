package patrol_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/patrol"
)

var archive = [16]byte{1, 2, 3}

// lay makes a ledger of many segments.
func lay(t *testing.T, messages int) *durabletest.FS {
	t.Helper()
	fsys := durabletest.New()
	l, err := ledger.Open(fsys, ledger.Options{Archive: archive, SegmentSize: 5000})
	if err != nil {
		t.Fatal(err)
	}
	for n := range messages {
		raw := make([]byte, 1200)
		rand.NewChaCha8([32]byte{byte(n)}).Read(raw) //nolint:errcheck // it never fails
		e, err := ledger.Message(mail.Delivery{Capture: mail.Capture{Mailbox: "office"}, Fingerprint: mail.FingerprintOf(raw)}, raw)
		if err == nil {
			_, err = l.Append(t.Context(), []*ledger.Entry{e})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return fsys
}

// A watch is a patrol at work in a bubble of synctest.
type watch struct {
	t       *testing.T
	ledger  *durabletest.FS
	state   *durabletest.FS
	mu      sync.Mutex // guards events
	events  []mail.Verify
	fail    atomic.Pointer[error] // of Record
	last    atomic.Int32          // what Changed said
	p       *patrol.Patrol
	stop    func()
	options func(*patrol.Options)
}

func (w *watch) start() {
	w.t.Helper()
	o := patrol.Options{
		Ledger: w.ledger, Archive: archive, State: w.state, StateName: "state.json", Every: 10 * 24 * time.Hour, Rate: 1 << 20,
		Size: func() uint64 { return 1 << 20 }, Changed: func(n int) { w.last.Store(int32(n)) },
		Record: func(_ context.Context, v mail.Verify) error {
			if err := w.fail.Load(); err != nil {
				return *err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, v)
			return nil
		},
	}
	if w.options != nil {
		w.options(&o)
	}
	w.p = patrol.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.p.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			w.t.Errorf("Run returned %v", err)
		}
	}
}

// levels returns the events of a level.
func (w *watch) levels(level string) (out []mail.Verify) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Level == level {
			out = append(out, e)
		}
	}
	return out
}

func pass(d time.Duration) {
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
}

const day = 24 * time.Hour

// Every night the whole chain; within Every all bodies, once, in order.
func TestRounds(t *testing.T) {
	fsys := lay(t, 60)
	segs, err := ledger.SegmentFiles(fsys)
	if err != nil || len(segs) < 15 {
		t.Fatal(len(segs), err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := &watch{t: t, ledger: fsys, state: durabletest.New()}
		w.start()
		pass(day - time.Minute)
		if n := len(w.levels("chain")); n > 0 {
			t.Errorf("a new ledger is verified at once, %d times", n)
		}
		pass(10*day + time.Hour)
		chains, bodies := w.levels("chain"), w.levels("bodies")
		if len(chains) < 10 || chains[0].Segments != len(segs) || chains[0].Findings != 0 {
			t.Errorf("%d verifications of the chain in ten days: %+v", len(chains), chains)
		}
		read, next := 0, uint64(0)
		for _, b := range bodies {
			if b.From != next {
				t.Errorf("bodies from %d, want %d", b.From, next)
			}
			if read, next = read+b.Segments, b.Until; next == 0 {
				break
			}
			if read == len(segs) {
				break
			}
		}
		if read != len(segs) {
			t.Errorf("%d of %d segments were read in ten days", read, len(segs))
		}
		if w.p.Status().Bodies.IsZero() {
			t.Error("no pass was ended")
		}
		w.stop()
	})
}

// Damage raises an alarm that stands over a restart, until the segment is good.
func TestFindingsStand(t *testing.T) {
	fsys := lay(t, 30)
	segs, err := ledger.SegmentFiles(fsys)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := &watch{t: t, ledger: fsys.Crash(0, 1), state: durabletest.New()}
		if err := w.ledger.Flip(segs[2].Name, 900, 1); err != nil { // in a body
			t.Fatal(err)
		}
		w.start()
		pass(11*day + time.Hour)
		found := w.p.Status().Findings
		if len(found) != 1 || found[0].Segment != segs[2].Name || found[0].Level != "bodies" || w.last.Load() != 1 {
			t.Fatalf("found %+v, told of %d", found, w.last.Load())
		}
		counted := 0
		for _, e := range w.levels("bodies") {
			counted += e.Findings
		}
		if counted == 0 {
			t.Error("no event tells of it")
		}
		w.stop()
		w.start() // still damaged
		pass(time.Minute)
		if got := w.p.Status().Findings; len(got) != 1 || w.last.Load() != 1 {
			t.Errorf("after a restart: %+v", got)
		}
		w.stop()
		w.ledger = fsys // repaired
		w.start()
		pass(time.Minute)
		if got := w.p.Status().Findings; len(got) != 0 || w.last.Load() != 0 {
			t.Errorf("after the repair: %+v", got)
		}
		w.stop()
	})
}

// A restart within a round goes on where it was; what fails is tried again.
func TestResume(t *testing.T) {
	fsys := lay(t, 60)
	segs, err := ledger.SegmentFiles(fsys)
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	for _, s := range segs {
		total += s.Octets
	}
	synctest.Test(t, func(t *testing.T) {
		w := &watch{t: t, ledger: fsys, state: durabletest.New(), options: func(o *patrol.Options) {
			o.Every, o.Rate = day, total/3600 // all bodies each day, which takes an hour
		}}
		w.start()
		pass(day + 30*time.Minute)
		if n := len(w.levels("bodies")); n != 0 || len(w.levels("chain")) != 1 {
			t.Fatalf("after half an hour: %d, %+v", n, w.levels("chain"))
		}
		w.stop()
		w.state = w.state.Crash(1, 0)
		w.start()
		pass(40 * time.Minute)
		if b := w.levels("bodies"); len(b) != 1 || b[0].Segments != len(segs) || len(w.levels("chain")) != 1 {
			t.Errorf("the round did not go on: %+v", b)
		}
		w.fail.Store(new(mail.Errorf(mail.Temporary, "not now")))
		pass(day)
		w.fail.Store(nil)
		pass(3 * time.Hour)
		if n := len(w.levels("chain")); n != 2 {
			t.Errorf("%d verifications of the chain after a failure to record", n)
		}
		w.stop()
	})
}

// A state that cannot be read or kept costs progress, not the work.
func TestStateIsDerived(t *testing.T) {
	fsys := lay(t, 10)
	synctest.Test(t, func(t *testing.T) {
		w := &watch{t: t, ledger: fsys, state: durabletest.New()}
		f, err := w.state.Create("state.json")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("{torn")); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		w.start()
		pass(day + time.Hour)
		if len(w.levels("chain")) != 1 {
			t.Error("the chain was not verified")
		}
		w.state.Inject(func(durabletest.Op) durabletest.Outcome { return durabletest.Outcome{Err: syscall.ENOSPC} })
		pass(2 * day)
		w.state.Inject(nil)
		pass(2 * day)
		if len(w.levels("chain")) < 3 {
			t.Errorf("it did not go on: %d", len(w.levels("chain")))
		}
		w.stop()
	})
}
