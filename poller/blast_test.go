package poller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// foreign seals n messages under the unique-ids of the mailbox that are other ones
// than it has; grow says by how many octets they are longer.
func (r *rig) foreign(n, grow int) {
	for _, m := range r.box.Left()[:n] {
		raw := strings.Replace(string(onWire(m.Raw)), "letter", "lettuc", 1) + strings.Repeat("x", grow)
		r.arc.put(mail.Delivery{
			Fingerprint: mail.FingerprintOf([]byte(raw)),
			Capture:     mail.Capture{Mailbox: r.m.Name, UIDL: mail.Octets(m.UIDL), ListSize: int64(len(raw)), Fetched: time.Now()},
		})
	}
}

// noDele checks that none was sent so far.
func (r *rig) noDele(what string) {
	r.t.Helper()
	expect(r.t, "DELE "+what, r.count("DELE", 0), 0)
}

func TestBreakerOpensOnContradiction(t *testing.T) {
	for name, grow := range map[string]int{"other header": 0, "other size": 7} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.foreign(8, grow)
				res := r.drain()
				expect(t, "outcome", res.Outcome, OutcomeBreaker)
				expect(t, "hint", strings.Contains(mail.HintOf(res.Err), "mailkeep mailbox reset"), true)
				expect(t, "alarm", strings.Contains(r.logs.String(), "level=ERROR"), true)
				expect(t, "open", res.BreakerSince.IsZero(), false)
				expect(t, "QUIT", res.Last.Quit, mail.QuitAcked)
				expect(t, "sealed", len(r.arc.bodies), 20)
				expect(t, "fates", res.Last.Fates[mail.FateBreaker], 20)
				if why := res.Last.Breaker; !strings.Contains(why, "8 of 8 messages") {
					t.Errorf("reason %q", why)
				}
				r.noDele("at once")

				// It stays open while what opened it is there; mail that comes is sealed.
				r.deliver(pop3test.Message{UIDL: "new", Raw: []byte(letter("new", 99))})
				elapse(time.Hour)
				res = r.drain()
				expect(t, "outcome later", res.Outcome, OutcomeBreaker)
				expect(t, "sealed", len(r.arc.bodies), 21)
				expect(t, "fates later", res.Last.Fates[mail.FateBreaker], 21)
				r.noDele("later")

				if err := Reset(t.Context(), r.store, r.m.Name); err != nil {
					t.Fatal(err)
				}
				res = r.drainOK()
				expect(t, "deleted after the reset", res.Deleted, 21)
				expect(t, "closed", res.BreakerSince.IsZero(), true)
			}, letters(20)...)
		})
	}
}

// The disagreement ends because the right account answers again.
func TestBreakerClosesByItself(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.foreign(8, 0)
		expect(t, "outcome", r.drain().Outcome, OutcomeBreaker)
		elapse(time.Hour)
		r.takeAway("u1", "u2", "u3")
		expect(t, "five are left, and may be", r.drainOK().Deleted, 17)
		expect(t, "told", strings.Contains(r.logs.String(), "breaker on the blast radius closes"), true)
	}, letters(20)...)
}

// Below the limits, and where the content is the same after all, it stays closed.
func TestBreakerStaysClosed(t *testing.T) {
	for name, script := range map[string]func(r *rig){
		"five":    func(r *rig) { r.foreign(5, 0) },
		"allowed": func(r *rig) { r.foreign(8, 0); r.m.MaxDoubtPercent = 100 },
		"TOP differs, content does not": func(r *rig) {
			r.m.Policy = KeepAll
			r.drainOK()
			r.m.Policy = DeleteSealed
			r.hooks(pop3test.Hooks{OnCommand: on("TOP", 0, pop3test.Action{Raw: "+OK\r\nX-Seen: 1\r\n\r\n.\r\n"})})
		},
		"no policy to delete": func(r *rig) { r.foreign(8, 7); r.m.Policy = KeepAll },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				script(r)
				r.drainOK()
				expect(t, "left", len(r.box.Left()) == 0, r.m.Policy == DeleteSealed)
			}, letters(20)...)
		})
	}
}

