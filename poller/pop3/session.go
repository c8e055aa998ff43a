package pop3

import "context"

// An Auth is a session in the AUTHORIZATION state. It is used by one goroutine.
type Auth struct{}

// Capabilities returns what the server announced before login.
func (a *Auth) Capabilities() Capabilities { return Capabilities{} }

// TLSState returns the protocol version and cipher suite, such as
// "TLS 1.3 TLS_AES_128_GCM_SHA256"; "" on a plain connection.
func (a *Auth) TLSState() string { return "" }

// Login sends USER and PASS (RFC 1939 section 7) and asks CAPA again. It
// consumes the Auth: on failure the connection is closed.
func (a *Auth) Login(ctx context.Context, user, password string) (*Transaction, error) {
	return nil, ErrUnsupported
}

// Quit ends the session with QUIT, which in this state deletes nothing, and
// closes the connection.
func (a *Auth) Quit(ctx context.Context) error { return ErrUnsupported }

// Close closes the connection without a word.
func (a *Auth) Close() error { return nil }

// A Transaction is a session in the TRANSACTION state.
type Transaction struct{}

// Capabilities returns what the server announced after login.
func (t *Transaction) Capabilities() Capabilities { return Capabilities{} }

// TLSState is that of the Auth the transaction came from.
func (t *Transaction) TLSState() string { return "" }

// Noop asks for a sign of life.
func (t *Transaction) Noop(ctx context.Context) error { return ErrUnsupported }

// Rset unmarks what was marked as deleted.
func (t *Transaction) Rset(ctx context.Context) error { return ErrUnsupported }

// Close closes the connection without QUIT: the server deletes nothing.
func (t *Transaction) Close() error { return nil }
