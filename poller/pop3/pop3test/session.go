package pop3test

import (
	"bufio"
	"context"
	"net"
	"strings"
	"time"
)

var errBufferFull = bufio.ErrBufferFull

const maxBad = 20 // commands in error before the server hangs up

// A session is one connection. It is used by one goroutine.
type session struct {
	srv   *Server
	id    int
	hooks Hooks
	idle  time.Duration

	raw, conn net.Conn // conn is raw or TLS over it
	secure    bool
	in        *bufio.Reader
	out       *bufio.Writer // over session.Write
	sent      int64
	cut       int64 // octets after which the stream ends; negative: never
	ending    Ending

	ordinal, bads, retrs int

	user      string
	box       *Mailbox // set in the TRANSACTION state
	left      bool     // its lock is given up
	scripted  bool     // in an exchange whose challenges come from OnCommand
	seen      []*stored
	marked    []bool // deleted in this session
	retrieved []bool
}

func (p *session) run(ctx context.Context) error {
	if err := p.greet(); err != nil {
		return err
	}
	for {
		if p.in.Buffered() == 0 {
			if err := p.out.Flush(); err != nil {
				return err
			}
		}
		read := p.readLine
		if p.scripted {
			read = p.readResponse
		}
		line, err := read()
		if err != nil {
			return err
		}
		if err := p.command(ctx, line); err != nil {
			return err
		}
		if p.hooks.DropPipelined {
			p.in.Discard(p.in.Buffered())
		}
	}
}

func (p *session) greet() error {
	switch {
	case p.hooks.Silent:
		return nil
	case p.hooks.Greeting != "":
		p.out.WriteString(p.hooks.Greeting)
	default:
		p.line(p.ready())
	}
	return p.out.Flush()
}

func (p *session) ready() string {
	if p.srv.APOP {
		return "+OK pop3test ready " + timestamp
	}
	return "+OK pop3test ready"
}

// leave gives up what the session holds.
func (p *session) leave() {
	if p.box != nil && !p.left {
		p.left = true
		p.box.release()
	}
}

// command runs one command line under the hooks.
func (p *session) command(ctx context.Context, line string) error {
	p.ordinal++
	verb, arg, _ := strings.Cut(line, " ")
	c := Command{Session: p.id, Ordinal: p.ordinal, User: p.user, Verb: strings.ToUpper(verb), Arg: arg}
	c.Arg = masked(c.Verb, arg)
	if p.scripted {
		c.Verb, c.Arg, p.scripted = Response, maskedResponse(line), false
	}
	p.srv.recordCommand(c)
	if p.hooks.MaxCommands > 0 && p.ordinal > p.hooks.MaxCommands {
		return p.flushAndEnd(FIN)
	}
	if p.hooks.OnCommand != nil {
		if a := p.hooks.OnCommand(c); a != nil {
			return p.act(ctx, a, c.Verb, arg)
		}
	}
	return p.dispatch(ctx, c.Verb, arg)
}

// masked returns the argument of a command without what is secret in it.
func masked(verb, arg string) string {
	first, _, more := strings.Cut(arg, " ")
	switch {
	case verb == "PASS":
		return "***"
	case (verb == "APOP" || verb == "AUTH") && more:
		return first + " ***"
	}
	return arg
}

// maskedResponse is masked for a line of an exchange: what gives it up, and an
// empty one, hold nothing secret.
func maskedResponse(line string) string {
	if line == "*" || line == "" {
		return line
	}
	return "***"
}

func (p *session) act(ctx context.Context, a *Action, verb, arg string) error {
	if a.Delay > 0 {
		if err := p.out.Flush(); err != nil {
			return err
		}
		select {
		case <-time.After(a.Delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if _, err := p.out.WriteString(a.Raw); err != nil {
		return err
	}
	p.scripted = (verb == "AUTH" || verb == Response) && strings.HasPrefix(a.Raw, "+") && !strings.HasPrefix(a.Raw, "+OK")
	if a.Run {
		if err := p.dispatch(ctx, verb, arg); err != nil {
			return err
		}
	}
	if a.End != Stay {
		return p.flushAndEnd(a.End)
	}
	return nil
}

func (p *session) flushAndEnd(how Ending) error {
	if err := p.out.Flush(); err != nil {
		return err
	}
	return p.end(how)
}

func (p *session) dispatch(ctx context.Context, verb, arg string) error {
	switch verb {
	case "CAPA":
		return p.capa()
	case "QUIT":
		return p.quit()
	}
	if p.box == nil {
		return p.authorization(ctx, verb, arg)
	}
	return p.transaction(verb, arg)
}

func (p *session) authorization(ctx context.Context, verb, arg string) error {
	switch verb {
	case "USER":
		p.user = arg
		return p.line("+OK")
	case "PASS":
		return p.pass(arg)
	case "APOP":
		return p.apop(arg)
	case "AUTH":
		return p.auth(arg)
	case "STLS":
		return p.stls(ctx)
	case "UTF8":
		if !p.announces("UTF8") {
			return p.bad("unknown command")
		}
		return p.line("+OK")
	}
	return p.bad("not in this state")
}

func (p *session) transaction(verb, arg string) error {
	switch verb {
	case "STAT":
		return p.stat()
	case "LIST":
		return p.list(arg)
	case "UIDL":
		return p.uidl(arg)
	case "RETR":
		return p.retr(arg)
	case "TOP":
		return p.top(arg)
	case "DELE":
		return p.dele(arg)
	case "NOOP":
		return p.line("+OK")
	case "RSET":
		clear(p.marked)
		return p.line("+OK")
	}
	return p.bad("not in this state")
}

// bad refuses a command; too many of them end the session.
func (p *session) bad(why string) error {
	p.bads++
	if err := p.line("-ERR " + why); err != nil {
		return err
	}
	if p.bads > maxBad {
		return p.flushAndEnd(FIN)
	}
	return nil
}
