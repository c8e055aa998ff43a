package poller

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

func TestNotice(t *testing.T) {
	var n notice
	now := noon
	expect(t, "1st", n.refuse("a", now), false)
	expect(t, "again", n.refuse("a", now), false)
	expect(t, "2nd", n.refuse("b", now), false)
	now = now.Add(refusedSpan)
	expect(t, "one alone after the span", n.refuse("c", now), false)
	expect(t, "counted", len(n.Refused), 1)
	n.refuse("d", now)
	expect(t, "3rd", n.refuse("e", now), true)
	last := n.Pause
	expect(t, "while it pauses", n.refuse("f", now.Add(time.Minute)), false)
	for range 6 {
		now = now.Add(n.Pause + time.Second)
		expect(t, "a single one after the pause", n.refuse("f", now), true)
		if n.Pause < last && n.Pause < refusedPauseMost*8/10 || n.Pause > refusedPauseMost*12/10 {
			t.Errorf("pause %s after %s", n.Pause, last)
		}
		last = n.Pause
	}
	for i := range 100 {
		n.refuse(strings.Repeat("m", i+1), now)
	}
	if data, err := json.Marshal(n); err != nil || len(data) > 4096 {
		t.Errorf("%d octets, %v", len(data), err)
	}
	if left := remaining(n.Since, n.Pause, now.Add(-24*time.Hour)); left != 0 {
		t.Errorf("by a clock that is a day behind, the pause is %s", left)
	}
}

// TestRow24OverWorkers: the host's breaker is one for all processes, and probes
// with one mailbox at a time after it.
func TestRow24OverWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 40, 1)
		refuse := pop3test.Hooks{OnCommand: on("PASS", 0, pop3test.Action{Raw: "-ERR [AUTH] no\r\n"})}
		p.srv.SetHooks(refuse)
		var mu sync.Mutex
		attempts := func() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.opened["pop0.example.org:110"]) }
		const workers = 3
		var all sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		var pollers []*Poller
		for i := range workers {
			o := p.o
			o.Worker = string(rune('a' + i))
			pl, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			pollers = append(pollers, pl)
			all.Go(func() {
				if err := pl.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		elapse(20 * time.Minute)
		if n := attempts(); n < refusedLimit || n > refusedLimit+workers*DefaultPerHost {
			t.Errorf("%d logins in 20 minutes", n)
		}
		paused := pollers[0].Hosts()[0].Paused
		if s := pollers[0].Status()[0]; s.HostPaused.IsZero() || !s.HostPaused.Equal(paused) {
			t.Errorf("paused until %s, the mailbox says %s", paused, s.HostPaused)
		}
		before := attempts()
		elapse(48 * time.Hour)
		if n := attempts() - before; n > workers*16 {
			t.Errorf("%d logins in two days of refusals", n)
		}
		for user, n := range p.countBy() {
			if n > 3 {
				t.Errorf("%s was tried %d times", user, n)
			}
		}
		mu.Lock()
		p.srv.SetHooks(pop3test.Hooks{})
		mu.Unlock()
		elapse(6 * time.Hour)
		fine := 0
		for _, s := range pollers[0].Status() {
			if s.Failures == 0 && !s.LastSuccess.IsZero() {
				fine++
			}
		}
		if fine < 20 {
			t.Errorf("%d mailboxes are polled again", fine)
		}
		cancel()
		all.Wait()
		p.conns.Wait()
	})
}

// TestHostThatPausesTurnsAway: who asks for a mailbox of a host that pauses is
// told so at once.
func TestHostThatPausesTurnsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 40, 1)
		p.srv.SetHooks(pop3test.Hooks{OnCommand: on("PASS", 0, pop3test.Action{Raw: "-ERR [AUTH] no\r\n"})})
		start := time.Now()
		for range 2 { // the second process finds the pause in the Store
			pl, err := New(p.o)
			if err != nil {
				t.Fatal(err)
			}
			all, err := pl.Once(t.Context())
			if err != nil || len(all) != 40 {
				t.Fatalf("%d results, %v", len(all), err)
			}
			for _, r := range all {
				if r.Err == nil || r.Mailbox == "" {
					t.Errorf("%+v", r)
				}
			}
		}
		if took := time.Since(start); took > 2*time.Minute {
			t.Errorf("took %s", took)
		}
		if n := len(p.opened["pop0.example.org:110"]); n > refusedLimit+DefaultPerHost {
			t.Errorf("%d logins", n)
		}
		p.conns.Wait()
	})
}

// FuzzNotice: whatever the Store holds, a board is made of it that works.
func FuzzNotice(f *testing.F) {
	f.Add([]byte(`{"refused":{"a":"2026-03-01T12:00:00Z"},"since":"2026-03-01T12:00:00Z","pause":1800000000000,"trips":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := parseNotice(data)
		if left := remaining(n.Since, n.Pause, noon); left < 0 || left > 2*refusedPauseMost {
			t.Fatalf("pause %s", left)
		}
		n.refuse("m", noon)
		if _, err := json.Marshal(n); err != nil && !strings.Contains(err.Error(), "year outside") {
			t.Fatal(err)
		}
	})
}
