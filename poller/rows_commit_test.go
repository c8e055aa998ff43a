package poller

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

func TestRow67DropBeforeQuitIsChecked(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{Quit: pop3test.QuitDropBefore})
		r.drain()
		sealed := len(r.arc.sealed)
		r.hooks(pop3test.Hooks{})
		elapse(time.Hour)
		res := r.drainOK()
		expect(t, "back", res.Last.Confirmed.Back, 3)
		expect(t, "deleted", res.Deleted, 3)
		expect(t, "checked by TOP", r.count("TOP", 2), 3)
		expect(t, "handed over again", len(r.arc.sealed), sealed)
	}, letters(3)...)
}

// What the next listing shows of each way in which QUIT can end.
func TestRow68To72Reconciled(t *testing.T) {
	for name, c := range map[string]struct {
		fault      pop3test.QuitFault
		quit       mail.Quit
		gone, back int
		commits    int // strikes of what is back
	}{
		"68 refused":       {pop3test.QuitRefused, mail.QuitRefused, 0, 4, 0},
		"69 answer lost":   {pop3test.QuitDropAfter, mail.QuitUnknown, 4, 0, 0},
		"70 not executed":  {pop3test.QuitDropBefore, mail.QuitUnknown, 0, 4, 0},
		"71 lie":           {pop3test.QuitLie, mail.QuitAcked, 0, 4, 1},
		"72 half, refused": {pop3test.QuitHalf, mail.QuitRefused, 2, 2, 0},
		"72 some, and +OK": {pop3test.QuitSome, mail.QuitAcked, 2, 2, 1},
		"as it should be":  {pop3test.QuitFine, mail.QuitAcked, 4, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.hooks(pop3test.Hooks{Quit: c.fault})
				r.drain()
				r.hooks(pop3test.Hooks{OnCommand: on("DELE", 2, pop3test.Action{Raw: "-ERR not yet\r\n"})})
				elapse(time.Hour)
				res := r.drainOK()
				got := res.Last.Confirmed
				if got.Quit != c.quit || got.Gone != c.gone || got.Back != c.back {
					t.Errorf("confirmed %+v", got)
				}
				expect(t, "strikes", r.trouble("u2").Commits, c.commits)
				expect(t, "vanished", res.Vanished, mail.Vanished{})
				r.hooks(pop3test.Hooks{})
				elapse(time.Hour)
				r.settle(6, 0)
				expect(t, "RETR", r.count("RETR", 0), 4)
			}, letters(4)...)
		})
	}
}

func TestRow71UndeletableIsAnAlarm(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{Quit: pop3test.QuitLie})
		var fates []int
		for i := range 6 {
			alarm := strings.Contains(r.logs.String(), "level=ERROR")
			expect(t, "alarm", alarm, i > maxCommits)
			fates = append(fates, r.drainOK().Last.Fates[mail.FateUndeletable])
			elapse(15 * time.Minute)
		}
		expect(t, "undeletable at first", fates[0], 0)
		expect(t, "undeletable after three times", fates[maxCommits], 3)
		expect(t, "alarms", strings.Count(r.logs.String(), "level=ERROR"), 1)
	}, letters(3)...)
}

func TestRow73QuitTakesFiveMinutes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: on("QUIT", 0, pop3test.Action{Delay: 5 * time.Minute, Run: true})})
		start := time.Now()
		res := r.drainOK()
		expect(t, "QUIT", res.Last.Quit, mail.QuitAcked)
		expect(t, "waited", time.Since(start) >= 5*time.Minute, true)
		expect(t, "left", len(r.box.Left()), 0)
	}, letters(3)...)
}

