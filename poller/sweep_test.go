package poller

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// The sweeps of the test plan at the level of the drain: one session with all
// that a terminator, a status line and a claim are made of, disturbed at each of
// its octets. Those of the protocol client alone are in pop3/sweep_test.go.

// canned are the five messages of the sweeps.
func canned() []string {
	return []string{
		"A: 1\r\n\r\n.dot\r\n..\r\n", "B: 2\r\n\r\nbare\n.\nlf\r.\r\n", "C: 3\r\n\r\n+OK\r\n-ERR\r\n.\r\n", "", "E: 5\r\n\r\nno end",
	}
}

// octets returns how many octets each side sends in a drain that nothing
// disturbs.
func octets(t *testing.T) (client, server int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, canned()...)
		m := new(meter)
		r.m.DialContext = m.between(r.dial)
		r.drainOK()
		expect(t, "left", len(r.box.Left()), 0)
		client, server = m.written, m.read
	})
	if client < 100 || server < 300 {
		t.Fatalf("the canned session has %d and %d octets", client, server)
	}
	return client, server
}

// stride is the step of the sweeps: every octet, but under the race detector,
// which looks at the code and not at the octets.
func stride() int {
	if underRace {
		return 11
	}
	return 1
}

// A dialer is what Mailbox.DialContext is.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// A meter counts the octets of one connection.
type meter struct {
	net.Conn
	written, read int
}

func (m *meter) between(dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		m.Conn, err = dial(ctx, network, addr)
		return m, err
	}
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.Conn.Write(p)
	m.written += n
	return n, err
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.read += n
	return n, err
}

// cutAt cuts the streams of the first drain, also that of a connection which
// goes on without CAPA.
func cutAt(at int, how pop3test.Ending) pop3test.Hooks {
	return pop3test.Hooks{Cut: func(int) (int64, pop3test.Ending) { return int64(at), how }}
}

// after drains what a disturbed session has left: everything, in few sessions.
func (r *rig) after() {
	r.t.Helper()
	before := r.srv.Sessions()
	r.settle(6, 0)
	if n := r.srv.Sessions() - before; n > 5 {
		r.t.Errorf("O5: %d sessions", n)
	}
	expect(r.t, "sealed", len(r.arc.bodies), len(r.originals))
}

// TestX1CutEverywhere ends the server's stream after each of its octets, in an
// orderly way or by silence.
func TestX1CutEverywhere(t *testing.T) {
	t.Parallel()
	_, server := octets(t)
	for _, how := range []pop3test.Ending{pop3test.FIN, pop3test.Stall} {
		for at := 0; at < server; at += stride() {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, canned()...)
				r.hooks(cutAt(at, how))
				if res := r.drain(); res.Err == nil {
					t.Error("went unnoticed")
				}
				r.hooks(pop3test.Hooks{})
				elapse(time.Minute)
				r.after()
			})
			if t.Failed() {
				t.Fatalf("cut after %d of %d octets, ending %v", at, server, how)
			}
		}
	}
}

// TestX1ResetEverywhere does so by RST, which TCP alone has, and which may take
// octets with it that were sent before. There is no waiting in these sessions, so
// they run in real time.
func TestX1ResetEverywhere(t *testing.T) {
	t.Parallel()
	_, server := octets(t)
	for at := 0; at < server; at += stride() {
		r := newRig(t, canned()...)
		stop := r.overTCP()
		r.hooks(cutAt(at, pop3test.Reset))
		if res := r.drain(); res.Err == nil {
			t.Error("went unnoticed")
		}
		r.hooks(pop3test.Hooks{})
		for range 6 {
			if len(r.box.Left()) > 0 {
				r.drain()
			}
		}
		expect(t, "left", len(r.box.Left()), 0)
		expect(t, "sealed", len(r.arc.bodies), len(r.originals))
		stop()
		if t.Failed() {
			t.Fatalf("reset after %d of %d octets\n%s", at, server, r.logs)
		}
	}
}

// overTCP puts the rig's server on loopback. The function returned ends it.
func (r *rig) overTCP() (stop func()) {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { r.srv.Serve(ctx, l) })
	r.m.Host, r.m.DialContext = l.Addr().String(), nil
	return func() {
		cancel()
		serving.Wait()
	}
}

// TestX2SplitEverywhere splits what the client writes at each of its octets, while
// the server's octets come one by one: nothing changes.
func TestX2SplitEverywhere(t *testing.T) {
	t.Parallel()
	client, _ := octets(t)
	for at := 0; at < client; at += stride() {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, canned()...)
			r.m.DialContext = splitAt(at, r.dial)
			r.hooks(pop3test.Hooks{Segment: 1})
			res := r.drainOK()
			expect(t, "deleted", res.Deleted, len(canned()))
			expect(t, "left", len(r.box.Left()), 0)
			expect(t, "RETR", r.count("RETR", 0), len(canned()))
			expect(t, "sessions", r.srv.Sessions(), 1)
		})
		if t.Failed() {
			t.Fatalf("split after %d of %d octets", at, client)
		}
	}
}

// A splitter writes in two pieces what lies over an offset of its stream.
type splitter struct {
	net.Conn
	at, done int
}

func splitAt(at int, dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		return &splitter{Conn: c, at: at}, err
	}
}

func (c *splitter) Write(p []byte) (n int, err error) {
	if k := c.at - c.done; k > 0 && k < len(p) {
		if n, err = c.Conn.Write(p[:k]); err != nil {
			return n, err
		}
	}
	m, err := c.Conn.Write(p[n:])
	c.done += n + m
	return n + m, err
}
