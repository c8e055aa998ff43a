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

func TestRemaining(t *testing.T) {
	for _, c := range []struct {
		name        string
		since, wait time.Duration // since relative to now
		want        time.Duration
	}{
		{"half over", -time.Hour, 2 * time.Hour, time.Hour},
		{"over", -3 * time.Hour, 2 * time.Hour, 0},
		{"by a worker whose clock is ahead", 30 * time.Second, time.Hour, time.Hour},
		{"by a clock that was a day ahead", 24 * time.Hour, time.Hour, 0},
	} {
		if got := remaining(noon.Add(c.since), c.wait, noon); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	expect(t, "never", remaining(time.Time{}, time.Hour, noon), 0)
}

func TestDailyLimit(t *testing.T) {
	var v visit
	const limit = 1000
	now := noon.Add(50 * time.Minute)
	v.spend(600, now)
	expect(t, "left", v.budget(limit, 1<<30, now), 400)
	expect(t, "no limit", v.budget(0, 77, now), 77)
	expect(t, "free", v.untilFree(limit, now), 0)
	later := now.Add(10 * time.Hour)
	v.spend(300, later)
	v.spend(200, later.Add(5*time.Minute))
	expect(t, "used", v.used(later), 1100)
	expect(t, "nothing left", v.budget(limit, 1<<30, later), 0)
	// The hour from noon is older than a day when the next one from noon has ended.
	expect(t, "free in", v.untilFree(limit, later), noon.Add(25*time.Hour).Sub(later))
	expect(t, "free then", v.untilFree(limit, noon.Add(25*time.Hour)), 0)
	expect(t, "used then", v.used(noon.Add(25*time.Hour)), 500)
	expect(t, "used after a day of rest", v.used(noon.Add(48*time.Hour)), 0)
}

// TestDailyLimitAnyDay: no 24 hours on end hold more than the limit and one
// message, whenever a mailbox is polled.
func TestDailyLimitAnyDay(t *testing.T) {
	var v visit
	const limit, message = 1000, 30
	type fetch struct {
		at     time.Time
		octets int64
	}
	var all []fetch
	for now := noon; now.Before(noon.Add(200 * time.Hour)); now = now.Add(between(time.Minute, 40*time.Minute)) {
		if v.untilFree(limit, now) > 0 {
			continue
		}
		n := min(v.budget(limit, 300, now)+message, 300)
		v.spend(n, now)
		all = append(all, fetch{now, n})
	}
	most := int64(0)
	for i := range all {
		sum := int64(0)
		for _, f := range all[i:] {
			if f.at.Sub(all[i].at) < 24*time.Hour {
				sum += f.octets
			}
		}
		most = max(most, sum)
	}
	if most > limit+message || most < limit*9/10 {
		t.Errorf("%d octets within a day, the limit is %d", most, limit)
	}
}

func TestClockOfTheDailyLimit(t *testing.T) {
	var v visit
	v.spend(1000, noon.Add(24*time.Hour)) // by a clock that was a day ahead
	if free := v.untilFree(1000, noon); free > 25*time.Hour {
		t.Errorf("free in %s", free)
	}
	expect(t, "used", v.used(noon), 1000)
}

// every polls at fixed times of the wall clock.
type every time.Duration

func (e every) Next(t time.Time) time.Time {
	return t.Truncate(time.Duration(e)).Add(time.Duration(e))
}

// TestJitterIsHonoured: none is none, and half of the interval is spread over its
// whole range.
func TestJitterIsHonoured(t *testing.T) {
	for _, share := range []float64{0, 0.1, 0.5} {
		interval := Mailbox{Interval: time.Hour, Jitter: share}
		calendar := Mailbox{Timetable: every(time.Hour), Jitter: share}
		low, high := time.Hour, time.Duration(0)
		for range 2000 {
			d := interval.nextRest(noon)
			low, high = min(low, d), max(high, d)
			if d > interval.longestRest(noon) {
				t.Fatalf("%s is longer than the longest", d)
			}
			c := calendar.nextRest(noon.Add(10 * time.Minute))
			if early, late := 50*time.Minute, 50*time.Minute+time.Duration(float64(time.Hour)*share); c < early || c > late {
				t.Fatalf("jitter %v: by the timetable in %s", share, c)
			}
		}
		spread := time.Duration(float64(time.Hour) * share)
		if low < time.Hour-spread || high > time.Hour+spread || high-low < spread*19/10 {
			t.Errorf("jitter %v: from %s to %s", share, low, high)
		}
	}
	expect(t, "more than half", Mailbox{Jitter: 3}.withDefaults().Jitter, MaxJitter)
}

// TestTimetable polls by the clock on the wall, with jitter behind the time.
func TestTimetable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 20, 2)
		for i := range p.o.Mailboxes {
			p.o.Mailboxes[i].Timetable, p.o.Mailboxes[i].Jitter = every(time.Hour), 0.2
		}
		p.polling(10*time.Hour+30*time.Minute, nil)
		for user, n := range p.countBy() {
			if n != 11 { // the first at the start
				t.Errorf("%s was polled %d times in ten hours", user, n)
			}
		}
		for host, times := range p.opened {
			for _, at := range times[10:] {
				if late := at.Sub(at.Truncate(time.Hour)); late > 12*time.Minute+30*time.Second {
					t.Errorf("%s: polled %s after the hour", host, late)
				}
			}
		}
	})
}

