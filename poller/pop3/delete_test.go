package pop3_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

const mailbox = "ann@example.org"

// receipt is a receipt for a message as it should be.
func receipt(raw string) mail.Receipt {
	fp := mail.FingerprintOf([]byte(raw))
	return mail.Receipt{
		Delivery: mail.Delivery{Capture: mail.Capture{Mailbox: mailbox, UIDL: "u1", ListSize: fp.Size}, Fingerprint: fp},
		SealedAt: time.Unix(1, 0),
	}
}

// warrants asks for one warrant for each take.
func warrants(t *testing.T, tx *pop3.Transaction, takes []take) []pop3.Warrant {
	t.Helper()
	var ws []pop3.Warrant
	for _, tk := range takes {
		w, err := tx.WarrantFetched(mailbox, tk.Retrieved, receipt(tk.body))
		if err != nil || w.Number() != tk.Number() {
			t.Fatalf("warrant for %d: %d, %v", tk.Number(), w.Number(), err)
		}
		ws = append(ws, w)
	}
	return ws
}

// deleteAll deletes what was taken and ends the session.
func deleteAll(t *testing.T, tx *pop3.Transaction, takes []take) {
	t.Helper()
	results, err := tx.Delete(t.Context(), warrants(t, tx, takes))
	if err != nil || len(results) != len(takes) || errors.Join(results...) != nil {
		t.Fatalf("%v, %v", results, err)
	}
	if q, err := tx.Quit(t.Context()); q != mail.QuitAcked || err != nil {
		t.Fatalf("QUIT: %v, %v", q, err)
	}
}

func TestDelete(t *testing.T) {
	for _, w := range windows {
		bubble(t, func(t *testing.T, r *rig) {
			tx := r.login()
			takes, err := fetch(t, tx, 2, w)
			if err != nil {
				t.Fatal(err)
			}
			deleteAll(t, tx, takes)
			if left := r.box.Left(); len(left) != 1 || left[0].UIDL != "u3" {
				t.Errorf("left: %v", left)
			}
		}, "a\r\n", "b\r\n", "c\r\n")
	}
}

func TestDeleteMany(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		for i := range 1000 {
			r.box.Messages = append(r.box.Messages, pop3test.Message{Raw: fmt.Appendf(nil, "%d\r\n", i)})
		}
		tx := r.login()
		takes, err := fetch(t, tx, 1000, pop3.Window{Count: 100})
		if err != nil {
			t.Fatal(err)
		}
		deleteAll(t, tx, takes)
		if n := len(r.box.Left()); n != 0 {
			t.Errorf("%d left", n)
		}
	})
}

func TestRow66_DELERefused(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(on(map[string]string{"DELE 2": "-ERR read-only\r\n"}))
		tx := r.login()
		takes, err := fetch(t, tx, 3, windows[1])
		if err != nil {
			t.Fatal(err)
		}
		results, err := tx.Delete(t.Context(), warrants(t, tx, takes))
		if err != nil || results[0] != nil || pop3.ClassOf(results[1]) != pop3.Message || results[2] != nil {
			t.Fatalf("%v, %v", results, err)
		}
		tx.Quit(t.Context())
		if left := r.box.Left(); len(left) != 1 || left[0].UIDL != "u2" {
			t.Errorf("left: %v", left)
		}
	}, "a\r\n", "b\r\n", "c\r\n")
}

func TestDeleteCut(t *testing.T) {
	for _, pipelining := range []bool{true, false} {
		bubble(t, func(t *testing.T, r *rig) {
			r.d.NoPipelining = !pipelining
			r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
				if c.Line() == "DELE 2" {
					return &pop3test.Action{End: pop3test.FIN}
				}
				return nil
			}})
			tx := r.login()
			takes, err := fetch(t, tx, 3, windows[1])
			if err != nil {
				t.Fatal(err)
			}
			results, err := tx.Delete(t.Context(), warrants(t, tx, takes))
			wantError(t, err, pop3.Temp, nil)
			if results[0] != nil || results[1] == nil || results[2] == nil {
				t.Errorf("%v", results)
			}
			noQuit(t, r, tx)
			if len(r.box.Left()) != 3 {
				t.Error("something was deleted")
			}
		}, "a\r\n", "b\r\n", "c\r\n")
	}
}

