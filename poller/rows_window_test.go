package poller

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// The rows of the test plan about what may be outstanding, at the level of the
// drain. The window itself is tested in pop3/retrieve_test.go.

// An outstanding counts the commands that the server has and has not answered.
type outstanding struct {
	net.Conn
	commands, answers, most atomic.Int64
}

// between puts the count into the connections to come.
func (o *outstanding) between(dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		return &counted{Conn: c, o: o}, err
	}
}

type counted struct {
	net.Conn
	o *outstanding
}

// Write counts command lines: each write of the client holds whole ones.
func (c *counted) Write(p []byte) (int, error) {
	c.o.commands.Add(int64(strings.Count(string(p), "\r\n")))
	c.o.most.Store(max(c.o.most.Load(), c.o.commands.Load()-c.o.answers.Load()))
	return c.Conn.Write(p)
}

// TestRow79NoPipelining: one command at a time from the first to the last, DELE
// included, on a server that does not announce PIPELINING, and that throws away
// what it gets early.
func TestRow79NoPipelining(t *testing.T) {
	for name, script := range map[string]func(r *rig) pop3test.Hooks{
		"not announced": func(r *rig) pop3test.Hooks {
			r.srv.Caps = []string{"TOP", "UIDL", "USER"}
			return pop3test.Hooks{}
		},
		"row 11, no CAPA": func(r *rig) pop3test.Hooks {
			return pop3test.Hooks{OnCommand: on("CAPA", 0, pop3test.Action{Raw: "-ERR what?\r\n"})}
		},
		"switched off": func(r *rig) pop3test.Hooks {
			r.m.NoPipelining = true
			return pop3test.Hooks{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				o := new(outstanding)
				r.m.DialContext = o.between(r.dial)
				h := script(r)
				h.DropPipelined = true
				inner := h.OnCommand
				h.OnCommand = func(c pop3test.Command) *pop3test.Action {
					o.answers.Add(1) // at the latest when the next one is read
					if inner == nil {
						return nil
					}
					return inner(c)
				}
				r.hooks(h)
				expect(t, "deleted", r.drainOK().Deleted, 12)
				expect(t, "sessions", r.srv.Sessions(), 1)
				expect(t, "outstanding", o.most.Load(), 1)
			}, letters(12)...)
		})
	}
}

// TestRow80ServerDropsPipelined: it announces PIPELINING and throws away what
// comes early. That shows by time, once; from then on there is one command at a
// time, which is remembered, and tried again more and more seldom.
func TestRow80ServerDropsPipelined(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{DropPipelined: true})
		expect(t, "outcome", r.drain().Outcome, OutcomeTemp)
		expect(t, "QUIT", r.count("QUIT", 0), 0)
		expect(t, "window remembered", r.state().Window, 1)
		elapse(20 * time.Minute)
		broken := 0
		for round := range 20 {
			for i := range 6 {
				name := fmt.Sprint(round, "-", i)
				r.deliver(pop3test.Message{UIDL: name, Raw: []byte(letter(name, 90))})
			}
			for len(r.box.Left()) > 0 && !t.Failed() {
				if r.drain().Err != nil {
					broken++
				}
				elapse(20 * time.Minute)
			}
		}
		if broken > 6 {
			t.Errorf("%d sessions broke off in 20 rounds", broken)
		}
	}, letters(8)...)
}

// TestRow81ConfirmedSurviveAReset: the server resets the connection while it has
// commands unread. What was confirmed is sealed and is not fetched again; the next
// session sends one command at a time.
func TestRow81ConfirmedSurviveAReset(t *testing.T) {
	t.Parallel()
	r := newRig(t, letters(30)...)
	defer r.overTCP()()
	r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
		switch {
		case c.Session == 1 && c.Line() == "RETR 15":
			return &pop3test.Action{End: pop3test.Reset}
		case c.Session == 1 && c.Line() == "RETR 14":
			r.sealedAtLeast(11) // so that the reset does not overtake them
			return &pop3test.Action{Delay: time.Nanosecond, Run: true}
		case c.Session == 1 && c.Verb == "RETR":
			return &pop3test.Action{Delay: time.Nanosecond, Run: true} // an answer of its own
		}
		return nil
	}})
	expect(t, "outcome", r.drain().Outcome, OutcomeTemp)
	kept := len(r.arc.bodies)
	if kept < 11 {
		t.Errorf("%d messages are sealed", kept)
	}
	expect(t, "QUIT", r.count("QUIT", 0), 0)
	expect(t, "window", r.state().Window, 1)
	sent := r.count("RETR", 0)
	for range 8 {
		if len(r.box.Left()) > 0 {
			r.drain()
		}
	}
	expect(t, "left", len(r.box.Left()), 0)
	expect(t, "RETR later", r.count("RETR", 0)-sent, 30-kept)
}

// sealedAtLeast waits until the archive has n messages.
func (r *rig) sealedAtLeast(n int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 5000 {
		r.arc.mu.Lock()
		enough := len(r.arc.sealed) >= n
		r.arc.mu.Unlock()
		if enough {
			return
		}
		<-tick.C
	}
}

// TestRow82ServerStopsReading: both sides write over a connection that holds
// nothing; a server that reads no more ends the session by time.
func TestRow82ServerStopsReading(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		big := make([]string, 40)
		for i := range big {
			big[i] = letter(strings.Repeat("x", i), 100_000)
		}
		r.deliver(pop3test.Messages(big...)...)
		start := time.Now()
		expect(t, "deleted", r.drainOK().Deleted, 40)
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %s", took)
		}
	})
	t.Run("for good", func(t *testing.T) {
		bubble(t, func(t *testing.T, r *rig) {
			r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
				if c.Session == 1 && c.Line() == "RETR 3" {
					return &pop3test.Action{Delay: time.Hour}
				}
				return nil
			}})
			start := time.Now()
			res, err := r.d.Drain(t.Context(), r.m) // the server holds on for its hour
			if took := time.Since(start); took > 7*time.Minute || OutcomeOf(err) != OutcomeTemp {
				t.Errorf("%v after %s", res.Err, took)
			}
			r.conns.Wait()
			r.check()
			r.settle(8, 0)
		}, letters(200)...)
	})
}
