package pop3

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
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
func (d *Dialer) Dial(ctx context.Context) (*Auth, error) { return nil, ErrUnsupported }
