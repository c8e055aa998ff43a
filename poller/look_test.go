package poller

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// While the schedule runs, looks keep to the limits of the host, and the schedule
// goes on as if they were not.
func TestLookKeepsToTheLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 4, 1)
		p.o.PerHost, p.o.LoginsPerMinute = 1, 6
		p.srv.SetHooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "STAT" {
				return &pop3test.Action{Delay: 30 * time.Second, Run: true}
			}
			return nil
		}})
		pl := p.polling(30*time.Minute, func(pl *Poller) {
			elapse(time.Minute)
			for i := range 4 {
				began := time.Now()
				seen, err := pl.Probe(t.Context(), fmt.Sprintf("user%d@example.org", i), false)
				if err != nil || seen.Err != nil || !seen.LoggedIn || time.Since(began) > 10*time.Minute {
					t.Errorf("look %d after %s: %v, %+v", i, time.Since(began), err, seen)
				}
			}
		})
		addr := "pop0.example.org:110"
		expect(t, "most sessions at once", p.most[addr], 1)
		for i := 1; i < len(p.opened[addr]); i++ {
			if gap := p.opened[addr][i].Sub(p.opened[addr][i-1]); gap < 10*time.Second {
				t.Errorf("%s between two logins, 10 s are demanded", gap)
			}
		}
		for _, s := range pl.Status() {
			if s.LastSuccess.IsZero() || s.Running || s.NextDue.IsZero() {
				t.Errorf("the schedule was disturbed: %+v", s)
			}
		}
		for _, h := range pl.Hosts() {
			expect(t, "running", h.Running, 0)
			expect(t, "waiting", h.Waiting, 0)
		}
	})
}

// A mailbox in session is in use.
func TestLookAtAMailboxInSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 1, 1)
		p.srv.SetHooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "STAT" {
				return &pop3test.Action{Delay: 2 * time.Minute, Run: true}
			}
			return nil
		}})
		p.polling(10*time.Minute, func(pl *Poller) {
			elapse(time.Minute)
			seen, err := pl.Probe(t.Context(), "user0@example.org", false)
			if err != nil || seen.Outcome != OutcomeBusy || mail.KindOf(seen.Err) != mail.InUse || seen.Connected {
				t.Errorf("%v: %+v", err, seen)
			}
		})
	})
}

// A wrong password in a look counts like one in a session. The breaker refuses
// further looks but a forced one, which counts too.
func TestLookCountsForTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 1, 1)
		p.box(0).Password = "another"
		pl, err := New(p.o)
		if err != nil {
			t.Fatal(err)
		}
		look := func(force bool) Probe {
			seen, err := pl.Probe(t.Context(), "user0@example.org", force)
			if err != nil || seen.Outcome != OutcomeCredentials {
				t.Errorf("%v: %+v", err, seen)
			}
			return seen
		}
		for range 2 {
			if !look(false).Connected {
				t.Error("the password was not tried")
			}
		}
		if look(false).Connected {
			t.Error("a third attempt came at once")
		}
		elapse(2 * time.Hour)
		if !look(false).Connected {
			t.Error("the third attempt was spared")
		}
		elapse(48 * time.Hour)
		if look(false).Connected || !look(true).Connected || look(false).Connected {
			t.Error("force does not decide")
		}
		expect(t, "attempts", len(p.opened["pop0.example.org:110"]), 4)
		if _, err := pl.Probe(t.Context(), "nobody", true); mail.KindOf(err) != mail.NotFound {
			t.Errorf("unknown: %v", err)
		}
		p.conns.Wait()
	})
}

// A host that pauses is not asked, unless by force; and who gives up waiting, or
// sees the poller stop, is not kept.
func TestLookAtAPausedHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 3, 1)
		addr := "pop0.example.org:110"
		p.down[addr] = true
		p.o.LoginsPerMinute = 60
		pl := p.polling(time.Minute, func(pl *Poller) {
			elapse(10 * time.Second)
			opened := func() int {
				p.mu.Lock()
				defer p.mu.Unlock()
				return len(p.opened[addr])
			}
			before := opened()
			_, err := pl.Probe(t.Context(), "user0@example.org", false)
			if mail.KindOf(err) != mail.Temporary || mail.HintOf(err) == "" || opened() != before {
				t.Errorf("%v, %d connections", err, opened()-before)
			}
			seen, err := pl.Probe(t.Context(), "user0@example.org", true)
			if err != nil || seen.Outcome != OutcomeTemp || opened() != before+1 {
				t.Errorf("by force: %v, %+v", err, seen)
			}
		})
		if _, err := pl.Probe(t.Context(), "user0@example.org", false); err != nil {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestLookIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 2, 1)
		p.o.PerHost, p.o.StopGrace = 1, time.Second
		p.srv.SetHooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "STAT" {
				return &pop3test.Action{Delay: 4 * time.Minute, Run: true}
			}
			return nil
		}})
		stopped := make(chan error, 1)
		p.polling(time.Minute, func(pl *Poller) {
			elapse(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := pl.Probe(ctx, "user1@example.org", false); err == nil {
				t.Error("a look waits longer than who asked")
			}
			go func() {
				_, err := pl.Probe(t.Context(), "user1@example.org", false)
				stopped <- err
			}()
		})
		if err := <-stopped; mail.KindOf(err) != mail.Temporary {
			t.Errorf("the poller stopped: %v", err)
		}
	})
}
