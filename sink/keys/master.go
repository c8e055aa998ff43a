package keys

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

// A Master is a key source that derives all KEKs from one secret, as it is
// given to a process in an environment variable. It keeps no state: every epoch
// exists, and none can be destroyed. An archive with such a source cannot erase
// single records; it can only be lost as a whole, with the secret.
type Master struct{ secret [32]byte }

var _ Wrapper = (*Master)(nil)

// NewMaster returns the source of a secret: the base64 of 32 random octets. A
// passphrase is refused, because it could be guessed.
func NewMaster(text string) (*Master, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text))
	if err != nil || len(b) != len(Master{}.secret) {
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "the master key is not the base64 of 32 octets"),
			"Make one with `openssl rand -base64 32`, and keep a copy: without it the archive is lost.")
	}
	defer clear(b)
	return &Master{[32]byte(b)}, nil
}

// kek returns HKDF-SHA256 (RFC 5869) without salt of the secret, with the info
// "mar1/kek" || u16 class || u16 year || u32 version.
func (m *Master) kek(e Epoch) (kek, error) {
	info := binary.BigEndian.AppendUint16([]byte("mar1/kek"), e.Class)
	info = binary.BigEndian.AppendUint16(info, e.Year)
	info = binary.BigEndian.AppendUint32(info, e.Version)
	b, err := hkdf.Key(sha256.New, m.secret[:], nil, string(info), len(kek{}))
	if err != nil {
		return kek{}, err
	}
	defer clear(b)
	return kek(b), nil
}

// Wrap implements Wrapper.
func (m *Master) Wrap(_ context.Context, e Epoch, plain, aad []byte) ([]byte, error) {
	k, err := m.kek(e)
	if err != nil {
		return nil, err
	}
	defer clear(k[:])
	return k.seal(plain, aad)
}

// Unwrap implements Wrapper.
func (m *Master) Unwrap(_ context.Context, e Epoch, box, aad []byte) ([]byte, error) {
	k, err := m.kek(e)
	if err != nil {
		return nil, err
	}
	defer clear(k[:])
	return k.open("master key", e, box, aad)
}

// NewEpoch implements Wrapper: the epoch after the given one.
func (m *Master) NewEpoch(_ context.Context, g Group, after uint32) (Epoch, error) {
	if after == math.MaxUint32 {
		return Epoch{}, mail.Errorf(mail.Invalid, "the group %s has no more versions", g)
	}
	return Epoch{g, after + 1}, nil
}

// DestroyEpoch implements Wrapper: it always refuses.
func (m *Master) DestroyEpoch(context.Context, Epoch) error {
	return mail.WithHint(mail.Errorf(mail.Invalid, "one master key derives the keys of all epochs: %w", ErrCannotDestroy),
		"Keys can be destroyed where they are kept in a file (encryption.key_file) or in Vault.")
}

// Wipe clears the secret. The source is of no use afterwards.
func (m *Master) Wipe() { clear(m.secret[:]) }
