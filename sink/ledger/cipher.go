package ledger

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"

	"github.com/mailkeep/mailkeep/sink/keys"
)

// The ciphers of records.
const (
	cipherNone = 0
	cipherGCM  = 1 // AES-256-GCM under a key of the record's own

	aadSize = 96 // octets of a header that the cipher binds
	tagSize = 16
)

// aad returns the octets of the header that stand before the commitments.
func (h *header) aad() []byte {
	b := make([]byte, 0, headerSize)
	return h.appendTo(b)[:aadSize]
}

// bodySize returns how many octets a body of n takes in a frame.
func bodySize(tree *keys.Tree, n int) int {
	if tree == nil {
		return n
	}
	return n + tagSize
}

// encrypt seals the body of an entry into dst, which has its exact length, and
// completes the header but for what the record before decides. With a nil tree
// the body stays as it is.
func (e *Entry) encrypt(tree *keys.Tree, h *header, dst []byte) error {
	if tree == nil {
		copy(dst, e.body)
		h.bodySum = e.sum()
		e.commit(commitKey{}, h)
		return nil
	}
	k, err := tree.Key(h.key)
	if err != nil {
		return err
	}
	defer k.Wipe()
	aead, err := k.AEAD()
	if err != nil {
		return err
	}
	// The number of a record is used again when a torn tail is cut off, with the
	// same key where the segment never got a durable record.
	rand.Read(h.nonce[:]) //nolint:errcheck // it never fails
	aead.Seal(dst[:0], h.nonce[:], e.body, h.aad())
	h.bodySum = sha(dst)
	e.commit(commitKey(k.Commit), h)
	return nil
}

func (e *Entry) commit(k commitKey, h *header) {
	h.cmt = k.content(e.digest, e.size)
	h.metaCmt = k.metaSum(e.metaSum)
}

// glimpse decrypts the first octets of a body without its tag. AES-GCM is
// counter mode (NIST SP 800-38D section 7.1): the block behind the one that
// makes the tag, which for a nonce of 12 octets has the count 1, is the first.
func (m means) glimpse(h *header, body []byte) ([]byte, commitKey, error) {
	if h.cipher == cipherNone {
		return body, commitKey{}, nil
	}
	k, err := m.tree.Key(h.key)
	if err != nil {
		return nil, commitKey{}, err
	}
	defer k.Wipe()
	block, err := aes.NewCipher(k.Data[:])
	if err != nil {
		return nil, commitKey{}, err
	}
	var count [aes.BlockSize]byte
	copy(count[:], h.nonce[:])
	count[aes.BlockSize-1] = 2
	inside := make([]byte, min(len(body), int(h.bodyLen)-tagSize))
	cipher.NewCTR(block, count[:]).XORKeyStream(inside, body[:len(inside)])
	return inside, commitKey(k.Commit), nil
}
