package keys_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// TestVaultRequests pins what is asked of Vault, and in which order.
func TestVaultRequests(t *testing.T) {
	t.Parallel()
	server := newTransit(t)
	w := newWorld(t, vault(t, server))
	server.do(func() { server.requests = nil })
	if _, err := keys.Rotate(t.Context(), w.dirs, group); err != nil {
		t.Fatal(err)
	}
	const key = "transit/keys/mailkeep-3-2031"
	want := []string{
		"POST sys/capabilities-self",
		"GET " + key, "GET " + key, "POST " + key + "/rotate", "GET " + key,
		"POST transit/decrypt/mailkeep-3-2031", "POST transit/rewrap/mailkeep-3-2031", "POST transit/decrypt/mailkeep-3-2031",
		"GET " + key, "POST " + key + "/config", "POST " + key + "/trim", "GET " + key,
	}
	server.do(func() {
		if d := cmp.Diff(want, server.requests); d != "" {
			t.Error(d)
		}
	})
}

// TestVaultErrors: what each answer of Vault means, with a hint where somebody
// can do something.
func TestVaultErrors(t *testing.T) {
	t.Parallel()
	for what, tc := range map[string]struct {
		prepare func(*transit)
		kind    mail.Kind
		hint    string
	}{
		"sealed":      {func(v *transit) { v.sealed = true }, mail.Temporary, "unseal"},
		"token":       {func(v *transit) { v.token = "another" }, mail.Denied, "token"},
		"rate":        {status(http.StatusTooManyRequests), mail.Temporary, ""},
		"standby":     {status(473), mail.Temporary, ""},
		"crashed":     {status(http.StatusInternalServerError), mail.Temporary, ""},
		"strange":     {status(http.StatusTeapot), mail.Other, ""},
		"exportable":  {func(v *transit) { v.keys["mailkeep-3-2031"].exportable = true }, mail.Invalid, "vault.key"},
		"not derived": {func(v *transit) { v.keys["mailkeep-3-2031"].derived = false }, mail.Invalid, "vault.key"},
		"of a type":   {func(v *transit) { v.keys["mailkeep-3-2031"].typ = "chacha20-poly1305" }, mail.Invalid, "vault.key"},
		"no version":  {func(v *transit) { v.keys["mailkeep-3-2031"].latest = 0 }, mail.Invalid, ""},
	} {
		server := newTransit(t)
		w := vault(t, server)
		newEpoch(t, w, group, 0)
		server.do(func() { tc.prepare(server) })
		_, err := w.NewEpoch(t.Context(), group, 0)
		if mail.KindOf(err) != tc.kind || !strings.Contains(mail.HintOf(err), tc.hint) {
			t.Errorf("%s: %v (%s), hint %q", what, err, mail.KindOf(err), mail.HintOf(err))
		}
		if err != nil && strings.Contains(err.Error(), "s.token") {
			t.Errorf("%s: the message shows the token", what)
		}
	}
}

func status(code int) func(*transit) {
	return func(v *transit) {
		v.tamper = func(string, int, any) (int, any) { return code, transitErrors{"because"} }
	}
}

// TestVaultTokenMayNot: a token that may not destroy is found before anything
// is changed.
func TestVaultTokenMayNot(t *testing.T) {
	t.Parallel()
	server := newTransit(t)
	w := newWorld(t, vault(t, server))
	before := w.files(t)
	server.do(func() { server.denied = []string{"/trim"} })
	_, err := keys.Erase(t.Context(), w.dirs, []keys.Erasure{{0, 0, []uint32{1}}})
	if mail.KindOf(err) != mail.Denied || !errors.Is(err, keys.ErrCannotDestroy) || !strings.Contains(mail.HintOf(err), "trim") {
		t.Error(err)
	}
	if d := cmp.Diff(before, w.files(t)); d != "" {
		t.Error(d)
	}
	// Where Vault does not tell, it is tried, and can be finished later.
	server.do(func() {
		server.tamper = func(path string, status int, data any) (int, any) {
			if path == "sys/capabilities-self" {
				return http.StatusForbidden, transitErrors{"permission denied"}
			}
			return status, data
		}
	})
	if _, err := keys.Rotate(t.Context(), w.dirs, group); mail.KindOf(err) != mail.Denied {
		t.Error(err)
	}
	w.check(t, "not destroyed", nil)
	server.do(func() { server.denied, server.tamper = nil, nil })
	if _, err := keys.Rotate(t.Context(), w.dirs, group); err != nil {
		t.Error(err)
	}
	w.check(t, "destroyed", nil)
	w.cannotOpen(t, "destroyed", before)
}

