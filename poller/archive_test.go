package poller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

func TestRow84SlowArchive(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.arc.seal = func(mail.Delivery) sealing { return sealing{after: 20 * time.Minute} }
		start := time.Now()
		res := r.drain()
		if took := time.Since(start); took > 5*time.Minute {
			t.Errorf("the session stayed open for %s", took)
		}
		expect(t, "outcome", res.Outcome, OutcomeArchive)
		expect(t, "deleted", res.Deleted, 0)
		expect(t, "NOOP while waiting", r.count("NOOP", 1) > 1, true)
		elapse(30 * time.Minute)
		res = r.drainOK()
		expect(t, "RETR in the later session", r.count("RETR", 2), 0) // row 96
		expect(t, "deleted", res.Deleted, 3)
	}, letters(3)...)
}

func TestRow86LeaseLost(t *testing.T) {
	for name, script := range map[string]func(r *rig){
		"before DELE": func(r *rig) { r.leases.check = func(n int) error { return lostAt(n, 1) } },
		"before QUIT": func(r *rig) { r.leases.check = func(n int) error { return lostAt(n, 2) } },
		"while fetching": func(r *rig) {
			r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
				if c.Line() != "RETR 2" || c.Session > 1 {
					return nil
				}
				r.leases.lose(r.m.Name)
				return &pop3test.Action{Delay: time.Second, Run: true}
			}})
		},
		"while waiting": func(r *rig) {
			r.arc.seal = func(mail.Delivery) sealing { return sealing{after: 20 * time.Second} }
			time.AfterFunc(10*time.Second, func() { r.leases.lose(r.m.Name) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				script(r)
				res := r.drain()
				expect(t, "outcome", res.Outcome, OutcomeBusy)
				expect(t, "QUIT", r.count("QUIT", 0), 0)
				expect(t, "left", len(r.box.Left()), 3)
				r.leases.check = nil
				elapse(time.Minute)
				r.settle(3, 0)
			}, letters(3)...)
		})
	}
}

func lostAt(n, at int) error {
	if n >= at {
		return errors.New("another holds the lease")
	}
	return nil
}

func TestLeaseHeldElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		held, _ := r.leases.Lease(t.Context(), r.m.Name)
		expect(t, "outcome", r.drain().Outcome, OutcomeBusy)
		expect(t, "sessions", r.srv.Sessions(), 0)
		held.Release(t.Context())
		r.settle(1, 0)
	}, letters(1)...)
}

func TestRow91StateLost(t *testing.T) {
	for name, script := range map[string]func(r *rig){
		"garbage": func(r *rig) {
			r.store.Save(context.Background(), r.m.Name, []byte("{]"), 0)
		},
		"other version": func(r *rig) {
			r.store.Save(context.Background(), r.m.Name, []byte(`{"v":99,"messages":-4}`), 0)
		},
		"store is down": func(r *rig) { r.store.fail = mail.Errorf(mail.Temporary, "no answer") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				script(r)
				expect(t, "deleted", r.drainOK().Deleted, 2)
			}, letters(2)...)
		})
	}
}

func TestPendingIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		under, most := 0, 0
		r.arc.seal = func(mail.Delivery) sealing {
			under++
			most = max(most, under)
			return sealing{after: 10 * time.Second, alter: func(*mail.Receipt) { under-- }}
		}
		r.m.BatchMessages = 1000
		expect(t, "deleted", r.drainOK().Deleted, 600)
		if most > maxPendingCount || most < maxPendingCount/2 {
			t.Errorf("%d messages were under way at once", most)
		}
	}, letters(600)...)
}

// A pipeline that stands still ends the fetching, not the session.
func TestPipelineStandsStill(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		n := 0
		r.arc.seal = func(mail.Delivery) sealing { n++; return sealing{never: n > 40} }
		r.m.BatchMessages = 1000
		start := time.Now()
		res := r.drain()
		expect(t, "outcome", res.Outcome, OutcomeArchive)
		expect(t, "deleted", res.Deleted, 40)
		if took := time.Since(start); took > 2*time.Minute {
			t.Errorf("took %s", took)
		}
	}, letters(600)...)
}

func TestTimeBudget(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.BatchTime = 20 * time.Second
		r.hooks(pop3test.Hooks{OnCommand: on("RETR", 0, pop3test.Action{Delay: time.Second, Run: true})})
		start := time.Now()
		res := r.drainOK()
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("took %s", took)
		}
		if res.Deleted < 5 || res.Deleted > 12 || !res.More {
			t.Errorf("deleted %d, more %v", res.Deleted, res.More)
		}
		r.settle(5, 0)
	}, letters(30)...)
}

func TestDoubtAboutOversizeIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		reuse(r, letter("one", 3000), letter("two", 3000))
		r.m.MaxMessage = 1000
		res := r.drainOK()
		expect(t, "held", res.Held, 1)
		expect(t, "RETR", r.count("RETR", 0), 0)
		expect(t, "DELE", r.count("DELE", 0), 0)
	})
}

func TestRow92ArchiveIsFull(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.arc.commit = func(mail.Delivery) error {
			if r.arc.commits >= 3 {
				return mail.Errorf(mail.NoSpace, "queue is full")
			}
			return nil
		}
		res := r.drain()
		expect(t, "outcome", res.Outcome, OutcomeArchive)
		expect(t, "kind", mail.KindOf(res.Err), mail.NoSpace)
		expect(t, "deleted", res.Deleted, 3)
		expect(t, "left", len(r.box.Left()), 37)
		if n := r.count("RETR", 1); n > 3+3*firstWindow {
			t.Errorf("%d RETRs were sent although the archive was full", n)
		}
		r.arc.commit = nil
		r.settle(2, 0)
	}, letters(40)...)
}

func TestRow93ArchiveIsDown(t *testing.T) {
	down := mail.Errorf(mail.Temporary, "no responders")
	for name, script := range map[string]func(a *archive){
		"lookup":  func(a *archive) { a.lookup = func() error { return down } },
		"begin":   func(a *archive) { a.begin = func() error { return down } },
		"write":   func(a *archive) { a.write = func(int) error { return down } },
		"commit":  func(a *archive) { a.commit = func(mail.Delivery) error { return down } },
		"receipt": func(a *archive) { a.seal = func(mail.Delivery) sealing { return sealing{err: down} } },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				script(r.arc)
				res := r.drain()
				expect(t, "outcome", res.Outcome, OutcomeArchive)
				expect(t, "kind", mail.KindOf(res.Err), mail.Temporary)
				expect(t, "left", len(r.box.Left()), 3)
				if name == "lookup" {
					expect(t, "RETR", r.count("RETR", 0), 0)
					expect(t, "QUIT", r.count("QUIT", 0), 1)
				}
				r.arc.lookup, r.arc.begin, r.arc.write, r.arc.commit, r.arc.seal = nil, nil, nil, nil, nil
				r.settle(3, 0)
			}, letters(3)...)
		})
	}
}

func TestRow94ReceiptsNeverCome(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.arc.seal = func(d mail.Delivery) sealing { return sealing{never: d.UIDL == "u2"} }
		start := time.Now()
		res := r.drain()
		expect(t, "deleted", res.Deleted, 2)
		expect(t, "outcome", res.Outcome, OutcomeArchive)
		if took := time.Since(start); took < 50*time.Second || took > 70*time.Second {
			t.Errorf("waited %s for receipts", took)
		}
		r.arc.seal = nil
		r.settle(1, 0)
	}, letters(3)...)
}

func TestRow95ReceiptForOtherBytes(t *testing.T) {
	lies := map[string]func(*mail.Receipt){
		"digest":  func(r *mail.Receipt) { r.Digest[0] ^= 1 },
		"size":    func(r *mail.Receipt) { r.Size++ },
		"mailbox": func(r *mail.Receipt) { r.Mailbox = "bob@example.org" },
		"unset":   func(r *mail.Receipt) { *r = mail.Receipt{} },
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.arc.seal = func(d mail.Delivery) sealing {
					if d.UIDL == "u2" {
						return sealing{alter: lie}
					}
					return sealing{}
				}
				res := r.drain()
				expect(t, "deleted", res.Deleted, 2)
				expect(t, "outcome", res.Outcome, OutcomeArchive)
				expect(t, "kind", mail.KindOf(res.Err), mail.Corrupt)
				expect(t, "left", r.box.Left()[0].UIDL, "u2")
				if !strings.Contains(r.logs.String(), "level=ERROR") {
					t.Error("no alarm in the log")
				}
			}, letters(3)...)
		})
	}
}

func TestArchiveRefusesOneMessage(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		bad := mail.Errorf(mail.Invalid, "will not take it")
		r.arc.commit = func(d mail.Delivery) error {
			if d.UIDL == "u2" {
				return bad
			}
			return nil
		}
		r.arc.seal = func(d mail.Delivery) sealing {
			if d.UIDL == "u4" {
				return sealing{err: bad}
			}
			return sealing{}
		}
		res := r.drain()
		expect(t, "deleted", res.Deleted, 3)
		expect(t, "u2", r.trouble("u2").Trouble, refused)
		expect(t, "u4", r.trouble("u4").Trouble, refused)
		r.arc.commit, r.arc.seal = nil, nil
		r.settle(3, 0)
	}, letters(5)...)
}

