package poller

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// The rows of the test plan about listings and who shares the mailbox, where
// drain_test.go and census_test.go do not have them.

// TestRow30StatTakesLong: a server that counts a hundred thousand messages first
// may take its time.
func TestRow30StatTakesLong(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			switch c.Verb {
			case "STAT", "LIST", "UIDL":
				return &pop3test.Action{Delay: time.Minute, Run: true}
			}
			return nil
		}})
		expect(t, "deleted", r.drainOK().Deleted, 2)
		expect(t, "sessions", r.srv.Sessions(), 1)
	}, letters(2)...)
}

// TestRow32MailBetweenListAndUidl: what comes between the two is for the next
// session, whichever of the two has it.
func TestRow32MailBetweenListAndUidl(t *testing.T) {
	for _, verb := range []string{"LIST", "UIDL"} {
		t.Run("seen by "+verb, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				row := map[string]string{"LIST": "4 90", "UIDL": "4 u4"}[verb]
				r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
					if c.Verb != verb || c.Session > 1 {
						return nil
					}
					var answer strings.Builder
					for i, m := range r.box.Left() {
						fmt.Fprintf(&answer, "%d %s\r\n", i+1, map[string]string{"LIST": fmt.Sprint(len(m.Raw)), "UIDL": m.UIDL}[verb])
					}
					return &pop3test.Action{Raw: "+OK\r\n" + answer.String() + row + "\r\n.\r\n"}
				}})
				res := r.drainOK()
				expect(t, "listed", res.Listed, 3)
				expect(t, "deleted", res.Deleted, 3)
				expect(t, "RETR", r.count("RETR", 0), 3)
				r.deliver(pop3test.Message{UIDL: "u4", Raw: []byte(letter("4", 90))})
				expect(t, "deleted next", r.drainOK().Deleted, 1)
			}, letters(3)...)
		})
	}
}

// TestRow33NothingChanges: UIDL that is announced and refused is a passing
// trouble, and not a new mailbox: what is known of the messages stays known.
func TestRow33NothingChanges(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: onLine("RETR 2", pop3test.Action{Raw: "-ERR cannot read it\r\n"})})
		r.m.Policy = KeepAll
		r.drainOK()
		before, sealed := r.trouble("u2"), len(r.arc.sealed)
		r.hooks(pop3test.Hooks{OnCommand: on("UIDL", 0, pop3test.Action{Raw: "-ERR index is being rebuilt\r\n"})})
		for range 3 {
			elapse(time.Minute)
			expect(t, "outcome", r.drain().Outcome, OutcomeTemp)
		}
		expect(t, "record", r.trouble("u2"), before)
		expect(t, "sealed", len(r.arc.sealed), sealed)
		expect(t, "RETR", r.count("RETR", 0), 3)
		r.hooks(pop3test.Hooks{})
		r.m.Policy = DeleteSealed
		elapse(time.Hour)
		r.settle(2, 0)
		expect(t, "epoch", r.arc.lastEvent().Epoch, 0)
	}, letters(3)...)
}

// TestRow34NoUidlTwice: without UIDL a message that comes again is known by its
// content.
func TestRow34NoUidlTwice(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{NoUIDL: true, Quit: pop3test.QuitDropBefore})
		for range 3 {
			r.drain()
			elapse(time.Hour)
		}
		r.hooks(pop3test.Hooks{NoUIDL: true})
		r.settle(2, 0)
		expect(t, "records", r.arc.seq, 3)
	}, letters(3)...)
}

// TestRow35OddUidlsAreOpaque: they are kept octet for octet, and what cannot be
// one is a message without.
func TestRow35OddUidlsAreOpaque(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		uidls := []string{"", strings.Repeat("x", 300), "a b", "\xff\xfe", "U", "u"}
		for i, uidl := range uidls {
			r.deliver(pop3test.Message{UIDL: uidl, Raw: []byte(letter(fmt.Sprint("odd ", i), 90))})
		}
		expect(t, "deleted", r.drainOK().Deleted, len(uidls))
		for _, uidl := range uidls {
			found := false
			for _, rc := range r.arc.sealed {
				found = found || string(rc.UIDL) == uidl
			}
			if !found {
				t.Errorf("%.10q is not in the archive", uidl)
			}
		}
	})
}

// TestRow40ListingWithoutEnd: a listing that breaks off is none.
func TestRow40ListingWithoutEnd(t *testing.T) {
	for _, verb := range []string{"LIST", "UIDL"} {
		t.Run(verb, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.hooks(pop3test.Hooks{OnCommand: on(verb, 1, pop3test.Action{Raw: "+OK\r\n1 u1\r\n", End: pop3test.FIN})})
				expect(t, "outcome", r.drain().Outcome, OutcomeTemp)
				expect(t, "RETR", r.count("RETR", 0), 0)
				expect(t, "rows", len(r.state().Rows), 0)
				r.settle(2, 0)
			}, letters(2)...)
		})
	}
}

// TestRow41OddListRows: a size that is no size costs nothing but the check of it.
func TestRow41OddListRows(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{ListSize: func(n int, size int64) string {
			return []string{"-1", "9223372036854775808", "99999999999999999999", fmt.Sprint(size) + " and more", "none", ""}[n-1]
		}})
		expect(t, "deleted", r.drainOK().Deleted, 6)
		expect(t, "left", len(r.box.Left()), 0)
	}, letters(6)...)
}

