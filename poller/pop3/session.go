package pop3

import (
	"context"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// An Auth is a session in the AUTHORIZATION state. It is used by one goroutine.
type Auth struct{ c *conn }

// Capabilities returns what the server announced before login.
func (a *Auth) Capabilities() Capabilities { return a.c.caps }

// TLSState returns the protocol version and cipher suite, such as
// "TLS 1.3 TLS_AES_128_GCM_SHA256"; "" on a plain connection.
func (a *Auth) TLSState() string { return a.c.tlsState }

// PeerCertificateExpiry returns until when the server's own certificate is
// valid; zero on a plain connection.
func (a *Auth) PeerCertificateExpiry() time.Time { return a.c.certExpiry }

// Quit ends the session with QUIT, which in this state deletes nothing, and
// closes the connection.
func (a *Auth) Quit(ctx context.Context) error {
	defer a.c.close()
	st, err := a.c.step(ctx, a.c.timeouts.Command, "QUIT")
	if err == nil && !st.ok {
		return a.c.refusal("QUIT", st, Temp)
	}
	return err
}

// Close closes the connection without a word.
func (a *Auth) Close() error { return a.c.close() }

// A Transaction is a session in the TRANSACTION state. It is used by one
// goroutine.
type Transaction struct {
	c *conn

	most   int          // rows that a listing may have; 0 before STAT
	window int          // of the last Retrieve, at its end
	form   string       // of the answers to RETR; "" before the first
	issued map[int]bool // numbers with a warrant that was not used yet
}

// Capabilities returns what the server announced after login, or before where
// it does not say it again.
func (t *Transaction) Capabilities() Capabilities { return t.c.caps }

// Mechanism returns how the login went: "USER", "APOP" or the name of a SASL
// mechanism.
func (t *Transaction) Mechanism() string { return t.c.mechanism }

// TLSState is that of the Auth the transaction came from.
func (t *Transaction) TLSState() string { return t.c.tlsState }

// PeerCertificateExpiry is that of the Auth the transaction came from.
func (t *Transaction) PeerCertificateExpiry() time.Time { return t.c.certExpiry }

// Noop asks for a sign of life.
func (t *Transaction) Noop(ctx context.Context) error { return t.simple(ctx, "NOOP") }

// Rset unmarks what was marked as deleted. To give up deletions, Close instead:
// QUIT behind RSET still enters the UPDATE state, where some servers delete what
// was merely retrieved.
func (t *Transaction) Rset(ctx context.Context) error { return t.simple(ctx, "RSET") }

func (t *Transaction) simple(ctx context.Context, op string) error {
	st, err := t.c.step(ctx, t.c.timeouts.Command, op)
	if err == nil && !st.ok {
		return t.c.refusal(op, st, Temp)
	}
	return err
}

// Close closes the connection without QUIT: the server deletes nothing.
func (t *Transaction) Close() error { return t.c.close() }

// Quit ends the session and closes the connection. QUIT is what asks the server
// to delete what is marked (UPDATE state, RFC 1939 section 6), so it is sent only
// when client and server are in step; otherwise the answer is QuitNone. Once it
// may have been sent, a missing answer is QuitUnknown. The error tells why it is
// not QuitAcked. Whether messages are gone only a later listing can tell.
func (t *Transaction) Quit(ctx context.Context) (quit mail.Quit, err error) {
	defer t.c.close()
	end, err := t.c.begin(ctx, "QUIT")
	if err != nil {
		return mail.QuitNone, err
	}
	defer end(&err)
	if err := t.c.quiet("QUIT"); err != nil {
		return mail.QuitNone, err
	}
	st, err := t.c.ask(t.c.timeouts.Quit, "QUIT")
	switch {
	case err != nil:
		return mail.QuitUnknown, err
	case !st.ok:
		return mail.QuitRefused, t.c.refusal("QUIT", st, Temp)
	}
	return mail.QuitAcked, nil
}
