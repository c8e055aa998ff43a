package catalog

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// An entry is what the catalog keeps of a message or reference: what a receipt
// needs to be compared. How the message was captured (session, host, TLS) stays
// in the record alone.
type entry struct {
	kind     mail.RecordKind
	again    bool
	box      uint32
	segment  uint32
	sealed   time.Time
	fetched  time.Time
	listSize int64
	of       uint64
	uidl     mail.Octets
	suspect  string
	print    mail.Fingerprint
}

func entryOf(r mail.Record, box uint32) entry {
	return entry{
		kind: r.Kind, again: r.Again, box: box, segment: r.Segment, sealed: r.Time,
		fetched: r.Delivery.Fetched, listSize: r.Delivery.ListSize, of: r.Of.Seq,
		uidl: r.Delivery.UIDL, suspect: r.Delivery.Suspect, print: r.Delivery.Fingerprint,
	}
}

// receipt makes the receipt of the entry at the position.
func (e entry) receipt(mailbox string, id mail.ID) mail.Receipt {
	return mail.Receipt{
		Delivery: mail.Delivery{
			Capture: mail.Capture{
				Mailbox: mailbox, UIDL: e.uidl, ListSize: e.listSize,
				Fetched: e.fetched, Suspect: e.suspect,
			},
			Fingerprint: e.print,
		},
		ID: id, Segment: e.segment, SealedAt: e.sealed,
	}
}

const (
	entryFixed = 1 + 1 + 4 + 4 + 8 + 8 + 8 + 8 + 32 + 32 + 8 + 4
	entrySum   = 4
	// noTime is how a zero time.Time is kept, whose UnixNano is not defined.
	noTime = math.MinInt64
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// append writes e as the value at the position seq: fixed fields, the UIDL and
// the suspicion, and a checksum over position and value, so that an entry read
// through a wrong page is noticed too.
func (e entry) append(b []byte, seq uint64) []byte {
	again := byte(0)
	if e.again {
		again = 1
	}
	b = append(b, byte(e.kind), again)
	b = binary.BigEndian.AppendUint32(b, e.box)
	b = binary.BigEndian.AppendUint32(b, e.segment)
	for _, n := range []int64{nanos(e.sealed), nanos(e.fetched), e.listSize, int64(e.of), e.print.Size} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = append(append(b, e.print.Digest[:]...), e.print.Header[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.uidl)))
	b = append(append(b, e.uidl...), e.suspect...)
	return binary.BigEndian.AppendUint32(b, checksum(seq, b))
}

// readEntry reads the value at the position seq; false if it is damaged.
func readEntry(seq uint64, b []byte) (entry, bool) {
	body := len(b) - entrySum
	if body < entryFixed || binary.BigEndian.Uint32(b[body:]) != checksum(seq, b[:body]) {
		return entry{}, false
	}
	word := func(off int) int64 { return int64(binary.BigEndian.Uint64(b[off:])) }
	e := entry{
		kind: mail.RecordKind(b[0]), again: b[1] == 1,
		box: binary.BigEndian.Uint32(b[2:]), segment: binary.BigEndian.Uint32(b[6:]),
		sealed: moment(word(10)), fetched: moment(word(18)), listSize: word(26), of: uint64(word(34)),
	}
	e.print.Size = word(42)
	copy(e.print.Digest[:], b[50:])
	copy(e.print.Header[:], b[82:])
	uidl := entryFixed + int(binary.BigEndian.Uint32(b[114:]))
	if uidl < entryFixed || uidl > body {
		return entry{}, false
	}
	e.uidl, e.suspect = mail.Octets(b[entryFixed:uidl]), string(b[uidl:body])
	return e, true
}

func checksum(seq uint64, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(seqKey(seq), castagnoli()), castagnoli(), b)
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	return t.UnixNano()
}

func moment(n int64) time.Time {
	if n == noTime {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
