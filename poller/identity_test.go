package poller

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/oauth"
	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// A tokenServer is one whose tokens are numbered.
type tokenServer struct {
	mu     sync.Mutex
	asked  int
	status int
	body   string // in place of a token
}

func (s *tokenServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	if s.body != "" {
		w.WriteHeader(s.status)
		io.WriteString(w, s.body)
	} else {
		fmt.Fprintf(w, `{"access_token":"token-number-%d","token_type":"Bearer","expires_in":3600}`, s.asked)
	}
	return w.Result(), nil
}

// byToken lets the mailbox in by tokens of the server only, over TLS.
func (r *rig) byToken(mechanism string) *tokenServer {
	r.t.Helper()
	srv := new(tokenServer)
	source, err := oauth.New(oauth.Config{
		TokenURL: "https://login.example.org/token", ClientID: "mailkeep", HTTP: &http.Client{Transport: srv},
		ClientSecret: func() (string, error) { return secret, nil }, Logger: r.d.Logger,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.m.Password, r.m.Tokens = nil, source
	r.overTLS()
	r.srv.Mechanisms = []string{mechanism}
	r.box.Accepts = func(string) bool { return true }
	return srv
}

// overTLS gives the server a certificate and the mailbox the trust in it.
func (r *rig) overTLS() {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"pop.example.org"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		r.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	r.srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	r.m.Security, r.m.TLS, r.m.Pins = pop3.STLS, &tls.Config{RootCAs: pool}, []pop3.Pin{pop3.PinOf(c)}
}

var bearers = []string{"XOAUTH2", "OAUTHBEARER"}

func TestRow25DrainWithToken(t *testing.T) {
	for _, mechanism := range bearers {
		t.Run(mechanism, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				srv := r.byToken(mechanism)
				r.drainOK()
				r.deliver(pop3test.Messages(letter("later", 100))...)
				r.drainOK()
				expect(t, "left", len(r.box.Left()), 0)
				expect(t, "tokens", srv.asked, 1)
				expect(t, "logins", r.count("AUTH", 0), 2)
			}, letters(3)...)
		})
	}
}

// TestRow26And27RefreshedOnce: a token that is refused before its time is
// replaced, and the login tried once more on a connection of its own.
func TestRow26And27RefreshedOnce(t *testing.T) {
	for _, mechanism := range bearers {
		t.Run(mechanism, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				srv := r.byToken(mechanism)
				r.drainOK()
				r.box.Accepts = func(token string) bool { return token == "token-number-2" } // the first is withdrawn
				r.deliver(pop3test.Messages(letter("later", 100))...)
				elapse(10 * time.Minute)
				r.drainOK()
				expect(t, "left", len(r.box.Left()), 0)
				expect(t, "tokens", srv.asked, 2)
				expect(t, "logins", r.count("AUTH", 0), 3)
				expect(t, "connections", r.srv.Sessions(), 3)
				if logs := r.logs.String(); !strings.Contains(logs, "trying another one once") || strings.Contains(logs, "token-number") {
					t.Errorf("log: %s", logs)
				}
			}, letters(2)...)
		})
	}
}

// TestRow26And27RefusedForGood: no token is taken. Three attempts stop the
// mailbox, and none of them is made twice with the same token.
func TestRow26And27RefusedForGood(t *testing.T) {
	for _, mechanism := range bearers {
		t.Run(mechanism, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				srv := r.byToken(mechanism)
				r.box.Accepts = func(string) bool { return false }
				var last Result
				for range 6 {
					last = r.drain()
					expect(t, "outcome", last.Outcome, OutcomeCredentials)
					elapse(2 * time.Hour)
				}
				// Each of these tokens is new, so another one would help no more.
				expect(t, "logins", r.count("AUTH", 0), 3)
				expect(t, "tokens", srv.asked, 3)
				expect(t, "sessions", r.srv.Sessions(), r.count("AUTH", 0))
				if strings.Contains(last.Err.Error(), "token-number") {
					t.Errorf("%v", last.Err)
				}
			}, letters(1)...)
		})
	}
}

// TestTokenServerTrouble: nothing is sent to the mail server, and the failure
// has the outcome that it means.
func TestTokenServerTrouble(t *testing.T) {
	for body, c := range map[string]struct {
		status  int
		outcome Outcome
	}{
		`{"error":"invalid_client"}`:     {401, OutcomeCredentials},
		`{"error":"invalid_scope"}`:      {400, OutcomePerm},
		`{"error":"too_many_requests"}`:  {429, OutcomeRate},
		`<html>try again later</html>`:   {503, OutcomeTemp},
		`{"access_token":"x y"}`:         {200, OutcomePerm},
		`{"error":"invalid_grant", "x":`: {400, OutcomePerm}, // not JSON: only the status tells
	} {
		t.Run(body, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				srv := r.byToken("XOAUTH2")
				srv.status, srv.body = c.status, body
				expect(t, "outcome", r.drain().Outcome, c.outcome)
				expect(t, "connections", r.srv.Sessions(), 0)
				srv.body = ""
				elapse(time.Hour)
				r.drainOK()
				expect(t, "left", len(r.box.Left()), 0)
			}, letters(1)...)
		})
	}
}

func TestTokensOrPassword(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.byToken("XOAUTH2")
		for what, change := range map[string]func(*Mailbox){
			"both a password and tokens": func(m *Mailbox) { m.Password = func(context.Context) (string, error) { return "x", nil } },
			"no password and no tokens":  func(m *Mailbox) { m.Tokens = nil },
			"without TLS":                func(m *Mailbox) { m.Security = pop3.Plain },
		} {
			m := r.m
			change(&m)
			if err := m.validate(); mail.KindOf(err) != mail.Invalid && err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// TestPinOfMailbox: a wrong pin stops the mailbox before anything is sent.
func TestPinOfMailbox(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.overTLS()
		r.drainOK()
		expect(t, "left", len(r.box.Left()), 0)
		r.m.Pins = []pop3.Pin{{1}}
		expect(t, "outcome", r.drain().Outcome, OutcomePerm)
		expect(t, "passwords", r.count("PASS", 0), 1)
	}, letters(1)...)
}

// TestLoginsBySASL: a drain with each mechanism of passwords.
func TestLoginsBySASL(t *testing.T) {
	for _, m := range []pop3.PasswordMechanism{pop3.AnyPassword, pop3.UserPass, pop3.APOP, pop3.SASLPlain, pop3.ScramSHA256} {
		t.Run(m.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.overTLS()
				r.srv.APOP, r.srv.Mechanisms = true, []string{"PLAIN", "SCRAM-SHA-256"}
				r.m.PasswordMechanism = m
				r.drainOK()
				expect(t, "left", len(r.box.Left()), 0)
			}, letters(1)...)
		})
	}
}
