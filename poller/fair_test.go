package poller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// A fairOne is a mailbox of a simulation.
type fairOne struct {
	name    string
	octets  int64 // of its sessions
	a       *account
	turns   int
	had     int64
	longest int // others started between two turns of its own
	since   int
}

// simulate starts n sessions of a schedule with one place, of mailboxes that are
// always due.
func simulate(t *testing.T, n int, all ...*fairOne) {
	h := newHost("h", 1, 60_000)
	sch := &schedule{p: &Poller{o: Options{MaxSessions: 1}}}
	by := make(map[*account]*fairOne)
	for _, f := range all {
		f.a = &account{host: h, index: -1, waiting: true, due: noon}
		by[f.a] = f
		h.queue.put(f.a)
	}
	for range n {
		e := h.queue.pop()
		sch.clock = max(sch.clock, e.tag)
		f := by[e]
		for _, o := range all {
			o.since++
		}
		f.longest, f.since = max(f.longest, f.since), 0
		f.turns++
		f.had += f.octets
		e.tag = max(e.tag+cost(f.octets, time.Second), sch.clock)
		h.queue.put(e)
	}
}

// TestFairnessByOctets: of those who always wait, all get as many octets and
// seconds, whatever their sessions bring.
func TestFairnessByOctets(t *testing.T) {
	huge := &fairOne{name: "huge", octets: 256 << 20}
	middle := &fairOne{name: "middle", octets: 32 << 20}
	small := make([]*fairOne, 20)
	for i := range small {
		small[i] = &fairOne{name: fmt.Sprint("small", i), octets: 64 << 10}
	}
	simulate(t, 200_000, append(small, huge, middle)...)
	share := func(f *fairOne) float64 {
		return float64(cost(f.octets, time.Second)) * float64(f.turns)
	}
	for _, f := range append(small, middle) {
		if r := share(f) / share(huge); r < 0.9 || r > 1.1 {
			t.Errorf("%s has %.2f of the share of the huge one", f.name, r)
		}
		if f != middle && f.turns < 100*huge.turns {
			t.Errorf("%s had %d turns, the huge one %d", f.name, f.turns, huge.turns)
		}
	}
	if small[0].longest > 2*len(small) {
		t.Errorf("a small one waited for %d others", small[0].longest)
	}
}

// TestIdlenessSavesNothing: who comes back after a while does not keep the others
// waiting for what it has not had.
func TestIdlenessSavesNothing(t *testing.T) {
	sch := &schedule{clock: 1 << 40}
	e := &account{tag: 5}
	e.tag = max(e.tag, sch.clock)
	expect(t, "tag", e.tag, 1<<40)
}

func TestPileKeepsOrder(t *testing.T) {
	var p pile[*account]
	var all []*account
	for i := range 100 {
		e := &account{index: -1, due: noon.Add(time.Duration(i*37%100) * time.Second)}
		all = append(all, e)
		p.put(e)
	}
	all[3].due = noon.Add(-time.Hour)
	p.put(all[3])
	expect(t, "size", p.size(), 100)
	expect(t, "first", p.pop(), all[3])
	last := noon.Add(-time.Hour)
	for !p.empty() {
		e := p.pop()
		if e.due.Before(last) || e.index != -1 {
			t.Fatalf("%s after %s, index %d", e.due, last, e.index)
		}
		last = e.due
	}
	p.put(all[0])
	p.clear()
	expect(t, "index after clear", all[0].index, -1)
}

// TestRow100SmallMailboxesMeetTheirInterval: one mailbox of a million messages and
// five hundred small ones share a host with a single place. The huge one is never
// done, and the small ones are polled as if it were not there.
func TestRow100SmallMailboxesMeetTheirInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const small, interval = 500, 15 * time.Minute
		p := newPark(t, small+1, 1)
		p.o.PerHost, p.o.LoginsPerMinute = 1, 600
		for i := range p.o.Mailboxes {
			p.o.Mailboxes[i].Interval = interval
		}
		// The huge one shows 200 of its million at a time, at 10 messages a second:
		// a session would go on for its five minutes.
		p.o.Mailboxes[0].NoPipelining = true
		raw := []byte(letter("one of a million", 500))
		for i := range 4000 {
			p.box(0).Add(pop3test.Message{UIDL: fmt.Sprint("m", i), Raw: raw})
		}
		p.srv.SetHooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			switch {
			case c.Verb == "RETR":
				return &pop3test.Action{Delay: 500 * time.Millisecond, Run: true}
			case c.Verb == "PASS":
				return &pop3test.Action{Delay: 300 * time.Millisecond, Run: true}
			}
			return nil
		}})
		var mu sync.Mutex
		polled := make(map[string][]time.Time)
		p.o.Ended = func(r Result) {
			mu.Lock()
			defer mu.Unlock()
			polled[r.Mailbox] = append(polled[r.Mailbox], time.Now())
		}
		p.polling(75*time.Minute, nil)
		var late time.Duration
		for name, times := range polled {
			if name == "user0@example.org" {
				continue
			}
			if len(times) < 4 {
				t.Errorf("%s was polled %d times in 75 minutes", name, len(times))
			}
			for i := 1; i < len(times); i++ {
				late = max(late, times[i].Sub(times[i-1])-interval)
			}
		}
		// The jitter is a tenth; the rest is waiting.
		if late > interval/10+30*time.Second {
			t.Errorf("a small mailbox was polled %s after its interval", late)
		}
		if n := len(p.srv.Deleted()); n < 2000 {
			t.Errorf("%d of the huge mailbox came", n)
		}
		expect(t, "sessions at once", p.most["pop0.example.org:110"], 1)
	})
}

