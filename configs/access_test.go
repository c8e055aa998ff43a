package configs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAccess: what a mailbox sets counts before what its host does, in whole
// groups, and a password of its own keeps it from the host's tokens.
func TestAccess(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"secret": "s3cret", "refresh": "r3fresh", "proxy": "pr0xy"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const pin, other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "sha256/BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA="
	file := filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(file, []byte(`
oauth:
  app: {token_url: https://login.example.org/token, client_id: mailkeep, client_secret_file: secret, scopes: "a b", client_auth: basic}
  people: {flow: refresh-token, token_url: https://login.example.org/token, client_id: desk}
hosts:
  cloud: {address: pop.example.org, oauth: app, auth: xoauth2, tls_pins: "`+pin+`, `+other+`", proxy: "socks5://ann@proxy.example.org:1080", proxy_password_file: proxy}
  house: {auth: scram-sha-256}
mailboxes:
  - {name: app, host: cloud}
  - {name: person, host: cloud, oauth: people, refresh_token_file: refresh, keep_refresh_token: true, proxy: none}
  - {name: password, host: cloud, password_env: MAILKEEP_PW, proxy: "http://other.example.org:3128"}
  - {name: plain, host: house, password_env: MAILKEEP_PW}
  - {name: own, host: house, password_env: MAILKEEP_PW, auth: apop, user: own2}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Sources{File: file, Env: []string{"MAILKEEP_PW=x"}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Access{
		"app":      {Auth: AuthXOAuth2, OAuth: "app", TLSPins: []string{pin, other}, Proxy: "socks5://ann@proxy.example.org:1080"},
		"person":   {Auth: AuthXOAuth2, OAuth: "people", TLSPins: []string{pin, other}, RefreshTokenFile: filepath.Join(dir, "refresh")},
		"password": {Auth: AuthAuto, TLSPins: []string{pin, other}, Proxy: "http://other.example.org:3128"},
		"plain":    {Auth: AuthScramSHA256},
		"own":      {Auth: AuthAPOP},
	}
	secrets := map[string][2]string{"app": {"", "pr0xy"}, "person": {"r3fresh", ""}}
	for _, m := range c.Resolve() {
		got, refresh, proxy := m.Access, reveal(t, m.RefreshToken), reveal(t, m.ProxyPassword)
		got.RefreshToken, got.ProxyPassword = Secret{}, Secret{}
		if len(got.TLSPins) == 0 {
			got.TLSPins = nil
		}
		if d := cmp.Diff(want[m.Name], got, cmp.AllowUnexported(Secret{}), cmp.FilterPath(unexported, cmp.Ignore())); d != "" {
			t.Errorf("%s: %s", m.Name, d)
		}
		if secrets[m.Name] != [2]string{refresh, proxy} {
			t.Errorf("%s: secrets %q, %q", m.Name, refresh, proxy)
		}
	}
	clients := c.ResolveOAuth()
	app, people := clients["app"], clients["people"]
	if reveal(t, app.Secret) != "s3cret" || !app.Basic || cmp.Diff(app.Scopes, []string{"a", "b"}) != "" || app.Flow != FlowClientCredentials {
		t.Errorf("%+v", app)
	}
	if !people.Secret.IsZero() || people.Basic || people.Flow != FlowRefreshToken || people.ClientID != "desk" {
		t.Errorf("%+v", people)
	}
}

func reveal(t *testing.T, s Secret) string {
	t.Helper()
	if s.IsZero() {
		return ""
	}
	text, err := s.Reveal()
	if err != nil {
		t.Error(err)
	}
	return text
}

// TestOnePinWarns: it is a way to lock oneself out.
func TestOnePinWarns(t *testing.T) {
	file := write(t, "c.yaml", "hosts: {h: {address: pop.example.org, tls_pins: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=}}\n")
	c, err := Load(Sources{File: file})
	if err != nil || len(c.Warnings) != 1 || c.Warnings[0].Key != "hosts.h.tls_pins" {
		t.Errorf("%v, %v", err, c.Warnings)
	}
}
