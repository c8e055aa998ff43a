package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"math"

	"github.com/mailkeep/mailkeep/mail"
)

// The buckets; package doc tells what each holds.
var (
	bucketMeta    = []byte("meta")
	bucketRecord  = []byte("record")
	bucketBytes   = []byte("bytes")
	bucketRow     = []byte("row")
	bucketMailbox = []byte("mailbox")
	bucketStats   = []byte("stats")
	bucketDrain   = []byte("drain")
	bucketSession = []byte("session")
	bucketMatter  = []byte("matter")
	bucketHeld    = []byte("held")

	// views are the buckets that are functions of the ledger, in the order in
	// which Summary reads them.
	views = [][]byte{bucketRecord, bucketBytes, bucketRow, bucketMailbox, bucketStats, bucketDrain, bucketSession, bucketMatter, bucketHeld}
)

// The keys of the bucket meta.
var (
	keyFormat = []byte("format") // format, partition and identity
	keyCursor = []byte("cursor")
	keyTip    = []byte("tip") // position and stamp of the last record applied
)

// maxOctets is the length from which octets enter keys as their digest. It
// leaves room below bbolt's limit of 32 KiB and keeps several keys on a page.
const maxOctets = 1000

// octets appends s as the last part of a key: 0 and the octets themselves, or
// 1 and their digest.
func octets(key []byte, s string) []byte {
	if len(s) <= maxOctets {
		return append(append(key, 0), s...)
	}
	sum := sha256.Sum256([]byte(s))
	return append(append(key, 1), sum[:]...)
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func mailboxKey(box uint32) []byte { return binary.BigEndian.AppendUint32(nil, box) }

// digestKey leads to the first delivery of the bytes to the mailbox.
func digestKey(box uint32, digest mail.Digest) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 128), digest[:]...), box)
}

// deliveryKey leads to exactly one delivery. A suspect copy and a sound one of
// the same bytes are two: only the second lets the poller delete.
func deliveryKey(box uint32, c mail.Capture, digest mail.Digest) []byte {
	key := digestKey(box, digest)
	if c.Suspect != "" {
		key = append(key, 1)
	} else {
		key = append(key, 0)
	}
	return octets(key, string(c.UIDL))
}

// rowKey leads to the latest delivery that a row of the listing names. The size
// stands last and has a fixed length, so no two rows share a key.
func rowKey(box uint32, row mail.Listing) []byte {
	return binary.BigEndian.AppendUint64(uidlKey(box, row.UIDL), uint64(row.Size))
}

// uidlKey begins the keys of all rows with the UIDL.
func uidlKey(box uint32, uidl mail.Octets) []byte {
	return octets(binary.BigEndian.AppendUint32(make([]byte, 0, 128), box), string(uidl))
}

// nameable reports whether a row can name a delivery at all: a server without
// unique-ids, or a size that could not be read, proves nothing.
func nameable(row mail.Listing) bool { return row.UIDL != "" && row.Size >= 0 }

func drainKey(box uint32, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(mailboxKey(box), seq)
}

// readSeq reads a position as seqKey wrote it. A value of another length comes
// from a damaged page; the position it gives leads to no record.
func readSeq(b []byte) uint64 {
	if len(b) != 8 {
		return math.MaxUint64
	}
	return binary.BigEndian.Uint64(b)
}

func readMailbox(b []byte) (uint32, bool) {
	if len(b) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b), true
}
