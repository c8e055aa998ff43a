package pop3_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// exact tells that messages are fetched as they are, in every window, each
// between two others.
func exact(t *testing.T, raw ...string) {
	t.Helper()
	all := []string{"first\r\n"}
	for _, m := range raw {
		all = append(all, m, "next\r\n")
	}
	sizes := make([]int, len(all))
	for i, m := range all {
		sizes[i] = len(m)
	}
	for _, w := range windows {
		bubble(t, func(t *testing.T, r *rig) {
			takes, err := fetchSized(t, r.login(), sizes, w)
			if err != nil {
				t.Fatalf("window %+v: %v", w, err)
			}
			wantBodies(t, takes, all...)
			for i, tk := range takes {
				if tk.Announced() != int64(len(all[i])) || tk.Lines() != int64(strings.Count(all[i], "\n")) ||
					tk.BareLF() != tk.Lines()-int64(strings.Count(all[i], "\r\n")) {
					t.Errorf("%q: announced %d, %d lines, %d bare", all[i], tk.Announced(), tk.Lines(), tk.BareLF())
				}
			}
		}, all...)
	}
}

func TestRow43_DotLines(t *testing.T) {
	exact(t, ".\r\n", "..\r\n", "...\r\n", "a\r\n.\r\nb\r\n", ".a\r\n", "..a\r\n.\r\n.\r\n", "a\r\n..\r\n", "\r\n.\r\n", "a.\r\n", " .\r\n")
}

func TestRow44_LongLines(t *testing.T) {
	exact(t, strings.Repeat("A", 4096)+".\r\n", strings.Repeat("A", 4096)+"\r\n.\r\n", strings.Repeat("B", 10<<10)+"\r\n", "."+strings.Repeat("C", 200<<10)+"\r\n")
	for _, n := range []int{64<<10 - 3, 64<<10 - 2, 64<<10 - 1, 64 << 10, 64<<10 + 1} {
		exact(t, strings.Repeat("D", n)+"\r\n.\r\nx\r\n")
	}
}

func TestRow44_HugeLine(t *testing.T) {
	const size = 20 << 20
	r := newRig(t)
	r.box.Messages = []pop3test.Message{{UIDL: "huge", Raw: append(bytes.Repeat([]byte("x"), size-2), "\r\n"...)}}
	r.overTCP()
	var n int64
	err := r.login().Retrieve(t.Context(), []pop3.Want{{Number: 1, Size: size}}, pop3.Window{Count: 1}, func(int) (io.Writer, error) {
		return writerFunc(func(p []byte) (int, error) {
			if len(p) > 64<<10 {
				t.Errorf("%d octets at once", len(p))
			}
			n += int64(len(p))
			return len(p), nil
		}), nil
	}, func(m pop3.Retrieved) error { return m.Err() })
	if err != nil || n != size {
		t.Errorf("%d octets, %v", n, err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestRow45_BareTerminators(t *testing.T) {
	exact(t, "a\n.\nb\r\n", "a\r.\r\nb\r\n", "a\n.\r\nb\r\n", ".\rdata\r\n", ".\n\r\n", "a\r\n.\nb\r\n", ".\r.\r\n", "a\r\n.\r\r\n", "\r\r\n.\r\n")
}

func TestRow46To47_Octets(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	exact(t, "a\nb\nc\r\n", "a\rb\rc\r\n", "\n\r\n", "\r\r\n", string(every)+"\r\n", "\x00\x00\r\n", "\xff\xfea\x00\r\x00\n\x00\r\n")
}

func TestRow49_Small(t *testing.T) {
	exact(t, "", "\r\n", "A: 1\r\nB: 2\r\n", "A: 1\r\n\r\n")
}

func TestRow50_ServerAddsCRLF(t *testing.T) {
	for _, w := range windows {
		bubble(t, func(t *testing.T, r *rig) {
			takes, err := fetch(t, r.login(), 3, w)
			if err != nil {
				t.Fatal(err)
			}
			wantBodies(t, takes, "no end\r\n", "CR\r\r\n", "LF\n\r\n")
		}, "no end", "CR\r", "LF\n")
	}
}

// TestRow51_NoCRLFBeforeTheDot: such a body has no end; nothing is guessed.
func TestRow51_NoCRLFBeforeTheDot(t *testing.T) {
	for _, w := range windows {
		bubble(t, func(t *testing.T, r *rig) {
			r.hooks(pop3test.Hooks{NoFinalCRLF: true})
			takes, err := fetch(t, r.login(), 2, w)
			wantError(t, err, pop3.Temp, nil)
			wantBodies(t, takes, "fine\r\n")
		}, "fine\r\n", "no end")
	}
}

func TestRow52_NoDotStuffing(t *testing.T) {
	for _, w := range windows {
		bubble(t, func(t *testing.T, r *rig) {
			r.hooks(pop3test.Hooks{NoDotStuffing: true})
			tx := r.login()
			takes, err := fetch(t, tx, 3, w)
			wantError(t, err, pop3.Protocol, pop3.ErrDesync)
			wantBodies(t, takes, "fine\r\n")
			noQuit(t, r, tx)
		}, "fine\r\n", "a\r\n.\r\nlost tail\r\n", "next\r\n")
	}
}

// TestRow51Glued: in a pipeline a body without that CR LF ends with the next
// message, and what it swallowed, an answer at least, shows in its size.
func TestRow51Glued(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{NoFinalCRLF: true})
		tx := r.login()
		takes, err := fetchSized(t, tx, []int{6, 6, 6, 6}, pop3.Window{Count: 8})
		wantError(t, err, pop3.Protocol, pop3.ErrDesync)
		wantBodies(t, takes, "fine\r\n")
		noQuit(t, r, tx)
	}, "fine\r\n", "no end", "next\r\n", "last\r\n")
	bubble(t, func(t *testing.T, r *rig) { // sizes that are somewhat wrong are not that
		takes, err := fetchSized(t, r.login(), []int{3, 3}, pop3.Window{Count: 8})
		if err != nil {
			t.Fatal(err)
		}
		wantBodies(t, takes, "fine\r\n", "last\r\n")
	}, "fine\r\n", "last\r\n")
}

