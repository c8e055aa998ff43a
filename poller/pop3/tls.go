package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"

	"github.com/mailkeep/mailkeep/mail"
)

// tlsConfig returns the configuration for the server of d; nil for Plain.
func (d *Dialer) tlsConfig() (*tls.Config, error) {
	invalid := func(op, format string, args ...any) (*tls.Config, error) {
		return nil, &Error{Op: op, Class: Perm, Err: mail.Errorf(mail.Invalid, format, args...)}
	}
	host, _, err := net.SplitHostPort(d.Address)
	switch {
	case err != nil:
		return invalid("connect", "address %q is not host:port", d.Address)
	case d.Security == Plain:
		return nil, nil
	case d.Security != TLS && d.Security != STLS:
		return invalid("connect", "unknown security %d", d.Security)
	}
	conf := &tls.Config{}
	if d.TLS != nil {
		conf = d.TLS.Clone()
	}
	if conf.InsecureSkipVerify {
		return invalid("tls", "a TLS configuration that does not verify certificates is refused: trust the server's authority instead")
	}
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	pinned(conf, d.Pins)
	if conf.ServerName == "" {
		conf.ServerName = host
	}
	return conf, nil
}

// handshake puts TLS under the session and verifies the server. Nothing of the
// buffer is carried over.
func (c *conn) handshake(ctx context.Context, conf *tls.Config) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeouts.TLS, os.ErrDeadlineExceeded)
	defer cancel()
	t := tls.Client(c.raw, conf)
	if err := t.HandshakeContext(ctx); err != nil {
		if errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("handshake: %w", context.Cause(ctx))
		}
		return c.fail("tls", handshakeClass(err), hintTLS(err))
	}
	state := t.ConnectionState()
	c.tlsState = tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite)
	c.certExpiry = state.PeerCertificates[0].NotAfter
	c.wire.conn = t
	c.in.Reset(c.wire)
	return nil
}

// handshakeClass tells trouble of the network from that of certificate, name or
// version, which a person must mend.
func handshakeClass(err error) Class {
	if mail.KindOf(err) == mail.Denied || mail.KindOf(err) == mail.Invalid {
		return Perm // of a Pin or of the client's own certificate
	}
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return Temp
	}
	for _, network := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, os.ErrDeadlineExceeded, context.Canceled} {
		if errors.Is(err, network) {
			return Temp
		}
	}
	return Perm
}

// certificateAlerts are those by which a server refuses the client's certificate
// or the lack of one (RFC 8446 section 6.2).
var certificateAlerts = []tls.AlertError{42, 43, 44, 45, 46, 48, 49, 116}

// ownCertificate reports whether err is one of them. In TLS 1.3 it comes when the
// client's handshake is over, as an error of the first read.
func ownCertificate(err error) bool {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" {
		return false
	}
	return slices.ContainsFunc(certificateAlerts, func(a tls.AlertError) bool { return a.Error() == remote.Err.Error() })
}

func hintTLS(err error) error {
	if ownCertificate(err) {
		return mail.WithHint(err, "the server wants a client certificate, or another one")
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return mail.WithHint(fmt.Errorf("the server does not speak TLS here: %w", err), "is the port meant for stls or plain?")
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return mail.WithHint(err, "check the name of the server, its certificate, and the authority that is trusted for it")
	}
	return err
}

// stls upgrades the connection (RFC 2595 section 4). Octets that came behind
// the answer were not protected: somebody put them there.
func (c *conn) stls(ctx context.Context, conf *tls.Config) error {
	if c.caps.Known && !c.caps.Stls {
		return c.fail("STLS", Perm, errors.New("the server does not offer STLS, and without it nothing is sent"))
	}
	st, err := c.ask(c.timeouts.Command, "STLS")
	if err != nil {
		return err
	}
	if !st.ok {
		return c.refused("STLS", st, Perm)
	}
	if n := c.in.Buffered(); n > 0 {
		return c.fail("STLS", Protocol, fmt.Errorf("%d unprotected octets behind the answer to STLS", n))
	}
	if err := c.handshake(ctx, conf); err != nil {
		return err
	}
	c.caps = Capabilities{} // they were not protected either
	return c.askCapa()
}
