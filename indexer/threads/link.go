package threads

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/mailkeep/mailkeep/mail"
)

// A Link is what the table takes of one message.
type Link struct {
	Seq        uint64 // position in the ledger
	MessageID  string // without < and >; empty if it has none
	References []string
	// Subject is the base subject; empty keeps the message from being tied by it.
	Subject string
	// Reply says that the subject began with a reply prefix.
	Reply  bool
	Date   time.Time // effective
	People []string  // canonical addresses of author and recipients
}

// maxPeople bounds the participants that a message is compared by.
const maxPeople = 32

// LinkOf takes a message's link. date is its effective date.
func LinkOf(seq uint64, m *mail.Message, date time.Time) Link {
	l := Link{Seq: seq, MessageID: m.MessageID, References: m.References, Subject: m.SubjectBase, Date: date}
	l.Reply = replied(m.Subject, m.SubjectBase)
	for _, list := range [][]mail.Address{m.From, m.To, m.Cc} {
		for _, a := range list {
			if a.Addr != "" && len(l.People) < maxPeople && !slices.Contains(l.People, a.Addr) {
				l.People = append(l.People, a.Addr)
			}
		}
	}
	return l
}

// replied reports whether the parser took a prefix such as "Re:" off subject to
// make base: a colon stands before the base, outside of list tags in brackets.
func replied(subject, base string) bool {
	subject = strings.Join(strings.Fields(strings.ToLower(norm.NFKC.String(subject))), " ")
	i := strings.LastIndex(subject, base)
	if base == "" || i <= 0 {
		return false
	}
	depth := 0
	for _, r := range subject[:i] {
		switch r {
		case '[':
			depth++
		case ']':
			depth = max(depth-1, 0)
		case ':':
			if depth == 0 {
				return true
			}
		}
	}
	return strings.HasPrefix(subject, "[fwd:")
}

// orphan reports whether the message is a reply that does not say to what.
func (l Link) orphan() bool { return l.Reply && len(l.References) == 0 }

// node returns the key of the message's own node: that of its Message-ID, or
// one that no id has.
func (l Link) node() nodeKey {
	if l.MessageID == "" {
		return keyOf("\x00" + string(seqKey(l.Seq)))
	}
	return keyOf(l.MessageID)
}

// A nodeKey names a node: the beginning of the SHA-256 of a Message-ID.
type nodeKey [16]byte

func keyOf(id string) nodeKey {
	sum := sha256.Sum256([]byte(id))
	return nodeKey(sum[:16])
}

// short returns the 8 octets that stand for a subject or an address.
func short(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:8]
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }
