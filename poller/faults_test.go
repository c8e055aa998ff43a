package poller

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// cutBody delivers only half of message n, with a proper end.
func cutBody(n int) func(int, []byte) []byte {
	return func(i int, raw []byte) []byte {
		if i == n {
			return raw[:len(raw)/2]
		}
		return raw
	}
}

func TestRow56ShortBody(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{Body: cutBody(2)})
		res := r.drainOK()
		expect(t, "deleted", res.Deleted, 2)
		expect(t, "held", res.Held, 1)
		expect(t, "left", r.box.Left()[0].UIDL, "u2")
		expect(t, "trouble", r.trouble("u2").Trouble, short)
		found := false
		for _, rc := range r.arc.sealed {
			found = found || rc.UIDL == "u2" && strings.HasPrefix(rc.Suspect, "short: ")
		}
		expect(t, "sealed as suspect", found, true)
		if !strings.HasPrefix(r.arc.lastEvent().Rows[1].Why, "short: ") {
			t.Errorf("row %+v", r.arc.lastEvent().Rows[1])
		}

		// Row 57: the same bytes again and again prove nothing.
		r.hooks(pop3test.Hooks{Body: cutBody(1)})
		for range 40 {
			elapse(12 * time.Hour)
			r.drainOK()
		}
		expect(t, "left after 20 days", len(r.box.Left()), 1)
		if n := r.count("RETR", 0); n < 5 || n > 9 {
			t.Errorf("%d RETRs in 20 days", n)
		}
		r.hooks(pop3test.Hooks{})
		elapse(week)
		r.settle(1, 0)
	}, letters(3)...)
}

func TestRow58SizesCountLF(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		all := letters(20)
		r.hooks(pop3test.Hooks{ListSize: func(n int, size int64) string {
			return strconv.FormatInt(size-int64(strings.Count(all[(n-1)%20], "\n")), 10)
		}})
		expect(t, "deleted", r.drainOK().Deleted, 20)
		expect(t, "profile", r.state().Sizes.Profile, linefeeds)

		// What is cut by fewer octets than it has lines shows now.
		late := letter("late", 300)
		r.deliver(pop3test.Message{UIDL: "late", Raw: []byte(late)})
		r.hooks(pop3test.Hooks{
			ListSize: func(n int, size int64) string {
				return strconv.FormatInt(size-int64(strings.Count(late, "\n")), 10)
			},
			Body: func(_ int, raw []byte) []byte { return append(raw[:len(raw)-5:len(raw)-5], "\r\n"...) },
		})
		expect(t, "deleted", r.drainOK().Deleted, 0)
	}, letters(20)...)
}

func TestRow59RoundedSizes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{ListSize: func(_ int, size int64) string {
			return strconv.FormatInt((size+1023)/1024*1024, 10)
		}})
		r.drainOK()
		expect(t, "profile", r.state().Sizes.Profile, rounded)
		r.settle(4, 0)
	}, letters(25)...)
}

func TestRow59RandomSizes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		for i := range 60 {
			body := fmt.Sprintf("Subject: %d\r\nContent-Type: multipart/mixed;\r\n boundary=\"b%d\"\r\n\r\n--b%d\r\n\r\nhello\r\n--b%d--\r\n", i, i, i, i)
			r.deliver(pop3test.Message{UIDL: fmt.Sprint("m", i), Raw: []byte(body)})
		}
		r.hooks(pop3test.Hooks{ListSize: func(n int, size int64) string {
			return strconv.FormatInt(size+int64(n%2)*100-50, 10)
		}})
		r.drainOK()
		expect(t, "profile", r.state().Sizes.Profile, unreliable)
		r.settle(4, 0)

		// The structure still tells when a body has lost its end.
		r.deliver(pop3test.Message{UIDL: "x", Raw: []byte("Content-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n\r\nlong text\r\n--q--\r\n")})
		r.hooks(pop3test.Hooks{Body: cutBody(1)})
		expect(t, "deleted", r.drainOK().Deleted, 0)
	})
}

func TestSizesConfiguredUnreliable(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.Sizes = SizesUnreliable
		r.hooks(pop3test.Hooks{ListSize: func(int, int64) string { return "99999" }})
		expect(t, "deleted", r.drainOK().Deleted, 3)
	}, letters(3)...)
}

func TestRow60Endless(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.MaxMessage = 10_000
		r.hooks(pop3test.Hooks{Body: func(n int, raw []byte) []byte {
			if string(raw[:40]) == letter("letter 2", 1)[:40] {
				return []byte(strings.Repeat("endless\r\n", 100_000))
			}
			return raw
		}})
		r.settle(6, 1)
		expect(t, "trouble", r.trouble("u2").Trouble, oversize)
	}, letters(4)...)
}

func TestOversizeByList(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.MaxMessage = 1000
		res := r.drainOK()
		expect(t, "deleted", res.Deleted, 1)
		expect(t, "held", res.Held, 1)
		expect(t, "RETR", r.count("RETR", 0), 1)
		r.m.MaxMessage = 10_000
		expect(t, "deleted with a higher limit", r.drainOK().Deleted, 1)
	}, letter("big", 2000), letter("small", 200))
}

func TestRow67DropBeforeQuit(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: onLine("DELE 3", pop3test.Action{Run: true, End: pop3test.FIN})})
		r.drain()
		expect(t, "left", len(r.box.Left()), 3)
		r.hooks(pop3test.Hooks{})
		r.settle(4, 0)
		expect(t, "RETR", r.count("RETR", 0), 3)
	}, letters(3)...)
}

func TestRow68To72Quit(t *testing.T) {
	for name, c := range map[string]struct {
		fault   pop3test.QuitFault
		quit    mail.Quit
		outcome Outcome
		left    int
	}{
		"68 refused":      {pop3test.QuitRefused, mail.QuitRefused, OutcomeTemp, 4},
		"69 answer lost":  {pop3test.QuitDropAfter, mail.QuitUnknown, OutcomeTemp, 0},
		"70 not executed": {pop3test.QuitDropBefore, mail.QuitUnknown, OutcomeTemp, 4},
		"72 half":         {pop3test.QuitHalf, mail.QuitRefused, OutcomeTemp, 2},
		"71 lie, once":    {pop3test.QuitLie, mail.QuitAcked, OutcomeOK, 4},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.hooks(pop3test.Hooks{Quit: c.fault})
				res := r.drain()
				expect(t, "outcome", res.Outcome, c.outcome)
				expect(t, "event", r.arc.lastEvent().Quit, c.quit)
				expect(t, "left", len(r.box.Left()), c.left)
				r.hooks(pop3test.Hooks{})
				r.settle(6, 0)
				expect(t, "RETR", r.count("RETR", 0), 4)
			}, letters(4)...)
		})
	}
}

func TestRow71Undeletable(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{Quit: pop3test.QuitLie})
		for range 8 {
			r.drainOK()
			elapse(15 * time.Minute)
		}
		expect(t, "RETR", r.count("RETR", 0), 3)
		expect(t, "DELE", r.count("DELE", 0), 3*maxCommits)
		expect(t, "held", r.arc.lastEvent().Held, 3)
		expect(t, "commits", r.trouble("u1").Commits, maxCommits)

		// What arrives meanwhile is archived.
		r.deliver(pop3test.Message{UIDL: "new", Raw: []byte(letter("new", 90))})
		r.drainOK()
		expect(t, "archived", r.arc.has(r.m.Name, []byte(letter("new", 90))), true)

		r.hooks(pop3test.Hooks{})
		elapse(week)
		r.settle(4, 0)
	}, letters(3)...)
}

// A large mailbox that cannot be deleted from is not hammered.
func TestRow71StuckMailbox(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.BatchMessages = 10
		r.hooks(pop3test.Hooks{Quit: pop3test.QuitLie})
		for range 30 {
			r.drainOK()
			elapse(15 * time.Minute)
		}
		if n := r.count("DELE", 0); n > 80 {
			t.Errorf("%d DELEs", n)
		}
		expect(t, "sealed", len(r.arc.bodies), 30)
	}, letters(30)...)
}

func TestRow74DeletesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.strict = false
		r.hooks(pop3test.Hooks{DeleteAtOnce: true, OnCommand: onLine("DELE 3", pop3test.Action{End: pop3test.FIN})})
		r.drain()
		expect(t, "left", len(r.box.Left()), 1)
		r.hooks(pop3test.Hooks{DeleteAtOnce: true})
		r.settle(3, 0)
	}, letters(3)...)
}

func TestRow75RetrDeletes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.strict = false
		r.hooks(pop3test.Hooks{RetrDeletes: true})
		r.arc.seal = func(d mail.Delivery) sealing { return sealing{never: d.UIDL == "u2"} }
		r.drain()
		expect(t, "QUIT", r.count("QUIT", 0), 0)
		expect(t, "left", len(r.box.Left()), 5)
		elapse(time.Hour)
		res := r.drain() // without the one that is in doubt
		expect(t, "deleted", res.Deleted, 4)
		expect(t, "RETR", r.count("RETR", 2), 0)
		expect(t, "left", len(r.box.Left()), 1)
		r.arc.seal = nil
		r.settle(3, 0)
	}, letters(5)...)
}

func TestRow75RetrDeletesArchiveFull(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.strict = false
		r.hooks(pop3test.Hooks{RetrDeletes: true})
		r.arc.commit = func(mail.Delivery) error {
			if r.arc.commits >= 7 {
				return mail.Errorf(mail.NoSpace, "queue is full")
			}
			return nil
		}
		r.drain()
		expect(t, "QUIT", r.count("QUIT", 0), 0)
		r.arc.commit = nil
		r.settle(8, 0)
	}, letters(30)...)
}

func TestRow75ShortOnRetrDeletes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.strict = false
		r.hooks(pop3test.Hooks{RetrDeletes: true, Body: func(_ int, raw []byte) []byte {
			if strings.Contains(string(raw), "letter 2\r\n") {
				return raw[:len(raw)/2]
			}
			return raw
		}})
		r.settle(5, 1)
		expect(t, "left", r.box.Left()[0].UIDL, "u2")
	}, letters(4)...)
}

func TestRow76HidesWhatWasRetrieved(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.RetrConsuming = true
		r.d.Sessions = 0
		r.strict = false
		r.hooks(pop3test.Hooks{RetrHides: true, ListOnly: 3})
		res := r.drainOK()
		expect(t, "sessions", res.Sessions, 4+1)
		expect(t, "sealed", len(r.arc.bodies), 12)
	}, letters(12)...)
}

func TestRow77FewMessagesPerSession(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{MaxRetr: 10})
		r.settle(6, 0)
	}, letters(35)...)
}

func TestRow78FewCommandsPerSession(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{MaxCommands: 14})
		r.settle(30, 0)
	}, letters(12)...)
}

// A message that kills each session is left alone in the end; the others drain.
func TestKillerMessage(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{Body: func(_ int, raw []byte) []byte {
			if strings.Contains(string(raw), "letter 3\r\n") {
				return nil // the size gate does not see it: the hook below cuts
			}
			return raw
		}, OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb != "RETR" {
				return nil
			}
			n, _ := strconv.Atoi(c.Arg)
			if left := r.box.Left(); n <= len(left) && left[n-1].UIDL == "u3" {
				return &pop3test.Action{Raw: "+OK\r\nFrom: a\r\n", End: pop3test.FIN}
			}
			return nil
		}})
		r.settle(40, 1)
		expect(t, "left", r.box.Left()[0].UIDL, "u3")
		for range 40 {
			r.drain()
			elapse(15 * time.Minute)
		}
		expect(t, "left alone", r.trouble("u3").Next.After(time.Now()), true)
		expect(t, "outcome", r.drainOK().Held, 1)
	}, letters(8)...)
}

