package poller

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// What could block a mailbox for ever, and does not.

// A record whose time was reckoned by a clock that was years ahead.
func TestClockThatWasWrong(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		st := &state{Version: stateVersion, Rows: []row{
			{UIDL: "u1", Size: int64(len(r.originals[0])), Trouble: poison, Tries: 1, Next: time.Now().AddDate(30, 0, 0)},
			{UIDL: "u2", Size: int64(len(r.originals[1])), Commits: 5, Hold: time.Now().AddDate(30, 0, 0)},
			{UIDL: "u3", Size: int64(len(r.originals[2])), Trouble: poison, Tries: 3, Next: time.Now().Add(week)},
		}}
		data, err := st.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.store.Save(t.Context(), r.m.Name, data, 0); err != nil {
			t.Fatal(err)
		}
		r.drainOK()
		expect(t, "left", len(r.box.Left()), 1)
		expect(t, "left", r.box.Left()[0].UIDL, "u3")
	}, letters(3)...)
}

// An event that the archive will never take.
func TestRefusedEventIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		tries := 0
		r.arc.report = func() error { tries++; return mail.Errorf(mail.Invalid, "too large") }
		r.drainOK()
		expect(t, "tries, the second without rows", tries, 2)
		expect(t, "kept", len(r.state().Reports), 0)
		if !strings.Contains(r.logs.String(), "given up") {
			t.Error("the log does not say so")
		}
		// One that an earlier version kept.
		st := r.state()
		st.owe(mail.Drain{Session: "old", Mailbox: r.m.Name})
		data, _ := st.encode()
		if _, err := r.store.Save(t.Context(), r.m.Name, data, r.store.rev[r.m.Name]); err != nil {
			t.Fatal(err)
		}
		r.deliver(pop3test.Messages(letter("later", 100))...)
		r.drainOK()
		expect(t, "left", len(r.box.Left()), 0)
	}, letters(2)...)
}

// An event whose rows are too much goes without them.
func TestEventGoesWithoutItsRows(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		first := true
		r.arc.report = func() error {
			defer func() { first = false }()
			if first {
				return mail.Errorf(mail.Invalid, "too large")
			}
			return nil
		}
		r.drainOK()
		e := r.arc.lastEvent()
		expect(t, "rows", len(e.Rows), 0)
		expect(t, "deleted", e.Deleted, 2)
	}, letters(2)...)
}

// A state that would be larger than a store takes.
func TestStateHasAMostOctets(t *testing.T) {
	st := &state{Version: stateVersion}
	long := strings.Repeat("x", 2000)
	for i := range maxRows {
		st.strike(rowKey{uidl: fmt.Sprint(i) + long, size: 1}, cut, noon)
	}
	worst := rowKey{uidl: "worst", size: 1}
	st.strike(worst, cut, noon)
	st.strike(worst, cut, noon)
	for i := range maxReports {
		rows := make([]mail.DrainRow, 200)
		for j := range rows {
			rows[j].Why = long
		}
		st.owe(mail.Drain{Session: fmt.Sprint(i), Rows: rows})
	}
	data, err := st.encode()
	if err != nil || len(data) > maxState {
		t.Fatalf("%d octets, %v", len(data), err)
	}
	got, ok := parseState(data)
	if !ok || got.index()[worst] == nil {
		t.Error("the record with the most failures was given up")
	}
	if len(got.Rows) < 10 {
		t.Errorf("%d records are left", len(got.Rows))
	}
}

// A sealed message whose header ends every session: after some of them it is
// fetched, and what is behind it is not held up.
func TestTopThatKillsTheSession(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.Policy = KeepAll
		r.drainOK()
		r.m.Policy = DeleteSealed
		r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if n, _, _ := strings.Cut(c.Arg, " "); c.Verb == "TOP" {
				i, _ := strconv.Atoi(n)
				if left := r.box.Left(); i <= len(left) && left[i-1].UIDL == "u2" {
					return &pop3test.Action{End: pop3test.FIN}
				}
			}
			return nil
		}})
		r.settle(6, 0)
	}, letters(5)...)
}

// A message for which the archive has no room does not hold up the others.
func TestNoRoomForOneMessage(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.arc.write = func(sofar int) error {
			if sofar > 20_000 {
				return mail.Errorf(mail.NoSpace, "the store of chunks is full")
			}
			return nil
		}
		expect(t, "outcome", r.drain().Outcome, OutcomeArchive)
		elapse(time.Minute)
		expect(t, "outcome", r.drain().Outcome, OutcomeArchive)
		expect(t, "left", len(r.box.Left()), 1)
		r.arc.write = nil
		elapse(time.Minute)
		r.drainOK()
		expect(t, "left", len(r.box.Left()), 0)
	}, append([]string{letter("large", 100_000)}, letters(20)...)...)
}

// While the archive cannot seal, each session fetches only a few messages in
// vain; when it can, the next does as much as ever.
func TestArchiveTroubleIsProbed(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.arc.seal = func(mail.Delivery) sealing { return sealing{err: mail.Errorf(mail.NoSpace, "disk full")} }
		for range 4 {
			expect(t, "outcome", r.drain().Outcome, OutcomeArchive)
			elapse(time.Minute)
		}
		if n := r.count("RETR", 4); n > probeMessages {
			t.Errorf("%d messages were fetched in vain", n)
		}
		r.arc.seal = nil
		expect(t, "deleted", r.drainOK().Deleted, probeMessages)
		expect(t, "deleted", r.drainOK().Deleted, 100-probeMessages)
	}, letters(100)...)
}

func TestArchiveBackoffBeginsSmall(t *testing.T) {
	for range 100 {
		if d := backoff(OutcomeArchive, 1); d > 10*time.Second {
			t.Fatalf("first wait: %s", d)
		}
	}
	var sum time.Duration
	for range 100 {
		sum += backoff(OutcomeArchive, 20)
	}
	if sum/100 < 3*time.Minute {
		t.Errorf("waits in a long outage: %s on average", sum/100)
	}
}

// A secret that is being replaced costs one interval, not the hours that a wrong
// certificate does.
func TestSecretThatIsMissingForAMoment(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var ready atomic.Bool
		r.m.Interval = time.Minute
		r.m.Password = func(context.Context) (string, error) {
			if !ready.Load() {
				return "", errors.New("no such file")
			}
			return secret, nil
		}
		p, err := New(Options{Mailboxes: []Mailbox{r.m}, Archive: r.arc, Leaser: r.leases, Store: r.store})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- p.Run(ctx) }()
		elapse(30 * time.Second)
		expect(t, "outcome", p.Status()[0].Outcome, OutcomePerm)
		ready.Store(true)
		elapse(2 * time.Minute)
		synctest.Wait()
		expect(t, "outcome", p.Status()[0].Outcome, OutcomeOK)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		r.conns.Wait()
	}, letters(1)...)
}

// The count of a round is that of its beginning.
func TestListedIsThatOfTheFirstSession(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.BatchMessages = 4
		p, err := New(Options{Mailboxes: []Mailbox{r.m}, Archive: r.arc, Leaser: r.leases, Store: r.store})
		if err != nil {
			t.Fatal(err)
		}
		rs, err := p.Once(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "sessions", rs[0].Sessions, 3)
		expect(t, "listed", rs[0].Listed, 10)
		r.deliver(pop3test.Messages(letters(10)...)...)
		r.d.Sessions = 0
		expect(t, "listed by a drain", r.drainOK().Listed, 10)
	}, letters(10)...)
}
