// Package proxy opens the TCP connections of mailboxes through SOCKS5 (RFC 1928,
// 1929) and HTTP CONNECT (RFC 9110 section 9.3.6) proxies.
//
// # Model
//
// A [Proxy] is a way to dial: its DialContext takes the place of that of a
// net.Dialer. The proxy looks up the name of the server, so that a network
// without names of its own is enough; TLS runs from end to end through it, and
// its certificate checks are as without a proxy: whoever holds the proxy sees
// which server is asked for, how much and when, and no more.
//
// # Invariants
//
// A connection is handed on only when the proxy has said that the server is
// connected. Octets that came with that answer are the server's and are read
// first. What the proxy says is bounded (16 KiB) and cleaned before it stands in
// an error. The password is asked for anew by each dial, and no error, String or
// log holds it.
//
// Errors are of the kind mail.Denied where the proxy refuses who asks or what is
// asked for, which a person must mend; all others may pass.
package proxy

import (
	"context"
	"net"
	"net/url"
	"slices"

	"github.com/mailkeep/mailkeep/mail"
)

// A Scheme is a protocol of proxies.
type Scheme string

// The schemes.
const (
	SOCKS5 Scheme = "socks5"
	HTTP   Scheme = "http" // the method CONNECT
)

// A Proxy is one proxy and who uses it. It holds no state: it may be used by
// several goroutines at once.
type Proxy struct {
	Scheme  Scheme
	Address string // host:port
	User    string // "": without authentication
	// Password returns the user's password as it is now; nil: it is empty.
	Password func() (string, error)
	// Dial opens the connection to the proxy; nil is that of a zero net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Parse reads scheme://[user@]host:port. The error has the kind mail.Invalid and
// does not repeat the text, which may hold a password where none belongs.
func Parse(text string) (Proxy, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Proxy{}, mail.Errorf(mail.Invalid, "not a URL")
	}
	p := Proxy{Scheme: Scheme(u.Scheme), Address: u.Host, User: u.User.Username()}
	_, hasPassword := u.User.Password()
	_, port, err := net.SplitHostPort(u.Host)
	switch {
	case !slices.Contains([]Scheme{SOCKS5, HTTP}, p.Scheme):
		return Proxy{}, mail.Errorf(mail.Invalid, "the scheme is neither socks5 nor http")
	case hasPassword:
		return Proxy{}, mail.Errorf(mail.Invalid, "a password must not stand in the URL")
	case err != nil || port == "" || u.Hostname() == "":
		return Proxy{}, mail.Errorf(mail.Invalid, "the address is not host:port")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return Proxy{}, mail.Errorf(mail.Invalid, "there is more behind the address")
	case len(p.User) > maxName:
		return Proxy{}, mail.Errorf(mail.Invalid, "the user is longer than %d octets", maxName)
	}
	return p, nil
}

// maxName bounds user and password (RFC 1929 section 2).
const maxName = 255

// String returns the URL, which holds no password.
func (p Proxy) String() string {
	u := url.URL{Scheme: string(p.Scheme), Host: p.Address}
	if p.User != "" {
		u.User = url.User(p.User)
	}
	return u.String()
}

// DialContext connects to addr, host:port, through the proxy. It ends with ctx.
func (p Proxy) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	password, err := p.password()
	if err != nil {
		return nil, mail.Errorf(mail.KindOf(err), "password of the proxy %s: %w", p, err)
	}
	var c net.Conn
	if p.Scheme == SOCKS5 {
		c, err = p.socks(ctx, network, addr, password)
	} else {
		c, err = p.connect(ctx, network, addr, password)
	}
	if err != nil {
		return nil, mail.Errorf(mail.KindOf(err), "through the proxy %s: %w", p, err)
	}
	return c, nil
}

func (p Proxy) password() (string, error) {
	if p.User == "" || p.Password == nil {
		return "", nil
	}
	s, err := p.Password()
	if err == nil && len(s) > maxName {
		return "", mail.Errorf(mail.Invalid, "it is longer than %d octets", maxName)
	}
	return s, err
}

// dial opens the connection to the proxy itself.
func (p Proxy) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if p.Dial != nil {
		return p.Dial(ctx, network, addr)
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}
