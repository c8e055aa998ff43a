package poller

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// A trial is a breaker without a server: what it admits and how that ends.
type trial struct {
	t *testing.T
	d *Drainer
	s *store
}

func newTrial(t *testing.T) *trial {
	s := new(store)
	return &trial{t, quickly(s), s}
}

// fewRounds spares the tests what a guess at a secret costs.
const fewRounds = 10

func quickly(s *store) *Drainer {
	return &Drainer{Store: s, stretcher: stretcher{rounds: fewRounds}}
}

var (
	errRefused = &pop3.Error{Op: "PASS", Class: pop3.Credentials, Code: "AUTH"}
	errVague   = &pop3.Error{Op: "PASS", Class: pop3.Temp, Err: io.EOF}
)

// try makes one attempt that ends with err, nil being a login, and reports
// whether it was admitted.
func (tr *trial) try(secret string, err error) bool {
	tr.t.Helper()
	k := tr.d.load(tr.t.Context(), "ann")
	a, no := tr.d.admit(tr.t.Context(), secret, k)
	if no != nil {
		k.save(tr.t.Context())
		if mail.KindOf(no) != mail.Denied || mail.HintOf(no) == "" || OutcomeOf(no) != OutcomeCredentials {
			tr.t.Errorf("refused with %v", no)
		}
		return false
	}
	if err == nil {
		a.proven(tr.t.Context())
	} else {
		a.settle(err)
	}
	k.save(tr.t.Context())
	tr.d.recall.keep(k)
	return true
}

// restart is another process on the same Store.
func (tr *trial) restart() { tr.d = quickly(tr.s) }

func TestBreakerThreeAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t)
		expect(t, "1st", tr.try("a", errRefused), true)
		tr.restart()
		expect(t, "2nd", tr.try("a", errRefused), true)
		expect(t, "within the hour", tr.try("a", errRefused), false)
		elapse(59 * time.Minute)
		tr.restart()
		expect(t, "still within", tr.try("a", errRefused), false)
		elapse(time.Minute + time.Second)
		expect(t, "3rd", tr.try("a", errRefused), true)
		elapse(1000 * time.Hour)
		tr.restart()
		expect(t, "open", tr.try("a", nil), false)
		expect(t, "another secret", tr.try("b", errRefused), true)
		expect(t, "the first again", tr.try("a", nil), false)
		expect(t, "the other is right", tr.try("b", nil), true)
		expect(t, "the first is still known", tr.try("a", nil), false)
	})
}

func TestBreakerVagueEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t)
		for range 10 {
			expect(t, "vague ends alone", tr.try("a", errVague), true)
		}
		expect(t, "a refusal", tr.try("a", errRefused), true)
		expect(t, "open for an hour", tr.try("a", errRefused), false)
		elapse(breakerPause + time.Second)
		expect(t, "last", tr.try("a", errRefused), true)
		elapse(1000 * time.Hour)
		expect(t, "open", tr.try("a", errRefused), false)
		if tr.try("b", nil); !tr.try("b", errVague) || len(tr.state().Refused) != 1 {
			t.Error("a connection that ends counts against a secret that was accepted")
		}
	})
}

func (tr *trial) state() *access {
	st, ok := parseState(tr.s.data["ann"])
	if !ok {
		tr.t.Fatal("the state is unreadable")
	}
	return &st.Access
}

// TestBreakerCountsWhatACrashCutOff: the attempt is stored before it is made,
// unless the last answer was good.
func TestBreakerCountsWhatACrashCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t)
		for i := range 3 {
			_, err := tr.d.admit(t.Context(), "a", tr.d.load(t.Context(), "ann"))
			if err != nil {
				t.Fatalf("attempt %d: %v", i+1, err)
			}
			tr.restart() // before anything is known of the attempt
			if i == 1 {
				expect(t, "after two crashes", tr.try("a", nil), false)
				elapse(breakerPause + time.Second)
			}
		}
		expect(t, "after three crashes", tr.try("a", nil), false)

		tr = newTrial(t)
		tr.try("a", nil)
		saved := string(tr.s.data["ann"])
		for range 5 {
			if _, err := tr.d.admit(t.Context(), "a", tr.d.load(t.Context(), "ann")); err != nil {
				t.Fatal(err)
			}
			tr.restart()
		}
		expect(t, "stored of a proven secret", string(tr.s.data["ann"]), saved)
	})
}

