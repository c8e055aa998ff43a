package pop3

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// bufferSize is the size of the read buffer. A line of a body may be longer.
const bufferSize = 64 << 10

// A conn is one connection and what the session knows about it.
type conn struct {
	nc     net.Conn
	in     *bufio.Reader
	out    *writer
	t      Timeouts
	limits Limits
	log    *slog.Logger
	lfOnly bool
	secret string // the password, to be withheld wherever the server repeats it

	outstanding int   // commands sent and not answered
	broken      error // why no further step is possible

	// Owned by the reading side of the step in hand.
	first bool          // the next octet is the first of an answer
	wait  time.Duration // for that octet
	floor floor

	mu    sync.Mutex // guards the deadlines against the end of ctx
	ctx   context.Context
	ended bool // ctx ended
}

func newConn(nc net.Conn, d *Dialer) *conn {
	c := &conn{nc: nc, t: d.Timeouts.withDefaults(), limits: d.Limits.withDefaults(), log: d.Logger, lfOnly: d.LFOnly, ctx: context.Background()}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.attach(nc)
	return c
}

// attach (re)starts reading and writing on nc, as after STLS.
func (c *conn) attach(nc net.Conn) {
	c.nc = nc
	c.in = bufio.NewReaderSize(reader{c}, bufferSize)
	c.out = newWriter(c)
}

// errInterrupted is the deadline that the end of a context sets.
var past = time.Unix(1, 0)

// begin binds a step to ctx and returns what ends the binding. A session that
// is broken begins nothing.
func (c *conn) begin(ctx context.Context) (end func(), err error) {
	if c.broken != nil {
		return nil, c.broken
	}
	c.mu.Lock()
	c.ctx, c.ended = ctx, ctx.Err() != nil
	c.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ctx == ctx {
			c.ended = true
			c.nc.SetDeadline(past) //nolint:errcheck // a dead connection ends the step as well
		}
	})
	return func() {
		stop()
		c.mu.Lock()
		c.ctx = context.Background()
		c.mu.Unlock()
	}, nil
}

// arm sets a deadline unless the context has ended.
func (c *conn) arm(set func(time.Time) error, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return set(past)
	}
	return set(time.Now().Add(d))
}

// expect says how long the first octet of the next answer may take.
func (c *conn) expect(d time.Duration) { c.first, c.wait = true, d }

// A reader reads from the connection with a deadline that is armed again for
// each read.
type reader struct{ c *conn }

func (r reader) Read(p []byte) (int, error) {
	c := r.c
	wait := c.t.Idle
	if c.first {
		wait = c.wait
	}
	if err := c.arm(c.nc.SetReadDeadline, wait); err != nil {
		return 0, err
	}
	n, err := c.nc.Read(p)
	if n > 0 {
		c.first = false
		err = errors.Join(err, c.floor.passed(n))
	}
	return n, err
}

// A floor is the least rate of a body, against a server that keeps a session
// open by dripping.
type floor struct {
	span    time.Duration // 0: off
	min     int64         // octets in a span
	started time.Time
	octets  int64
}

func (f *floor) passed(n int) error {
	if f.span == 0 {
		return nil
	}
	f.octets += int64(n)
	now := time.Now()
	if now.Sub(f.started) < f.span {
		return nil
	}
	if f.octets < f.min {
		return fmt.Errorf("%d octets in %v, which is less than the server must send: %w", f.octets, now.Sub(f.started).Round(time.Second), os.ErrDeadlineExceeded)
	}
	f.started, f.octets = now, 0
	return nil
}

// restartFloor begins the watch over a body; it ends with stopFloor.
func (c *conn) restartFloor() {
	if c.t.MinRate > 0 {
		c.floor = floor{span: c.t.RateSpan, min: c.t.MinRate * int64(c.t.RateSpan/time.Second), started: time.Now()}
	}
}

func (c *conn) stopFloor() { c.floor = floor{} }

// fail breaks the session: the connection is closed and every later step
// returns the same error.
func (c *conn) fail(op string, class Class, err error) error {
	c.mu.Lock()
	if c.ended {
		class, err = Temp, context.Cause(c.ctx)
	}
	c.mu.Unlock()
	if w := c.out.failure(); w != nil && class == Temp && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w (and the command could not be sent: %w)", err, w)
	}
	e := &Error{Op: op, Class: class, Err: err}
	c.broken = e
	c.nc.Close() //nolint:errcheck // it is given up
	return e
}

// cut breaks the session because reading failed.
func (c *conn) cut(op string, err error) error {
	switch {
	case errors.Is(err, errLongLine), errors.Is(err, errLineEnd):
		return c.fail(op, Protocol, err)
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("the server closed the connection: %w", io.ErrUnexpectedEOF)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("the server took too long: %w", err)
	}
	return c.fail(op, Temp, err)
}

// close closes the connection and waits for the writer.
func (c *conn) close() error {
	err := c.nc.Close()
	c.out.stop()
	if c.broken != nil {
		return nil // it is closed already, and the caller knows why
	}
	c.broken = &Error{Op: "close", Class: Temp, Err: ErrClosed}
	return err
}
