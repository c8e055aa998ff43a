package pop3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

func TestRow60_TooLarge(t *testing.T) {
	for _, w := range windows {
		w.MaxMessage = 1000
		bubble(t, func(t *testing.T, r *rig) {
			tx := r.login()
			takes, err := fetch(t, tx, 3, w)
			wantError(t, err, pop3.Message, pop3.ErrTooLarge)
			wantBodies(t, takes, "a\r\n")
			noQuit(t, r, tx)
		}, "a\r\n", strings.Repeat("b", 10_000), "c\r\n")
	}
	bubble(t, func(t *testing.T, r *rig) {
		r.script(func(c net.Conn) {
			dialog(c, "+OK\r\n", "-ERR\r\n", "+OK\r\n", "+OK\r\n", "-ERR\r\n", "+OK\r\n")
			io.Copy(c, zeros{})
		})
		_, err := fetch(t, r.login(), 1, pop3.Window{Count: 1, MaxMessage: 1 << 20})
		wantError(t, err, pop3.Message, pop3.ErrTooLarge)
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestRow62_RETRRefused(t *testing.T) {
	for _, w := range windows {
		bubble(t, func(t *testing.T, r *rig) {
			r.hooks(on(map[string]string{"RETR 1": "-ERR first\r\n", "RETR 3": "-ERR third\r\n", "RETR 4": "-ERR [SYS/TEMP]\r\n", "RETR 6": "-ERR message expunged\r\n"}))
			tx := r.login()
			takes, err := fetch(t, tx, 6, w)
			if err != nil || len(takes) != 6 {
				t.Fatalf("%d takes, %v", len(takes), err)
			}
			for i, want := range []pop3.Class{pop3.Message, pop3.None, pop3.Message, pop3.Temp, pop3.None, pop3.Message} {
				tk := takes[i]
				if tk.Number() != i+1 || pop3.ClassOf(tk.Err()) != want || (want == pop3.None) != (tk.body == "x\r\n") {
					t.Errorf("message %d: %v, %q", tk.Number(), tk.Err(), tk.body)
				}
			}
			if q, err := tx.Quit(t.Context()); q != mail.QuitAcked {
				t.Errorf("QUIT: %v, %v", q, err)
			}
		}, "x\r\n", "x\r\n", "x\r\n", "x\r\n", "x\r\n", "x\r\n")
	}
}

func TestRow64_BrokenBodies(t *testing.T) {
	for name, act := range map[string]pop3test.Action{
		"end before the answer": {End: pop3test.FIN}, "end after it": {Raw: "+OK 9 octets\r\n", End: pop3test.FIN},
		"end inside": {Raw: "+OK 9 octets\r\nhalf\r\n", End: pop3test.FIN}, "end in the terminator": {Raw: "+OK 9 octets\r\nhalf\r\n.\r", End: pop3test.FIN},
		"stall": {Raw: "+OK 9 octets\r\nhalf", End: pop3test.Stall}, "not a status": {Raw: "what\r\n"},
	} {
		for _, w := range windows {
			t.Run(fmt.Sprint(name, " ", w.Count), func(t *testing.T) {
				bubble(t, func(t *testing.T, r *rig) {
					r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
						if c.Line() == "RETR 3" {
							return &act
						}
						return nil
					}})
					start := time.Now()
					tx := r.login()
					takes, err := fetch(t, tx, 4, w)
					if err == nil {
						t.Fatal("no error")
					}
					// The status line of 3, where there is one, confirms 2.
					want := []string{"a\r\n", "b\r\n"}
					if !strings.HasPrefix(act.Raw, "+OK") {
						want = want[:1]
					}
					wantBodies(t, takes, want...)
					noQuit(t, r, tx)
					if d := time.Since(start); d > 2*time.Minute {
						t.Errorf("took %v", d)
					}
				}, "a\r\n", "b\r\n", "c\r\n", "d\r\n")
			})
		}
	}
}

// TestRow64_Drip: a body that comes at an octet every 50 s never idles, and yet
// must not hold the session.
func TestRow64_Drip(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.script(func(c net.Conn) {
			dialog(c, "+OK\r\n", "-ERR\r\n", "+OK\r\n", "+OK\r\n", "-ERR\r\n", "+OK\r\n")
			for {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
				<-time.After(50 * time.Second)
			}
		})
		start := time.Now()
		_, err := fetch(t, r.login(), 1, windows[0])
		wantError(t, err, pop3.Temp, nil)
		if d := time.Since(start); d != time.Minute {
			t.Errorf("held for %v", d)
		}
	})
	bubble(t, func(t *testing.T, r *rig) { // slow, but above the floor
		r.box.Messages[0].Raw = bytes.Repeat([]byte("x"), 200_000)
		r.hooks(pop3test.Hooks{Segment: 2000})
		r.wrap = func(c net.Conn) net.Conn { return slow{c} }
		takes, err := fetch(t, r.login(), 1, windows[0])
		if err != nil || takes[0].Fingerprint().Size != 200_002 {
			t.Error(err)
		}
	}, "")
}

