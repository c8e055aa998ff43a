package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/mailkeep/mailkeep/mail"
)

// A seal is the content of the last record of a sealed segment.
type seal struct {
	offsets []uint64 // of the records before the seal, in order
	sum     hash32   // SHA-256 of the file up to the seal record
	size    uint64   // of the tree: the number of the seal record
	root    hash32   // of that tree
	peaks   []hash32 // its complete subtrees, largest first

	at int64 // offset of the seal record; not part of its content
}

// sealNote is the metadata of a seal.
type sealNote struct {
	Why  string `json:"why"`            // "size", "age", "close", "recovery" or "commit"
	Torn int64  `json:"torn,omitempty"` // octets behind the good prefix that were set aside
}

func (s *seal) encode() []byte {
	be := binary.BigEndian
	b := be.AppendUint64(nil, uint64(len(s.offsets)))
	for _, off := range s.offsets {
		b = be.AppendUint64(b, off)
	}
	b = append(b, s.sum[:]...)
	b = be.AppendUint64(b, s.size)
	b = append(b, s.root[:]...)
	for _, p := range s.peaks {
		b = append(b, p[:]...)
	}
	return b
}

func parseSeal(b []byte) (*seal, error) {
	be, short := binary.BigEndian, errors.New("seal is cut short")
	if len(b) < 8 {
		return nil, short
	}
	n := be.Uint64(b)
	b = b[8:]
	if n > uint64(len(b))/8 || uint64(len(b)) < n*8+32+8+32 {
		return nil, short
	}
	s := &seal{offsets: make([]uint64, n)}
	for i := range s.offsets {
		s.offsets[i] = be.Uint64(b[i*8:])
	}
	b = b[n*8:]
	s.sum, s.size, s.root = hash32(b[:32]), be.Uint64(b[32:]), hash32(b[40:72])
	b = b[72:]
	if len(b) != peakCount(s.size)*32 {
		return nil, fmt.Errorf("seal has %d octets of subtree hashes for a tree of %d", len(b), s.size)
	}
	for ; len(b) > 0; b = b[32:] {
		s.peaks = append(s.peaks, hash32(b[:32]))
	}
	t := tree{size: s.size, peaks: s.peaks}
	if t.root() != s.root {
		return nil, errors.New("seal's subtree hashes do not give its root")
	}
	return s, nil
}

// appendTail appends the 16 octets that end a sealed file, from which a reader
// finds the seal.
func appendTail(b []byte, sealOff int64) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(sealOff))
	return append(b, sealMagic...)
}

func parseTail(b []byte) (sealOff int64, ok bool) {
	if len(b) != tailSize || string(b[8:]) != sealMagic {
		return 0, false
	}
	off := binary.BigEndian.Uint64(b)
	return int64(off), off < 1<<62
}

// loadSeal reads the seal of the segment that begins with the record first,
// from the end of its file, and returns the chain behind it.
func loadSeal(f octets, first uint64) (*seal, chain, error) {
	fail := func(err error) (*seal, chain, error) {
		if isReadError(err) {
			return nil, chain{}, mail.Errorf(mail.Temporary, "segment %s: %w", sealedName(first), err)
		}
		return nil, chain{}, corrupt(sealedName(first), 0, first, fmt.Errorf("seal: %w", err))
	}
	info, err := f.Stat()
	if err != nil {
		return fail(&readError{err})
	}
	w, off, err := readTail(f, info.Size())
	if err != nil {
		return fail(err)
	}
	h, leaf, err := w.header(off)
	if err != nil {
		return fail(err)
	}
	s, err := readSeal(w, off, &h)
	if err != nil {
		return fail(err)
	}
	if h.seq-uint64(len(s.offsets)) != first || off+int64(h.frameLen)+tailSize != info.Size() {
		return fail(errors.New("it is of another file"))
	}
	s.at = off
	c := chain{stream: h.stream, number: h.segment, seq: h.seq, tree: tree{size: s.size, peaks: s.peaks}}
	c.tree = c.tree.clone()
	c.add(&h, leaf)
	return s, c, nil
}

// endSize is what is read of the end of a segment at first: tail and seal of
// some 8,000 records.
const endSize = 64 << 10

// readTail reads the end of a segment of so many octets, in one read or, if its
// seal is larger than most, two, and returns where the seal is.
func readTail(f io.ReaderAt, size int64) (*window, int64, error) {
	w := newGlance(f)
	if err := w.fill(max(size-endSize, 0), int(min(size, endSize))); err != nil {
		return nil, 0, &readError{err}
	}
	tail, _ := w.read(max(size-tailSize, 0), tailSize)
	off, ok := parseTail(tail)
	if !ok || off > size || size-off > headerSize+maxBody+tailSize+frameAlign {
		return nil, 0, errors.New("file does not end with one")
	}
	if off < w.at {
		if err := w.fill(off, int(size-off)); err != nil {
			return nil, 0, &readError{err}
		}
	}
	return w, off, nil
}

// readSeal reads and checks the seal record at off.
func readSeal(w *window, off int64, h *header) (*seal, error) {
	if h.typ != typeSeal {
		return nil, errors.New("record is none")
	}
	body, err := w.body(off, h)
	if err != nil {
		return nil, err
	}
	d, err := openBookkeeping(h, body)
	if err != nil {
		return nil, err
	}
	s, err := parseSeal(d.raw)
	if err != nil {
		return nil, err
	}
	if s.size != h.seq || uint64(len(s.offsets)) > h.seq || !ascending(s.offsets, uint64(off)) {
		return nil, errors.New("offsets do not fit the file")
	}
	return s, nil
}

// ascending reports whether offsets start at 0, grow and stay below end.
func ascending(offsets []uint64, end uint64) bool {
	if len(offsets) == 0 || offsets[0] != 0 {
		return false
	}
	for i, off := range offsets[1:] {
		if off < offsets[i]+headerSize || off%frameAlign != 0 {
			return false
		}
	}
	return offsets[len(offsets)-1]+headerSize <= end
}

func corrupt(segment string, off int64, seq uint64, err error) error {
	return mail.WithHint(mail.Errorf(mail.Corrupt, "segment %s, offset %d, record %d: %w", segment, off, seq, err),
		"The ledger is damaged and nothing was changed. Run mailkeep verify to see all damage, and put the file back from a copy.")
}
