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
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	readBuffer     = 64 << 10
	maxCommand     = 255 // octets of a command line, its end included (RFC 2449 section 4)
	maxOutstanding = 200 // commands; "RETR 2147483647\r\n" 200 times is less than 4 KiB
)

// A conn is the connection of a session in any state, with the rules for
// commands and answers that all of them share.
type conn struct {
	timeouts Timeouts
	limits   Limits
	log      *slog.Logger
	lfOnly   bool
	noPipes  bool

	raw  net.Conn // what closing ends at once
	wire wire     // deadlines over raw, or over TLS over raw
	in   *bufio.Reader

	caps     Capabilities
	tlsState string
	secret   string // the password, to keep it out of errors
	dead     error  // why the connection is closed; nil while it is open
}

// begin starts an operation under ctx; the returned function ends it and must
// be given the operation's error, which it replaces if ctx was the reason.
func (c *conn) begin(ctx context.Context, op string) (end func(*error), err error) {
	if c.dead != nil {
		return nil, c.dead
	}
	if ctx.Err() != nil {
		return nil, canceled(ctx, op)
	}
	stop := context.AfterFunc(ctx, func() { c.raw.Close() })
	return func(err *error) {
		if !stop() {
			c.dead = canceled(ctx, op)
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

// fail closes the connection for good and returns why.
func (c *conn) fail(op string, class Class, err error) error {
	if c.dead == nil {
		c.dead = &Error{Op: op, Class: class, Err: err}
		c.raw.Close()
	}
	return c.dead
}

// failIO is fail for an error of reading or writing.
func (c *conn) failIO(op string, err error) error {
	switch {
	case errors.Is(err, errLine):
		return c.fail(op, Protocol, err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("server too slow: %w", err)
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("connection closed by the server: %w", io.ErrUnexpectedEOF)
	}
	return c.fail(op, Temp, err)
}

// close ends the connection on the client's own decision.
func (c *conn) close() error {
	if c.dead != nil {
		return nil
	}
	c.dead = &Error{Op: "close", Class: Temp, Err: ErrClosed}
	return c.raw.Close()
}

// quiet reports as desync what the server sent without having been asked.
func (c *conn) quiet(op string) error {
	if n := c.in.Buffered(); n > 0 {
		return c.fail(op, Protocol, fmt.Errorf("%w: %d octets that no command asked for", ErrDesync, n))
	}
	return nil
}

// ask sends one command alone on the wire and reads its status line. A -ERR is
// a status, not an error.
func (c *conn) ask(op, line string, timeout time.Duration) (status, error) {
	if err := c.quiet(op); err != nil {
		return status{}, err
	}
	if _, err := c.wire.Write([]byte(line + "\r\n")); err != nil {
		return status{}, c.failIO(op, err)
	}
	return c.status(op, timeout)
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
		return status{}, c.fail(op, Protocol, fmt.Errorf("%w: %q is not a status line", ErrDesync, c.clean(line)))
	}
	st.text = c.clean([]byte(st.text))
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
		return nil, mail.WithHint(fmt.Errorf("%w: ended by LF alone", errLine),
			"if all lines of this server end so, set the mailbox to LF-only")
	}
	return b, nil
}

// listing reads the lines of a multi-line answer that is not a message. Each
// must come within the pause.
func (c *conn) listing(op string, each func(line []byte) error) error {
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

// refusal makes the error of a -ERR answer.
func (c *conn) refusal(op string, class Class, st status) error {
	return &Error{Op: op, Class: class, Code: c.clean1(st.code), Text: st.text}
}

// clean makes what a server said fit for errors and logs.
func (c *conn) clean(b []byte) string {
	if c.secret != "" && bytes.Contains(b, []byte(c.secret)) {
		return "(withheld: repeats the password)"
	}
	return cleanText(b)
}

func (c *conn) clean1(s string) string {
	if c.secret != "" && strings.Contains(s, strings.ToUpper(c.secret)) {
		return "?"
	}
	return s
}

// simple sends a command whose only answer is a status line.
func (c *conn) simple(ctx context.Context, op string, timeout time.Duration) (err error) {
	end, err := c.begin(ctx, op)
	if err != nil {
		return err
	}
	defer end(&err)
	st, err := c.ask(op, op, timeout)
	if err != nil {
		return err
	}
	if !st.ok {
		return c.refusal(op, messageClass(st), st)
	}
	return nil
}

// pipelining reports whether more than one command may be outstanding.
func (c *conn) pipelining() bool { return c.caps.Pipelining && !c.noPipes }