// TestTimetableAtAnEnd: one that never comes again polls by the interval.
func TestTimetableAtAnEnd(t *testing.T) {
	m := Mailbox{Timetable: never{}, Interval: time.Hour}
	expect(t, "rest", m.nextRest(noon), time.Hour)
	expect(t, "longest", m.longestRest(noon), time.Hour)
}

type never struct{}

func (never) Next(time.Time) time.Time { return time.Time{} }

// TestRow17LoginDelayOverRestarts: what the server wants between logins holds for
// the next process too, and who asks for a drain waits for it.
func TestRow17LoginDelayOverRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 1, 1)
		p.srv.Caps = []string{"TOP", "UIDL", "USER", "LOGIN-DELAY 300"}
		start := time.Now()
		for i := range 5 {
			p.box(0).Add(pop3test.Message{UIDL: fmt.Sprint("m", i), Raw: []byte(letter("x", 100))})
			r := p.once()
			if r.Err != nil || r.Deleted != 1 {
				t.Errorf("%d: %+v", i, r)
			}
			elapse(10 * time.Second)
		}
		times := p.opened["pop0.example.org:110"]
		expect(t, "logins", len(times), 5)
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap < 5*time.Minute || gap > 5*time.Minute+time.Second {
				t.Errorf("login after %s", gap)
			}
		}
		if took := time.Since(start); took > 21*time.Minute {
			t.Errorf("took %s", took)
		}
	})
}

// TestRow17RefusedForItsDelay: a server that answers [LOGIN-DELAY] is left alone
// for at least what it announced before the login.
func TestRow17RefusedForItsDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 1, 1)
		p.srv.Caps = []string{"TOP", "UIDL", "USER", "RESP-CODES", "LOGIN-DELAY 1200"}
		p.srv.SetHooks(pop3test.Hooks{OnCommand: on("PASS", 0, pop3test.Action{Raw: "-ERR [LOGIN-DELAY] too soon\r\n"})})
		pl := p.polling(6*time.Hour, nil)
		times := p.opened["pop0.example.org:110"]
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap < 20*time.Minute {
				t.Errorf("login after %s", gap)
			}
		}
		s := pl.Status()[0]
		expect(t, "outcome", s.Outcome, OutcomeRate)
		expect(t, "strikes", s.Refusals, 0)
		if len(times) < 5 {
			t.Errorf("%d logins in 6 hours", len(times))
		}
	})
}

// TestDailyLimitOverRestarts: the limit is kept by the state, shown in the status,
// and the mailbox goes on when it is free again.
func TestDailyLimitOverRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 1, 1)
		m := &p.o.Mailboxes[0]
		m.DailyLimit, m.Interval = 50_000, 10*time.Minute
		for i := range 100 {
			p.box(0).Add(pop3test.Message{UIDL: fmt.Sprint("m", i), Raw: []byte(letter("x", 1000))})
		}
		pl := p.polling(2*time.Hour, nil)
		s := pl.Status()[0]
		if n := len(p.box(0).Left()); n < 45 || n > 53 {
			t.Errorf("%d of 100 are left", n)
		}
		expect(t, "waits", s.Waits, WaitDailyLimit)
		expect(t, "failures", s.Failures, 0)
		expect(t, "limit", s.DailyLimit, 50_000)
		if s.DailyUsed < 49_000 || s.DailyUsed > 52_000 {
			t.Errorf("used %d", s.DailyUsed)
		}
		if wait := time.Until(s.NextDue); wait < 20*time.Hour || wait > 25*time.Hour {
			t.Errorf("next due in %s", wait)
		}

		logins := len(p.opened["pop0.example.org:110"])
		r := p.once()
		expect(t, "outcome of one who asks", r.Outcome, OutcomeRate)
		if r.Err == nil || mail.HintOf(r.Err) == "" {
			t.Errorf("error %v", r.Err)
		}
		p.polling(20*time.Hour, nil)
		expect(t, "logins of other processes", len(p.opened["pop0.example.org:110"]), logins)
		p.polling(6*time.Hour, nil)
		if n := len(p.box(0).Left()); n > 5 {
			t.Errorf("%d are left on the next day", n)
		}
	})
}

