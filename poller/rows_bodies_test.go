package poller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// The rows of the test plan about bodies, at the level of the drain: what the
// protocol client does with them is in pop3/bodies_test.go.

// odd are bodies that clients are known to alter, cut or refuse.
func odd() []string {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	return []string{
		"", "\r\n", "A: 1\r\nB: 2\r\n", ".\r\n", ".\r\n.\r\n.\r\n", // rows 49, 43
		"..\r\n", "...\r\n", ".a\r\n", "a\r\n.\r\nb\r\n", "\r\n.\r\n", // row 43
		strings.Repeat("A", 4096) + ".\r\n", strings.Repeat("B", 10<<10) + "\r\n", // row 44
		"a\n.\nb\r\n", "a\r.\r\nb\r\n", "a\n.\r\nb\r\n", ".\rdata\r\n", "a\r\n.\r\r\n", // row 45
		"a\nb\n", "a\rb\r", "a\nb\n\r\n", // row 46
		string(every) + "\r\n", "\x00\r\n", "\xff\xfeS\x00u\x00\r\x00\n\x00\r\n", // row 47
		"no end of line", "CR\r", "LF\n", // row 50
		"+OK\r\n-ERR [SYS/PERM]\r\n+OK 12 octets\r\n", // row 55
	}
}

// TestRow43To50And55OddBodies drains them all at once, in whatever pieces they
// come (row 48), and compares each with what the archive holds.
func TestRow43To50And55OddBodies(t *testing.T) {
	for _, segment := range []int{0, 1, 7} {
		t.Run(fmt.Sprint("segments of ", segment), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.hooks(pop3test.Hooks{Segment: segment})
				res := r.drainOK()
				expect(t, "sealed", res.Sealed, len(odd()))
				expect(t, "deleted", res.Deleted, len(odd()))
				for i, raw := range r.originals {
					if string(r.arc.bodies[mail.DigestOf(raw)]) != string(raw) {
						t.Errorf("message %d, %.40q, is not in the archive", i+1, raw)
					}
				}
				expect(t, "suspects", strings.Contains(r.logs.String(), "suspect"), false)
			}, odd()...)
		})
	}
}

// TestRow51NoCRLFBeforeTheDot: such a body has no end, so the session with it ends
// by time; the others drain, and it is left alone in the end.
func TestRow51NoCRLFBeforeTheDot(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{NoFinalCRLF: true})
		r.settle(20, 1)
		expect(t, "left", r.box.Left()[0].UIDL, "u3")
		expect(t, "trouble", r.trouble("u3").Trouble, cut)
		for range 20 {
			r.drain()
			elapse(15 * time.Minute)
		}
		expect(t, "outcome once it is left alone", r.drainOK().Held, 1)
		expect(t, "sealed", len(r.arc.bodies), 4)
	}, letter("1", 90), letter("2", 90), "Subject: 3\r\n\r\nno end", letter("4", 90), letter("5", 90))
}

// TestRow52NoDotStuffing: what such a server sends of a message with a lone dot
// looks complete and is not; the octets behind the dot, or those that are missing,
// tell. It is never deleted, and the others drain.
func TestRow52NoDotStuffing(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{NoDotStuffing: true})
		r.settle(30, 2)
		for i, uidl := range []string{"u2", "u4"} {
			expect(t, "left", r.box.Left()[i].UIDL, uidl)
		}
		for range 10 {
			elapse(week)
			r.drain()
		}
		expect(t, "left after weeks", len(r.box.Left()), 2)
		for _, d := range r.srv.Commands() {
			if d.Verb == "DELE" && len(r.box.Left()) == 2 && d.Session == r.srv.Sessions() {
				t.Errorf("session %d sent %s", d.Session, d.Line())
			}
		}
	}, letter("1", 90), "Subject: 2\r\n\r\na\r\n.\r\nlost tail\r\n", letter("3", 90), "Subject: 4\r\n\r\nlast line is a dot\r\n.\r\n", letter("5", 90))
}

// TestRow53LFOnlyServer: refused, unless the mailbox is said to be on one.
func TestRow53LFOnlyServer(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{LFOnly: true})
		expect(t, "outcome", r.drain().Outcome, OutcomeProtocol)
		expect(t, "commands", len(r.srv.Commands()), 0)

		r.m.LFOnly = true
		r.strict = false // it compares with what has CR LF
		sizes := make([]int, len(r.originals))
		for i, raw := range r.originals {
			sizes[i] = len(strings.ReplaceAll(string(raw), "\r\n", "\n"))
		}
		r.hooks(pop3test.Hooks{LFOnly: true, ListSize: func(n int, _ int64) string { return fmt.Sprint(sizes[n-1]) }})
		res, err := r.d.Drain(t.Context(), r.m)
		r.conns.Wait()
		if err != nil || res.Deleted != 3 {
			t.Fatalf("%d deleted, %v", res.Deleted, err)
		}
		for i, raw := range r.originals {
			if !r.arc.has(r.m.Name, []byte(strings.ReplaceAll(string(raw), "\r\n", "\n"))) {
				t.Errorf("message %d is not in the archive as it was served", i+1)
			}
		}
	}, letters(3)...)
}