// TestBreakerStoreIsNoOracle: of a secret in use nothing is stored, of a refused
// one a salted digest that is dear to compute.
func TestBreakerStoreIsNoOracle(t *testing.T) {
	t.Parallel()
	tr, other := newTrial(t), newTrial(t)
	tr.try("correct", nil)
	if a := tr.state(); len(a.Refused) != 0 || len(a.Salt) != 0 {
		t.Errorf("stored of an accepted secret: %+v", a)
	}
	tr.try("wrong", errRefused)
	other.try("wrong", errRefused)
	a, b := tr.state(), other.state()
	if len(a.Refused) != 1 || string(a.Refused[0].Digest) == string(b.Refused[0].Digest) {
		t.Errorf("%+v and %+v", a, b)
	}
	if strings.Contains(string(tr.s.data["ann"]), "wrong") {
		t.Error("the secret itself is stored")
	}
	tr.d = &Drainer{Store: tr.s}
	start := time.Now()
	tr.d.stretcher.digest("ann", "guess", a.Salt)
	if took := time.Since(start); took < 5*time.Millisecond {
		t.Errorf("a guess costs %s", took)
	}
	start = time.Now()
	for range 20 {
		tr.d.stretcher.digest("ann", "guess", a.Salt)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("knowing it again twenty times costs %s", took)
	}
}

// TestBreakerOutlivesTheStore: a process that runs on remembers the strikes of a
// Store that was wiped or cannot be reached.
func TestBreakerOutlivesTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, harm := range map[string]func(*store){
			"wiped":      func(s *store) { s.data, s.rev = nil, nil },
			"down":       func(s *store) { s.fail = mail.Errorf(mail.Temporary, "no answer") },
			"unreadable": func(s *store) { s.data["ann"] = []byte("{") },
		} {
			tr := newTrial(t)
			tr.try("a", errRefused)
			tr.try("a", errRefused)
			harm(tr.s)
			if tr.try("a", nil) {
				t.Errorf("%s: tried again", name)
			}
		}
	})
}

// TestBreakerNeedsTheStore: without a place to count, a secret that was never
// accepted is not tried.
func TestBreakerNeedsTheStore(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	k := tr.d.load(t.Context(), "ann")
	tr.s.fail = mail.Errorf(mail.NoSpace, "full")
	_, err := tr.d.admit(t.Context(), "a", k)
	expect(t, "outcome", OutcomeOf(err), OutcomeArchive)
	expect(t, "kind", mail.KindOf(err), mail.NoSpace)
}

func TestAccessIsBounded(t *testing.T) {
	var a access
	for i := range 20 {
		a.count([]byte{byte(i)}, strike, noon)
		a.count([]byte{byte(i)}, strike, noon)
	}
	expect(t, "secrets", len(a.Refused), mostRefused)
	expect(t, "strikes of the last", a.find([]byte{19}).Halves, 2*strike)
	if a.find([]byte{0}) != nil {
		t.Error("the oldest is still there")
	}
	data, err := json.Marshal(a)
	if err != nil || len(data) > 1000 {
		t.Errorf("%d octets, %v", len(data), err)
	}
}