// Two workers hold sessions on one mailbox at once, for the first has lost its
// lease and does not know yet. It commits nothing.
func TestRow86TwoWorkers(t *testing.T) {
	for _, when := range []string{"RETR 2", "DELE 1"} {
		t.Run(when, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				var second sync.WaitGroup
				var once sync.Once
				taken := false
				r.strict = false
				r.leases.check = func(int) error {
					if taken {
						return mail.Errorf(mail.InUse, "another holds the lease")
					}
					return nil
				}
				r.hooks(pop3test.Hooks{NoLock: true, OnCommand: func(c pop3test.Command) *pop3test.Action {
					if c.Session != 1 || c.Line() != when {
						return nil
					}
					once.Do(func() {
						taken = true
						other := &Drainer{Archive: r.arc, Leaser: &leases{t: t}, Store: r.store, Worker: "w2", Sessions: 1}
						second.Go(func() {
							if _, err := other.Drain(t.Context(), r.m); err != nil {
								t.Errorf("the second worker: %v", err)
							}
						})
					})
					return &pop3test.Action{Delay: 20 * time.Second, Run: true}
				}})
				res := r.drain()
				second.Wait()
				r.check()
				expect(t, "outcome of the first", res.Outcome, OutcomeBusy)
				expect(t, "QUIT of the first", r.count("QUIT", 1), 0)
				expect(t, "left", len(r.box.Left()), 0)
				for _, d := range r.srv.Deleted() {
					expect(t, "deleted by session", d.Session, 2)
				}
			}, letters(5)...)
		})
	}
}

// A catalog that was lost, and an archive that was: everything is fetched again,
// and nothing is lost or sealed twice.
func TestRow91ArchiveLost(t *testing.T) {
	for name, c := range map[string]struct {
		lose   func(r *rig)
		bodies int
	}{
		"the catalog's rows": {func(r *rig) {
			clear(r.arc.rows)
			clear(r.arc.uidls)
		}, 12},
		"the archive": {func(r *rig) {
			r.arc = newArchive(r.t)
			r.d.Archive = r.arc
		}, 12},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.m.Policy = KeepAll
				r.drainOK()
				records := r.arc.seq
				c.lose(r)
				res := r.drainOK()
				expect(t, "fetched again", res.Fetched, 12)
				expect(t, "vanished", res.Vanished, mail.Vanished{})
				expect(t, "records", r.arc.seq, records)
				expect(t, "bodies", len(r.arc.bodies), c.bodies)
				r.m.Policy = DeleteSealed
				if name == "the archive" {
					expect(t, "deleted", r.drainOK().Deleted, 12)
				}
			}, letters(12)...)
		})
	}
}

// Disks that are full or broken, wherever they are: no DELE, and a reason in the
// log and in the result.
func TestRow92NoDeleteWithoutADisk(t *testing.T) {
	full, broken := mail.Errorf(mail.NoSpace, "no space left on device"), mail.Errorf(mail.Other, "input/output error")
	for name, script := range map[string]func(a *archive){
		"ENOSPC at write":  func(a *archive) { a.write = func(int) error { return full } },
		"ENOSPC at commit": func(a *archive) { a.commit = func(mail.Delivery) error { return full } },
		"ENOSPC at seal":   func(a *archive) { a.seal = func(mail.Delivery) sealing { return sealing{err: full} } },
		"EIO at write":     func(a *archive) { a.write = func(int) error { return broken } },
		"EIO at fsync":     func(a *archive) { a.seal = func(mail.Delivery) sealing { return sealing{err: broken} } },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				script(r.arc)
				res := r.drain()
				expect(t, "outcome", res.Outcome, OutcomeArchive)
				expect(t, "DELE", r.count("DELE", 0), 0)
				expect(t, "left", len(r.box.Left()), 8)
				expect(t, "waiting", res.WaitingSince.IsZero(), false)
				expect(t, "in the log", strings.Contains(r.logs.String(), "level=WARN"), true)
				r.arc.write, r.arc.commit, r.arc.seal = nil, nil, nil
				elapse(time.Hour)
				r.settle(3, 0)
				expect(t, "nobody waits", r.drainOK().WaitingSince.IsZero(), true)
			}, letters(8)...)
		})
	}
}

// A message that is sealed twice, the second time when its session is long over.
func TestRow96SealArrivesTwiceAndLate(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var sent []mail.Delivery
		r.arc.seal = func(d mail.Delivery) sealing {
			sent = append(sent, d)
			return sealing{after: time.Hour}
		}
		expect(t, "outcome", r.drain().Outcome, OutcomeArchive)
		elapse(2 * time.Hour)
		for _, d := range sent {
			expect(t, "a duplicate", r.arc.put(d).Duplicate, true)
		}
		expect(t, "deleted by a later session", r.drainOK().Deleted, 3)
		expect(t, "RETR", r.count("RETR", 0), 3)
		expect(t, "records", r.arc.seq, 3)
	}, letters(3)...)
}