// TestSoak holds short runs of random faults of server, archive and lease. When
// the faults end everything drains: nothing is lost, nothing is sealed twice.
func TestSoak(t *testing.T) {
	t.Parallel()
	runs := uint64(300)
	if testing.Short() {
		runs = 50
	}
	for seed := range runs {
		synctest.Test(t, func(t *testing.T) { soak(t, rand.New(rand.NewPCG(seed, 1))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func soak(t *testing.T, rnd *rand.Rand) {
	r := newRig(t, letters(1+rnd.IntN(12))...)
	r.m.BatchMessages = 1 + rnd.IntN(20)
	r.m.NoPipelining = rnd.IntN(4) == 0
	consuming := rnd.IntN(4) == 0
	for range 6 {
		r.m.Policy = []Policy{DeleteSealed, DeleteSealed, KeepAll, DeleteAged}[rnd.IntN(4)]
		if r.m.DeleteAge = time.Hour; consuming && r.m.Policy == DeleteAged {
			r.m.Policy = DeleteSealed
		}
		h := randomFaults(r, rnd)
		h.RetrDeletes = consuming
		// Behind a body that ends in an answer nobody asked for, which comes octet by
		// octet, a DELE is a mark only: QUIT will not follow it.
		r.strict = !h.DeleteAtOnce && h.AfterBody == ""
		r.hooks(h)
		randomArchive(r.arc, rnd)
		r.leases.check = nil
		if rnd.IntN(6) == 0 {
			at := 1 + rnd.IntN(2)
			r.leases.check = func(n int) error { return lostAt(n, at) }
		}
		r.drain()
		if rnd.IntN(3) == 0 {
			r.deliver(pop3test.Message{UIDL: fmt.Sprint("n", rnd.Uint32()), Raw: []byte(letter(fmt.Sprint(rnd.Uint32())+strings.Repeat("x", rnd.IntN(400)), 80))})
		}
		elapse(time.Duration(rnd.IntN(3600)) * time.Second)
	}
	r.m.Policy = DeleteSealed
	r.leases.check = nil
	r.arc.seal, r.arc.commit, r.arc.lookup, r.arc.write = nil, nil, nil, nil
	r.hooks(pop3test.Hooks{RetrDeletes: consuming})
	elapse(2 * week)
	r.settle(25, 0)
	for _, e := range r.arc.events {
		if e.Vanished != nil || e.Epoch != 0 || e.Breaker != "" {
			t.Errorf("nobody else touched the mailbox, and its server kept to its unique-ids: %+v %d %q", e.Vanished, e.Epoch, e.Breaker)
		}
	}
}

// randomFaults makes a server that fails in one or two ways.
func randomFaults(r *rig, rnd *rand.Rand) pop3test.Hooks {
	var h pop3test.Hooks
	endings := []pop3test.Ending{pop3test.FIN, pop3test.Reset, pop3test.Stall}
	for range 1 + rnd.IntN(2) {
		switch rnd.IntN(10) {
		case 0, 1:
			at, how := rnd.Int64N(6000), endings[rnd.IntN(3)]
			h.Cut = func(int) (int64, pop3test.Ending) { return at, how }
		case 2:
			h.Quit = pop3test.QuitFault(rnd.IntN(7))
		case 3:
			h.MaxCommands = 5 + rnd.IntN(20)
		case 4:
			h.MaxRetr = 1 + rnd.IntN(5)
		case 5:
			h.Body = cutBody(1 + rnd.IntN(6))
		case 6:
			h.AfterBody = []string{"", "junk\r\n", "+OK\r\n"}[rnd.IntN(3)]
		case 7:
			h.Segment = 1 + rnd.IntN(5)
		case 8:
			verb := []string{"STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "NOOP", "QUIT"}[rnd.IntN(8)]
			raw := []string{"-ERR no\r\n", "-ERR [SYS/TEMP] later\r\n", "+ERR\r\n", "", "-ERR [IN-USE] x\r\n"}[rnd.IntN(5)]
			end := pop3test.Stay
			if raw == "" {
				end = pop3test.FIN
			}
			h.OnCommand = on(verb, 0, pop3test.Action{Raw: raw, End: end})
		case 9:
			h.DropPipelined = true
		}
	}
	return h
}

// randomArchive makes an archive that fails in one way, or in none.
func randomArchive(a *archive, rnd *rand.Rand) {
	down := mail.Errorf(mail.Temporary, "no answer")
	a.seal, a.commit, a.lookup, a.write = nil, nil, nil, nil
	n := rnd.IntN(5)
	switch rnd.IntN(8) {
	case 0:
		a.lookup = func() error { return down }
	case 1:
		a.commit = func(mail.Delivery) error {
			if n--; n < 0 {
				return mail.Errorf(mail.NoSpace, "queue is full")
			}
			return nil
		}
	case 2:
		a.seal = func(mail.Delivery) sealing { return sealing{after: time.Duration(rnd.IntN(200)) * time.Second} }
	case 3:
		a.seal = func(mail.Delivery) sealing {
			return []sealing{{}, {never: true}, {silent: true}, {err: down}, {err: mail.Errorf(mail.Invalid, "no")}}[rnd.IntN(5)]
		}
	case 4:
		a.seal = func(mail.Delivery) sealing { return sealing{alter: func(r *mail.Receipt) { r.Digest[3]++ }} }
	case 5:
		a.write = func(int) error {
			if n--; n < 0 {
				return down
			}
			return nil
		}
	}
}
