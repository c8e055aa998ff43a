package poller

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// TestTenThousandMailboxes: one process polls ten thousand mailboxes every five
// minutes. Each has its poll in time, and what a poll without mail leaves is a
// state of half a kilobyte and no line in the log.
func TestTenThousandMailboxes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const interval = 5 * time.Minute
		n, hosts := 10_000, 500
		if underRace {
			n, hosts = n/10, hosts/10
		}
		p := newPark(t, n, hosts)
		for i := range p.o.Mailboxes {
			p.o.Mailboxes[i].Interval = interval
		}
		var lines logs
		p.o.Logger = slog.New(slog.NewTextHandler(&lines, nil))
		var mu sync.Mutex
		last := make(map[string]time.Time, n)
		var polls int
		var late time.Duration
		p.o.Ended = func(r Result) {
			mu.Lock()
			defer mu.Unlock()
			now := time.Now()
			if at, ok := last[r.Mailbox]; ok {
				late = max(late, now.Sub(at)-interval)
			}
			last[r.Mailbox] = now
			polls++
		}
		p.srv.SetHooks(pop3test.Hooks{OnCommand: on("STAT", 0, pop3test.Action{Delay: 200 * time.Millisecond, Run: true})})
		p.polling(6*time.Minute, nil)
		if len(last) != n || polls < n*11/10 {
			t.Errorf("%d polls of %d mailboxes in six minutes", polls, len(last))
		}
		// The jitter is a tenth of the interval; the rest is waiting for a place.
		if late > interval/10+5*time.Second {
			t.Errorf("a mailbox was polled %s after its interval", late)
		}
		octets := 0
		for name, data := range p.o.Store.(*store).data {
			if !strings.HasPrefix(name, boardPrefix) {
				octets += len(data)
			}
		}
		if octets > n*600 {
			t.Errorf("a state has %d octets", octets/n)
		}
		if events := len(p.arc.events); events > n+DefaultMaxSessions { // those that were stopped have one more
			t.Errorf("%d events of %d mailboxes within an hour", events, n)
		}
		if s := lines.String(); s != "" {
			t.Errorf("the log has %d octets: %.300s", len(s), s)
		}
		for host, most := range p.most {
			if most > DefaultPerHost {
				t.Errorf("%s: %d sessions at once", host, most)
			}
		}
	})
}

// BenchmarkSchedule measures what the schedule itself costs a poll, with ten
// thousand mailboxes on as many hosts.
func BenchmarkSchedule(b *testing.B) {
	const n = 10_000
	sch := &schedule{p: &Poller{o: Options{MaxSessions: 32}, drainer: &Drainer{}}, crowded: make(map[*host]struct{}), running: make(map[*account]struct{})}
	now := time.Now()
	for i := range n {
		h := newHost(fmt.Sprint(i), 4, 60)
		a := &account{mailbox: Mailbox{Name: fmt.Sprint(i)}, host: h, index: -1, pace: new(pace)}
		sch.p.accounts, sch.p.hosts = append(sch.p.accounts, a), append(sch.p.hosts, h)
		sch.plan(a, now.Add(time.Duration(i)*30*time.Millisecond), WaitSchedule)
	}
	b.ReportAllocs()
	for b.Loop() {
		now = sch.due.top().due
		sch.wake(now)
		h := sch.ready.pop()
		h.where = nowhere
		e, _ := h.next(now)
		e.waiting, e.running, e.started = false, true, now
		sch.running[e] = struct{}{}
		delete(sch.running, e)
		e.running = false
		h.ended(ended{mailbox: e, result: Result{Sessions: 1, dialed: true}}, now)
		sch.plan(e, now.Add(5*time.Minute), WaitSchedule)
		sch.offer(h)
		_ = sch.again(now)
	}
}