// The number counts by itself, whatever its share.
func TestBreakerCountsMessages(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.MaxDoubt = 3
		r.foreign(4, 0)
		expect(t, "outcome", r.drain().Outcome, OutcomeBreaker)
	}, letters(40)...)
}

// A catalog that does not stand by its receipts.
func TestCatalogIsAskedBeforeBulkDelete(t *testing.T) {
	deny := func(a *archive, n int) {
		asked := 0
		a.lookup = func() error {
			if asked++; asked%2 == 0 { // the second of each session
				a.forget(n)
			}
			return nil
		}
	}
	t.Run("some are spared", func(t *testing.T) {
		bubble(t, func(t *testing.T, r *rig) {
			deny(r.arc, 3)
			res := r.drainOK()
			expect(t, "deleted", res.Deleted, 37)
			expect(t, "fates", res.Last.Fates[mail.FateUnvouched], 3)
			expect(t, "held", res.Held, 3)
			r.arc.lookup = nil
			expect(t, "few are deleted by their receipts alone", r.drainOK().Deleted, 3)
		}, letters(40)...)
	})
	t.Run("too many", func(t *testing.T) {
		bubble(t, func(t *testing.T, r *rig) {
			deny(r.arc, 20)
			res := r.drain()
			expect(t, "outcome", res.Outcome, OutcomeBreaker)
			r.noDele("of a catalog that lies")
			elapse(time.Hour)
			expect(t, "outcome later", r.drain().Outcome, OutcomeBreaker)
			r.noDele("later")
			r.arc.lookup = nil
			r.arc.recall()
			elapse(time.Hour)
			expect(t, "deleted when the catalog knows them", r.drainOK().Deleted, 40)
		}, letters(40)...)
	})
	t.Run("few are not asked for", func(t *testing.T) {
		bubble(t, func(t *testing.T, r *rig) {
			asked := 0
			r.arc.lookup = func() error { asked++; return nil }
			r.drainOK()
			expect(t, "lookups", asked, 1)
		}, letters(5)...)
	})
	t.Run("no answer", func(t *testing.T) {
		bubble(t, func(t *testing.T, r *rig) {
			asked := 0
			r.arc.lookup = func() error {
				if asked++; asked == 2 {
					return mail.Errorf(mail.Temporary, "no answer")
				}
				return nil
			}
			res := r.drain()
			expect(t, "outcome", res.Outcome, OutcomeArchive)
			r.noDele("without an answer")
			r.settle(2, 0)
		}, letters(40)...)
	})
}

// forget takes the rows of the n first messages from the catalog, not their bodies.
func (a *archive) forget(n int) {
	for row := range a.rows {
		var i int
		if _, err := fmt.Sscanf(string(row.UIDL), "u%d", &i); err == nil && i <= n {
			a.forgotten = append(a.forgotten, a.rows[row])
			delete(a.rows, row)
			delete(a.uidls, sealedUidl{row.mailbox, row.UIDL})
		}
	}
}

// recall puts them back.
func (a *archive) recall() {
	for _, r := range a.forgotten {
		a.rows[sealedRow{r.Mailbox, mail.Listing{UIDL: r.UIDL, Size: r.ListSize}}] = r
	}
	a.forgotten = nil
}

// Where the server deletes what was retrieved, an open breaker forbids QUIT.
func TestBreakerOnConsumingServer(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.strict = false
		r.hooks(pop3test.Hooks{RetrDeletes: true})
		r.foreign(8, 0)
		expect(t, "outcome", r.drain().Outcome, OutcomeBreaker)
		expect(t, "QUIT", r.count("QUIT", 0), 0)
		expect(t, "left", len(r.box.Left()), 20)
	}, letters(20)...)
}

// What the catalog denies must survive a server that deletes what was retrieved.
func TestUnvouchedOnConsumingServer(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.strict = false
		r.hooks(pop3test.Hooks{RetrDeletes: true})
		asked := 0
		r.arc.lookup = func() error {
			if asked++; asked == 2 {
				r.arc.forget(2)
			}
			return nil
		}
		r.drain()
		expect(t, "QUIT", r.count("QUIT", 0), 0)
		expect(t, "left", len(r.box.Left()), 20)
		elapse(time.Hour)
		r.settle(4, 0)
	}, letters(20)...)
}

