package poller

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

const day = 24 * time.Hour

// aged makes the rig leave mail on the server for 30 days.
func (r *rig) aged() {
	r.m.Policy, r.m.DeleteAge = DeleteAged, 30*day
}

// daily holds a session a day, which must end well, and returns what the last of
// them did.
func (r *rig) daily(days int) (res Result) {
	r.t.Helper()
	for range days {
		elapse(day)
		res = r.drainOK()
	}
	return res
}

func TestRow89LeaveOnServer(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.aged()
		res := r.drainOK()
		expect(t, "sealed at first", res.Sealed, 3)
		expect(t, "young", res.Last.Fates[mail.FateYoung], 3)
		res = r.daily(10)
		r.deliver(pop3test.Message{UIDL: "late", Raw: []byte(letter("late", 200))})
		res = r.daily(19)
		expect(t, "young after 29 days", res.Last.Fates[mail.FateYoung], 4)
		expect(t, "DELE within 29 days", r.count("DELE", 0), 0)
		expect(t, "left after 29 days", len(r.box.Left()), 4)

		res = r.daily(1)
		expect(t, "deleted after 30 days", res.Deleted, 3)
		expect(t, "TOP", r.count("TOP", 0), 3)
		expect(t, "left after 30 days", r.box.Left()[0].UIDL, "late")
		res = r.daily(10)
		expect(t, "left before the late one is old", len(r.box.Left()), 1)
		r.daily(1)
		expect(t, "left in the end", len(r.box.Left()), 0)
		expect(t, "RETR", r.count("RETR", 0), 4)
	}, letters(3)...)
}

// The check before the deletion is that of any later session: a message that is
// another one under the same unique-id is sealed, and is young.
func TestRow89UidlReused(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.aged()
		r.drainOK()
		r.daily(20)
		old := r.box.Take(func(m pop3test.Message) bool { return m.UIDL == "u1" })[0]
		other := strings.Replace(string(old.Raw), "letter 1", "letter X", 1)
		r.deliver(pop3test.Message{UIDL: "u1", Raw: []byte(other)})
		r.daily(10)
		expect(t, "left", len(r.box.Left()), 1)
		expect(t, "the other is sealed", r.arc.has(r.m.Name, []byte(other)), true)
		r.daily(29)
		expect(t, "left while it is young", len(r.box.Left()), 1)
		r.daily(2)
		expect(t, "left in the end", len(r.box.Left()), 0)
	}, letters(2)...)
}

func TestRow90EpochChange(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.aged()
		r.drainOK()
		r.daily(20)
		r.box.Rename(func(uidl string) string { return "renamed-" + uidl })
		res := r.daily(1)
		expect(t, "epoch", res.Last.Epoch, 1)
		expect(t, "noted", slices.Contains(res.Last.Notes, mail.NoteEpoch), true)
		expect(t, "vanished", res.Vanished, mail.Vanished{})
		expect(t, "fetched to be recognised", res.Fetched, 3)
		expect(t, "bodies", len(r.arc.bodies), 3)
		res = r.daily(8)
		expect(t, "young after 29 days", res.Last.Fates[mail.FateYoung], 3)
		r.daily(1)
		expect(t, "left after 30 days", len(r.box.Left()), 0)
	}, letters(3)...)
}

// A message that is recognised when it is old already needs no second wait.
func TestRow90EpochChangeOfOldMail(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.Policy = KeepAll
		r.drainOK()
		r.daily(40)
		r.box.Rename(func(uidl string) string { return "renamed-" + uidl })
		r.aged()
		expect(t, "deleted", r.daily(1).Deleted, 3)
	}, letters(3)...)
}

// jump sets the clock on the wall by d. The processes are new ones: of time only
// the machine knows.
func (r *rig) jump(d time.Duration) {
	ahead := r.d.wall().Sub(time.Now().Round(0)) + d
	old := r.d
	r.d = &Drainer{Archive: old.Archive, Leaser: old.Leaser, Store: old.Store, Worker: old.Worker, Sessions: 1, Logger: old.Logger, Uptime: old.Uptime}
	r.d.clock = func() time.Time { return time.Now().Add(ahead) }
}

func TestRow87ClockJump(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.aged()
		r.drainOK()
		r.daily(29)
		r.jump(day) // 29 days have passed, the clock says 30
		elapse(time.Hour)
		res := r.drainOK()
		expect(t, "deleted a day early", res.Deleted, 0)
		expect(t, "noted", slices.Contains(res.Last.Notes, mail.NoteClock), true)
		elapse(22 * time.Hour)
		expect(t, "deleted an hour early", r.drainOK().Deleted, 0)
		elapse(3 * time.Hour)
		expect(t, "deleted in time", r.drainOK().Deleted, 3)
	}, letters(3)...)
}

// A clock that is a day behind deletes a day late at most, and once it is right
// again waits for as long as it jumped.
func TestRow87ClockJumpBack(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.aged()
		r.drainOK()
		r.daily(29)
		r.jump(-day)
		expect(t, "deleted after 30 days by a slow clock", r.daily(1).Deleted, 0)
		r.jump(day)
		expect(t, "deleted while it settles", r.drainOK().Deleted, 0)
		expect(t, "deleted", r.daily(1).Deleted, 3)
	}, letters(3)...)
}

