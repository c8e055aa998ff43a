package parser_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

// der makes an element of definite length, open one of indefinite length.
func der(tag byte, parts ...string) string {
	body := strings.Join(parts, "")
	switch n := len(body); {
	case n < 0x80:
		return string([]byte{tag, byte(n)}) + body
	default:
		return string([]byte{tag, 0x82, byte(n >> 8), byte(n)}) + body
	}
}

func open(tag byte, parts ...string) string {
	return string([]byte{tag, 0x80}) + strings.Join(parts, "") + "\x00\x00"
}

const (
	oidData      = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
	oidSigned    = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
	oidEnveloped = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"
)

type element func(tag byte, parts ...string) string

func signedObject(el element, content ...string) string {
	return el(0x30, oidSigned, el(0xa0, el(0x30, "\x02\x01\x01", el(0x31), el(0x30, oidData, el(0xa0, content...)), el(0x31))))
}

func smimePart(params, object string) string {
	return "Content-Type: application/pkcs7-mime" + params + "; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n" +
		base64.StdEncoding.EncodeToString([]byte(object)) + "\n"
}

func TestCrypto(t *testing.T) {
	t.Parallel()
	signature := "Content-Type: application/pgp-signature\n\n-----BEGIN PGP SIGNATURE-----"
	inner := multi("mixed", "i", plainPart, csvPart)
	for name, tc := range map[string]struct {
		in   string
		want *mail.Crypto
		text string
	}{
		"none":      {plainPart, nil, "plain words"},
		"pgp/mime":  {multi("signed", "s", plainPart, signature), &mail.Crypto{Kind: "pgp", Signed: true}, "plain words"},
		"in a list": {multi("mixed", "m", multi("signed", "s", plainPart, signature), "\nfooter"), &mail.Crypto{Kind: "pgp", Signed: true}, "plain words"},
		"by protocol alone": {
			"Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=s\n\n--s\n" + plainPart + "\n--s--\n",
			&mail.Crypto{Kind: "smime", Signed: true}, "plain words",
		},
		"smime, detached": {
			multi("signed", "s", plainPart, "Content-Type: application/x-pkcs7-signature; name=smime.p7s\nContent-Transfer-Encoding: base64\n\nMIAG"),
			&mail.Crypto{Kind: "smime", Signed: true}, "plain words",
		},
		"pgp, encrypted": {
			multi("encrypted", "e", "Content-Type: application/pgp-encrypted\n\nVersion: 1", "Content-Type: application/octet-stream\n\n-----BEGIN PGP MESSAGE-----"),
			&mail.Crypto{Kind: "pgp", Encrypted: true}, "",
		},
		"pgp, encrypted, rewritten by a server": {
			multi("mixed", "e", "Content-Type: application/pgp-encrypted\n\nVersion: 1", "Content-Type: application/octet-stream; name=e.asc\n\nxx"),
			&mail.Crypto{Kind: "pgp", Encrypted: true}, "",
		},
		"inline, signed": {
			"Subject: s\n\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nreadable\n-----BEGIN PGP SIGNATURE-----\n", &mail.Crypto{Kind: "pgp", Signed: true}, "readable",
		},
		"inline, encrypted":      {"Subject: s\n\n-----BEGIN PGP MESSAGE-----\n\nxxxx\n", &mail.Crypto{Kind: "pgp", Encrypted: true}, "xxxx"},
		"inline, quoted":         {"Subject: s\n\n> -----BEGIN PGP MESSAGE-----\nno", nil, "no"},
		"armour of a key":        {"Subject: s\n\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n", nil, "KEY"},
		"smime, enveloped":       {smimePart("; smime-type=enveloped-data", open(0x30, oidEnveloped)), &mail.Crypto{Kind: "smime", Encrypted: true}, ""},
		"smime, no type":         {smimePart("", der(0x30, oidEnveloped)), &mail.Crypto{Kind: "smime", Encrypted: true}, ""},
		"smime, not CMS":         {smimePart("", "garbage"), &mail.Crypto{Kind: "smime", Encrypted: true}, ""},
		"smime, certificates":    {smimePart("; smime-type=certs-only", "garbage"), nil, ""},
		"smime, opaque":          {smimePart("; smime-type=signed-data", signedObject(der, der(0x04, inner))), &mail.Crypto{Kind: "smime", Signed: true}, "plain words"},
		"smime, opaque, no type": {smimePart("", signedObject(open, open(0x24, der(0x04, inner[:90]), der(0x04, inner[90:])))), &mail.Crypto{Kind: "smime", Signed: true}, "plain words"},
		"smime, the type is a lie": {
			smimePart("; smime-type=enveloped-data", signedObject(der, der(0x04, inner))), &mail.Crypto{Kind: "smime", Signed: true}, "name,sum\nann,7",
		},
		"a signed message that is forwarded": {"Content-Type: message/rfc822\n\n" + multi("signed", "s", plainPart, signature), nil, ""},
	} {
		m := parser.Parse([]byte(tc.in))
		if diff := cmp.Diff(tc.want, m.Crypto); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if !strings.Contains(m.Text, tc.text) {
			t.Errorf("%s: text %q", name, m.Text)
		}
		encrypted := hasDefect(m, "EXT_ENCRYPTED")
		if want := tc.want != nil && tc.want.Encrypted; encrypted != want {
			t.Errorf("%s: told as encrypted: %t", name, encrypted)
		}
	}
}

// A signed object may be cut off or nested without end; what is there is read.
func TestSignedContentIsTolerant(t *testing.T) {
	t.Parallel()
	whole := signedObject(der, der(0x04, "Content-Type: text/plain\n\nall of these words"))
	if m := parser.Parse([]byte(smimePart("", whole[:len(whole)-12]))); !strings.Contains(m.Text, "all of") {
		t.Errorf("cut: %q", m.Text)
	}
	for range 100 {
		whole = open(0x24, whole)
	}
	for n := range whole {
		parser.SignedContent([]byte(whole[:n]))
	}
}

func FuzzSignedContent(f *testing.F) {
	f.Add([]byte(signedObject(der, der(0x04, plainPart))))
	f.Add([]byte(signedObject(open, open(0x24, der(0x04, "a"), der(0x04, "b")))))
	f.Add([]byte("MIAGCSqGSIb3DQEHAqCAMIACAQExADCABgkqhkiG9w0BBwGggCSABAFh"))
	f.Add(bytes.Repeat([]byte{0x30, 0x80}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		content, kind := parser.SignedContent(b)
		if len(content) > len(b) || len(content) > 0 && kind != "signed-data" {
			t.Errorf("%d octets of %d in %q", len(content), len(b), kind)
		}
	})
}
