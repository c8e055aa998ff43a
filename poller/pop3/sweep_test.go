package pop3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// canned are the messages of the sweeps: they hold all that a terminator is
// made of.
var canned = []string{"A: 1\r\n\r\n.dot\r\n..\r\n", "B: 2\r\n\r\nbare\n.\nlf\r.\r\n", "C: 3\r\n\r\n+OK\r\n-ERR\r\n.\r\nend"}

func delivered(i int) string {
	if strings.HasSuffix(canned[i], "\r\n") {
		return canned[i]
	}
	return canned[i] + "\r\n"
}

// A story is what one whole session came to.
type story struct {
	got  []take
	dele int // DELEs that were answered +OK
	quit mail.Quit
	err  error
}

// tell runs the canned session: fetch all, delete all, QUIT.
func tell(t *testing.T, d *pop3.Dialer, w pop3.Window) (s story) {
	s.quit = mail.QuitNone
	a, err := d.Dial(t.Context())
	if err != nil {
		s.err = err
		return s
	}
	tx, err := a.Login(t.Context(), pop3.Password{User: "ann", Password: secret})
	if err != nil {
		s.err = err
		return s
	}
	defer tx.Close()
	if _, _, s.err = tx.Stat(t.Context()); s.err != nil {
		return s
	}
	if _, s.err = tx.List(t.Context()); s.err != nil {
		return s
	}
	if _, s.err = tx.Uidl(t.Context()); s.err != nil {
		return s
	}
	if s.got, s.err = fetch(t, tx, len(canned), w); s.err != nil {
		return s
	}
	results, err := tx.Delete(t.Context(), warrants(t, tx, s.got))
	for _, r := range results {
		if r == nil {
			s.dele++
		}
	}
	if s.err = err; err != nil {
		return s
	}
	s.quit, s.err = tx.Quit(t.Context())
	return s
}

// A tapped connection keeps what the server sent.
type tapped struct {
	net.Conn
	sent strings.Builder
}

func (c *tapped) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Write(p[:n])
	return n, err
}

// transcript returns what the server sends in a canned session that nothing
// disturbs, and after how many octets of it each message is confirmed.
func transcript(t *testing.T, w pop3.Window) (text string, confirmed []int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, canned...)
		tap := &tapped{}
		r.wrap = func(c net.Conn) net.Conn { tap.Conn = c; return tap }
		if s := tell(t, r.d, w); s.err != nil || s.quit != mail.QuitAcked || len(r.box.Left()) != 0 {
			t.Fatalf("undisturbed: %+v", s)
		}
		r.wg.Wait()
		text = tap.sent.String()
	})
	at := strings.Index(text, "octets\r\n")
	for range canned {
		at += strings.Index(text[at:], "\r\n.\r\n") + len("\r\n.\r\n")
		at += strings.Index(text[at:], "\r\n") + len("\r\n")
		confirmed = append(confirmed, at)
	}
	return text, confirmed
}

// judge holds the story of a session that was cut against the promise: nothing
// but confirmed messages, exactly as they are, and no deletion but by QUIT.
func judge(t *testing.T, s story, r *rig, cut, most int) {
	t.Helper()
	if len(s.got) > most {
		t.Errorf("cut at %d: %d messages were handed out, %d are confirmed", cut, len(s.got), most)
	}
	for i, tk := range s.got {
		if tk.Err() != nil || tk.Number() != i+1 || tk.body != delivered(i) {
			t.Errorf("cut at %d: take %d is %d, %q, %v", cut, i, tk.Number(), tk.body, tk.Err())
		}
	}
	if s.err == nil || s.quit == mail.QuitAcked {
		t.Errorf("cut at %d: %+v went unnoticed", cut, s)
	}
	if pop3.ClassOf(s.err) != pop3.Temp {
		t.Errorf("cut at %d is of class %v: %v", cut, pop3.ClassOf(s.err), s.err)
	}
	if n := len(r.box.Left()); n != len(canned) && s.quit != mail.QuitUnknown {
		t.Errorf("cut at %d: %d left though QUIT was not sent", cut, n)
	}
	if s.quit == mail.QuitNone && r.sent("QUIT") != 0 {
		t.Errorf("cut at %d: QUIT was sent after %v", cut, s.err)
	}
	if s.quit != mail.QuitNone && (s.dele != len(canned) || len(s.got) != len(canned)) {
		t.Errorf("cut at %d: QUIT after %d messages and %d DELEs", cut, len(s.got), s.dele)
	}
}