func TestRow87Clock(t *testing.T) {
	const age = 30 * day
	c := clock{}
	c.see(noon, "a", time.Hour, age)
	expect(t, "first seen", c.Settle, noon.Add(firstSettle))
	see := func(at, up time.Duration, boot string) time.Duration {
		c.see(noon.Add(at), boot, up, age)
		return max(0, c.Settle.Sub(c.At))
	}
	for _, s := range []struct {
		what     string
		at, up   time.Duration // of the wall clock, of the other one
		boot     string
		unsettle time.Duration
	}{
		{"a week passes in one process", 7 * day, 7*day + time.Hour, "a", 0},
		{"the clock is set back", 6 * day, 7*day + 2*time.Hour, "a", 0},
		{"and forth again", 7 * day, 7*day + 3*time.Hour, "a", 23 * time.Hour},
		{"that passes", 8 * day, 8*day + 3*time.Hour, "a", 0},
		{"it is a little fast", 9*day + 30*time.Minute, 9*day + 3*time.Hour, "a", 0},
		{"restarted within the hour", 9*day + time.Hour, 0, "b", 0},
		{"restarted after two days", 11*day + time.Hour, 0, "c", 2 * day},
		{"set by thirty years", 10_000 * day, time.Minute, "c", age},
		{"and back: the wait is bounded", 12 * day, 2 * time.Minute, "c", age},
	} {
		expect(t, s.what, see(s.at, s.up, s.boot), s.unsettle)
	}
}

// Times that cannot be are no reason to delete.
func TestRow87OddSealTimes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.aged()
		s := r.d.newSession(r.m.withDefaults(), &state{}, nil, nil)
		at := func(sealed, fetched time.Duration) mail.Receipt {
			var rc mail.Receipt
			rc.SealedAt, rc.Fetched = s.now.Add(sealed), s.now.Add(fetched)
			return rc
		}
		for what, c := range map[string]struct {
			receipt mail.Receipt
			old     bool
		}{
			"none":                 {mail.Receipt{}, false},
			"old by both clocks":   {at(-31*day, -31*day), true},
			"young by the sink":    {at(-29*day, -31*day), false},
			"young by the poller":  {at(-31*day, -29*day), false},
			"in the future":        {at(100*day, 100*day), false},
			"sealed in the future": {at(100*day, -31*day), false},
		} {
			expect(t, what, s.old(c.receipt), c.old)
		}
	})
}

// Whatever the policy was and becomes, nothing is deleted that is not sealed.
func TestPolicyChanges(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.deliver(pop3test.Message{UIDL: "twin", Raw: []byte(letter("a", 90))}, pop3test.Message{UIDL: "twin", Raw: []byte(letter("b", 90))})
		r.arc.seal = func(d mail.Delivery) sealing {
			if d.UIDL == "u2" {
				return sealing{err: mail.Errorf(mail.Invalid, "will not take it")}
			}
			return sealing{}
		}
		daily := func(days int) {
			for range days {
				elapse(day)
				r.drain() // not all of them end well
			}
		}
		r.m.Policy = KeepAll
		daily(40)
		expect(t, "left by never", len(r.box.Left()), 5)
		r.aged()
		daily(1)
		expect(t, "left by after-age", len(r.box.Left()), 3) // u2, and what UIDL does not name
		r.m.Policy = DeleteSealed
		daily(1)
		expect(t, "left by after-seal", len(r.box.Left()), 1)
		expect(t, "left", r.box.Left()[0].UIDL, "u2")
		r.arc.seal = nil
		daily(7)
		expect(t, "left in the end", len(r.box.Left()), 0)
	}, letters(3)...)
}

// What UIDL does not name is looked at once a week while it is kept, and at once
// when it is to be deleted.
func TestPolicyChangeDoesNotWaitAWeek(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.deliver(pop3test.Message{UIDL: "twin", Raw: []byte(letter("a", 90))}, pop3test.Message{UIDL: "twin", Raw: []byte(letter("b", 90))})
		r.m.Policy = KeepAll
		r.drainOK()
		r.daily(3)
		expect(t, "RETR while they are kept", r.count("RETR", 0), 2)
		r.m.Policy = DeleteSealed
		expect(t, "deleted", r.daily(1).Deleted, 2)
	})
}

func TestLeavingNeedsUidl(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.aged()
		r.hooks(pop3test.Hooks{NoUIDL: true})
		res := r.drain()
		expect(t, "outcome", res.Outcome, OutcomePerm)
		if hint := mail.HintOf(res.Err); !strings.Contains(hint, "after-seal") {
			t.Errorf("hint %q", hint)
		}
		expect(t, "RETR", r.count("RETR", 0), 0)
	}, letters(3)...)
}

// A server that deletes by itself, sooner than the policy.
func TestLeavingWhereServerExpires(t *testing.T) {
	caps := func(expire string) []string { return []string{"TOP", "UIDL", "USER", "PIPELINING", expire} }
	for expire, c := range map[string]struct {
		policy  Policy
		outcome Outcome
		noted   bool
	}{
		"EXPIRE 7":     {DeleteAged, OutcomeOK, true},
		"EXPIRE 30":    {DeleteAged, OutcomeOK, false},
		"EXPIRE NEVER": {DeleteAged, OutcomeOK, false},
		"EXPIRE 0":     {DeleteAged, OutcomePerm, false},
		"EXPIRE 60":    {KeepAll, OutcomeOK, true},
		"EXPIRE 5":     {DeleteSealed, OutcomeOK, false},
	} {
		t.Run(expire, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.aged()
				r.m.Policy = c.policy
				r.srv.Caps = caps(expire)
				res := r.drain()
				expect(t, "outcome", res.Outcome, c.outcome)
				expect(t, "noted", slices.Contains(res.Last.Notes, mail.NoteExpire), c.noted)
				expect(t, "warned", strings.Contains(r.logs.String(), "sooner than the policy"), c.noted)
				if c.outcome == OutcomePerm && mail.HintOf(res.Err) == "" {
					t.Error("no hint")
				}
			}, letters(2)...)
		})
	}
}
