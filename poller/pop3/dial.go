package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
)

// A Security tells how a connection is protected.
type Security int

// The ways to protect a connection.
const (
	TLS   Security = iota // TLS from the first octet (RFC 8314), port 995; the default
	STLS                  // upgrade by STLS (RFC 2595), mandatory: there is no fall-back
	Plain                 // no protection: credentials and mail are readable on the way
)

// String returns "tls", "stls" or "plain".
func (s Security) String() string { return [...]string{"tls", "stls", "plain"}[min(max(int(s), 0), 2)] }

// A Dialer opens sessions to one server. It holds no state of its own: a value
// may be used by several goroutines at once.
type Dialer struct {
	Address  string   // host:port
	Security Security // TLS unless set

	// TLS holds RootCAs, Certificates and the like; nil is the system's trust.
	// ServerName is set from Address where empty, MinVersion is at least TLS
	// 1.2, and InsecureSkipVerify is refused.
	TLS *tls.Config

	Timeouts Timeouts // zero fields have the defaults of Timeouts
	Limits   Limits   // zero fields have the defaults of Limits

	// DialContext opens the TCP connection; nil is a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	Logger      *slog.Logger // nil discards

	LFOnly       bool // the server ends all its lines with a bare LF
	NoPipelining bool // never more than one command outstanding, whatever CAPA says
}

// Dial connects, reads the greeting, asks CAPA and, with STLS, upgrades and
// asks again. The session is then in the AUTHORIZATION state (RFC 1939 section
// 4) and no credential has been sent.
//
// A server that hangs up on CAPA is connected to once more without it, under
// the same rules of protection.
func (d *Dialer) Dial(ctx context.Context) (*Auth, error) {
	t, err := d.tlsConfig()
	if err != nil {
		return nil, err
	}
	a, err := d.open(ctx, t, true)
	if errors.Is(err, errCapaClosed) && ctx.Err() == nil {
		a, err = d.open(ctx, t, false)
	}
	return a, err
}

// tlsConfig returns the configuration of this server; nil for Plain.
func (d *Dialer) tlsConfig() (*tls.Config, error) {
	if d.Security == Plain {
		return nil, nil
	}
	if d.Security != TLS && d.Security != STLS {
		return nil, &Error{Op: "connect", Class: Perm, Err: fmt.Errorf("unknown security %d", d.Security)}
	}
	t := &tls.Config{}
	if d.TLS != nil {
		t = d.TLS.Clone()
	}
	if t.InsecureSkipVerify {
		return nil, &Error{Op: "tls", Class: Perm, Err: errors.New("a configuration that does not verify certificates is refused; name the server's authority instead")}
	}
	t.MinVersion = max(t.MinVersion, tls.VersionTLS12)
	if t.ServerName == "" {
		host, _, err := net.SplitHostPort(d.Address)
		if err != nil {
			return nil, &Error{Op: "connect", Class: Perm, Err: fmt.Errorf("address %q is not host:port", d.Address)}
		}
		t.ServerName = host
	}
	return t, nil
}

func (d *Dialer) open(ctx context.Context, t *tls.Config, askCapa bool) (_ *Auth, err error) {
	nc, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	a := &Auth{c: newConn(nc, d), noPipelining: d.NoPipelining}
	defer func() {
		if err != nil {
			a.c.close() //nolint:errcheck // the reason is known
		}
	}()
	end, err := a.c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if d.Security == TLS {
		if err := a.handshake(ctx, t); err != nil {
			return nil, err
		}
	}
	if err := a.greeting(); err != nil {
		return nil, err
	}
	if askCapa {
		if a.caps, err = a.c.capa(); err != nil {
			return nil, err
		}
	}
	if d.Security == STLS {
		if err := a.stls(ctx, t, askCapa); err != nil {
			return nil, err
		}
	}
	return a, a.utf8()
}

func (d *Dialer) connect(ctx context.Context) (net.Conn, error) {
	dial := d.DialContext
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeouts.withDefaults().Connect)
	defer cancel()
	nc, err := dial(ctx, "tcp", d.Address)
	if err != nil {
		return nil, &Error{Op: "connect", Class: Temp, Err: err}
	}
	return nc, nil
}