// TestRow54JunkBehindTheTerminator: the message before the junk is not confirmed
// and nothing is committed; when the server is well again all drains.
func TestRow54JunkBehindTheTerminator(t *testing.T) {
	for _, junk := range []string{"x", "\r\n", "junk\r\n", ".\r\n", "+OK\r\n", "-ERR no\r\n"} {
		t.Run(fmt.Sprintf("%q", junk), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.hooks(pop3test.Hooks{AfterBody: junk})
				if res := r.drain(); res.Err == nil {
					t.Error("went unnoticed")
				}
				expect(t, "QUIT", r.count("QUIT", 0), 0)
				expect(t, "DELE", r.count("DELE", 0), 0)
				expect(t, "window of the next session", r.state().Window, 1)
				r.hooks(pop3test.Hooks{})
				r.settle(4, 0)
			}, letters(4)...)
		})
	}
}

// TestRow57ShortThreeTimes: the same octets again and again prove nothing.
func TestRow57ShortThreeTimes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{Body: cutBody(1)})
		for range 3 {
			r.drainOK()
			elapse(25 * time.Hour)
		}
		if n := r.count("RETR", 0); n < 3 {
			t.Errorf("%d RETRs", n)
		}
		expect(t, "left", len(r.box.Left()), 1)
		expect(t, "DELE", r.count("DELE", 0), 0)
		if !strings.Contains(r.logs.String(), "level=WARN msg=\"a message is shorter than announced") {
			t.Error("nobody is told")
		}
	}, letter("one", 400))
}

// TestRow60LargerThanListed: ten times what LIST said, and more than the limit.
func TestRow60LargerThanListed(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.MaxMessage = 3000
		r.hooks(pop3test.Hooks{ListSize: func(int, int64) string { return "400" }})
		r.settle(8, 1)
		expect(t, "left", r.box.Left()[0].UIDL, "u2")
		expect(t, "trouble", r.trouble("u2").Trouble, oversize)
		expect(t, "sealed", len(r.arc.bodies), 3)
	}, letter("1", 390), letter("2", 4000), letter("3", 390), letter("4", 390))
}

// TestRow64BrokenBodies: whatever of a message had come is dropped, and the next
// session fetches one at a time.
func TestRow64BrokenBodies(t *testing.T) {
	for name, act := range map[string]pop3test.Action{
		"end": {Raw: "+OK 120 octets\r\nFrom: a", End: pop3test.FIN}, "end in the terminator": {Raw: "+OK 120 octets\r\nFrom: a\r\n.\r", End: pop3test.FIN},
		"stall": {Raw: "+OK 120 octets\r\nFrom: a", End: pop3test.Stall}, "silence": {End: pop3test.Stall},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
					if c.Session == 1 && c.Line() == "RETR 3" {
						return &act
					}
					return nil
				}})
				start := time.Now()
				expect(t, "outcome", r.drain().Outcome, OutcomeTemp)
				if took := time.Since(start); took > 6*time.Minute {
					t.Errorf("took %s", took)
				}
				expect(t, "QUIT", r.count("QUIT", 0), 0)
				expect(t, "window of the next session", r.state().Window, 1)
				// The answer to RETR 3, where there is one, confirms message 2.
				broken := map[bool]string{true: "u3", false: "u2"}[strings.HasPrefix(act.Raw, "+OK")]
				expect(t, "trouble", r.trouble(broken).Trouble, cut)
				r.settle(5, 0)
				expect(t, "sealed", len(r.arc.bodies), 5)
			}, letters(5)...)
		})
	}
}

// TestRow64Drip: an octet every 50 seconds never idles, and yet holds no session.
func TestRow64Drip(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		drip := true
		r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Line() == "RETR 1" && drip {
				return &pop3test.Action{Raw: "+OK\r\nF", Delay: 50 * time.Second}
			}
			return nil
		}})
		start := time.Now()
		expect(t, "outcome", r.drain().Outcome, OutcomeTemp)
		if took := time.Since(start); took > 10*time.Minute {
			t.Errorf("took %s", took)
		}
		drip = false
		r.settle(3, 0)
	}, letters(2)...)
}