// noQuit tells that a broken session refuses QUIT and everything else.
func noQuit(t *testing.T, r *rig, tx *pop3.Transaction) {
	t.Helper()
	if q, err := tx.Quit(t.Context()); q != mail.QuitNone || err == nil {
		t.Errorf("QUIT of a broken session: %v, %v", q, err)
	}
	if err := tx.Noop(t.Context()); err == nil {
		t.Error("a broken session goes on")
	}
	if r.sent("QUIT") != 0 || len(r.srv.Deleted()) != 0 {
		t.Errorf("QUIT was sent")
	}
}

func TestRow53_LFOnlyServer(t *testing.T) {
	for _, w := range windows {
		bubble(t, func(t *testing.T, r *rig) {
			r.hooks(pop3test.Hooks{LFOnly: true})
			_, err := r.tryLogin()
			wantError(t, err, pop3.Protocol, nil)
			r.d.LFOnly = true
			tx := r.login()
			takes, err := fetch(t, tx, 2, w)
			if err != nil {
				t.Fatal(err)
			}
			wantBodies(t, takes, "a\n.\n..b\n", "c\n")
			if rows, err := tx.Uidl(t.Context()); err != nil || len(rows) != 2 {
				t.Errorf("%v, %v", rows, err)
			}
		}, "a\r\n.\r\n..b\r\n", "c\r\n")
	}
}

func TestRow54_JunkBehindTheTerminator(t *testing.T) {
	for _, junk := range []string{"x", "\r\n", "junk\r\n", ".\r\n", "+OK\r\n", "-ERR no\r\n"} {
		for _, w := range windows {
			bubble(t, func(t *testing.T, r *rig) {
				r.hooks(pop3test.Hooks{AfterBody: junk})
				tx := r.login()
				takes, err := fetch(t, tx, 3, w)
				if err == nil {
					t.Fatalf("window %d: %q went unnoticed", w.Count, junk)
				}
				// A status line among the junk is one as good as any: in a
				// pipeline it confirms the message before it, whose bytes are
				// right, and is found out at the next.
				for i, tk := range takes {
					if tk.Err() == nil && tk.body != []string{"a\r\n", "b\r\n", "c\r\n"}[i] {
						t.Errorf("window %d, %q: take %d is %q", w.Count, junk, i, tk.body)
					}
				}
				if w.Count == 1 && len(takes) > 0 {
					t.Errorf("%q: %d messages were confirmed", junk, len(takes))
				}
				noQuit(t, r, tx)
			}, "a\r\n", "b\r\n", "c\r\n")
		}
	}
}

func TestRow55_StatusLinesInBodies(t *testing.T) {
	exact(t, "+OK\r\n", "-ERR [SYS/PERM] x\r\n+OK 12 octets\r\n", "a\r\n+OK\r\n-ERR\r\n")
}

func TestRow56_ShortBodyIsSeen(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{Body: func(_ int, raw []byte) []byte { return raw[:4] }})
		takes, err := fetch(t, r.login(), 1, windows[0])
		if err != nil || takes[0].Announced() != 12 || takes[0].Fingerprint().Size != 6 {
			t.Errorf("%+v, %v", takes, err) // the size gate is the drain's
		}
	}, "0123456789")
}

func TestAnnounced(t *testing.T) {
	for answer, want := range map[string]int64{
		"+OK 120 octets": 120, "+OK 120 octets follow": 120, "+OK 7 Octets": 7, "+OK": -1, "+OK message follows": -1,
		"+OK 120": -1, "+OK 12 messages": -1, "+OK -3 octets": -1, "+OK 99999999999999999999 octets": -1,
	} {
		bubble(t, func(t *testing.T, r *rig) {
			r.hooks(on(map[string]string{"RETR": answer + "\r\nx\r\n.\r\n"}))
			takes, err := fetch(t, r.login(), 1, windows[0])
			if err != nil || takes[0].Announced() != want {
				t.Errorf("%q: %d, %v", answer, takes[0].Announced(), err)
			}
		}, "x")
	}
}

// TestRow48_SplitTerminator: five segments of one octet, and all others alike.
func TestRow48_SplitTerminator(t *testing.T) {
	for _, w := range windows {
		bubble(t, func(t *testing.T, r *rig) {
			r.hooks(pop3test.Hooks{Segment: 1})
			takes, err := fetch(t, r.login(), 3, w)
			if err != nil {
				t.Fatal(err)
			}
			wantBodies(t, takes, "a\r\n", ".\r\n.\r\n", "c\r\n")
		}, "a\r\n", ".\r\n.\r\n", "c\r\n")
	}
}
