package pop3

import (
	"context"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

// Login sends USER and PASS (RFC 1939 section 7), one after the other, and asks
// CAPA again. It consumes the Auth: on failure the connection is closed, and no
// other way to log in is tried, since each attempt counts towards a lock-out.
//
// Octets beyond ASCII are refused unless the server says how it reads them (UTF8
// USER, RFC 6856 section 2.1); CR, LF and NUL always.
func (a *Auth) Login(ctx context.Context, user, password string) (_ *Transaction, err error) {
	defer func() {
		if err != nil {
			a.c.close()
		}
	}()
	end, err := a.c.begin(ctx, "USER")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	a.c.secret = password
	if err := a.check(user, password); err != nil {
		return nil, err
	}
	if err := a.credential("USER", user); err != nil {
		return nil, err
	}
	if err := a.credential("PASS", password); err != nil {
		return nil, err
	}
	if err := a.c.askCapa(); err != nil {
		return nil, err
	}
	return &Transaction{c: a.c}, nil
}

// check refuses credentials that cannot be sent, before any of them is.
func (a *Auth) check(user, password string) error {
	for _, words := range [][]string{{"USER", user}, {"PASS", password}} {
		if _, err := commandLine(words...); err != nil {
			return err
		}
		if !a.c.caps.UTF8User && strings.IndexFunc(words[1], func(r rune) bool { return r >= 0x80 }) >= 0 {
			return &Error{Op: words[0], Class: Perm, Err: mail.Errorf(mail.Invalid, "not ASCII, and the server does not offer UTF8 USER")}
		}
	}
	return nil
}

// credential sends USER or PASS. A refusal without a code blames the
// credentials, unless the server promised to do so by a code (RFC 3206 section 6).
func (a *Auth) credential(op, value string) error {
	st, err := a.c.ask(a.c.timeouts.Auth, op, value)
	if err != nil || st.ok {
		return err
	}
	other := Credentials
	if a.c.caps.AuthRespCode {
		other = Temp
	}
	return a.c.refused(op, st, other)
}
