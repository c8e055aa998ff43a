package poller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// bubble runs f with a rig in virtual time.
func bubble(t *testing.T, f func(t *testing.T, r *rig), raw ...string) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(t, newRig(t, raw...)) })
}

func TestDrainEmptiesMailbox(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var seen []Progress
		r.d.Observer = observer(func(p Progress) { seen = append(seen, p) })
		res := r.drainOK()
		expect(t, "listed", res.Listed, 3)
		expect(t, "fetched", res.Fetched, 3)
		expect(t, "sealed", res.Sealed, 3)
		expect(t, "deleted", res.Deleted, 3)
		expect(t, "more", res.More, false)
		expect(t, "left", len(r.box.Left()), 0)

		e := r.arc.lastEvent()
		expect(t, "event quit", e.Quit, mail.QuitAcked)
		expect(t, "event outcome", e.Outcome, "ok")
		expect(t, "event deleted", e.Deleted, 3)
		expect(t, "event rows", len(e.Rows), 3)
		for i, row := range e.Rows {
			if row.Number != i+1 || string(row.UIDL) != fmt.Sprintf("u%d", i+1) || !row.Deleted || row.ID == nil || row.Why != "" {
				t.Errorf("row %d: %+v", i, row)
			}
		}
		first := slices.IndexFunc(r.arc.sealed, func(d mail.Receipt) bool { return d.UIDL == "u1" })
		d := r.arc.sealed[max(first, 0)]
		if first < 0 || d.Session != e.Session || d.Host != r.m.Host || d.Worker != "w1" || d.ListSize != int64(len(r.originals[0])) || d.Fetched.IsZero() {
			t.Errorf("capture %+v", d.Capture)
		}
		last := seen[len(seen)-1]
		if last.Phase != PhaseDone || last.Deleted != 3 || last.Planned != 3 || last.Session != e.Session {
			t.Errorf("last progress %+v", last)
		}

		res = r.drainOK()
		expect(t, "listed later", res.Listed, 0)
		expect(t, "event later", r.arc.lastEvent().Quit, mail.QuitAcked)
	}, letters(3)...)
}

type observer func(Progress)

func (o observer) Progress(p Progress) { o(p) }

func TestDrainManyBySlices(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.BatchMessages = 10
		r.d.Sessions = 2
		res := r.drainOK()
		expect(t, "sessions", res.Sessions, 2)
		expect(t, "deleted", res.Deleted, 20)
		expect(t, "more", res.More, true)
		r.d.Sessions = 0
		res = r.drainOK()
		expect(t, "sessions", res.Sessions, 3)
		expect(t, "deleted", res.Deleted, 25)
		expect(t, "more", res.More, false)
	}, letters(45)...)
}

func TestBatchOctets(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.BatchOctets = 3000
		for _, want := range []int{1, 2, 1} { // 5000; 1400 and 1400; 2900
			res := r.drainOK()
			expect(t, "fetched", res.Fetched, want)
		}
	}, letter("a", 5000), letter("b", 1400), letter("c", 1400), letter("d", 2900))
}

func TestRow14ExpireAppearsAfterLogin(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.srv.Caps = []string{"TOP", "UIDL", "USER"}
		r.srv.CapsAfterLogin = []string{"TOP", "UIDL", "USER", "PIPELINING", "EXPIRE 0"}
		r.arc.seal = func(d mail.Delivery) sealing { return sealing{never: d.UIDL == "u2"} }
		r.drain()
		expect(t, "QUIT", r.count("QUIT", 0), 0)
	}, letters(3)...)
}

func TestRow30StatIsSlow(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: on("STAT", 0, pop3test.Action{Delay: time.Minute, Run: true})})
		expect(t, "deleted", r.drainOK().Deleted, 1)
	}, letters(1)...)
}

// on makes a hook that acts on a verb, of one session or (0) of all.
func on(verb string, session int, a pop3test.Action) func(pop3test.Command) *pop3test.Action {
	return func(c pop3test.Command) *pop3test.Action {
		if c.Verb != verb || session != 0 && c.Session != session {
			return nil
		}
		return &a
	}
}

