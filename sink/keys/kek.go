package keys

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"

	"github.com/mailkeep/mailkeep/mail"
)

// The first octet of a box says how it was sealed.
const (
	boxLocal = 1 // by a KEK of ours: KEK id, nonce, AES-256-GCM
	boxVault = 2 // by Vault's transit engine: the text that it returned
)

const (
	kekIDSize = 8
	nonceSize = 12
	tagSize   = 16
	boxHead   = 1 + kekIDSize + nonceSize
)

// A kek is a key encryption key that we hold ourselves.
type kek [32]byte

// id names a KEK without telling it: the first 8 octets of
// SHA-256("mar1/kek-id" || KEK).
func (k *kek) id() [kekIDSize]byte {
	h := sha256.New()
	h.Write([]byte("mar1/kek-id"))
	h.Write(k[:])
	return [kekIDSize]byte(h.Sum(nil))
}

// seal returns u8 1 || KEK id || nonce || AES-256-GCM(plain). Nonces are random:
// a KEK seals some thousands of boxes, far from the 2^32 that are safe.
func (k *kek) seal(plain, aad []byte) ([]byte, error) {
	aead, err := gcm((*[32]byte)(k))
	if err != nil {
		return nil, err
	}
	id := k.id()
	box := make([]byte, 0, boxHead+len(plain)+tagSize)
	box = append(append(box, boxLocal), id[:]...)
	box = box[:boxHead]
	rand.Read(box[boxHead-nonceSize:]) //nolint:errcheck // it never fails
	return aead.Seal(box, box[boxHead-nonceSize:], plain, aad), nil
}

// open opens what seal has sealed.
func (k *kek) open(source string, e Epoch, box, aad []byte) ([]byte, error) {
	if len(box) < boxHead+tagSize || box[0] != boxLocal {
		return nil, foreignBox(source, e, box)
	}
	if id := k.id(); !bytes.Equal(box[1:1+kekIDSize], id[:]) {
		return nil, wrongKEK(source, e)
	}
	aead, err := gcm((*[32]byte)(k))
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, box[1+kekIDSize:boxHead], box[boxHead:], aad)
	if err != nil {
		return nil, damagedBox(source, e)
	}
	return plain, nil
}

func damagedBox(source string, e Epoch) error {
	return mail.Errorf(mail.Corrupt, "%s: what was sealed under the key encryption key %s does not open: it is damaged, or was moved", source, e)
}

// foreignBox is the error of a box that another kind of source has sealed, or
// that is none.
func foreignBox(source string, e Epoch, box []byte) error {
	if len(box) > 0 && (box[0] == boxLocal || box[0] == boxVault) && len(box) >= boxHead+tagSize {
		return wrongKEK(source, e)
	}
	return damagedBox(source, e)
}
