package pop3

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"log/slog"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

// Login logs in, by one mechanism and once, and asks CAPA again. It consumes the
// Auth: on failure the connection is closed. What cannot be sent, and a
// mechanism that the server does not have, are refused before anything of the
// credentials is on the wire.
func (a *Auth) Login(ctx context.Context, as Identity) (_ *Transaction, err error) {
	defer func() {
		if err != nil {
			a.c.close()
		}
	}()
	end, err := a.c.begin(ctx, "login")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	a.c.withhold(as.secrets()...)
	way, err := as.choose(a)
	if err != nil {
		return nil, err
	}
	if err := way.enter(a.c); err != nil {
		return nil, err
	}
	if err := a.c.askCapa(); err != nil {
		return nil, err
	}
	return &Transaction{c: a.c}, nil
}

// credentialClass is the class of a refusal that has no code. It blames the
// credentials, unless the server promised to do so by a code (RFC 3206 section
// 6).
func (c *conn) credentialClass() Class {
	if c.caps.AuthRespCode {
		return Temp
	}
	return Credentials
}

// A userPass is the login by USER and PASS, one after the other.
type userPass struct{ user, password string }

// newUserPass refuses octets beyond ASCII unless the server says how it reads
// them (UTF8 USER, RFC 6856 section 2.1); CR, LF and NUL always.
func newUserPass(c *conn, p Password) (entrance, error) {
	for _, words := range [][]string{{"USER", p.User}, {"PASS", p.Password}} {
		if _, err := commandLine(words...); err != nil {
			return nil, err
		}
		if !c.caps.UTF8User && !isASCII(words[1]) {
			return nil, refuse(words[0], mail.Invalid, "not ASCII, and the server does not offer UTF8 USER")
		}
	}
	return userPass{p.User, p.Password}, nil
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

func (w userPass) enter(c *conn) error {
	for _, words := range [][]string{{"USER", w.user}, {"PASS", w.password}} {
		st, err := c.ask(c.timeouts.Auth, words...)
		if err != nil {
			return err
		}
		if !st.ok {
			return c.refused(words[0], st, c.credentialClass())
		}
	}
	c.loggedIn("USER")
	return nil
}

// An apop is the login by APOP: a digest of the greeting's timestamp and the
// password.
type apop struct{ user, digest string }

// newAPOP takes the timestamp for a challenge only if it is a msg-id and the
// connection is protected: by other challenges, somebody in between could learn
// the password octet by octet (CVE-2007-1558).
func newAPOP(c *conn, p Password) (entrance, error) {
	switch {
	case c.tlsState == "":
		return nil, mail.WithHint(refuse("APOP", mail.Denied, "APOP without TLS gives the password away"), "use tls or stls, or another mechanism")
	case c.timestamp == "":
		return nil, mail.WithHint(refuse("APOP", mail.Denied, "the server does not offer APOP: its greeting has no timestamp in the form of a message identifier"),
			"use another mechanism for this mailbox")
	}
	for what, s := range map[string]string{"user": p.User, "password": p.Password} {
		if err := checkText("APOP", what, s); err != nil {
			return nil, err
		}
	}
	if strings.ContainsRune(p.User, ' ') {
		return nil, refuse("APOP", mail.Invalid, "a user with a space cannot be sent")
	}
	sum := md5.Sum([]byte(c.timestamp + p.Password)) //nolint:gosec // RFC 1939 says so
	w := apop{p.User, hex.EncodeToString(sum[:])}
	_, err := commandLine("APOP", w.user, w.digest)
	return w, err
}

func (w apop) enter(c *conn) error {
	c.withhold(w.digest)
	st, err := c.ask(c.timeouts.Auth, "APOP", w.user, w.digest)
	if err != nil {
		return err
	}
	if !st.ok {
		return c.refused("APOP", st, c.credentialClass())
	}
	c.loggedIn("APOP")
	return nil
}

// timestampOf returns the timestamp of a greeting, with its angle brackets, if
// it has the form of a msg-id (RFC 1939 section 7, RFC 5322 section 3.6.4):
// dot-atom or no more; else "".
func timestampOf(greeting string) string {
	for rest := greeting; ; {
		_, after, ok := strings.Cut(rest, "<")
		if !ok {
			return ""
		}
		id, _, ok := strings.Cut(after, ">")
		left, right, at := strings.Cut(id, "@")
		if ok && at && isDotAtom(left) && (isDotAtom(right) || isLiteral(right)) {
			return "<" + id + ">"
		}
		rest = after
	}
}

func isDotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.Trim(atom, atext) != "" {
			return false
		}
	}
	return true
}

// isLiteral reports whether s is a no-fold-literal such as "[192.0.2.1]".
func isLiteral(s string) bool {
	inner, ok := strings.CutPrefix(s, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	return ok && closed && inner != "" && strings.Trim(inner, atext+".:") == ""
}

// atext is what atoms are made of (RFC 5322 section 3.2.3).
const atext = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~"

// loggedIn keeps, and tells the log, by which mechanism.
func (c *conn) loggedIn(mechanism string) {
	c.mechanism = mechanism
	c.log.Debug("logged in", slog.String("mechanism", mechanism))
}