// TestOneMessageOverTheDailyLimit goes through all the same.
func TestOneMessageOverTheDailyLimit(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.DailyLimit = 500
		r.drainOK()
		expect(t, "left", len(r.box.Left()), 1)
		expect(t, "outcome", r.drain().Outcome, OutcomeRate)
		elapse(26 * time.Hour)
		r.drainOK()
		expect(t, "left", len(r.box.Left()), 0)
	}, letter("a", 2000), letter("b", 2000))
}

// TestRow87ScheduleAfterAClockJump: the clock on the wall jumps a day forward or back. No
// mailbox is polled more often than its interval has it, and none stands still.
func TestRow87ScheduleAfterAClockJump(t *testing.T) {
	for name, jump := range map[string]time.Duration{"forward": 24 * time.Hour, "back": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPark(t, 20, 2)
				for i := range 10 {
					p.o.Mailboxes[i].Timetable = every(20 * time.Minute)
				}
				p.srv.Caps = []string{"TOP", "UIDL", "USER", "LOGIN-DELAY 600"}
				p.o.Mailboxes[0].DailyLimit = 1 << 20
				p.box(0).Add(pop3test.Messages(letters(20)...)...)
				pl, err := New(p.o)
				if err != nil {
					t.Fatal(err)
				}
				var offset time.Duration
				pl.drainer.clock = func() time.Time {
					p.mu.Lock()
					defer p.mu.Unlock()
					return time.Now().Add(offset)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					if err := pl.Run(ctx); err != nil {
						t.Error(err)
					}
				}()
				count := func(span time.Duration) map[string]int {
					before := p.countBy()
					elapse(span)
					after := p.countBy()
					for user, n := range before {
						after[user] -= n
					}
					return after
				}
				elapse(95 * time.Minute)
				p.mu.Lock()
				offset = jump
				p.mu.Unlock()
				for user, n := range count(40 * time.Minute) {
					if n < 1 || n > 4 {
						t.Errorf("%s was polled %d times in the 40 minutes after the jump", user, n)
					}
				}
				for user, n := range count(2 * time.Hour) {
					if n < 5 || n > 9 {
						t.Errorf("%s was polled %d times in two hours later", user, n)
					}
				}
				cancel()
				<-ended
				p.conns.Wait()
			})
		})
	}
}

// TestChangedScheduleCounts: a state that says "in a day" does not hold against a
// configuration that says "every five minutes".
func TestChangedScheduleCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 1, 1)
		p.o.Mailboxes[0].Interval = 24 * time.Hour
		p.polling(time.Hour, nil)
		p.o.Mailboxes[0].Interval = 5 * time.Minute
		p.polling(time.Hour, nil)
		if n := p.srv.Sessions(); n < 9 {
			t.Errorf("%d sessions", n)
		}
	})
}

// TestRestartPollsFailedMailboxes: a failure that was mended by a restart does not
// wait out its back-off, a mailbox that was polled just now does rest.
func TestRestartPollsFailedMailboxes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 2, 2)
		p.srv.SetHooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "PASS" && c.User == "user0" {
				return &pop3test.Action{Raw: "-ERR [SYS/PERM] disabled\r\n"}
			}
			return nil
		}})
		p.polling(time.Minute, nil)
		p.srv.SetHooks(pop3test.Hooks{})
		before := p.countBy()
		p.polling(time.Minute, nil)
		after := p.countBy()
		expect(t, "logins of the one that failed", after["user0"]-before["user0"], 1)
		expect(t, "logins of the other", after["user1"]-before["user1"], 0)
	})
}