func TestRow96ReceiptLost(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.arc.seal = func(mail.Delivery) sealing { return sealing{silent: true} }
		r.drain()
		expect(t, "left", len(r.box.Left()), 3)
		r.drainOK()
		expect(t, "left", len(r.box.Left()), 0)
		expect(t, "RETR", r.count("RETR", 0), 3)
	}, letters(3)...)
}

func TestRow99StopMidBatch(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "RETR" {
				if c.Arg == "10" {
					cancel()
				}
				return &pop3test.Action{Delay: 100 * time.Millisecond, Run: true}
			}
			return nil
		}})
		start := time.Now()
		res, err := r.d.Drain(ctx, r.m)
		r.conns.Wait()
		r.check()
		if took := time.Since(start); took > DefaultGrace {
			t.Errorf("stopped after %s", took)
		}
		if err != nil || res.Deleted < 8 || res.Deleted > 20 {
			t.Errorf("deleted %d, error %v", res.Deleted, err)
		}
		expect(t, "left", len(r.box.Left()), 100-res.Deleted)
		expect(t, "more", res.More, false)
	}, letters(100)...)
}

func TestStopAbandonsWhatHangs(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		r.hooks(pop3test.Hooks{OnCommand: onLine("RETR 2", pop3test.Action{End: pop3test.Stall})})
		time.AfterFunc(10*time.Second, cancel)
		start := time.Now()
		_, err := r.d.Drain(ctx, r.m)
		r.conns.Wait()
		r.check()
		expect(t, "outcome", OutcomeOf(err), OutcomeStopped)
		expect(t, "QUIT", r.count("QUIT", 0), 0)
		if took := time.Since(start); took > 10*time.Second+DefaultGrace+time.Second {
			t.Errorf("stopped after %s", took)
		}
		expect(t, "event", r.arc.lastEvent().Outcome, "stopped")
	}, letters(3)...)
}

func TestKeepAll(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.Policy = KeepAll
		r.deliver(pop3test.Message{UIDL: "twin", Raw: []byte(letter("a", 90))}, pop3test.Message{UIDL: "twin", Raw: []byte(letter("b", 90))})
		for range 3 {
			r.drainOK()
		}
		expect(t, "left", len(r.box.Left()), 5)
		expect(t, "DELE", r.count("DELE", 0), 0)
		expect(t, "RETR", r.count("RETR", 0), 5)
	}, letters(3)...)
}

func TestEventIsReportedLater(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.arc.report = func() error { return mail.Errorf(mail.Temporary, "no answer") }
		r.drainOK()
		expect(t, "left", len(r.box.Left()), 0)
		expect(t, "kept", len(r.state().Reports), 1)
		before := r.srv.Sessions()
		expect(t, "outcome", r.drain().Outcome, OutcomeArchive)
		expect(t, "sessions", r.srv.Sessions(), before)
		r.arc.report = nil
		r.drainOK()
		expect(t, "events", len(r.arc.events), 2)
		expect(t, "kept", len(r.state().Reports), 0)
	}, letters(2)...)
}

func TestFailureBeforeLoginLeavesNoEvent(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.Password = func(context.Context) (string, error) { return "wrong", nil }
		res := r.drain()
		expect(t, "outcome", res.Outcome, OutcomeCredentials)
		expect(t, "events", len(r.arc.events), 0)
		expect(t, "refusals stored", len(r.state().Access.Refused), 1)
	}, letters(1)...)
}

func TestInvalidMailbox(t *testing.T) {
	d := &Drainer{}
	_, err := d.Drain(t.Context(), Mailbox{Name: "x"})
	expect(t, "kind", mail.KindOf(errors.Unwrap(err)), mail.Other)
	for _, want := range []string{"host:port", "no user", "no password"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

func TestLookupIsPagedAndBounded(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		asked := 0
		r.arc.lookup = func() error { asked++; return nil }
		r.m.BatchMessages = 5
		for i := range lookupPage + 100 {
			r.box.Add(pop3test.Message{UIDL: fmt.Sprint("m", i), Raw: []byte("Subject: x\r\n\r\n")})
		}
		r.strict = false
		r.drainOK()
		expect(t, "lookups", asked, 1)
		expect(t, "listed", r.arc.lastEvent().Listed, lookupPage+100)
	})
}