// A slow connection carries one segment a second.
type slow struct{ net.Conn }

func (s slow) Write(p []byte) (int, error) {
	<-time.After(time.Second)
	return s.Conn.Write(p)
}

func TestRow79_NoPipelining(t *testing.T) {
	for name, set := range map[string]func(r *rig){
		"not announced": func(r *rig) { r.srv.Caps = []string{"UIDL", "TOP"} },
		"switched off":  func(r *rig) { r.d.NoPipelining = true },
		"no CAPA":       func(r *rig) {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				h := pop3test.Hooks{DropPipelined: true}
				if name == "no CAPA" {
					h.OnCommand = on(map[string]string{"CAPA": "-ERR\r\n"}).OnCommand
				}
				r.hooks(h)
				set(r)
				tx := r.login()
				takes, err := fetch(t, tx, 3, pop3.Window{Count: 8})
				if err != nil {
					t.Fatal(err)
				}
				wantBodies(t, takes, "a\r\n", "b\r\n", "c\r\n")
				deleteAll(t, tx, takes)
			}, "a\r\n", "b\r\n", "c\r\n")
		})
	}
}

func TestRow80_ServerDropsPipelined(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{DropPipelined: true})
		tx := r.login()
		takes, err := fetch(t, tx, 4, pop3.Window{Count: 8})
		wantError(t, err, pop3.Temp, nil)
		if len(takes) != 0 {
			t.Errorf("%d takes", len(takes))
		}
		noQuit(t, r, tx)
	}, "a\r\n", "b\r\n", "c\r\n", "d\r\n")
}

// TestRow81_ConfirmedSurviveAReset: what was confirmed before a reset is kept.
func TestRow81_ConfirmedSurviveAReset(t *testing.T) {
	r := newRig(t)
	for i := range 40 {
		r.box.Messages = append(r.box.Messages, pop3test.Message{Raw: fmt.Appendf(nil, "message %d\r\n", i+1)})
	}
	// The reset comes when the client has message 9, so it has not passed that by.
	confirmed := make(chan struct{})
	r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
		if c.Line() == "RETR 12" {
			<-confirmed
			return &pop3test.Action{End: pop3test.Reset}
		}
		if c.Line() == "RETR 11" {
			return &pop3test.Action{Delay: time.Nanosecond, Run: true} // flushes what stands before
		}
		return nil
	}})
	r.overTCP()
	tx := r.login()
	wants := make([]pop3.Want, 40)
	for i := range wants {
		wants[i] = pop3.Want{Number: i + 1}
	}
	n := 0
	err := tx.Retrieve(t.Context(), wants, pop3.Window{Count: 32}, func(int) (io.Writer, error) { return io.Discard, nil }, func(m pop3.Retrieved) error {
		if n++; m.Number() != n || m.Err() != nil {
			t.Errorf("take %d is %d: %v", n, m.Number(), m.Err())
		}
		if n == 9 {
			close(confirmed)
		}
		return nil
	})
	wantError(t, err, pop3.Temp, nil)
	if n < 9 || n > 11 {
		t.Errorf("%d confirmed", n)
	}
	noQuit(t, r, tx)
}

// TestRow82_BothSidesWrite: over a pipe, which buffers nothing, a client that
// stopped reading to write would wait for ever.
func TestRow82_BothSidesWrite(t *testing.T) {
	big := strings.Repeat("0123456789abcdef\r\n", 20_000)
	bubble(t, func(t *testing.T, r *rig) {
		for range 50 {
			r.box.Messages = append(r.box.Messages, pop3test.Message{Raw: []byte(big)})
		}
		start := time.Now()
		takes, err := fetchSized(t, r.login(), slices.Repeat([]int{len(big)}, 50), pop3.Window{Count: 7})
		if err != nil || len(takes) != 50 || time.Since(start) > 0 {
			t.Errorf("%d takes in %v, %v", len(takes), time.Since(start), err)
		}
	})
	bubble(t, func(t *testing.T, r *rig) { // a server that reads no more
		r.script(func(c net.Conn) {
			dialog(c, "+OK\r\n", "+OK\r\nPIPELINING\r\n.\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\nPIPELINING\r\n.\r\n")
			<-time.After(time.Hour)
		})
		start := time.Now()
		_, err := fetch(t, r.login(), 500, pop3.Window{Count: 200})
		wantError(t, err, pop3.Temp, nil)
		if d := time.Since(start); d > 6*time.Minute {
			t.Errorf("took %v", d)
		}
	})
}

