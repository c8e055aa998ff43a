package ledger

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"github.com/mailkeep/mailkeep/mail"
)

func sha(b []byte) hash32 { return sha256.Sum256(b) }

// A commitKey is k_cmt, the key of the commitments of a record. The zero key is
// that of records with cipher 0, which have no key to derive it from. Such
// commitments bind but do not hide.
type commitKey hash32

// content returns HMAC-SHA256(k_cmt, "mar1/cmt" || digest || u64 n): what a
// header says about the n octets of plain text with the digest.
func (k commitKey) content(digest mail.Digest, n uint64) hash32 {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return k.keyed("mar1/cmt", digest[:], b[:])
}

// meta returns HMAC-SHA256(k_cmt, "mar1/meta" || SHA-256(meta)).
func (k commitKey) meta(meta []byte) hash32 { return k.metaSum(sha(meta)) }

func (k commitKey) metaSum(sum hash32) hash32 { return k.keyed("mar1/meta", sum[:]) }

func (k commitKey) keyed(domain string, parts ...[]byte) hash32 {
	m := hmac.New(sha256.New, k[:])
	m.Write([]byte(domain))
	for _, p := range parts {
		m.Write(p)
	}
	return hash32(m.Sum(nil))
}

// streamID names the ledger of a partition of an archive: a UUID of version 8
// (RFC 9562 section 5.8) from SHA-256("mar1/stream" || archive || u16 partition).
func streamID(archive [16]byte, partition uint16) [16]byte {
	b := append([]byte("mar1/stream"), archive[:]...)
	sum := sha(binary.BigEndian.AppendUint16(b, partition))
	id := [16]byte(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}