// TestYieldsOnlyWhenWanted: a session is cut short for others, and for them alone.
func TestYieldsOnlyWhenWanted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 2, 2)
		for i := range 1000 {
			p.box(0).Add(pop3test.Message{UIDL: fmt.Sprint("m", i), Raw: []byte(letter("x", 100))})
		}
		p.o.Mailboxes[0].NoPipelining = true
		p.srv.SetHooks(pop3test.Hooks{OnCommand: on("RETR", 0, pop3test.Action{Delay: 100 * time.Millisecond, Run: true})})
		p.polling(20*time.Minute, nil)
		expect(t, "left", len(p.box(0).Left()), 0)
		if n := p.countBy()["user0"]; n > 3 {
			t.Errorf("%d sessions where one does", n)
		}
	})
}

// TestOneSessionPerMailboxOverWorkers: workers that share the mailboxes hold one
// session each, and each mailbox is polled once an interval by all together.
func TestOneSessionPerMailboxOverWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 60, 6)
		p.srv.SetHooks(pop3test.Hooks{OnCommand: on("STAT", 0, pop3test.Action{Delay: 3 * time.Second, Run: true})})
		ctx, cancel := context.WithCancel(t.Context())
		var workers sync.WaitGroup
		for i := range 4 {
			o := p.o
			o.Worker = fmt.Sprint("w", i)
			pl, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			workers.Go(func() {
				if err := pl.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		elapse(3 * time.Hour)
		cancel()
		workers.Wait()
		p.conns.Wait()
		most := 0
		for user, n := range p.countBy() {
			// 180 minutes at 15 each are 12, at 13.5 each 14.
			if n < 10 || n > 14 {
				t.Errorf("%s was polled %d times in three hours", user, n)
			}
			most = max(most, n)
		}
		if box := p.box(0); len(box.Left()) != 0 {
			t.Error("something is left")
		}
	})
}

// TestTakeover: another worker polls the mailboxes of one that dies, those in
// session at the end of their lease, those at rest soon after they are due.
func TestTakeover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const life = 40 * time.Second // of a lease, as nats.lease
		p := newPark(t, 12, 3)
		stall := pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "STAT" && c.User == "user3" {
				return &pop3test.Action{End: pop3test.Stall}
			}
			return nil
		}}
		p.srv.SetHooks(stall)
		leases := p.o.Leaser.(*leases)
		run := func(worker string) (stop context.CancelFunc, wait func()) {
			o := p.o
			o.Worker, o.StopGrace = worker, time.Nanosecond
			pl, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var run sync.WaitGroup
			run.Go(func() {
				if err := pl.Run(ctx); err != nil {
					t.Error(err)
				}
			})
			return cancel, run.Wait
		}
		kill, killed := run("a")
		elapse(10 * time.Second) // all are polled; the session with user3 hangs
		stop, stopped := run("b")
		defer stopped()
		defer stop()
		elapse(10 * time.Second)
		p.srv.SetHooks(pop3test.Hooks{})
		died := time.Now()
		leases.outlive("user3@example.org", life)
		kill()
		killed()
		before := p.countBy()
		expect(t, "sessions on the one that is held", before["user3"], 1)
		elapse(time.Minute)
		if n := p.countBy()["user3"]; n != 2 {
			t.Errorf("%d sessions on it a minute after the death of its worker", n)
		}
		elapse(20 * time.Minute)
		stop()
		stopped()
		p.conns.Wait()
		for host, times := range p.opened {
			last := slices.MaxFunc(times, time.Time.Compare)
			if last.Before(died) {
				t.Errorf("%s was not polled again", host)
			}
		}
		for user, n := range p.countBy() {
			if n < 2 {
				t.Errorf("%s was polled %d times", user, n)
			}
		}
	})
}