func TestWindowIsKept(t *testing.T) {
	for _, c := range []struct {
		window      pop3.Window // of messages that are listed with 100 octets
		least, most int         // the NOOP comes along
	}{
		{pop3.Window{Count: 10}, 8, 11}, {pop3.Window{Count: 10, Octets: 550}, 4, 6}, {pop3.Window{Count: 10, Octets: 50}, 1, 2},
		{pop3.Window{}, 1, 1}, {pop3.Window{Count: 1_000_000}, 150, 201},
	} {
		t.Run(fmt.Sprintf("%+v", c.window), func(t *testing.T) {
			t.Parallel()
			const count = 300
			r := newRig(t)
			for range count {
				r.box.Messages = append(r.box.Messages, pop3test.Message{Raw: []byte("x\r\n")})
			}
			r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
				if c.Verb != "RETR" {
					return nil
				}
				return &pop3test.Action{Delay: 100 * time.Microsecond, Run: true} // so that answers come one by one
			}})
			r.overTCP()
			watched := &watch{}
			r.d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				var d net.Dialer
				var err error
				watched.Conn, err = d.DialContext(ctx, network, addr)
				return watched, err
			}
			tx := r.login()
			watched.answers.Store(0)
			takes, err := fetch(t, tx, count, c.window)
			if err != nil || len(takes) != count {
				t.Fatalf("%d, %v", len(takes), err)
			}
			if watched.most > c.most || watched.mostLate < c.least {
				t.Errorf("%d commands outstanding, %d in the middle", watched.most, watched.mostLate)
			}
		})
	}
}

// The window widens while the server answers in no time, and narrows where each
// answer takes long.
func TestWindowAdapts(t *testing.T) {
	for _, c := range []struct {
		delay    time.Duration
		window   pop3.Window
		messages int
		want     int
	}{
		{0, pop3.Window{Count: 4, Most: 32}, 100, 32},
		{0, pop3.Window{Count: 4, Most: 32}, 11, 8},
		{0, pop3.Window{Count: 8}, 100, 8},
		{100 * time.Millisecond, pop3.Window{Count: 4, Most: 32}, 100, 16}, // 16 take 1.6 s
		{3 * time.Second, pop3.Window{Count: 8, Most: 32}, 100, 2},
		{time.Hour, pop3.Window{Count: 1, Most: 1}, 3, 1},
	} {
		bubble(t, func(t *testing.T, r *rig) {
			for range c.messages {
				r.box.Messages = append(r.box.Messages, pop3test.Message{Raw: []byte("x\r\n")})
			}
			r.d.Timeouts.Retrieve = 2 * time.Hour
			r.hooks(pop3test.Hooks{OnCommand: func(cmd pop3test.Command) *pop3test.Action {
				if cmd.Verb != "RETR" {
					return nil
				}
				return &pop3test.Action{Delay: c.delay, Run: true}
			}})
			tx := r.login()
			if _, err := fetch(t, tx, c.messages, c.window); err != nil {
				t.Fatal(err)
			}
			if got := tx.Window(); got != c.want {
				t.Errorf("%+v, %s for each answer: the window ends at %d, want %d", c.window, c.delay, got, c.want)
			}
		})
	}
}

// A watch counts, on the client's side, the commands sent that have no answer.
type watch struct {
	net.Conn
	answers                  atomic.Int64
	commands, most, mostLate int
}

func (c *watch) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("RETR")) || bytes.HasPrefix(b, []byte("NOOP")) {
		c.commands += bytes.Count(b, []byte("\n"))
		n := c.commands - int(c.answers.Load())
		c.most = max(c.most, n)
		if c.commands > 150 {
			c.mostLate = max(c.mostLate, n)
		}
	}
	return c.Conn.Write(b)
}

func (c *watch) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.answers.Add(int64(bytes.Count(b[:n], []byte("\r\n.\r\n"))))
	return n, err
}