// onLine makes a hook that acts on a whole command line.
func onLine(line string, a pop3test.Action) func(pop3test.Command) *pop3test.Action {
	return func(c pop3test.Command) *pop3test.Action {
		if c.Line() != line {
			return nil
		}
		return &a
	}
}

func TestRow31ListAndUidlDisagree(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: on("UIDL", 1, pop3test.Action{Raw: "+OK\r\n1 u1\r\n3 u3\r\n4 u9\r\n.\r\n"})})
		res := r.drainOK()
		expect(t, "listed", res.Listed, 2)
		expect(t, "deleted", res.Deleted, 2)
		expect(t, "left", string(r.box.Left()[0].UIDL), "u2")
		expect(t, "deleted next", r.drainOK().Deleted, 1)
	}, letters(3)...)
}

func TestUidlEmptyThoughListIsNot(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: on("UIDL", 1, pop3test.Action{Raw: "+OK\r\n.\r\n"})})
		expect(t, "outcome", r.drain().Outcome, OutcomeTemp)
		expect(t, "QUIT", r.count("QUIT", 0), 0)
		r.settle(2, 0)
	}, letters(2)...)
}

func TestRow33UidlFails(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: on("UIDL", 1, pop3test.Action{Raw: "-ERR [SYS/TEMP] index is busy\r\n"})})
		res := r.drain()
		expect(t, "outcome", res.Outcome, OutcomeTemp)
		expect(t, "RETR", r.count("RETR", 0), 0)
		expect(t, "event", r.arc.lastEvent().Quit, mail.QuitNone)
		r.settle(3, 0)
	}, letters(2)...)
}

func TestRow34NoUidl(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{NoUIDL: true})
		expect(t, "deleted", r.drainOK().Deleted, 3)
		r.m.Policy = KeepAll
		r.deliver(pop3test.Message{Raw: []byte(letter("new", 90))})
		res := r.drain()
		expect(t, "outcome of keeping", res.Outcome, OutcomePerm)
		if mail.HintOf(res.Err) == "" {
			t.Error("no hint")
		}
	}, letters(3)...)
}

func TestRow35OddUidls(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		for i, uidl := range []string{"", strings.Repeat("x", 300), "a b", "\xff\xfe", "u"} {
			r.deliver(pop3test.Message{UIDL: uidl, Raw: []byte(letter(fmt.Sprint("odd ", i), 90))})
		}
		r.drain()
		r.settle(2, 0)
	})
}

func TestRow36DuplicateUidls(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		for i := range 2 {
			r.deliver(pop3test.Message{UIDL: "same", Raw: []byte(letter(fmt.Sprint("twin ", i), 90))})
		}
		expect(t, "deleted", r.drainOK().Deleted, 2)
	})
}

func TestRow37DropBetweenDuplicateUidls(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		for i := range 2 {
			r.deliver(pop3test.Message{UIDL: "same", Raw: []byte(letter(fmt.Sprint("twin ", i), 90))})
		}
		r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Session == 1 && c.Line() == "RETR 2" {
				return &pop3test.Action{Raw: "+OK 99 octets\r\nFrom: a", End: pop3test.FIN}
			}
			return nil
		}})
		expect(t, "outcome", r.drain().Outcome, OutcomeTemp)
		r.settle(3, 0)
	})
}

func TestRow38AllUidlsChange(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{Quit: pop3test.QuitDropBefore})
		r.drain()
		r.hooks(pop3test.Hooks{OnCommand: on("UIDL", 2, pop3test.Action{Raw: "+OK\r\n1 n1\r\n2 n2\r\n.\r\n"})})
		expect(t, "deleted", r.drainOK().Deleted, 2)
		expect(t, "bodies", len(r.arc.bodies), 2)
	}, letters(2)...)
}

// reuse seals one message and puts another in its place, with equal UIDL and size.
func reuse(r *rig, old, new string) {
	r.originals = nil
	r.arc.put(mail.Delivery{
		Fingerprint: mail.FingerprintOf([]byte(old)),
		Capture:     mail.Capture{Mailbox: r.m.Name, UIDL: "u1", ListSize: int64(len(old))},
	})
	r.deliver(pop3test.Messages(new)...)
}

