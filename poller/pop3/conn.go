package pop3

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/mask"
)

const (
	readBuffer     = 64 << 10
	maxCommand     = 255 // octets of a command line, its end included (RFC 2449 section 4)
	maxOutstanding = 200 // commands; "RETR 2147483647\r\n" 200 times is less than 4 KiB
)

// A conn is the connection of a session in any state, with the rules for
// commands and answers that all states share.
type conn struct {
	timeouts Timeouts
	limits   Limits
	log      *slog.Logger
	lfOnly   bool
	noPipes  bool
	noCapa   bool // CAPA is never to be asked

	raw  net.Conn // closing it ends whatever is going on
	wire *wire    // deadlines over raw, or over TLS over raw
	in   *bufio.Reader
	body decoder

	host       string // host:port as configured
	caps       Capabilities
	timestamp  string // of the greeting, for APOP; "" without one
	tlsState   string
	mechanism  string    // that logged in
	certExpiry time.Time // of the server's certificate; zero without TLS
	withheld   []string  // secrets and what was made of them, to keep them out of errors
	dead       error     // why the connection is closed; nil while it is open
}

func newConn(raw net.Conn, d *Dialer) *conn {
	c := &conn{
		timeouts: d.Timeouts.withDefaults(), limits: d.Limits.withDefaults(),
		log: d.Logger, lfOnly: d.LFOnly, noPipes: d.NoPipelining, raw: raw, host: d.Address,
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.wire = &wire{conn: raw, idle: c.timeouts.Idle, span: c.timeouts.RateSpan, quota: c.timeouts.quota()}
	c.in = bufio.NewReaderSize(c.wire, readBuffer)
	c.body = decoder{in: c.in, lfOnly: c.lfOnly}
	return c
}

// begin starts an operation under ctx. The returned function ends it and is
// given the operation's error, which it replaces where ctx was the reason.
func (c *conn) begin(ctx context.Context, op string) (end func(*error), err error) {
	if c.dead != nil {
		return nil, c.dead
	}
	if ctx.Err() != nil {
		return nil, canceled(ctx, op)
	}
	stop := context.AfterFunc(ctx, func() { c.raw.Close() })
	return func(err *error) {
		if stop() {
			return
		}
		c.dead = canceled(ctx, op)
		if *err != nil {
			*err = c.dead
		}
	}, nil
}

func canceled(ctx context.Context, op string) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != err {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return &Error{Op: op, Class: Temp, Err: err}
}

// fail closes the connection for good and returns why. The first reason stays.
func (c *conn) fail(op string, class Class, err error) error {
	return c.failWith(&Error{Op: op, Class: class, Err: err})
}

func (c *conn) failWith(e *Error) error {
	if c.dead == nil {
		c.dead = e
		c.raw.Close() // it is given up; there is nothing to learn from how that goes
	}
	return c.dead
}

// failIO is fail for an error of reading or writing.
func (c *conn) failIO(op string, err error) error {
	switch {
	case errors.Is(err, errLine):
		return c.fail(op, Protocol, err)
	case ownCertificate(err):
		return c.fail(op, Perm, mail.WithHint(err, "the server wants a client certificate, or another one"))
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("the server is too slow: %w", err)
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("the server closed the connection: %w", io.ErrUnexpectedEOF)
	}
	return c.fail(op, Temp, err)
}

// hungUp reports whether err is the end of the connection by the server.
func hungUp(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}

// close ends the connection by the client's own decision.
func (c *conn) close() error {
	if c.dead != nil {
		return nil
	}
	c.dead = &Error{Op: "close", Class: Temp, Err: ErrClosed}
	return c.raw.Close()
}

// quiet is called when nothing is outstanding: octets that are there all the
// same answer no question.
func (c *conn) quiet(op string) error {
	if n := c.in.Buffered(); n > 0 {
		return c.fail(op, Protocol, fmt.Errorf("%w: %d octets that no command asked for", ErrDesync, n))
	}
	return nil
}

// commandLine makes a command of words. Arguments that would break out of the
// line are refused, as is a line that is too long for the protocol.
func commandLine(words ...string) ([]byte, error) {
	line := strings.Join(words, " ") + "\r\n"
	if strings.ContainsAny(line[:len(line)-2], "\r\n\x00") {
		return nil, &Error{Op: words[0], Class: Perm, Err: mail.Errorf(mail.Invalid, "an argument with CR, LF or NUL cannot be sent")}
	}
	if len(line) > maxCommand {
		return nil, &Error{Op: words[0], Class: Perm, Err: mail.Errorf(mail.Invalid, "a command of %d octets cannot be sent, %d is the limit", len(line), maxCommand)}
	}
	return []byte(line), nil
}

// ask sends one command alone on the wire and reads its status line. A -ERR is
// a status, not an error.
func (c *conn) ask(timeout time.Duration, words ...string) (status, error) {
	line, err := commandLine(words...)
	if err != nil {
		return status{}, err
	}
	if err := c.quiet(words[0]); err != nil {
		return status{}, err
	}
	if _, err := c.wire.Write(line); err != nil {
		return status{}, c.failIO(words[0], err)
	}
	return c.status(words[0], timeout)
}

// step is ask as an operation of its own.
func (c *conn) step(ctx context.Context, timeout time.Duration, words ...string) (st status, err error) {
	end, err := c.begin(ctx, words[0])
	if err != nil {
		return status{}, err
	}
	defer end(&err)
	return c.ask(timeout, words...)
}

// status reads a status line.
func (c *conn) status(op string, timeout time.Duration) (status, error) {
	c.wire.expect(timeout)
	line, err := c.line(c.limits.StatusLine)
	if err != nil {
		return status{}, c.failIO(op, err)
	}
	st, ok := parseStatus(line)
	if !ok {
		return status{}, c.fail(op, Protocol, fmt.Errorf("%w: %q is neither +OK nor -ERR", ErrDesync, c.clean(string(line))))
	}
	return st, nil
}

// errLine is a line that is too long or ends in the wrong way.
var errLine = errors.New("bad line")

// line reads one line of at most limit octets and returns it without its end,
// valid until the next read.
func (c *conn) line(limit int) ([]byte, error) {
	b, err := c.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || len(b) > limit:
		return nil, fmt.Errorf("%w: over %d octets", errLine, min(limit, readBuffer))
	case err != nil:
		return nil, err
	}
	b = b[:len(b)-1]
	if bytes.HasSuffix(b, []byte("\r")) {
		return b[:len(b)-1], nil
	}
	if !c.lfOnly {
		return nil, mail.WithHint(fmt.Errorf("%w: it ends with LF alone", errLine),
			"if this server ends all its lines so, set lf_only for its mailboxes")
	}
	return b, nil
}