// TestNoWarrantNoDelete goes through the ways to come by a deletion that was not
// earned.
func TestNoWarrantNoDelete(t *testing.T) {
	const raw = "a\r\n"
	bubble(t, func(t *testing.T, r *rig) {
		other := newRig(t, raw, raw)
		tx, tx2 := r.login(), other.login()
		takes, err := fetch(t, tx, 1, windows[0])
		if err != nil {
			t.Fatal(err)
		}
		good := receipt(raw)
		for name, change := range map[string]func(*mail.Receipt){
			"none":           func(x *mail.Receipt) { *x = mail.Receipt{} },
			"not sealed":     func(x *mail.Receipt) { x.SealedAt = time.Time{} },
			"other mailbox":  func(x *mail.Receipt) { x.Mailbox = "bob@example.org" },
			"other bytes":    func(x *mail.Receipt) { x.Digest[0]++ },
			"other size":     func(x *mail.Receipt) { x.Size++ },
			"suspect":        func(x *mail.Receipt) { x.Suspect = "short" },
			"no digest":      func(x *mail.Receipt) { x.Digest = mail.Digest{} },
			"of a short one": func(x *mail.Receipt) { x.Fingerprint = mail.FingerprintOf([]byte("a\r")) },
		} {
			x := good
			change(&x)
			if w, err := tx.WarrantFetched(mailbox, takes[0].Retrieved, x); err == nil || w != (pop3.Warrant{}) {
				t.Errorf("%s: warrant %v, %v", name, w, err)
			}
		}
		if _, err := tx.WarrantFetched(mailbox, pop3.Retrieved{}, good); !errors.Is(err, pop3.ErrDoubt) {
			t.Errorf("for nothing: %v", err)
		}
		if _, err := tx2.WarrantFetched(mailbox, takes[0].Retrieved, good); !errors.Is(err, pop3.ErrDoubt) {
			t.Errorf("for a message of another session: %v", err)
		}
		w, err := tx.WarrantFetched(mailbox, takes[0].Retrieved, good)
		if err != nil {
			t.Fatal(err)
		}
		for name, ws := range map[string][]pop3.Warrant{"zero": {{}}, "zero beside a good one": {w, {}}, "twice": {w, w}} {
			if res, err := tx.Delete(t.Context(), ws); !errors.Is(err, pop3.ErrNoWarrant) || res != nil {
				t.Errorf("%s: %v, %v", name, res, err)
			}
		}
		takes2, err := fetch(t, tx2, 1, windows[0])
		if err != nil {
			t.Fatal(err)
		}
		warrants(t, tx2, takes2) // for the same number
		if _, err := tx2.Delete(t.Context(), []pop3.Warrant{w}); !errors.Is(err, pop3.ErrNoWarrant) {
			t.Errorf("of another transaction: %v", err)
		}
		if r.sent("DELE")+other.sent("DELE") != 0 {
			t.Error("DELE was sent")
		}
		if _, err := tx.Delete(t.Context(), []pop3.Warrant{w}); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Delete(t.Context(), []pop3.Warrant{w}); !errors.Is(err, pop3.ErrNoWarrant) {
			t.Errorf("used again: %v", err)
		}
	}, raw, raw)
}

// TestUnreadableMessageHasNoWarrant: neither a refused RETR nor a failed writer
// gives anything to hold against a receipt.
func TestUnreadableMessageHasNoWarrant(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(on(map[string]string{"RETR 1": "-ERR no\r\n"}))
		tx := r.login()
		takes, err := fetch(t, tx, 1, windows[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.WarrantFetched(mailbox, takes[0].Retrieved, receipt("a\r\n")); !errors.Is(err, pop3.ErrDoubt) {
			t.Errorf("%v", err)
		}
	}, "a\r\n")
}

func TestRow39_WarrantKnown(t *testing.T) {
	const raw = "A: 1\r\n\r\nbody\r\n"
	row := pop3.Row{Number: 1, Size: int64(len(raw))}
	for name, c := range map[string]struct {
		change func(r *rig, row *pop3.Row, uidl *string, x *mail.Receipt)
		doubt  bool
	}{
		"the same":       {func(*rig, *pop3.Row, *string, *mail.Receipt) {}, false},
		"other UIDL":     {func(_ *rig, _ *pop3.Row, uidl *string, _ *mail.Receipt) { *uidl = "U1" }, true},
		"no UIDL":        {func(_ *rig, _ *pop3.Row, uidl *string, x *mail.Receipt) { *uidl, x.UIDL = "", "" }, true},
		"other size":     {func(_ *rig, row *pop3.Row, _ *string, _ *mail.Receipt) { row.Size++ }, true},
		"unknown sizes":  {func(_ *rig, row *pop3.Row, _ *string, x *mail.Receipt) { row.Size, x.ListSize = -1, -1 }, true},
		"not sealed":     {func(_ *rig, _ *pop3.Row, _ *string, x *mail.Receipt) { x.SealedAt = time.Time{} }, true},
		"other mailbox":  {func(_ *rig, _ *pop3.Row, _ *string, x *mail.Receipt) { x.Mailbox = "bob@example.org" }, true},
		"suspect":        {func(_ *rig, _ *pop3.Row, _ *string, x *mail.Receipt) { x.Suspect = "short" }, true},
		"no header":      {func(_ *rig, _ *pop3.Row, _ *string, x *mail.Receipt) { x.Header = mail.Digest{} }, true},
		"UIDL reused":    {func(r *rig, _ *pop3.Row, _ *string, _ *mail.Receipt) { r.box.Messages[0].Raw[3] = '2' }, true},
		"no such number": {func(_ *rig, row *pop3.Row, _ *string, _ *mail.Receipt) { row.Number = 7 }, true},
		"TOP refused": {func(r *rig, _ *pop3.Row, _ *string, _ *mail.Receipt) {
			r.hooks(on(map[string]string{"TOP": "-ERR [SYS/TEMP] not now\r\n"}))
		}, true},
		"no TOP": {func(r *rig, _ *pop3.Row, _ *string, _ *mail.Receipt) { r.srv.Caps = []string{"UIDL"} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				row, uidl, x := row, "u1", receipt(raw)
				c.change(r, &row, &uidl, &x)
				tx := r.login()
				w, err := tx.WarrantKnown(t.Context(), mailbox, row, uidl, x)
				if c.doubt {
					if !errors.Is(err, pop3.ErrDoubt) || w != (pop3.Warrant{}) {
						t.Errorf("%v, %v", w, err)
					}
					if err := tx.Noop(t.Context()); err != nil {
						t.Errorf("the session did not go on: %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if _, err := tx.Delete(t.Context(), []pop3.Warrant{w}); err != nil {
					t.Fatal(err)
				}
				if q, _ := tx.Quit(t.Context()); q != mail.QuitAcked || len(r.box.Left()) != 0 {
					t.Errorf("QUIT %v, %d left", q, len(r.box.Left()))
				}
			}, raw)
		})
	}
	bubble(t, func(t *testing.T, r *rig) { // trouble of the session is not doubt
		r.hooks(on(map[string]string{"TOP 1 0": "what\r\n"}))
		_, err := r.login().WarrantKnown(t.Context(), mailbox, row, "u1", receipt(raw))
		wantError(t, err, pop3.Protocol, pop3.ErrDesync)
		if errors.Is(err, pop3.ErrDoubt) {
			t.Error("a broken session is taken for doubt")
		}
	}, raw)
}

