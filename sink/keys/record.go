package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// A RecordKey is what one record is sealed with. It is used for one record
// only, and once.
type RecordKey struct {
	Data   [32]byte // of AES-256-GCM over the body
	Commit [32]byte // of HMAC-SHA256 in the commitments of the header
}

const recordInfo = "mar1/record"

// expand returns the two keys of a leaf: 64 octets of HKDF-Expand (RFC 5869
// section 2.3) with SHA-256. The leaf is uniformly random, so the step of
// extraction is left out (section 3.3).
func expand(leaf *secret) (RecordKey, error) {
	b, err := hkdf.Expand(sha256.New, leaf[:], recordInfo, 64)
	if err != nil {
		return RecordKey{}, fmt.Errorf("derive the keys of a record: %w", err)
	}
	defer clear(b)
	return RecordKey{Data: [32]byte(b), Commit: [32]byte(b[32:])}, nil
}

// AEAD returns AES-256-GCM under the data key: nonces of 12 octets, 16 octets
// more than the plain text.
func (k *RecordKey) AEAD() (cipher.AEAD, error) { return gcm(&k.Data) }

// Wipe clears the keys.
func (k *RecordKey) Wipe() {
	clear(k.Data[:])
	clear(k.Commit[:])
}

func gcm(key *[32]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
