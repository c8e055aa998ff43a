package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/lab"
)

// mechanisms are what "auth" may say, and what Dovecot calls it in its log; auto
// is the best of what it announces.
var mechanisms = map[string]string{
	"user-pass": "PLAIN", "plain": "PLAIN", "apop": "APOP", "scram-sha-256": "SCRAM-SHA-256", "auto": "SCRAM-SHA-256",
}

// TestLoginsOfDovecot drains a mailbox by each way to log in that a real server
// has, over TLS with its key pinned; then by ways that it has not, by a wrong
// password and with a wrong pin, which leave everything where it is.
func TestLoginsOfDovecot(t *testing.T) {
	var boxes []string
	for auth := range mechanisms {
		boxes = append(boxes, "box-"+auth)
	}
	d := lab.StartDovecot(t, boxes...)
	d.Restart(t, "auth_mechanisms = plain login apop scram-sha-256\n")
	mix := lab.NewMix(11)
	for i, box := range boxes {
		for n := range 5 {
			d.Deliver(t, box, mix.Message(i, n))
		}
	}
	s := emptySite(t)
	s.configureLogins(d, boxes, pinOf(t, filepath.Join(d.Dir, "server.pem")), func(box string) string { return strings.TrimPrefix(box, "box-") })
	s.run(0, "config", "check")
	s.run(0, "drain", "--once")
	log, err := os.ReadFile(filepath.Join(d.Dir, "error.log"))
	if err != nil {
		t.Fatal(err)
	}
	for auth, method := range mechanisms {
		if n := d.Count(t, "box-"+auth); n != 0 {
			t.Errorf("%s: %d messages left", auth, n)
		}
		if !strings.Contains(string(log), fmt.Sprintf("user=<box-%s>, method=%s", auth, method)) {
			t.Errorf("%s: Dovecot does not tell of %s:\n%s", auth, method, tail(string(log)))
		}
	}
	t.Run("refused", func(t *testing.T) { refusedLogins(t, d, boxes[0], mix) })
}

// refusedLogins tries what must not work.
func refusedLogins(t *testing.T, d *lab.Dovecot, box string, mix *lab.Mix) {
	d.Deliver(t, box, mix.Message(0, 99))
	good := pinOf(t, filepath.Join(d.Dir, "server.pem"))
	for _, c := range []struct{ name, mechanisms, auth, pin, password, want string }{
		{"not offered", "plain login", "scram-sha-256", good, lab.Password, "does not announce SCRAM-SHA-256"},
		{"no APOP", "plain login", "apop", good, lab.Password, "does not offer APOP"},
		{"wrong password", "plain scram-sha-256", "auto", good, "wrong-" + lab.Password, "AUTH"},
		{"wrong pin", "plain", "auto", base64.StdEncoding.EncodeToString(make([]byte, sha256.Size)), lab.Password, "pinned"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.Restart(t, "auth_mechanisms = "+c.mechanisms+"\n")
			s := emptySite(t)
			if err := os.WriteFile(s.password(), []byte(c.password), 0o600); err != nil {
				t.Fatal(err)
			}
			s.configureLogins(d, []string{box}, c.pin, func(string) string { return c.auth })
			out, errs := s.run(1, "drain", "--once")
			if all := out + errs; !strings.Contains(all, c.want) || strings.Contains(all, c.password) {
				t.Errorf("%s\n%s", tail(out), tail(errs))
			}
			if n := d.Count(t, box); n != 1 {
				t.Errorf("%d messages left", n)
			}
		})
	}
}

// configureLogins names the mailboxes with the way in of each.
func (s *site) configureLogins(d *lab.Dovecot, boxes []string, pin string, auth func(box string) string) {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "hosts:\n  d: {address: %s, ca_file: %q, logins_per_minute: 60000, tls_pins: %q}\nmailboxes:\n", d.POP3S, d.CAFile, pin)
	for _, box := range boxes {
		fmt.Fprintf(&b, "  - {name: %s, host: d, auth: %s, password_file: %q}\n", box, auth(box), s.password())
	}
	s.configure(b.String())
}

// pinOf returns the pin of the certificate in a file.
func pinOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}
