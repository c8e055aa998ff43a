package pop3

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// An Auth is a session in the AUTHORIZATION state. It is used by one goroutine.
type Auth struct {
	c            *conn
	caps         Capabilities
	tls          string
	noPipelining bool
}

// Capabilities returns what the server announced before login.
func (a *Auth) Capabilities() Capabilities { return a.caps }

// TLSState returns the protocol version and cipher suite, such as
// "TLS 1.3 TLS_AES_128_GCM_SHA256"; "" on a plain connection.
func (a *Auth) TLSState() string { return a.tls }

// Login sends USER and PASS (RFC 1939 section 7) and asks CAPA again. It
// consumes the Auth: on failure the connection is closed.
func (a *Auth) Login(ctx context.Context, user, password string) (_ *Transaction, err error) {
	defer func() {
		if err != nil {
			a.Close() //nolint:errcheck // the reason is known
		}
	}()
	end, err := a.c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	a.c.secret = password
	if err := a.checkASCII(user, password); err != nil {
		return nil, err
	}
	if err := a.credential("USER", user); err != nil {
		return nil, err
	}
	if err := a.credential("PASS", password); err != nil {
		return nil, err
	}
	t := &Transaction{c: a.c, caps: a.caps, tls: a.tls}
	if a.caps.Known {
		if t.caps, err = a.c.capa(); err != nil {
			return nil, err
		}
		if !t.caps.Known { // answered before login only: what it said then holds
			t.caps = a.caps
		}
	}
	t.pipelining = t.caps.Pipelining && !a.noPipelining
	return t, nil
}

// checkASCII refuses a user or password beyond ASCII unless the server says
// how it reads it (RFC 6856 section 2.1).
func (a *Auth) checkASCII(user, password string) error {
	if a.caps.UTF8User || isASCII(user+password) {
		return nil
	}
	return a.c.fail("USER", Perm, errors.New("user or password is not ASCII, and the server does not offer UTF8 USER"))
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

// credential sends USER or PASS. What a refusal means is told by its response
// code; without one, and unless the server promised codes (RFC 3206), by its
// words.
func (a *Auth) credential(op, value string) error {
	st, err := a.c.ask(a.c.t.Auth, op, value)
	if err != nil || st.ok {
		return err
	}
	class := Credentials
	if a.caps.AuthRespCode {
		class = Temp
	}
	return a.c.refused(op, st, class)
}

// Quit ends the session with QUIT, which in this state deletes nothing, and
// closes the connection.
func (a *Auth) Quit(ctx context.Context) error {
	defer a.Close() //nolint:errcheck // the answer to QUIT tells more
	st, err := a.c.step(ctx, a.c.t.Command, "QUIT")
	if err == nil && !st.ok {
		err = a.c.refused("QUIT", st, Temp)
	}
	return err
}

// Close closes the connection without a word.
func (a *Auth) Close() error { return a.c.close() }

// A Transaction is a session in the TRANSACTION state. It is used by one
// goroutine.
type Transaction struct {
	c          *conn
	caps       Capabilities
	tls        string
	pipelining bool
	issued     map[int]bool // message numbers that a warrant was issued for and not yet used
}

// Capabilities returns what the server announced after login.
func (t *Transaction) Capabilities() Capabilities { return t.caps }

// TLSState is that of the Auth the transaction came from.
func (t *Transaction) TLSState() string { return t.tls }

// Noop asks for a sign of life.
func (t *Transaction) Noop(ctx context.Context) error { return t.simple(ctx, "NOOP") }

// Rset unmarks what was marked as deleted. To give up deletions, Close instead:
// QUIT behind RSET still enters the UPDATE state, where some servers delete what
// was merely retrieved.
func (t *Transaction) Rset(ctx context.Context) error { return t.simple(ctx, "RSET") }

func (t *Transaction) simple(ctx context.Context, op string) error {
	st, err := t.c.step(ctx, t.c.t.Command, op)
	if err == nil && !st.ok {
		err = t.c.declined(op, st, Temp)
	}
	return err
}

// Close closes the connection without QUIT: the server deletes nothing.
func (t *Transaction) Close() error { return t.c.close() }

// declined makes the error of a -ERR after which the session goes on.
func (c *conn) declined(op string, st status, class Class) error {
	return &Error{Op: op, Class: classOf(st, class), Code: st.code, Text: st.text}
}

// phrases are what servers without response codes say. Lower case; the first
// match counts.
var phrases = []struct {
	text  string
	class Class
}{
	{"lock", Busy}, {"already in use", Busy}, {"in use", Busy}, {"busy", Busy}, {"another session", Busy}, {"already open", Busy},
	{"too many", Rate}, {"too often", Rate}, {"quota", Rate}, {"exceed", Rate}, {"throttl", Rate}, {"login delay", Rate}, {"minimum interval", Rate},
	{"temporar", Temp}, {"try again later", Temp}, {"unavailable", Temp},
}

// classOf returns what a -ERR means: by its response code (RFC 2449 section 8,
// RFC 3206), else by its words, else class.
func classOf(st status, class Class) Class {
	first, rest, _ := strings.Cut(st.code, "/")
	switch first {
	case "AUTH":
		return Credentials
	case "IN-USE":
		return Busy
	case "LOGIN-DELAY":
		return Rate
	case "UTF8":
		return Message
	case "SYS":
		if rest == "PERM" || strings.HasPrefix(rest, "PERM/") {
			return Perm
		}
		return Temp
	}
	text := strings.ToLower(st.text)
	for _, p := range phrases {
		if strings.Contains(text, p.text) && (class != Message || p.class == Rate) {
			return p.class
		}
	}
	return class
}

var _ fmt.Stringer = Security(0)
