package tlog

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"

	"github.com/mailkeep/mailkeep/mail"
)

// maxStamp bounds the answer of a time stamp authority, in octets.
const maxStamp = 1 << 20

// A Post sends a request and returns the answer, at most a megabyte of it. An
// error is that of the way; what the other side says is in the status.
type Post func(ctx context.Context, url, contentType string, body []byte) (status int, answer []byte, err error)

// A Stamp is a time stamp that was verified.
type Stamp struct {
	Time time.Time // genTime: the data existed before
	// Response is the answer of the authority, DER (RFC 3161 section 2.4.2), as
	// "openssl ts -verify -in" takes it.
	Response []byte
	// Chain are the certificates in it, PEM.
	Chain []byte
}

// requestStamp has an authority stamp data (RFC 3161 section 3.4).
func requestStamp(ctx context.Context, post Post, where string, data []byte, roots *x509.CertPool) (Stamp, error) {
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		return Stamp{}, err
	}
	q, err := timestamp.CreateRequest(bytes.NewReader(data), &timestamp.RequestOptions{Hash: crypto.SHA256, Certificates: true, Nonce: nonce})
	if err != nil {
		return Stamp{}, err
	}
	status, answer, err := post(ctx, where, "application/timestamp-query", q)
	if err != nil {
		return Stamp{}, mail.Errorf(mail.Temporary, "ask for a time stamp: %w", err)
	}
	if status != 200 {
		return Stamp{}, mail.Errorf(mail.Temporary, "the time stamp authority answers with status %d", status)
	}
	s, got, err := openStamp(answer, data, roots)
	if err == nil && (got == nil || got.Cmp(nonce) != 0) {
		err = mail.Errorf(mail.Corrupt, "the time stamp answers another request")
	}
	return s, err
}

// OpenStamp verifies the answer of a time stamp authority over data. With roots
// the chain of its certificates is verified too, as of the time that it tells.
// An error is mail.Corrupt.
func OpenStamp(response, data []byte, roots *x509.CertPool) (Stamp, error) {
	s, _, err := openStamp(response, data, roots)
	return s, err
}

func openStamp(response, data []byte, roots *x509.CertPool) (Stamp, *big.Int, error) {
	bad := func(err error) (Stamp, *big.Int, error) {
		return Stamp{}, nil, mail.Errorf(mail.Corrupt, "time stamp: %w", err)
	}
	if len(response) > maxStamp {
		return Stamp{}, nil, mail.Errorf(mail.Corrupt, "time stamp of %d octets", len(response))
	}
	t, err := timestamp.ParseResponse(response)
	if err != nil {
		return bad(err)
	}
	sum := sha256.Sum256(data)
	if t.HashAlgorithm != crypto.SHA256 || !bytes.Equal(t.HashedMessage, sum[:]) {
		return Stamp{}, nil, mail.Errorf(mail.Corrupt, "the time stamp is of something else")
	}
	p7, err := pkcs7.Parse(t.RawToken)
	if err != nil {
		return bad(err)
	}
	between := x509.NewCertPool()
	for _, c := range p7.Certificates {
		between.AddCert(c)
	}
	// With no roots, the signature alone is verified: by a certificate that the
	// token itself brings, of which the package does not check the chain then.
	if err := p7.VerifyWithOpts(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: t.Time,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}}); err != nil {
		return bad(err)
	}
	return Stamp{Time: t.Time.UTC(), Response: response, Chain: chainPEM(p7.Certificates)}, t.Nonce, nil
}

func chainPEM(certs []*x509.Certificate) []byte {
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

// fileSafe makes a file's name of the host and path of a URL.
func fileSafe(where string) string {
	name := where
	if u, err := url.Parse(where); err == nil {
		name = u.Host + u.Path
	}
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		}
		return '-'
	}, name), "-.")
}