func TestGotStops(t *testing.T) {
	enough := errors.New("enough")
	for _, w := range windows {
		for _, discard := range []int64{0, 10, 17, 20} { // bodies have 17 octets
			if discard > 10 && w.Count < 8 {
				continue // no two bodies are outstanding
			}
			bubble(t, func(t *testing.T, r *rig) {
				r.d.Limits.Discard = discard
				tx := r.login()
				n := 0
				wants := make([]pop3.Want, 30)
				for i := range wants {
					wants[i] = pop3.Want{Number: i + 1, Size: 10}
				}
				err := tx.Retrieve(t.Context(), wants, w, func(int) (io.Writer, error) { return io.Discard, nil }, func(pop3.Retrieved) error {
					if n++; n == 5 {
						return enough
					}
					return nil
				})
				if !errors.Is(err, enough) || n != 5 {
					t.Errorf("window %+v: %v after %d", w, err, n)
				}
				if discard > 0 {
					if pop3.ClassOf(err) != pop3.Temp {
						t.Errorf("window %+v: %v", w, err)
					}
					noQuit(t, r, tx)
					return
				}
				if sent := r.sent("RETR"); sent > 5+w.Count {
					t.Errorf("window %+v: %d RETRs", w, sent)
				}
				if q, err := tx.Quit(t.Context()); q != mail.QuitAcked {
					t.Errorf("QUIT: %v, %v", q, err)
				}
			}, strings.SplitAfter(strings.Repeat("0123456789ab\r\n,", 29)+"x", ",")...)
		}
	}
}

func TestWriterFails(t *testing.T) {
	full, no := errors.New("disk full"), errors.New("not today")
	for _, w := range windows {
		bubble(t, func(t *testing.T, r *rig) {
			var got []error
			tx := r.login()
			wants := []pop3.Want{{Number: 1}, {Number: 2}, {Number: 3}, {Number: 4}}
			err := tx.Retrieve(t.Context(), wants, w, func(n int) (io.Writer, error) {
				switch n {
				case 2:
					return nil, no
				case 3:
					return writerFunc(func([]byte) (int, error) { return 0, full }), nil
				}
				return io.Discard, nil
			}, func(m pop3.Retrieved) error {
				got = append(got, m.Err())
				if (m.Err() == nil) != (m.Fingerprint() != mail.Fingerprint{}) {
					t.Errorf("%d: %v with fingerprint %v", m.Number(), m.Err(), m.Fingerprint())
				}
				return nil
			})
			if err != nil || len(got) != 4 || got[0] != nil || got[1] != no || got[2] != full || got[3] != nil {
				t.Errorf("%v, %v", got, err)
			}
		}, "a\r\n", "b\r\n", strings.Repeat("c\r\n", 100_000), "d\r\n")
	}
}

func TestTop(t *testing.T) {
	raw := "A: 1\r\nB: 2\r\n\r\nbody\r\n.\r\n"
	bubble(t, func(t *testing.T, r *rig) {
		tx := r.login()
		if d, err := tx.Top(t.Context(), 1); err != nil || d != mail.FingerprintOf([]byte(raw)).Header {
			t.Errorf("%v, %v", d, err)
		}
		if d, err := tx.Top(t.Context(), 2); err != nil || d != mail.FingerprintOf([]byte("only: header\r\n")).Header {
			t.Errorf("%v, %v", d, err)
		}
		_, err := tx.Top(t.Context(), 9)
		wantError(t, err, pop3.Message, nil)
		if err := tx.Noop(t.Context()); err != nil {
			t.Error(err)
		}
	}, raw, "only: header\r\n")
	bubble(t, func(t *testing.T, r *rig) {
		r.srv.Caps = []string{"UIDL"}
		r.hooks(on(map[string]string{"TOP": "-ERR what\r\n"}))
		_, err := r.login().Top(t.Context(), 1)
		wantError(t, err, pop3.Message, pop3.ErrUnsupported)
	}, raw)
	bubble(t, func(t *testing.T, r *rig) { // slow, but it keeps coming
		r.hooks(pop3test.Hooks{Segment: 8})
		r.wrap = func(c net.Conn) net.Conn { return slow{c} }
		if _, err := r.login().Top(t.Context(), 1); err != nil {
			t.Error(err)
		}
	}, raw)
	bubble(t, func(t *testing.T, r *rig) {
		r.d.Limits.Header = 100
		r.hooks(on(map[string]string{"TOP": "+OK\r\n" + strings.Repeat("x", 200) + "\r\n.\r\n"}))
		_, err := r.login().Top(t.Context(), 1)
		wantError(t, err, pop3.Message, pop3.ErrTooLarge)
	}, raw)
}
