package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/mailkeep/mailkeep/mail"
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
	// Pins, if there are any, are the keys of which the server's verified chain
	// must hold one, beside all else that is verified.
	Pins []Pin

	Timeouts Timeouts // zero fields have the defaults of Timeouts
	Limits   Limits   // zero fields have the defaults of Limits

	// DialContext opens the TCP connection; nil is that of NetDialer. An error of
	// the kinds mail.Denied and mail.Invalid is of class Perm: a proxy refused.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	Logger      *slog.Logger // nil discards

	LFOnly       bool // the server ends all its lines with a bare LF
	NoPipelining bool // never more than one command outstanding, whatever CAPA says
}

// Dial connects, reads the greeting, asks CAPA and, with STLS, upgrades and
// asks again. The session is then in the AUTHORIZATION state (RFC 1939 section
// 4) and no credential has been sent.
//
// Some servers hang up or fall silent on CAPA: those are connected to once more
// without it, under the same rules of protection.
func (d *Dialer) Dial(ctx context.Context) (*Auth, error) {
	conf, err := d.tlsConfig()
	if err != nil {
		return nil, err
	}
	a, err := d.open(ctx, conf, true)
	if errors.Is(err, errCapa) && ctx.Err() == nil {
		if d.Logger != nil {
			d.Logger.LogAttrs(ctx, slog.LevelInfo, "server does not survive CAPA, connecting again without",
				slog.String("host", d.Address), slog.Any("error", err))
		}
		a, err = d.open(ctx, conf, false)
	}
	return a, err
}

func (d *Dialer) open(ctx context.Context, conf *tls.Config, askCapa bool) (_ *Auth, err error) {
	c, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	c.noCapa = !askCapa
	end, err := c.begin(ctx, "connect")
	if err == nil {
		err = c.authorization(ctx, d.Security, conf)
		end(&err)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	c.log.LogAttrs(ctx, slog.LevelDebug, "connected", slog.String("host", d.Address), slog.String("tls", c.tlsState),
		slog.Bool("pipelining", c.caps.Pipelining), slog.String("implementation", c.clean(c.caps.Implementation)))
	return &Auth{c: c}, nil
}

func (d *Dialer) connect(ctx context.Context) (*conn, error) {
	dial := d.DialContext
	if dial == nil {
		dial = NetDialer().DialContext
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeouts.withDefaults().Connect)
	defer cancel()
	raw, err := dial(ctx, "tcp", d.Address)
	if err != nil {
		class := Temp
		if k := mail.KindOf(err); k == mail.Denied || k == mail.Invalid {
			class = Perm
		}
		return nil, &Error{Op: "connect", Class: class, Err: err}
	}
	return newConn(raw, d), nil
}

// keepAlive is how long a connection is silent before TCP asks whether the other
// end is there: a session that waits for the archive says nothing itself.
const keepAlive = 30 * time.Second

// NetDialer returns the dialer of TCP connections: it tries the addresses of a
// name by Happy Eyeballs (RFC 8305), so that an IPv6 network that swallows
// packets costs the fallback delay, and keeps connections alive.
func NetDialer() *net.Dialer { return &net.Dialer{KeepAlive: keepAlive} }

// authorization takes a new connection to the point where credentials may be
// sent.
func (c *conn) authorization(ctx context.Context, security Security, conf *tls.Config) error {
	if security == TLS {
		if err := c.handshake(ctx, conf); err != nil {
			return err
		}
	}
	if err := c.greeting(); err != nil {
		return err
	}
	if err := c.askCapa(); err != nil {
		return err
	}
	if security == STLS {
		if err := c.stls(ctx, conf); err != nil {
			return err
		}
	}
	if security != Plain && c.tlsState == "" {
		return c.fail("tls", Perm, errors.New("not protected")) // no order of steps may lead here
	}
	return c.utf8()
}

func (c *conn) greeting() error {
	st, err := c.status("greeting", c.timeouts.Greeting)
	if err != nil {
		if errors.Is(err, ErrDesync) || errors.Is(err, errLine) {
			return mail.WithHint(err, "is this a POP3 server, and is the security setting (tls, stls, plain) that of the port?")
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && c.tlsState == "" {
			return mail.WithHint(err, "a server that says nothing may want TLS from the first octet: is the security setting (tls, stls, plain) that of the port?")
		}
		return err
	}
	if !st.ok {
		return c.refused("greeting", st, Temp)
	}
	c.timestamp = timestampOf(st.text)
	return nil
}

// utf8 asks for mail as it is (RFC 6856 section 2), where that is offered:
// without it a server may send surrogates, which lose what they stand for. A
// refusal changes nothing.
func (c *conn) utf8() error {
	if !c.caps.UTF8 {
		return nil
	}
	st, err := c.ask(c.timeouts.Command, "UTF8")
	if err == nil && !st.ok {
		c.log.Debug("UTF8 is announced and refused", slog.String("answer", c.clean(st.text)))
	}
	return err
}