// TestX1_CutEverywhere ends the server's stream in an orderly way after each of
// its octets.
func TestX1_CutEverywhere(t *testing.T) {
	for _, w := range windows {
		text, confirmed := transcript(t, w)
		for cut := range len(text) {
			most := 0
			for most < len(confirmed) && confirmed[most] <= cut {
				most++
			}
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, canned...)
				r.hooks(pop3test.Hooks{Cut: func(session int) (int64, pop3test.Ending) {
					return int64(cut), pop3test.FIN // of a reconnection without CAPA too
				}})
				start := time.Now()
				s := tell(t, r.d, w)
				r.stop()
				r.wg.Wait()
				judge(t, s, r, cut, most)
				if r.srv.Sessions() == 1 && len(s.got) != most && s.quit == mail.QuitNone && s.dele == 0 {
					// A pipe delivers everything up to the cut.
					t.Errorf("cut at %d: %d messages were handed out, %d are confirmed", cut, len(s.got), most)
				}
				if d := time.Since(start); d > 0 {
					t.Errorf("cut at %d: took %v", cut, d)
				}
			})
		}
	}
}

// TestX1_ResetEverywhere does the same by RST over TCP, which may take octets
// with it that were sent before.
func TestX1_ResetEverywhere(t *testing.T) {
	text, confirmed := transcript(t, windows[1])
	r := newRig(t)
	r.overTCP()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for cut := range len(text) {
		most := 0
		for most < len(confirmed) && confirmed[most] <= cut {
			most++
		}
		box := &pop3test.Mailbox{Password: secret, Messages: pop3test.Messages(canned...)}
		one := &rig{t: t, box: box, srv: &pop3test.Server{Mailboxes: map[string]*pop3test.Mailbox{"ann": box}}}
		one.hooks(pop3test.Hooks{Cut: func(int) (int64, pop3test.Ending) { return int64(cut), pop3test.Reset }})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		sctx, stop := context.WithCancel(ctx)
		one.wg.Go(func() { one.srv.Serve(sctx, l) })
		s := tell(t, &pop3.Dialer{Address: l.Addr().String(), Security: pop3.Plain}, windows[1])
		stop()
		one.wg.Wait()
		judge(t, s, one, cut, most)
	}
	if err := ctx.Err(); err != nil {
		t.Fatal("the sweep hung")
	}
}

// A split connection writes in two pieces, cut at an offset of its stream; or,
// if at is negative, octet by octet.
type split struct {
	net.Conn
	at, done int
}

func (c *split) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := len(p)
		if c.at < 0 {
			k = 1
		} else if c.done < c.at && c.at < c.done+k {
			k = c.at - c.done
		}
		m, err := c.Conn.Write(p[:k])
		n, c.done, p = n+m, c.done+m, p[m:]
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// TestX2_Segments: how the octets arrive changes nothing, in either direction.
func TestX2_Segments(t *testing.T) {
	for _, w := range windows {
		text, _ := transcript(t, w)
		for at := -1; at < len(text); at++ {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, canned...)
				r.wrap = func(c net.Conn) net.Conn { return &split{Conn: c, at: at} }
				r.d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := r.dial(ctx, network, addr)
					return &split{Conn: c, at: at}, err
				}
				s := tell(t, r.d, w)
				r.wg.Wait()
				if s.err != nil || s.quit != mail.QuitAcked || s.dele != len(canned) || len(r.box.Left()) != 0 {
					t.Fatalf("split at %d: %+v", at, s)
				}
				wantBodies(t, s.got, delivered(0), delivered(1), delivered(2))
			})
		}
	}
}

// TestGarbageEverywhere replaces the server's stream, from each offset on, by
// octets that mean nothing: nothing wrong is handed out, and no QUIT follows.
func TestGarbageEverywhere(t *testing.T) {
	w := windows[1]
	text, confirmed := transcript(t, w)
	for at := range len(text) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, canned...)
			r.wrap = func(c net.Conn) net.Conn { return &garbler{Conn: c, at: at} }
			s := tell(t, r.d, w)
			r.stop()
			r.wg.Wait()
			for i, tk := range s.got {
				// The indicator alone makes a status line, whatever follows it.
				indicator := strings.LastIndex(text[:confirmed[i]], "+OK") + len("+OK")
				if tk.Err() == nil && tk.body != delivered(i) || at < indicator {
					t.Errorf("garbage from %d: take %d is %q", at, i, tk.body)
				}
			}
			if errors.Is(s.err, io.EOF) || s.quit == mail.QuitAcked && at < strings.LastIndex(text, "+OK") {
				t.Errorf("garbage from %d: %+v", at, fmt.Sprint(s.quit, s.err))
			}
		})
	}
}

type garbler struct {
	net.Conn
	at, done int
}

func (c *garbler) Write(p []byte) (int, error) {
	q := []byte(string(p))
	for i := range q {
		if c.done+i >= c.at {
			q[i] = "#\r\n"[(c.done+i)%3]
		}
	}
	c.done += len(p)
	return c.Conn.Write(q)
}
