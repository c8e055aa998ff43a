package mail

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// A Digest is the SHA-256 of a run of bytes; of the raw bytes it is the name
// of a message. The zero Digest names nothing (see IsZero).
type Digest [sha256.Size]byte

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest { return sha256.Sum256(b) }

// ParseDigest reads the form written by String: 64 hexadecimal digits.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(d) {
		return Digest{}, Errorf(Invalid, "digest %q is not 64 hexadecimal digits", s)
	}
	copy(d[:], b)
	return d, nil
}

// IsZero reports whether d is the zero Digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns d as 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler in the form of String.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler in the form of String.
func (d *Digest) UnmarshalText(b []byte) error {
	v, err := ParseDigest(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// A Fingerprint is what identifies raw bytes: the digest of all of them, the
// digest of their header block, and their length in octets.
type Fingerprint struct {
	Digest Digest `json:"digest"`
	// Header is the digest of the octets before the empty line that ends the
	// header, the CR LF of the last header line included and the empty line
	// itself not. It is what TOP n 0 (RFC 1939 section 7) lets a later session
	// compare without fetching the body.
	Header Digest `json:"header_digest"`
	Size   int64  `json:"size"`
}

// String names the fingerprint for logs: the first 12 digits and the size.
func (f Fingerprint) String() string {
	return fmt.Sprintf("%.12s (%d octets)", f.Digest, f.Size)
}