// handshake makes the connection a TLS connection and verifies the server
// before anything is said.
func (a *Auth) handshake(ctx context.Context, t *tls.Config) error {
	c := a.c
	c.out.stop()
	tc := tls.Client(c.nc, t)
	hctx, cancel := context.WithTimeout(ctx, c.t.TLS)
	defer cancel()
	err := tc.HandshakeContext(hctx)
	if err == nil {
		state := tc.ConnectionState()
		a.tls = tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite)
		c.mu.Lock()
		c.nc = tc
		c.mu.Unlock()
		c.attach(tc)
		return nil
	}
	class := Temp
	var notTLS tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case isCertificate(err):
		class = Perm
	case errors.As(err, &notTLS):
		class, err = Perm, fmt.Errorf("the server does not speak TLS on this port (is it meant for stls or plain?): %w", err)
	case errors.As(err, &alert):
		class = Perm
	case hctx.Err() != nil && ctx.Err() == nil:
		err = fmt.Errorf("the TLS handshake took too long: %w", os.ErrDeadlineExceeded)
	}
	return c.fail("tls", class, err)
}

func isCertificate(err error) bool {
	var e *tls.CertificateVerificationError
	return errors.As(err, &e)
}

func (a *Auth) greeting() error {
	a.c.expect(a.c.t.Greeting)
	a.c.outstanding++
	st, err := a.c.status("greeting")
	if err != nil {
		return err
	}
	if !st.ok {
		return a.c.refused("greeting", st, Temp)
	}
	return nil
}

// stls upgrades the connection (RFC 2595 section 4). Octets that came behind
// the answer were not protected: somebody put them there, so they end it.
func (a *Auth) stls(ctx context.Context, t *tls.Config, askCapa bool) error {
	c := a.c
	if a.caps.Known && !a.caps.Stls {
		return c.fail("STLS", Perm, errors.New("the server does not offer STLS, and nothing is sent without protection"))
	}
	st, err := c.ask(c.t.Command, "STLS")
	if err != nil {
		return err
	}
	if !st.ok {
		return c.refused("STLS", st, Perm)
	}
	if c.in.Buffered() > 0 {
		return c.fail("STLS", Protocol, errors.New("octets came unprotected behind the answer to STLS"))
	}
	if err := a.handshake(ctx, t); err != nil {
		return err
	}
	a.caps = Capabilities{}
	if askCapa {
		a.caps, err = c.capa()
	}
	return err
}

// utf8 asks for mail as it is (RFC 6856 section 2), where that is offered. A
// refusal changes nothing.
func (a *Auth) utf8() error {
	if !a.caps.UTF8 {
		return nil
	}
	_, err := a.c.ask(a.c.t.Command, "UTF8")
	return err
}

// refused makes the error of a -ERR that ends the session.
func (c *conn) refused(op string, st status, class Class) error {
	e := &Error{Op: op, Class: classOf(st, class), Code: st.code, Text: st.text}
	c.broken = e
	c.nc.Close() //nolint:errcheck // it is given up
	return e
}

var errCapaClosed = errors.New("the server closed the connection on CAPA")

// capa asks for the capabilities (RFC 2449 section 5). -ERR means none.
func (c *conn) capa() (Capabilities, error) {
	st, err := c.ask(c.t.Greeting, "CAPA")
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return Capabilities{}, fmt.Errorf("%w: %w", errCapaClosed, err)
	}
	if err != nil || !st.ok {
		return Capabilities{}, err
	}
	caps := Capabilities{Known: true, Expire: ExpireNever}
	for n := 0; ; n++ {
		line, err := c.line(c.limits.ListingLine)
		if err != nil {
			return Capabilities{}, c.cut("CAPA", err)
		}
		if line == "." {
			return caps, nil
		}
		if n == c.limits.CapaLines {
			return Capabilities{}, c.fail("CAPA", Protocol, fmt.Errorf("more than %d capabilities", n))
		}
		caps.add(line)
	}
}