// onceProcess is a new process over the Store and leases of the park, which
// drains once as cron would have it.
func (p *park) once() Result {
	p.t.Helper()
	pl, err := New(p.o)
	if err != nil {
		p.t.Fatal(err)
	}
	all, err := pl.Once(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	p.conns.Wait()
	return all[0]
}

// TestRow23OverRestartsAndWorkers: three attempts with one secret, ever, however
// many processes there are and however often they start.
func TestRow23OverRestartsAndWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 1, 1)
		p.o.Mailboxes[0].Password = func(context.Context) (string, error) { return "wrong", nil }
		for range 40 { // a process every five minutes, for more than three hours
			r := p.once()
			expect(t, "outcome", r.Outcome, OutcomeCredentials)
			elapse(5 * time.Minute)
		}
		expect(t, "attempts of drain --once", len(p.opened["pop0.example.org:110"]), 3)

		p = newPark(t, 1, 1)
		p.o.Mailboxes[0].Interval = time.Minute
		p.o.Mailboxes[0].Password = func(context.Context) (string, error) { return "wrong", nil }
		var workers sync.WaitGroup
		for range 5 {
			o := p.o
			o.Worker = time.Now().String()
			workers.Go(func() {
				pl, err := New(o)
				if err != nil {
					t.Error(err)
					return
				}
				ctx, cancel := context.WithTimeout(t.Context(), 6*time.Hour)
				defer cancel()
				if err := pl.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		workers.Wait()
		p.conns.Wait()
		expect(t, "attempts of five workers", len(p.opened["pop0.example.org:110"]), 3)
	})
}

// TestBreakerStatusAndReset: the status tells how the breaker stands, and a reset
// gives the same secret three more attempts.
func TestBreakerStatusAndReset(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 1, 1)
		p.box(0).Password = "right"
		p.polling(time.Minute, func(pl *Poller) {
			elapse(time.Minute)
			s := pl.Status()[0]
			expect(t, "after the 1st", s.Breaker, BreakerClosed)
			expect(t, "refusals", s.Refusals, 1)
			elapse(20 * time.Minute)
			s = pl.Status()[0]
			expect(t, "after the 2nd", s.Breaker, BreakerOpen)
			if left := time.Until(s.BreakerUntil); left < 30*time.Minute || left > time.Hour || !s.Blocked {
				t.Errorf("open for %s, blocked %v", left, s.Blocked)
			}
			elapse(2 * time.Hour)
			s = pl.Status()[0]
			expect(t, "after the 3rd", s.Breaker, BreakerOpen)
			expect(t, "refusals", s.Refusals, 3)
			expect(t, "until", s.BreakerUntil.IsZero(), true)
			expect(t, "waits", s.Waits, WaitBreaker)

			p.box(0).Password = secret // the account is unlocked; the secret is the same
			expect(t, "unknown", mail.KindOf(pl.Reset(t.Context(), "nobody")), mail.NotFound)
			if err := pl.Reset(t.Context(), "user0@example.org"); err != nil {
				t.Fatal(err)
			}
			elapse(time.Second)
			s = pl.Status()[0]
			expect(t, "after the reset", s.Outcome, OutcomeOK)
			expect(t, "breaker", s.Breaker, BreakerClosed)
		})
		expect(t, "attempts", len(p.opened["pop0.example.org:110"]), 4)
	})
}

// TestResetForgetsWhatWaits: records of messages are tried again, and what only
// the server can give up stays.
func TestResetForgetsWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "RETR" && c.Arg == "1" {
				return &pop3test.Action{Raw: "-ERR no\r\n"}
			}
			return nil
		}})
		r.drain()
		expect(t, "left", len(r.box.Left()), 1)
		r.hooks(pop3test.Hooks{})
		r.drain()
		expect(t, "left, for it is poison", len(r.box.Left()), 1)
		if err := Reset(t.Context(), r.store, r.m.Name); err != nil {
			t.Fatal(err)
		}
		r.drain()
		expect(t, "left after the reset", len(r.box.Left()), 0)
		r.store.fail = errors.New("down")
		if err := Reset(t.Context(), r.store, r.m.Name); err == nil {
			t.Error("a reset without a store")
		}
	}, letters(2)...)
}