func TestResetForgetsBackOffs(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		if err := Reset(t.Context(), r.store, r.m.Name); err != nil {
			t.Errorf("of a mailbox without a state: %v", err)
		}
		r.hooks(pop3test.Hooks{OnCommand: onLine("RETR 2", pop3test.Action{Raw: "-ERR cannot read it\r\n"})})
		r.drainOK()
		r.hooks(pop3test.Hooks{})
		expect(t, "held", r.drainOK().Held, 1)
		sizes := r.state().Sizes
		if err := Reset(t.Context(), r.store, r.m.Name); err != nil {
			t.Fatal(err)
		}
		expect(t, "sizes are kept", r.state().Sizes, sizes)
		expect(t, "deleted", r.drainOK().Deleted, 1)
		r.store.fail = mail.Errorf(mail.Temporary, "no answer")
		expect(t, "kind", mail.KindOf(Reset(t.Context(), r.store, r.m.Name)), mail.Temporary)
	}, letters(3)...)
}

// A server that adds lines to a message from session to session: each may be
// sealed, but ever more seldom, and the message goes in the end.
func TestChangingContentDoesNotLoop(t *testing.T) {
	changing := func(r *rig, sizes bool) pop3test.Hooks {
		return pop3test.Hooks{
			Quit: pop3test.QuitDropBefore,
			ListSize: func(n int, size int64) string {
				if sizes {
					size += int64(r.srv.Sessions()) // as if the line grew
				}
				return fmt.Sprint(size)
			},
			Body: func(n int, raw []byte) []byte {
				line := fmt.Sprintf("X-Session: %08d\r\n", r.srv.Sessions())
				return append([]byte(line), raw[min(len(line), len(raw)):]...)
			},
			OnCommand: on("TOP", 0, pop3test.Action{Raw: "+OK\r\nX-Session: other\r\n\r\n.\r\n"}),
		}
	}
	bubble(t, func(t *testing.T, r *rig) {
		r.strict, r.originals = false, nil
		r.hooks(changing(r, false))
		for range 100 * 6 {
			elapse(4 * time.Hour)
			r.d.Drain(t.Context(), r.m)
		}
		r.conns.Wait()
		if n := len(r.arc.sealed); n < 5 || n > 25 {
			t.Errorf("%d copies in 100 days", n)
		}
		expect(t, "left alone", slices.ContainsFunc(r.arc.events, func(d mail.Drain) bool { return d.Fates[mail.FateChanging] == 1 }), true)
		expect(t, "noted", slices.ContainsFunc(r.arc.events, func(d mail.Drain) bool { return slices.Contains(d.Notes, mail.NoteChanging) }), true)
	}, letter("one", 300))

	t.Run("in size too, where nothing is deleted", func(t *testing.T) {
		bubble(t, func(t *testing.T, r *rig) {
			r.strict, r.originals = false, nil
			r.m.Policy = KeepAll
			h := changing(r, true)
			h.Quit = pop3test.QuitFine
			r.m.Sizes = SizesUnreliable
			r.hooks(h)
			for range 100 * 6 {
				elapse(4 * time.Hour)
				r.d.Drain(t.Context(), r.m)
			}
			r.conns.Wait()
			if n := len(r.arc.sealed); n < 5 || n > 25 {
				t.Errorf("%d copies in 100 days", n)
			}
		}, letter("one", 300))
	})

	t.Run("left for its age", func(t *testing.T) {
		bubble(t, func(t *testing.T, r *rig) {
			r.strict, r.originals = false, nil
			r.aged()
			h := changing(r, false)
			h.Quit = pop3test.QuitFine
			r.hooks(h)
			for range 100 {
				elapse(day)
				r.d.Drain(t.Context(), r.m)
			}
			r.conns.Wait()
			expect(t, "copies", len(r.arc.sealed), 3)
			expect(t, "deleted", len(r.srv.Deleted()), 1)
		}, letter("one", 300))
	})
}
