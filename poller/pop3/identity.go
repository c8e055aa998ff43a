package pop3

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/mail"
)

// An Identity says who logs in and how: it is a [Password] or a [Token], and
// nothing else can be one. The mechanism is either named or chosen once from
// what the server announced. A refusal is never followed by another mechanism,
// since each attempt counts towards a lock-out.
type Identity interface {
	// choose returns how to log in to the server of a, before anything is sent:
	// whatever can be refused without the server's help is refused here.
	choose(a *Auth) (entrance, error)
	// secrets are kept out of errors and logs.
	secrets() []string
}

// An entrance is one way into the TRANSACTION state, with all that it needs.
type entrance interface {
	enter(c *conn) error
}

// A PasswordMechanism is a way to log in with a password.
type PasswordMechanism uint8

// The ways to log in with a password.
const (
	// AnyPassword is SCRAM-SHA-256 or else PLAIN where the server announces
	// them, else USER and PASS. APOP must be asked for.
	AnyPassword PasswordMechanism = iota
	UserPass                      // USER and PASS (RFC 1939 section 7)
	// APOP (RFC 1939 section 7) is MD5 with a challenge of the server's choice,
	// from which somebody in between can learn the password: it is used under TLS
	// alone.
	APOP
	SASLPlain   // AUTH PLAIN (RFC 4616)
	ScramSHA256 // AUTH SCRAM-SHA-256 (RFC 7677), without channel binding; the server must prove that it knows the password
)

// String returns the mechanism as the server calls it; "any" for AnyPassword.
func (m PasswordMechanism) String() string {
	return [...]string{"any", "USER", "APOP", "PLAIN", "SCRAM-SHA-256"}[min(int(m), 4)]
}

// A TokenMechanism is a way to log in with a bearer token.
type TokenMechanism uint8

// The ways to log in with a token.
const (
	// AnyToken is OAUTHBEARER or else XOAUTH2, whichever the server announces.
	AnyToken    TokenMechanism = iota
	OAuthBearer                // AUTH OAUTHBEARER (RFC 7628)
	XOAuth2                    // AUTH XOAUTH2, its predecessor at Google and Microsoft
)

// String returns the mechanism as the server calls it; "any" for AnyToken.
func (m TokenMechanism) String() string {
	return [...]string{"any", "OAUTHBEARER", "XOAUTH2"}[min(int(m), 2)]
}

// A Password logs in with a password. It prints as "[hidden]".
type Password struct {
	User, Password string
	Mechanism      PasswordMechanism // AnyPassword unless set
}

// A Token logs in with a bearer token (RFC 6750), under TLS alone: who reads it
// is who it was given to. It prints as "[hidden]".
type Token struct {
	User, Token string
	Mechanism   TokenMechanism // AnyToken unless set
}

// hidden is all that credentials ever print.
const hidden = "[hidden]"

// Format writes "[hidden]" for every verb.
func (p Password) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText implements encoding.TextMarshaler and returns "[hidden]".
func (p Password) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue implements slog.LogValuer and returns "[hidden]".
func (p Password) LogValue() slog.Value { return slog.StringValue(hidden) }

// Format writes "[hidden]" for every verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText implements encoding.TextMarshaler and returns "[hidden]".
func (t Token) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue implements slog.LogValuer and returns "[hidden]".
func (t Token) LogValue() slog.Value { return slog.StringValue(hidden) }

func (p Password) secrets() []string { return []string{p.Password} }
func (t Token) secrets() []string    { return []string{t.Token} }

func (p Password) choose(a *Auth) (entrance, error) {
	switch p.pick(a.c.caps) {
	case UserPass:
		return newUserPass(a.c, p)
	case APOP:
		return newAPOP(a.c, p)
	case SASLPlain:
		return newSASL(a.c, SASLPlain.String(), p.User, p.Password, plain{p.User, p.Password})
	case ScramSHA256:
		client, err := newScram(p.User, p.Password)
		if err != nil {
			return nil, err
		}
		return newSASL(a.c, ScramSHA256.String(), p.User, p.Password, client)
	}
	return nil, refuse("AUTH", mail.Invalid, "unknown mechanism %d", p.Mechanism)
}

// pick returns the mechanism for a server with the capabilities.
func (p Password) pick(caps Capabilities) PasswordMechanism {
	switch {
	case p.Mechanism != AnyPassword:
		return p.Mechanism
	case has(caps.Sasl, ScramSHA256.String()):
		return ScramSHA256
	case has(caps.Sasl, SASLPlain.String()):
		return SASLPlain
	}
	return UserPass
}

func (t Token) choose(a *Auth) (entrance, error) {
	if a.c.tlsState == "" {
		return nil, refuse("AUTH", mail.Invalid, "a token is not sent without TLS")
	}
	switch t.pick(a.c.caps) {
	case OAuthBearer:
		return newSASL(a.c, OAuthBearer.String(), t.User, t.Token, newOAuthBearer(t, a.c.host))
	case XOAuth2:
		return newSASL(a.c, XOAuth2.String(), t.User, t.Token, newXOAuth2(t))
	case AnyToken:
		return nil, mail.WithHint(refuse("AUTH", mail.Denied, "the server announces neither OAUTHBEARER nor XOAUTH2"),
			"use a password for this mailbox, or name the mechanism if the server has one that it does not announce")
	}
	return nil, refuse("AUTH", mail.Invalid, "unknown mechanism %d", t.Mechanism)
}

// pick returns the mechanism for a server with the capabilities; AnyToken if it
// has none.
func (t Token) pick(caps Capabilities) TokenMechanism {
	switch {
	case t.Mechanism != AnyToken:
		return t.Mechanism
	case has(caps.Sasl, OAuthBearer.String()):
		return OAuthBearer
	case has(caps.Sasl, XOAuth2.String()):
		return XOAuth2
	}
	return AnyToken
}

// refuse makes the error of a login that is not tried.
func refuse(op string, kind mail.Kind, format string, args ...any) error {
	return &Error{Op: op, Class: Perm, Err: mail.Errorf(kind, format, args...)}
}

// checkText refuses what no mechanism can carry: a NUL ends a field of PLAIN, a
// CTRL-A one of OAUTHBEARER, a line end a command; and SASL knows UTF-8 only.
func checkText(op, what, s string) error {
	switch {
	case s == "":
		return refuse(op, mail.Invalid, "the %s is empty", what)
	case strings.ContainsAny(s, "\x00\x01\r\n"):
		return refuse(op, mail.Invalid, "the %s holds CR, LF, NUL or CTRL-A", what)
	case !utf8.ValidString(s):
		return refuse(op, mail.Invalid, "the %s is not UTF-8", what)
	}
	return nil
}
