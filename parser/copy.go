package parser

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/mailkeep/mailkeep/mail"
)

// copyOf returns the key by which copies of one message are grouped, such as
// those that a list and its author bring, or the reports that a server splits a
// journal into: equal where messages differ in trace fields alone.
//
// It is K2, the SHA-256 of "K2", the Message-ID, the address of the author, the
// instant of the Date field and the digests of the decoded leaves in their
// order; or K3, the same with "K3" and without a Message-ID, where there is
// none. It groups for display: a sender can make two messages look alike, so
// nothing is ever dropped by it. A message without a body, author, date and id
// has no key: all such would be one group.
func copyOf(m *mail.Message) mail.Digest {
	kind, author := "K2", ""
	if m.MessageID == "" {
		kind = "K3"
	}
	for _, a := range m.From {
		if a.Addr != "" {
			author = a.Addr
			break
		}
	}
	h := keyHash{sha256.New()}
	h.text(kind)
	h.text(m.MessageID)
	h.text(author)
	if m.DateHeader.IsZero() {
		h.text("")
	} else {
		h.number(m.DateHeader.Unix())
	}
	octets := int64(0)
	for _, p := range m.Parts {
		if !p.Digest.IsZero() {
			h.Write(p.Digest[:])
			octets += p.Size
		}
	}
	if m.MessageID == "" && author == "" && m.DateHeader.IsZero() && octets == 0 {
		return mail.Digest{}
	}
	var key mail.Digest
	h.Sum(key[:0])
	return key
}

// A keyHash takes values with their lengths, so that no two lists of them are
// the same octets.
type keyHash struct{ hash.Hash }

func (h keyHash) number(n int64) { h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }

func (h keyHash) text(s string) {
	h.number(int64(len(s)))
	h.Write([]byte(s))
}