func TestRow68To70And73_QUIT(t *testing.T) {
	for name, c := range map[string]struct {
		hooks pop3test.Hooks
		quit  mail.Quit
		left  int
	}{
		"acked":        {pop3test.Hooks{}, mail.QuitAcked, 1},
		"refused":      {pop3test.Hooks{Quit: pop3test.QuitRefused}, mail.QuitRefused, 2},
		"executed":     {pop3test.Hooks{Quit: pop3test.QuitDropAfter}, mail.QuitUnknown, 1},
		"not executed": {pop3test.Hooks{Quit: pop3test.QuitDropBefore}, mail.QuitUnknown, 2},
		"a lie":        {pop3test.Hooks{Quit: pop3test.QuitLie}, mail.QuitAcked, 2},
		"not a status": {on(map[string]string{"QUIT": "bye\r\n"}), mail.QuitUnknown, 2},
		"silence": {pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "QUIT" {
				return &pop3test.Action{End: pop3test.Stall}
			}
			return nil
		}}, mail.QuitUnknown, 2},
		"five minutes": {pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "QUIT" {
				return &pop3test.Action{Delay: 5 * time.Minute, Run: true}
			}
			return nil
		}}, mail.QuitAcked, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.hooks(c.hooks)
				tx := r.login()
				takes, err := fetch(t, tx, 1, windows[0])
				if err != nil {
					t.Fatal(err)
				}
				if _, err := tx.Delete(t.Context(), warrants(t, tx, takes)); err != nil {
					t.Fatal(err)
				}
				q, err := tx.Quit(t.Context())
				if q != c.quit || (err == nil) != (q == mail.QuitAcked) {
					t.Errorf("%v, %v", q, err)
				}
				if again, err := tx.Quit(t.Context()); again != mail.QuitNone || err == nil {
					t.Errorf("again: %v, %v", again, err)
				}
				r.stop()
				r.wg.Wait()
				if n := len(r.box.Left()); n != c.left {
					t.Errorf("%d left", n)
				}
			}, "a\r\n", "b\r\n")
		})
	}
}

// TestQuitOnlyInStep: stray octets before QUIT mean that a DELE may have been
// answered by something else.
func TestQuitOnlyInStep(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(on(map[string]string{"NOOP": "+OK\r\n+OK stray\r\n"}))
		tx := r.login()
		if err := tx.Noop(t.Context()); err != nil {
			t.Fatal(err)
		}
		q, err := tx.Quit(t.Context())
		wantError(t, err, pop3.Protocol, pop3.ErrDesync)
		if q != mail.QuitNone || r.sent("QUIT") != 0 {
			t.Errorf("QUIT: %v", q)
		}
	}, "a\r\n")
}

func TestRsetAndClose(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		tx := r.login()
		takes, err := fetch(t, tx, 1, windows[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Delete(t.Context(), warrants(t, tx, takes)); err != nil {
			t.Fatal(err)
		}
		if err := tx.Rset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := tx.Close(); err != nil {
			t.Error(err)
		}
		if err := tx.Close(); err != nil {
			t.Errorf("again: %v", err)
		}
		if err := tx.Noop(t.Context()); !errors.Is(err, pop3.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		r.stop()
		r.wg.Wait()
		if len(r.box.Left()) != 1 || r.sent("QUIT") != 0 {
			t.Error("Close was not silent")
		}
	}, "a\r\n")
}
