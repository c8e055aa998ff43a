package pop3_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

func TestRow05Pins(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	conf := ours.server("pop.example.org", later)
	leaf, err := x509.ParseCertificate(conf.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	// A server may send what it likes beside its chain.
	beside := conf.Clone()
	beside.Certificates = slices.Clone(conf.Certificates)
	beside.Certificates[0].Certificate = append(slices.Clone(conf.Certificates[0].Certificate), theirs.cert.Raw)
	for name, c := range map[string]struct {
		server *tls.Config
		trust  *authority
		pins   []pop3.Pin
		ok     bool
	}{
		"of the server":        {conf, ours, []pop3.Pin{pop3.PinOf(leaf)}, true},
		"of the authority":     {conf, ours, []pop3.Pin{pop3.PinOf(ours.cert)}, true},
		"one of two":           {conf, ours, []pop3.Pin{{1}, pop3.PinOf(leaf)}, true},
		"of another key":       {conf, ours, []pop3.Pin{{1}, pop3.PinOf(theirs.cert)}, false},
		"of a bystander":       {beside, ours, []pop3.Pin{pop3.PinOf(theirs.cert)}, false},
		"right, but untrusted": {conf, theirs, []pop3.Pin{pop3.PinOf(leaf)}, false},
	} {
		for _, security := range []pop3.Security{pop3.TLS, pop3.STLS} {
			t.Run(name+" "+security.String(), func(t *testing.T) {
				r := newRig(t)
				r.d.Security, r.d.TLS, r.d.Pins = security, c.trust.client(), c.pins
				r.d.TLS.ServerName = "pop.example.org"
				r.srv.TLSConfig, r.srv.ImplicitTLS = c.server, security == pop3.TLS
				r.overTCP()
				tx, err := r.tryLogin()
				if c.ok {
					if err != nil || !tx.PeerCertificateExpiry().Equal(later) {
						t.Errorf("%v, expiry %v", err, tx.PeerCertificateExpiry())
					}
					return
				}
				wantError(t, err, pop3.Perm, nil)
				if r.sent("USER")+r.sent("AUTH") != 0 || mail.HintOf(err) == "" || mail.KindOf(err) != mail.Denied {
					t.Errorf("sent %s; hint %q", r.entered(), mail.HintOf(err))
				}
				if c.trust == ours && !strings.Contains(mail.HintOf(err), pop3.PinOf(leaf).String()) {
					t.Errorf("the hint does not name the key: %q", mail.HintOf(err))
				}
			})
		}
	}
}

// TestPinsAndResumption: a session that is resumed is verified no less.
func TestPinsAndResumption(t *testing.T) {
	a := newAuthority(t)
	r := newRig(t)
	r.d.Security, r.d.TLS = pop3.TLS, a.client()
	r.d.TLS.ServerName, r.d.TLS.ClientSessionCache = "pop.example.org", tls.NewLRUClientSessionCache(1)
	r.srv.TLSConfig, r.srv.ImplicitTLS = a.server("pop.example.org", later), true
	r.overTCP()
	for range 2 {
		tx := r.login()
		if _, err := tx.Quit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.d.Pins = []pop3.Pin{{1}}
	_, err := r.tryLogin()
	wantError(t, err, pop3.Perm, nil)
}

func TestParsePin(t *testing.T) {
	pin := pop3.PinOf(newAuthority(t).cert)
	for _, s := range []string{pin.String(), "sha256/" + pin.String()} {
		if got, err := pop3.ParsePin(s); err != nil || got != pin {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "sha256/", "AAAA", pin.String()[1:], pin.String() + "A", "sha1/" + pin.String(), pin.String()[:43] + "\n=", strings.Repeat("!", 44)} {
		if _, err := pop3.ParsePin(s); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestClientCertificate(t *testing.T) {
	a := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	ann := a.server("ann", later).Certificates[0]
	for name, c := range map[string]struct {
		give  func() (*tls.Certificate, error)
		class pop3.Class
	}{
		"right": {func() (*tls.Certificate, error) { return &ann, nil }, pop3.None},
		"none":  {func() (*tls.Certificate, error) { return &tls.Certificate{}, nil }, pop3.Perm},
		"unreadable": {func() (*tls.Certificate, error) {
			return nil, mail.Errorf(mail.Invalid, "client certificate: no such file")
		}, pop3.Perm},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.d.Security, r.d.TLS = pop3.STLS, a.client()
			r.d.TLS.ServerName = "pop.example.org"
			r.d.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.give() }
			r.srv.TLSConfig = a.server("pop.example.org", later)
			r.srv.TLSConfig.ClientAuth, r.srv.TLSConfig.ClientCAs = tls.RequireAnyClientCert, pool
			r.overTCP()
			_, err := r.tryLogin()
			if c.class == pop3.None {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || r.sent("USER") != 0 {
				t.Fatalf("%v; sent %s", err, r.entered())
			}
			if e, _ := errors.AsType[*pop3.Error](err); e.Class != c.class {
				t.Errorf("class %v: %v", e.Class, err)
			}
		})
	}
	if time.Until(later) < 0 {
		t.Error("the certificates of the tests have expired")
	}
}
