package app

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

// reached loads a configuration and returns its mailboxes as the poller gets
// them, by name.
func reached(t *testing.T, dir, text string) map[string]poller.Mailbox {
	t.Helper()
	file := filepath.Join(dir, "mailkeep.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := configs.Load(configs.Sources{File: file, Env: []string{"PW=open-sesame"}})
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]poller.Mailbox)
	access := newAccess(c, slog.New(slog.NewTextHandler(t.Output(), nil)))
	for _, r := range c.Resolve() {
		m := pollerMailbox(r)
		if err := access.apply(&m, r); err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		all[r.Name] = m
	}
	return all
}

func put(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTokensAreShared: mailboxes of a client that acts for itself share one
// token; each person has their own, and a replaced refresh token goes to its file.
func TestTokensAreShared(t *testing.T) {
	asked := 0
	l := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":3600,"refresh_token":"%s"}`, asked, r.FormValue("refresh_token")+"+")
	}))
	defer l.Close()
	dir := t.TempDir()
	put(t, dir, "secret", "s3cret\n")
	file := put(t, dir, "refresh", "r3fresh\n")
	all := reached(t, dir, `
oauth:
  app: {token_url: "`+l.URL+`", client_id: mailkeep, client_secret_file: secret}
  people: {token_url: "`+l.URL+`", client_id: mailkeep, flow: refresh-token}
hosts:
  cloud: {address: pop.example.org, oauth: app, auth: xoauth2}
mailboxes:
  - {name: a, host: cloud}
  - {name: b, host: cloud}
  - {name: c, host: cloud, oauth: people, refresh_token_file: refresh, keep_refresh_token: true}
  - {name: d, host: cloud, oauth: people, refresh_token_file: refresh, auth: auto}
  - {name: e, host: cloud, password_env: PW, auth: plain}
`)
	if all["a"].Tokens != all["b"].Tokens || all["c"].Tokens == all["d"].Tokens {
		t.Error("sources are shared where they must not be, or are not where they can be")
	}
	for i, name := range []string{"a", "b", "c", "d"} {
		got, err := all[name].Tokens.Token(t.Context())
		if want := fmt.Sprintf("token-%d", max(i, 1)); err != nil || got != want || all[name].Tokens.Expiry().IsZero() {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	b, err := os.ReadFile(file)
	fi, _ := os.Stat(file)
	if err != nil || string(b) != "r3fresh+\n" || fi.Mode().Perm() != 0o600 {
		t.Errorf("the file holds %q, mode %v, %v", b, fi.Mode(), err)
	}
	for name, want := range map[string]pop3.TokenMechanism{"a": pop3.XOAuth2, "c": pop3.XOAuth2, "d": pop3.AnyToken} {
		if all[name].TokenMechanism != want {
			t.Errorf("%s: %v", name, all[name].TokenMechanism)
		}
	}
	e := all["e"]
	if password, err := e.Password(t.Context()); err != nil || password != "open-sesame" || e.Tokens != nil || e.PasswordMechanism != pop3.SASLPlain {
		t.Errorf("e: %v, %v, %v", err, e.Tokens, e.PasswordMechanism)
	}
}

// TestWayToTheServer: pins, certificate and proxy of a mailbox reach the client.
func TestWayToTheServer(t *testing.T) {
	dir := t.TempDir()
	cert, err := demoCertificate(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	put(t, dir, "proxy", "pr0xy\n")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pin := pop3.PinOf(leaf).String()
	all := reached(t, dir, `
hosts:
  h: {address: pop.example.org, ca_file: ca.pem, client_cert_file: ca.pem, client_key_file: key.pem, tls_pins: "`+pin+`", proxy: "http://ann@`+l.Addr().String()+`", proxy_password_file: proxy}
mailboxes:
  - {name: a, host: h, password_env: PW}
  - {name: b, host: h, user: b, password_env: PW, proxy: none}
  - {name: c, host: other.example.org, password_env: PW}
`)
	a, b, c := all["a"], all["b"], all["c"]
	if a.TLS == nil || a.TLS != b.TLS || c.TLS != nil || len(a.Pins) != 1 || a.Pins[0].String() != pin || b.DialContext != nil || c.DialContext != nil {
		t.Fatalf("%+v", all)
	}
	if got, err := a.TLS.GetClientCertificate(new(tls.CertificateRequestInfo)); err != nil || len(got.Certificate) != 1 {
		t.Errorf("client certificate: %v", err)
	}
	os.Remove(filepath.Join(dir, "key.pem")) // it is read for each handshake
	if _, err := a.TLS.GetClientCertificate(new(tls.CertificateRequestInfo)); mail.KindOf(err) != mail.Invalid || mail.HintOf(err) == "" {
		t.Errorf("client certificate: %v", err)
	}
	said := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			said <- err.Error()
			return
		}
		defer conn.Close()
		buf := make([]byte, 1000)
		n, _ := conn.Read(buf)
		said <- string(buf[:n])
		io.WriteString(conn, "HTTP/1.1 503 Not now\r\n\r\n")
	}()
	if _, err := a.DialContext(t.Context(), "tcp", a.Host); err == nil || strings.Contains(err.Error(), "pr0xy") {
		t.Errorf("through the proxy: %v", err)
	}
	if got := <-said; !strings.HasPrefix(got, "CONNECT pop.example.org:995 HTTP/1.1\r\n") || !strings.Contains(got, "Proxy-Authorization: Basic ") {
		t.Errorf("the proxy was asked %q", got)
	}
}

// TestHostsHaveTheirOwnLimits: the limits of a host reach its mailboxes.
func TestHostsHaveTheirOwnLimits(t *testing.T) {
	m := reached(t, t.TempDir(), `
hosts:
  slow: {address: pop.example.org, per_host: 2, logins_per_minute: 7}
mailboxes:
  - {name: ann, host: slow, password_env: PW}
  - {name: bob, host: pop.example.net, password_env: PW}
`)
	for name, want := range map[string][2]int{"ann": {2, 7}, "bob": {4, 30}} {
		if got := [2]int{m[name].PerHost, m[name].LoginsPerMinute}; got != want {
			t.Errorf("%s: %v sessions and logins a minute, want %v", name, got, want)
		}
	}
}
