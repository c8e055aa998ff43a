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
	entryFixed = 1 + 1 + 8 + 32 + 32 // what is before the numbers of any length
	entrySum   = 4
	// noTime is how a zero time.Time is kept, whose UnixNano is not defined.
	noTime = math.MinInt64
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// append writes e as the value at the position seq: fixed fields, numbers as
// varints, the UIDL and the suspicion, and a checksum over position and value, so
// that an entry read through a wrong page is noticed too. The time of fetching is
// kept as the difference from that of sealing, the listed size as that from the
// size: both are small, and may wrap around.
func (e entry) append(b []byte, seq uint64) []byte {
	again := byte(0)
	if e.again {
		again = 1
	}
	b = append(b, byte(e.kind), again)
	b = binary.BigEndian.AppendUint64(b, uint64(nanos(e.sealed)))
	b = append(append(b, e.print.Digest[:]...), e.print.Header[:]...)
	for _, n := range []uint64{uint64(e.box), uint64(e.segment), e.of, uint64(len(e.uidl))} {
		b = binary.AppendUvarint(b, n)
	}
	for _, n := range []int64{e.print.Size, e.listSize - e.print.Size, nanos(e.sealed) - nanos(e.fetched)} {
		b = binary.AppendVarint(b, n)
	}
	b = append(append(b, e.uidl...), e.suspect...)
	return binary.BigEndian.AppendUint32(b, checksum(seq, b))
}

// readEntry reads the value at the position seq; false if it is damaged.
func readEntry(seq uint64, b []byte) (entry, bool) {
	body := len(b) - entrySum
	if body < entryFixed || binary.BigEndian.Uint32(b[body:]) != checksum(seq, b[:body]) {
		return entry{}, false
	}
	sealed := int64(binary.BigEndian.Uint64(b[2:]))
	e := entry{kind: mail.RecordKind(b[0]), again: b[1] == 1, sealed: moment(sealed)}
	copy(e.print.Digest[:], b[10:])
	copy(e.print.Header[:], b[42:])
	n := numbers{b: b[entryFixed:body], sound: true}
	box, segment := n.uint(), n.uint()
	e.box, e.segment, e.of = uint32(box), uint32(segment), n.uint()
	uidl := n.uint()
	e.print.Size = n.int()
	e.listSize = e.print.Size + n.int()
	e.fetched = moment(sealed - n.int())
	if !n.sound || max(box, segment) > math.MaxUint32 || uidl > uint64(len(n.b)) {
		return entry{}, false
	}
	e.uidl, e.suspect = mail.Octets(n.b[:uidl]), string(n.b[uidl:])
	return e, true
}

// numbers reads varints off octets; sound is false once one was damaged.
type numbers struct {
	b     []byte
	sound bool
}

func (n *numbers) uint() uint64 {
	v, size := binary.Uvarint(n.b)
	n.skip(size)
	return v
}

func (n *numbers) int() int64 {
	v, size := binary.Varint(n.b)
	n.skip(size)
	return v
}

func (n *numbers) skip(size int) {
	if n.sound = n.sound && size > 0; n.sound {
		n.b = n.b[size:]
	}
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
