package pop3

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	// maxResponse bounds a line of ours in an exchange, its end not counted (RFC
	// 4954 section 4.3 names 12288 octets for what servers must take).
	maxResponse = 12288
	// maxChallenges bounds an exchange; SCRAM has three with the empty one.
	maxChallenges = 8
)

// A mechanism is the client's side of one SASL exchange (RFC 4422).
type mechanism interface {
	// start returns the initial response, and whether it may stand on the AUTH
	// line; a bearer token never does, which is the form that large servers
	// insist on.
	start() (response []byte, inline bool)
	// next answers a challenge behind the initial response. An error cancels the
	// exchange: errCancel for a refusal, one with a kind where a person must act,
	// else one that blames the server's grasp of the protocol.
	next(challenge []byte) ([]byte, error)
	// end says whether +OK is to be believed.
	end() error
	// refusal is what a challenge said of the credentials; "" if none did.
	refusal() string
}

// errCancel makes an exchange end with "*" where the server has said already
// that it refuses.
var errCancel = errors.New("canceled")

// A sasl is the login by AUTH (RFC 5034).
type sasl struct {
	name   string
	client mechanism
}

// newSASL refuses a mechanism that the server is known not to have, and
// credentials that cannot be sent.
func newSASL(c *conn, name, user, secret string, m mechanism) (entrance, error) {
	if c.caps.Known && !has(c.caps.Sasl, name) {
		return nil, c.notOffered(name)
	}
	if err := checkText("AUTH", "user", user); err != nil {
		return nil, err
	}
	if err := checkText("AUTH", "secret", secret); err != nil {
		return nil, err
	}
	response, _ := m.start()
	if base64.StdEncoding.EncodedLen(len(response)) > maxResponse {
		return nil, refuse("AUTH", mail.Invalid, "user and secret are too long to be sent: %d octets", len(response))
	}
	return sasl{name, m}, nil
}

func (c *conn) notOffered(name string) error {
	offers := "no SASL mechanism at all"
	if len(c.caps.Sasl) > 0 {
		offers = c.clean(strings.Join(c.caps.Sasl, ", "))
	}
	return mail.WithHint(refuse("AUTH", mail.Denied, "the server does not announce %s", name), "it announces %s", offers)
}

// enter runs the exchange. Whether the server has the mechanism is not known
// where it does not answer CAPA; then nothing of the credentials is sent before
// it asks for them.
func (w sasl) enter(c *conn) error {
	response, inline := w.client.start()
	words := []string{"AUTH", w.name}
	sent := false
	if encoded := c.encode(response); inline && c.caps.Known && len("AUTH "+w.name+" "+encoded+"\r\n") <= maxCommand {
		words, sent = append(words, encoded), true
	}
	got, err := c.exchange(strings.Join(words, " "))
	for n := 0; err == nil && got.more; n++ {
		var challenge, reply []byte
		challenge, err = decodeChallenge(got.text)
		switch {
		case err != nil:
		case n >= maxChallenges:
			err = fmt.Errorf("more than %d challenges", maxChallenges)
		case !sent && len(challenge) > 0:
			err = errors.New("a challenge where the client speaks first")
		case !sent:
			reply, sent = response, true
		default:
			reply, err = w.client.next(challenge)
		}
		if err != nil {
			return w.cancel(c, err)
		}
		got, err = c.exchange(c.encode(reply))
	}
	if err != nil {
		return err
	}
	return w.conclude(c, got, sent)
}

// conclude takes the status that ends the exchange.
func (w sasl) conclude(c *conn, got reply, sent bool) error {
	if !got.status.ok {
		return w.refused(c, got.status, sent)
	}
	if !sent {
		return c.fail("AUTH", Protocol, errors.New("the server is content before it was given anything"))
	}
	if err := w.client.end(); err != nil {
		return c.fail("AUTH", Perm, err)
	}
	c.loggedIn(w.name)
	return nil
}

// refused makes the error of a -ERR. Before anything of the credentials was
// sent they are not to blame; what a challenge said of them counts like a code.
func (w sasl) refused(c *conn, st status, sent bool) error {
	class := c.credentialClass()
	said := w.client.refusal()
	switch {
	case !sent:
		class = Perm
	case said != "":
		class = Credentials
	}
	e := c.refusal("AUTH", st, class)
	e.Challenge = c.clean(said)
	return c.failWith(e)
}

// cancel ends the exchange with "*" (RFC 5034 section 4), and fails with why.
func (w sasl) cancel(c *conn, why error) error {
	got, err := c.exchange("*")
	if err != nil {
		return err
	}
	if errors.Is(why, errCancel) && got.status.err {
		return w.refused(c, got.status, true)
	}
	class := Protocol
	if mail.KindOf(why) != mail.Other {
		class = Perm
	}
	return c.fail("AUTH", class, why)
}

// A reply is what the server says in an exchange: a challenge or, at its end, a
// status.
type reply struct {
	more   bool
	text   string // of the challenge, encoded
	status status
}

// exchange sends one line of an exchange alone on the wire and reads the reply.
func (c *conn) exchange(line string) (reply, error) {
	if err := c.quiet("AUTH"); err != nil {
		return reply{}, err
	}
	if _, err := c.wire.Write([]byte(line + "\r\n")); err != nil {
		return reply{}, c.failIO("AUTH", err)
	}
	c.wire.expect(c.timeouts.Auth)
	got, err := c.line(c.limits.StatusLine)
	if err != nil {
		return reply{}, c.failIO("AUTH", err)
	}
	r, ok := parseReply(got)
	if !ok {
		return reply{}, c.fail("AUTH", Protocol, fmt.Errorf("%w: %q is neither +, +OK nor -ERR", ErrDesync, c.clean(string(got))))
	}
	return r, nil
}

// parseReply reads a line of the server in an exchange, without its end.
//
// QUIRK: an empty challenge is "+ " (RFC 5034 section 4), and "+" from servers
// that trim their lines.
func parseReply(line []byte) (reply, bool) {
	if text, ok := bytes.CutPrefix(line, []byte("+ ")); ok {
		return reply{more: true, text: string(text)}, true
	}
	if string(line) == "+" {
		return reply{more: true}, true
	}
	st, ok := parseStatus(line)
	return reply{status: st}, ok
}

// decodeChallenge decodes a challenge. What it holds is not told in the error.
func decodeChallenge(text string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("a challenge that is not base64")
	}
	return b, nil
}

// encode makes a line of a response. What stands in it is kept out of errors
// and logs like the secret itself.
func (c *conn) encode(response []byte) string {
	s := base64.StdEncoding.EncodeToString(response)
	c.withhold(s)
	return s
}