// TestVaultFailsAnywhere: Vault fails at the k-th request, with or without the
// effect of the request; doing it again ends well.
func TestVaultFailsAnywhere(t *testing.T) {
	t.Parallel()
	for k := range 24 {
		for _, effect := range []bool{false, true} {
			server := newTransit(t)
			w := newWorld(t, vault(t, server))
			old := copies{w.files(t)}
			server.do(func() {
				n := 0
				server.tamper = func(_ string, status int, data any) (int, any) {
					if n++; n == k+1 && effect {
						return http.StatusBadGateway, transitErrors{"lost"}
					}
					return status, data
				}
				server.refuse = func() bool { return !effect && n == k }
			})
			erase := func() error {
				_, err := keys.Erase(t.Context(), w.dirs, []keys.Erasure{{0, 0, []uint32{1}}, {1, 0, []uint32{2, 3}}})
				return err
			}
			gone := map[place]bool{{0, 0, 1}: true, {1, 0, 2}: true, {1, 0, 3}: true}
			err := erase()
			server.do(func() { server.tamper, server.refuse = nil, nil })
			if err != nil {
				if mail.KindOf(err) != mail.Temporary {
					t.Errorf("request %d: %v", k, err)
				}
				old = append(old, w.files(t))
				w.check(t, "half done", gone)
				if err := erase(); err != nil {
					t.Fatalf("request %d, again: %v", k, err)
				}
			} else if k < 14 {
				t.Errorf("request %d failed, and nobody saw it", k)
			}
			w.gone = gone
			w.check(t, "done", nil)
			w.cannotBeUsed(t, "done", old)
		}
	}
}

// TestVaultIsFarAway: certificates, addresses and time limits.
func TestVaultIsFarAway(t *testing.T) {
	t.Parallel()
	server := newTransit(t)
	for what, tc := range map[string]struct {
		config keys.VaultConfig
		kind   mail.Kind
	}{
		"unknown authority": {keys.VaultConfig{Address: server.server.URL, Key: "k", Token: server.tokenNow}, mail.Denied},
		"nobody there":      {keys.VaultConfig{Address: "https://127.0.0.1:1", Key: "k", Token: server.tokenNow}, mail.Temporary},
		"no token": {keys.VaultConfig{Address: server.server.URL, Key: "k", Token: func(context.Context) (string, error) {
			return "", mail.Errorf(mail.NotFound, "no such file")
		}}, mail.NotFound},
		"another engine": {keys.VaultConfig{Address: server.server.URL, Key: "k", Mount: "/kv/", Token: server.tokenNow, Roots: roots(server)}, mail.NotFound},
	} {
		w, err := keys.NewVault(tc.config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = w.NewEpoch(t.Context(), group, 0); mail.KindOf(err) != tc.kind {
			t.Errorf("%s: %v (%s)", what, err, mail.KindOf(err))
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []keys.VaultConfig{
		{Key: "k"}, {Address: "vault:8200", Key: "k"}, {Address: "ftp://vault.example.org", Key: "k"},
		{Address: "https://u:p@vault.example.org", Key: "k"}, {Address: "https://vault.example.org"},
	} {
		if _, err := keys.NewVault(c); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%q: %v", c.Address, err)
		}
	}
}

func roots(v *transit) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(v.pem())
	return pool
}

// TestVaultSlowAndLarge: an answer that does not come, and one without end.
func TestVaultSlowAndLarge(t *testing.T) {
	t.Parallel()
	token := func(context.Context) (string, error) { return "s.token", nil }
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	large := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for block := slices.Repeat([]byte{' '}, 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}))
	defer large.Close()
	for url, kind := range map[string]mail.Kind{slow.URL: mail.Temporary, large.URL: mail.Other} {
		w, err := keys.NewVault(keys.VaultConfig{Address: url, Key: "k", Token: token, Timeout: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if url == slow.URL {
			w, err = keys.NewVault(keys.VaultConfig{Address: url, Key: "k", Token: token, Timeout: 20 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.NewEpoch(t.Context(), group, 0); mail.KindOf(err) != kind {
			t.Errorf("%v (%s)", err, mail.KindOf(err))
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestVaultRedirect: a standby server sends us on; the token never goes where
// it could be read on the way.
func TestVaultRedirect(t *testing.T) {
	t.Parallel()
	active := newTransit(t)
	plain := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the token %q went over a plain connection", r.Header.Get("X-Vault-Token"))
	}))
	defer plain.Close()
	for to, ok := range map[string]bool{active.server.URL: true, plain.URL: false} {
		standby := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, to+r.URL.Path, http.StatusTemporaryRedirect)
		}))
		pool := roots(active)
		pool.AddCert(standby.Certificate())
		w, err := keys.NewVault(keys.VaultConfig{Address: standby.URL, Key: "mailkeep", Token: active.tokenNow, Roots: pool})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.NewEpoch(t.Context(), group, 0); (err == nil) != ok {
			t.Errorf("to %s: %v", to, err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		standby.Close()
	}
}
