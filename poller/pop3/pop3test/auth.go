package pop3test

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xdg-go/scram"
)

const (
	// timestamp is that of a greeting that offers APOP.
	timestamp = "<1896.697170952@pop3test.example.org>"
	// maxResponse bounds a line of an exchange (RFC 4954 section 4.3).
	maxResponse = 12288 + 2
)

// Response is the verb by which a client's line inside an AUTH exchange is
// recorded and given to Hooks.OnCommand.
const Response = "(response)"

// errCanceled ends an exchange that the client gave up, errBad one that it broke.
var (
	errCanceled = errors.New("canceled")
	errBad      = errors.New("bad exchange")
)

// apop logs in by APOP (RFC 1939 section 7).
func (p *session) apop(arg string) error {
	user, digest, _ := strings.Cut(arg, " ")
	if !p.srv.APOP {
		return p.bad("unknown command")
	}
	box := p.srv.Mailboxes[user]
	if box != nil {
		sum := md5.Sum([]byte(timestamp + box.Password))
		if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(digest)) == 1 {
			return p.enter(user, box)
		}
	}
	return p.bad("[AUTH] wrong user or password")
}

// auth runs a SASL exchange (RFC 5034).
func (p *session) auth(arg string) error {
	name, initial, _ := strings.Cut(arg, " ")
	name = strings.ToUpper(name)
	if !slices.Contains(p.srv.Mechanisms, name) {
		return p.bad("unknown mechanism")
	}
	first, err := p.firstResponse(initial)
	var user string
	if err == nil {
		switch name {
		case "PLAIN":
			user, err = p.plain(first)
		case "SCRAM-SHA-256":
			user, err = p.scram(first)
		case "OAUTHBEARER", "XOAUTH2":
			user, err = p.bearer(name, first)
		}
	}
	box := p.srv.Mailboxes[user]
	switch {
	case errors.Is(err, errCanceled):
		return p.bad("canceled")
	case errors.Is(err, errBad):
		return p.bad("not what is due in " + name)
	case err != nil:
		return err
	case box == nil:
		return p.bad("[AUTH] wrong user or secret")
	}
	return p.enter(user, box)
}

// firstResponse returns the initial response, which it asks for where it is not
// on the AUTH line.
func (p *session) firstResponse(initial string) (string, error) {
	switch initial {
	case "":
		return p.challenge("")
	case "=":
		return "", nil
	}
	b, err := base64.StdEncoding.DecodeString(initial)
	if err != nil {
		return "", errBad
	}
	return string(b), nil
}

// challenge sends text and returns the client's response.
func (p *session) challenge(text string) (string, error) {
	if err := p.line("+ " + base64.StdEncoding.EncodeToString([]byte(text))); err != nil {
		return "", err
	}
	if err := p.out.Flush(); err != nil {
		return "", err
	}
	line, err := p.readResponse()
	if err != nil {
		return "", err
	}
	p.ordinal++
	p.srv.recordCommand(Command{Session: p.id, Ordinal: p.ordinal, User: p.user, Verb: Response, Arg: maskedResponse(line)})
	if line == "*" {
		return "", errCanceled
	}
	b, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return "", errBad
	}
	return string(b), nil
}

// plain returns the user of a right PLAIN response, or "" (RFC 4616).
func (p *session) plain(first string) (string, error) {
	fields := strings.Split(first, "\x00")
	if len(fields) != 3 {
		return "", errBad
	}
	box := p.srv.Mailboxes[fields[1]]
	if box == nil || subtle.ConstantTimeCompare([]byte(box.Password), []byte(fields[2])) != 1 {
		return "", nil
	}
	return fields[1], nil
}

// scram returns the user of a right SCRAM-SHA-256 exchange, or "" (RFC 7677).
func (p *session) scram(first string) (string, error) {
	server, err := scram.SHA256.NewServer(p.stored)
	if err != nil {
		return "", err
	}
	talk := server.NewConversation()
	text, err := talk.Step(first)
	if err != nil {
		return "", nil //nolint:nilerr // an unknown user, which the client is told as a refusal
	}
	proof, err := p.challenge(text)
	if err != nil {
		return "", err
	}
	if p.hooks.Scram == ScramUnproven {
		return talk.Username(), nil
	}
	text, err = talk.Step(proof)
	switch {
	case p.hooks.Scram == ScramForged:
		text = "v=" + base64.StdEncoding.EncodeToString(make([]byte, 32))
	case err != nil && p.hooks.Scram == ScramTells:
		_, err = p.challenge(text)
		return "", err
	case err != nil || !talk.Valid():
		return "", nil //nolint:nilerr // likewise
	}
	if _, err := p.challenge(text); err != nil {
		return "", err
	}
	return talk.Username(), nil
}

// stored makes what a server with hashed passwords would have stored.
func (p *session) stored(user string) (scram.StoredCredentials, error) {
	box := p.srv.Mailboxes[user]
	if box == nil {
		return scram.StoredCredentials{}, fmt.Errorf("no mailbox of %q", user)
	}
	client, err := scram.SHA256.NewClient(user, box.Password, "")
	if err != nil {
		return scram.StoredCredentials{}, err
	}
	return client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "sixteen octets..", Iters: 4096})
}

// bearer returns the user of an accepted token; "" after an error challenge and
// the answer that is due to it (RFC 7628 section 3.2.3).
func (p *session) bearer(name, first string) (string, error) {
	user, due := "", "\x01"
	fields := strings.Split(first, "\x01")
	if name == "XOAUTH2" {
		user, due = strings.TrimPrefix(fields[0], "user="), ""
	} else if gs2 := strings.Split(fields[0], ","); len(gs2) == 3 {
		user = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(strings.TrimPrefix(gs2[1], "a="))
	}
	var token string
	for _, f := range fields {
		if t, ok := strings.CutPrefix(f, "auth=Bearer "); ok {
			token = t
		}
	}
	box := p.srv.Mailboxes[user]
	if box != nil && box.Accepts != nil && box.Accepts(token) {
		return user, nil
	}
	got, err := p.challenge(`{"status":"401","schemes":"bearer","scope":"pop"}`)
	if err == nil && got != due {
		err = errBad
	}
	return "", err
}