// TestRow41GapsAndDisorder: numbers are names, not places.
func TestRow41GapsAndDisorder(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.strict = false // its messages have other numbers
		r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			switch c.Line() {
			case "STAT":
				return &pop3test.Action{Raw: "+OK 2 180\r\n"}
			case "LIST":
				return &pop3test.Action{Raw: "+OK\r\n70 90 octets\r\n 5  90\r\n70 91\r\n.\r\n"}
			case "UIDL":
				return &pop3test.Action{Raw: "+OK\r\n70 b\r\n5   a\r\n.\r\n"}
			case "RETR 5", "RETR 70":
				return &pop3test.Action{Raw: "+OK\r\n" + letter(c.Arg, 90) + ".\r\n"}
			case "DELE 5", "DELE 70":
				return &pop3test.Action{Raw: "+OK\r\n"}
			}
			return nil
		}})
		expect(t, "deleted", r.drainOK().Deleted, 2)
		for number, uidl := range map[string]mail.Octets{"5": "a", "70": "b"} {
			found := false
			for _, rc := range r.arc.sealed {
				found = found || rc.UIDL == uidl && rc.Digest == mail.DigestOf([]byte(letter(number, 90)))
			}
			expect(t, "message "+number, found, true)
		}
	})
}

// Bounds of a listing of a million messages: some times what two processors need.
const (
	millionTime   = 10 * time.Second
	millionMemory = 256 << 20
)

// TestRow42MillionMessages lists a million messages and drains a few.
func TestRow42MillionMessages(t *testing.T) {
	rows, batch := 1_000_000, 3
	if underRace {
		rows = 100_000
	}
	var list, uidl bytes.Buffer
	for i := range rows {
		fmt.Fprintf(&list, "%d %d\r\n", i+1, len(letter("x", 90)))
		fmt.Fprintf(&uidl, "%d %08x-unique-identifier\r\n", i+1, i)
	}
	answers := map[string]string{
		"STAT": fmt.Sprintf("+OK %d %d\r\n", rows, 90*rows), "LIST": "+OK\r\n" + list.String() + ".\r\n", "UIDL": "+OK\r\n" + uidl.String() + ".\r\n",
		"RETR": "+OK\r\n" + letter("x", 90) + ".\r\n", "DELE": "+OK\r\n",
	}
	r := newRig(t)
	defer r.overTCP()()
	r.strict = false
	r.m.BatchMessages = batch
	r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
		if answer, ok := answers[c.Verb]; ok {
			return &pop3test.Action{Raw: answer}
		}
		return nil
	}})
	before := alive()
	var during uint64
	r.arc.lookup = func() error { during = max(during, alive()); return nil }
	start := time.Now()
	res := r.drainOK()
	took := time.Since(start)
	expect(t, "listed", res.Listed, rows)
	expect(t, "deleted", res.Deleted, batch)
	t.Logf("%d rows in %s, with %d MiB", rows, took, (during-before)>>20)
	if took > millionTime || during-before > millionMemory {
		t.Errorf("%d rows took %s and %d MiB", rows, took, (during-before)>>20)
	}
}

// alive returns the octets that are alive.
func alive() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestRow65And85Expunged: another client deletes messages while we fetch, as
// servers without a lock let it. What is gone is no failure of ours, and the next
// session does not ask for it.
func TestRow65And85Expunged(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.strict = false // numbers no longer follow from what is left
		r.hooks(pop3test.Hooks{NoLock: true, OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Session == 1 && c.Line() == "RETR 1" {
				r.takeAway("u2", "u4")
			}
			return nil
		}})
		res := r.drainOK()
		expect(t, "deleted", res.Deleted, 3)
		elapse(time.Hour)
		res = r.drainOK()
		expect(t, "listed later", res.Listed, 0)
		expect(t, "rows", len(r.state().Rows), 0)
		expect(t, "RETR", r.count("RETR", 0), 5)
	}, letters(5)...)
}

// TestRow85SealedAndExpunged: it deletes what we have sealed and are about to
// delete.
func TestRow85SealedAndExpunged(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.strict = false
		r.hooks(pop3test.Hooks{NoLock: true, OnCommand: func(c pop3test.Command) *pop3test.Action {
			switch c.Line() {
			case "DELE 1":
				r.takeAway("u2")
			case "DELE 2":
				return &pop3test.Action{Raw: "-ERR message 2 expunged\r\n"}
			}
			return nil
		}})
		res := r.drainOK()
		expect(t, "deleted", res.Deleted, 2)
		expect(t, "left", len(r.box.Left()), 0)
		elapse(time.Hour)
		r.drainOK()
		expect(t, "rows", len(r.state().Rows), 0)
		expect(t, "RETR", r.count("RETR", 0), 3)
	}, letters(3)...)
}

// TestRow09SlotReleased: a server that stalls in the handshake keeps its host's
// only slot for the time of that, and no longer.
func TestRow09SlotReleased(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		stalls := r.m
		stalls.Name, stalls.Security = "stalls@example.org", 0 // TLS
		stalls.DialContext = func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			r.conns.Go(func() { io.Copy(io.Discard, server) })
			return client, nil
		}
		p, err := New(Options{Mailboxes: []Mailbox{stalls, r.m}, PerHost: 1, Archive: r.arc, Leaser: r.leases, Store: r.store})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		all, err := p.Once(t.Context())
		r.conns.Wait()
		r.check()
		if err != nil || all[0].Outcome != OutcomeTemp || all[1].Deleted != 2 {
			t.Errorf("%+v, %v", all, err)
		}
		if took := time.Since(start); took > 2*time.Minute {
			t.Errorf("took %s", took)
		}
	}, letters(2)...)
}