func TestRow39UidlReused(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		reuse(r, letter("one", 300), letter("two", 300))
		res := r.drainOK()
		expect(t, "fetched", res.Fetched, 1)
		expect(t, "deleted", res.Deleted, 1)
	})
}

func TestRow39UidlReusedWithEqualHeader(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		old := letter("one", 300)
		reuse(r, old, strings.Replace(old, "fox", "cat", 1))
		r.m.VerifyByDigest = true
		res := r.drainOK()
		expect(t, "fetched", res.Fetched, 1)
		expect(t, "TOP", r.count("TOP", 0), 0)
	})
}

func TestKnownIsDeletedWithoutRetr(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		reuse(r, letter("one", 300), letter("one", 300))
		res := r.drainOK()
		expect(t, "RETR", r.count("RETR", 0), 0)
		expect(t, "deleted", res.Deleted, 1)
		expect(t, "sealed", res.Sealed, 1)
	})
}

func TestRow62Poison(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: onLine("RETR 2", pop3test.Action{Raw: "-ERR cannot read it\r\n"})})
		res := r.drainOK()
		expect(t, "deleted", res.Deleted, 3)
		expect(t, "held", res.Held, 1)
		expect(t, "tries", r.trouble("u2").Tries, 1)

		r.hooks(pop3test.Hooks{OnCommand: on("RETR", 0, pop3test.Action{Raw: "-ERR cannot read it\r\n"})})
		for range 30 { // a week and more
			elapse(6 * time.Hour)
			r.drain()
		}
		expect(t, "trouble", r.trouble("u2").Trouble, poison)
		expect(t, "RETR", r.count("RETR", 0), 4+2+1) // after 6 h, 12 h, and a week
		expect(t, "why", r.arc.lastEvent().Held, 1)

		r.hooks(pop3test.Hooks{})
		elapse(week)
		r.settle(1, 0)
	}, letters(4)...)
}

func TestRow63Quota(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: on("RETR", 0, pop3test.Action{Raw: "-ERR download quota exceeded\r\n"})})
		res := r.drain()
		expect(t, "outcome", res.Outcome, OutcomeRate)
		expect(t, "more", res.More, false)
		for _, row := range r.state().Rows {
			if row.Trouble == poison {
				t.Errorf("poison: %+v", row)
			}
		}
		r.hooks(pop3test.Hooks{})
		expect(t, "deleted", r.drainOK().Deleted, 20)
	}, letters(20)...)
}

// Five poison messages in a row look like a quota; the others must drain.
func TestPoisonRunDoesNotStopMailbox(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "RETR" && c.Session == 1 || c.Verb == "RETR" && len(c.Arg) == 1 && c.Arg <= "6" {
				return &pop3test.Action{Raw: "-ERR cannot read it\r\n"}
			}
			return nil
		}})
		r.settle(12, 6)
	}, letters(30)...)
}

func TestRow65ExpungedByAnotherClient(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: onLine("RETR 2", pop3test.Action{Raw: "-ERR message 2 expunged\r\n"})})
		r.drainOK()
		expect(t, "tries", r.trouble("u2").Tries, 1)
		r.hooks(pop3test.Hooks{})
		elapse(time.Hour)
		r.settle(1, 0)
		r.drainOK()
		expect(t, "rows", len(r.state().Rows), 0)
	}, letters(3)...)
}

func TestRow66DeleRefused(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: onLine("DELE 2", pop3test.Action{Raw: "-ERR not now\r\n"})})
		res := r.drainOK()
		expect(t, "deleted", res.Deleted, 2)
		expect(t, "left", len(r.box.Left()), 1)
		if why := r.arc.lastEvent().Rows[1].Why; !strings.Contains(why, "not now") {
			t.Errorf("why %q", why)
		}
		r.hooks(pop3test.Hooks{})
		r.drainOK()
		expect(t, "left within the back-off", len(r.box.Left()), 1)
		elapse(time.Hour)
		r.drainOK()
		expect(t, "left", len(r.box.Left()), 0)
		expect(t, "RETR", r.count("RETR", 0), 3)
	}, letters(3)...)
}