// lines reads a multi-line answer that is not a message. Each line must come
// within the pause.
func (c *conn) lines(op string, each func(line []byte) error) error {
	for {
		c.wire.expect(c.timeouts.Idle)
		line, err := c.line(c.limits.ListingLine)
		if err != nil {
			return c.failIO(op, err)
		}
		if len(line) > 0 && line[0] == '.' {
			if len(line) == 1 {
				return nil
			}
			line = line[1:]
		}
		if err := each(line); err != nil {
			return c.fail(op, Protocol, err)
		}
	}
}

// refusal makes the error of a -ERR after which the session goes on. other is
// its class where neither code nor words tell.
func (c *conn) refusal(op string, st status, other Class) *Error {
	return &Error{Op: op, Class: classOf(st, other), Code: c.clean(st.code), Text: c.clean(st.text)}
}

// refused is refusal where the session cannot go on.
func (c *conn) refused(op string, st status, other Class) error {
	return c.failWith(c.refusal(op, st, other))
}

// withhold keeps secrets, and what is made of them, out of errors and logs.
func (c *conn) withhold(secrets ...string) { c.withheld = append(c.withheld, secrets...) }

// clean makes what a server said fit for errors and logs.
func (c *conn) clean(s string) string {
	if mask.Repeats(s, c.withheld...) {
		return "(withheld: it repeats a secret)"
	}
	return cleanText(s)
}

// pipelining reports whether more than one command may be outstanding.
func (c *conn) pipelining() bool { return c.caps.Pipelining && !c.noPipes }
