package pop3

import (
	"encoding/json"
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"

	"github.com/mailkeep/mailkeep/mail"
)

// plain is PLAIN (RFC 4616), without an authorization identity.
type plain struct{ user, password string }

func (m plain) start() ([]byte, bool) { return []byte("\x00" + m.user + "\x00" + m.password), true }

func (m plain) next([]byte) ([]byte, error) { return nil, errors.New("a challenge in PLAIN") }

func (m plain) end() error { return nil }

func (m plain) refusal() string { return "" }

// maxIterations bounds the work that a server can make a client do: some tenths
// of a second.
const maxIterations = 1_000_000

// scramSHA256 is SCRAM-SHA-256 (RFC 5802, RFC 7677) in its client-first form.
type scramSHA256 struct {
	first   []byte
	talk    *scram.ClientConversation
	answers int
	refused string
}

func newScram(user, password string) (*scramSHA256, error) {
	client, err := scram.SHA256.NewClient(user, password, "")
	if err != nil {
		return nil, refuse("AUTH", mail.Invalid, "user or password has characters that SASLprep (RFC 4013) prohibits")
	}
	m := &scramSHA256{talk: client.NewConversation()}
	first, err := m.talk.Step("")
	m.first = []byte(first)
	return m, err
}

func (m *scramSHA256) start() ([]byte, bool) { return m.first, true }

// next answers the server's first message by the proof, and its last by nothing
// once the server's own proof was found right.
func (m *scramSHA256) next(challenge []byte) ([]byte, error) {
	text := string(challenge)
	m.answers++
	switch m.answers {
	case 1:
		if n := iterations(text); n > maxIterations {
			return nil, mail.Errorf(mail.Denied, "the server asks for more than %d iterations", maxIterations)
		}
		proof, err := m.talk.Step(text)
		if err != nil {
			return nil, errors.New("the server's SCRAM challenge is not one, is for another client, or asks for too few iterations")
		}
		return []byte(proof), nil
	case 2:
		if said, ok := strings.CutPrefix(text, "e="); ok {
			m.refused = said
			return nil, errCancel
		}
		if _, err := m.talk.Step(text); err != nil {
			return nil, errUnproven()
		}
		return nil, nil
	}
	return nil, errors.New("a challenge behind the end of SCRAM")
}

// iterations returns the i= of a server's first message; 0 if it has none.
func iterations(text string) int {
	for field := range strings.SplitSeq(text, ",") {
		if s, ok := strings.CutPrefix(field, "i="); ok {
			n, err := strconv.Atoi(s)
			if errors.Is(err, strconv.ErrRange) {
				return maxIterations + 1
			}
			return n
		}
	}
	return 0
}

// end refuses a server that did not prove to know the password: it may be
// another one that lets everybody in.
func (m *scramSHA256) end() error {
	if !m.talk.Valid() {
		return errUnproven()
	}
	return nil
}

func (m *scramSHA256) refusal() string { return m.refused }

func errUnproven() error {
	return mail.WithHint(mail.Errorf(mail.Denied, "the server did not prove that it knows the password"),
		"it is not the server that the password was set at, or it is broken: do not log in by other means before that is clear")
}

// bearer is OAUTHBEARER or XOAUTH2: the token, and an answer to the challenge
// by which the server says that it does not take it.
type bearer struct {
	token   []byte
	answer  string // to that challenge
	refused string
}

// newOAuthBearer makes the client of RFC 7628 section 3.1.
func newOAuthBearer(t Token, hostport string) *bearer {
	host, port, _ := net.SplitHostPort(hostport)
	user := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(t.User)
	return &bearer{
		token:  []byte("n,a=" + user + ",\x01host=" + host + "\x01port=" + port + "\x01auth=Bearer " + t.Token + "\x01\x01"),
		answer: "\x01",
	}
}

// newXOAuth2 makes the client of Google's and Microsoft's mechanism.
func newXOAuth2(t Token) *bearer {
	return &bearer{token: []byte("user=" + t.User + "\x01auth=Bearer " + t.Token + "\x01\x01")}
}

func (m *bearer) start() ([]byte, bool) { return m.token, false }

// next takes the error challenge (RFC 7628 section 3.2.2), which is one.
func (m *bearer) next(challenge []byte) ([]byte, error) {
	if m.refused != "" {
		return nil, errors.New("a challenge behind an error")
	}
	var said struct {
		Status string `json:"status"`
	}
	m.refused = "the token was refused"
	if json.Unmarshal(challenge, &said) == nil && said.Status != "" {
		m.refused = said.Status
	}
	return []byte(m.answer), nil
}

func (m *bearer) end() error {
	if m.refused != "" {
		return errors.New("+OK behind an error")
	}
	return nil
}

func (m *bearer) refusal() string { return m.refused }
