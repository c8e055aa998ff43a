package pop3

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

// A Pin is the SHA-256 of a public key in its SubjectPublicKeyInfo form (RFC
// 7469 section 2.4). It survives the renewal of a certificate whose key stays.
type Pin [sha256.Size]byte

// PinOf returns the pin of a certificate's key.
func PinOf(cert *x509.Certificate) Pin { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }

// ParsePin reads the base64 of a pin, with or without "sha256/" before it, as
// curl and HPKP write it. The error has the kind mail.Invalid.
func ParsePin(s string) (Pin, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(s, "sha256/"))
	if err != nil || len(b) != sha256.Size || strings.ContainsAny(s, "\r\n") {
		return Pin{}, mail.Errorf(mail.Invalid, "a pin is the base64 of a SHA-256, 44 characters")
	}
	return Pin(b), nil
}

// String returns the base64 of the pin.
func (p Pin) String() string { return base64.StdEncoding.EncodeToString(p[:]) }

// pinned makes conf demand one of the pins, if there are any, after all that it
// verifies by itself. Only the verified chains count: a server may send any
// certificate beside its own.
func pinned(conf *tls.Config, pins []Pin) {
	if len(pins) == 0 {
		return
	}
	before := conf.VerifyConnection
	conf.VerifyConnection = func(state tls.ConnectionState) error {
		if before != nil {
			if err := before(state); err != nil {
				return err
			}
		}
		for _, chain := range state.VerifiedChains {
			for _, cert := range chain {
				if slices.Contains(pins, PinOf(cert)) {
					return nil
				}
			}
		}
		return mail.WithHint(mail.Errorf(mail.Denied, "no key of the server's certificate chain is one of the %d that are pinned", len(pins)),
			"the server's own key is %s; pin it if the change is known and meant, or else suspect somebody in between", PinOf(state.PeerCertificates[0]))
	}
}
