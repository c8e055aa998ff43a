package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
	"github.com/mailkeep/mailkeep/sink/ledger/fold"
)

// The means are what opens the body of one record: nothing for one that is
// stored in the clear.
type means struct {
	coder *coder     // of all codecs but 0
	tree  *keys.Tree // of cipher 1
}

// A decoded is what a body holds, and the key of the commitments to it.
type decoded struct {
	meta, raw []byte
	key       commitKey
}

// A scratch is memory to decode in, which is grown if need be. What was decoded
// is valid until it is used again.
type scratch struct {
	inside []byte // what was decrypted
	plain  []byte // what was decompressed
	open   []byte // what was unfolded
}

// decode opens a body that matches its SHA-256, and checks the metadata and the
// lengths. An erased record is keys.ErrErased.
func (m means) decode(s *scratch, h *header, body []byte) (decoded, error) {
	inside, key, err := m.decrypt(s, h, body)
	if err != nil {
		return decoded{}, err
	}
	if h.codec != codecRaw {
		plain, err := m.coder.inflate(s.plain, inside, h.plainLen)
		if err != nil {
			return decoded{}, err
		}
		s.plain, inside = plain, plain
	}
	if len(inside) < 4 {
		return decoded{}, fmt.Errorf("body of %d octets holds no metadata", len(inside))
	}
	n := uint64(binary.BigEndian.Uint32(inside))
	if n > maxMeta || 4+n > uint64(len(inside)) {
		return decoded{}, fmt.Errorf("body of %d octets has no metadata of %d", len(inside), n)
	}
	d := decoded{meta: inside[4 : 4+n], raw: inside[4+n:], key: key}
	if key.meta(d.meta) != h.metaCmt {
		return decoded{}, errors.New("metadata does not match its commitment")
	}
	if h.folded() {
		if s.open, err = fold.Unfold(s.open[:0], d.raw, int(h.plainLen)); err != nil {
			return decoded{}, err
		}
		d.raw = s.open
	}
	if uint64(len(d.raw)) != h.plainLen {
		return decoded{}, fmt.Errorf("body holds %d octets of content, not %d", len(d.raw), h.plainLen)
	}
	return d, nil
}

// decrypt returns what the codec made.
func (m means) decrypt(s *scratch, h *header, body []byte) ([]byte, commitKey, error) {
	if h.cipher == cipherNone {
		return body, commitKey{}, nil
	}
	k, err := m.tree.Key(h.key)
	if err != nil {
		return nil, commitKey{}, err
	}
	defer k.Wipe()
	aead, err := k.AEAD()
	if err != nil {
		return nil, commitKey{}, err
	}
	s.inside, err = aead.Open(s.inside[:0], h.nonce[:], body, h.aad())
	if err != nil {
		return nil, commitKey{}, errors.New("body does not open with the key of its record")
	}
	return s.inside, commitKey(k.Commit), nil
}

// openBookkeeping decodes a record of the ledger's own, which is always stored
// in the clear.
func openBookkeeping(h *header, body []byte) (decoded, error) {
	if h.codec != codecRaw || h.cipher != cipherNone {
		return decoded{}, fmt.Errorf("bookkeeping with codec %d and cipher %d", h.codec, h.cipher)
	}
	d, err := means{}.decode(new(scratch), h, body)
	if err == nil {
		err = h.checkContent(d)
	}
	return d, err
}

// checkContent compares the content of one record with the header's
// commitment, where that is about this content: the last of several chunks
// commits to the whole message, a reference to that of another record.
func (h *header) checkContent(d decoded) error { return h.checkDigest(d.key, mail.DigestOf(d.raw)) }

// checkDigest does so by the digest of the content.
func (h *header) checkDigest(key commitKey, digest mail.Digest) error {
	if h.typ == typeReference || h.typ == typeChunk && h.flags&flagLast != 0 {
		return nil
	}
	if key.content(digest, h.plainLen) != h.cmt {
		return errors.New("content does not match its commitment")
	}
	return nil
}

// note reads the metadata alone from the first octets of a body, and returns it
// with the key of the commitments. It returns io.ErrUnexpectedEOF if it needs
// more of them. What is decrypted for it is not authenticated by the tag, which
// is at the end of the body, but by the commitment.
func (m means) note(h *header, body []byte) ([]byte, commitKey, error) {
	body, key, err := m.glimpse(h, body)
	if err != nil {
		return nil, key, err
	}
	var r io.Reader = bytes.NewReader(body)
	if h.codec != codecRaw {
		d := m.coder.streams.Get().(*zstd.Decoder)
		defer m.coder.streams.Put(d)
		if err := d.Reset(r); err != nil {
			return nil, key, err
		}
		r = d
	}
	meta, err := readNote(r)
	if err == nil && key.meta(meta) != h.metaCmt {
		err = errors.New("metadata does not match its commitment")
	}
	return meta, key, err
}

func readNote(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, cut(err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxMeta {
		return nil, fmt.Errorf("metadata of %d octets is over the limit", n)
	}
	meta := make([]byte, n)
	if _, err := io.ReadFull(r, meta); err != nil {
		return nil, cut(err)
	}
	return meta, nil
}

func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
