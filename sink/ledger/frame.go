package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"golang.org/x/mod/sumdb/tlog"
)

// The sizes and limits of the format, in octets.
const (
	headerSize = 232
	leafSize   = 224
	tailSize   = 16
	frameAlign = 8

	// ChunkSize is how much of a message one record holds; a larger message
	// is split into chunks of this size.
	ChunkSize = 8 << 20

	maxMeta  = 1 << 20
	maxPlain = 16 << 20 // of one record; more than ChunkSize only for the offsets of a seal
	// What a body may hold, and what it may have.
	maxInside = 4 + maxMeta + maxPlain
	maxBody   = maxInside + tagSize
)

const (
	frameMagic = "MAR1"
	sealMagic  = "MARSEAL1"
)

// A recordType is octet 4 of a header.
type recordType uint8

const (
	typeMessage   recordType = 0x01 // a message, or chunk 0 of a large one
	typeChunk     recordType = 0x02
	typeReference recordType = 0x04
	typeEvent     recordType = 0x10
	typeOpen      recordType = 0x7e
	typeSeal      recordType = 0x7f
)

const (
	codecRaw      = 0
	codecZstd     = 1
	codecZstdDict = 2 // with the dictionary that the header names

	// codecFolded is added to codecs 1 and 2 where the content was folded.
	codecFolded = 4
)

// Flags of a header.
const (
	flagFirst   = 1 << iota // first record of a group
	flagLast                // last record of a group: the group is complete
	flagClamped             // the clock stood before the record before; its time was taken
	flagCommit              // first record of a group commit: all before it is synced
)

type hash32 = [32]byte

// A header is the fixed part of a frame, in the order of docs/archive-format.md.
type header struct {
	typ      recordType
	codec    uint8
	cipher   uint8
	flags    uint8
	frameLen uint32
	bodyLen  uint32
	seq      uint64
	time     int64
	stream   [16]byte
	segment  uint32
	class    uint16
	tenant   uint16
	key      uint32
	dict     uint32
	plainLen uint64
	firstSeq uint64
	nonce    [12]byte
	chunk    uint32
	cmt      hash32
	bodySum  hash32
	metaCmt  hash32
	prev     hash32
}

// content reports whether followers see the record's group.
func (h *header) content() bool {
	switch h.typ {
	case typeMessage, typeChunk, typeReference, typeEvent:
		return true
	}
	return false
}

// completes reports whether a group that followers see ends with the record.
func (h *header) completes() bool { return h.content() && h.flags&flagLast != 0 }

// folded reports whether the content of the body is in folded form.
func (h *header) folded() bool { return h.codec&codecFolded != 0 }

// appendTo appends the 232 octets of the header to b.
func (h *header) appendTo(b []byte) []byte {
	start := len(b)
	be := binary.BigEndian
	b = append(b, frameMagic...)
	b = append(b, byte(h.typ), h.codec, h.cipher, h.flags)
	b = be.AppendUint32(b, h.frameLen)
	b = be.AppendUint32(b, h.bodyLen)
	b = be.AppendUint64(b, h.seq)
	b = be.AppendUint64(b, uint64(h.time))
	b = append(b, h.stream[:]...)
	b = be.AppendUint32(b, h.segment)
	b = be.AppendUint16(b, h.class)
	b = be.AppendUint16(b, h.tenant)
	b = be.AppendUint32(b, h.key)
	b = be.AppendUint32(b, h.dict)
	b = be.AppendUint64(b, h.plainLen)
	b = be.AppendUint64(b, h.firstSeq)
	b = append(b, h.nonce[:]...)
	b = be.AppendUint32(b, h.chunk)
	b = append(b, h.cmt[:]...)
	b = append(b, h.bodySum[:]...)
	b = append(b, h.metaCmt[:]...)
	b = append(b, h.prev[:]...)
	b = be.AppendUint32(b, checksum(b[start:]))
	return append(b, 0, 0, 0, 0)
}

func checksum(leaf []byte) uint32 {
	return crc32.Checksum(leaf[:leafSize], crc32.MakeTable(crc32.Castagnoli))
}

// parseHeader reads a header and returns its leaf hash. The error says what is
// wrong with it, without a place.
func parseHeader(b []byte) (header, hash32, error) {
	var h header
	if len(b) < headerSize {
		return h, hash32{}, fmt.Errorf("header is cut after %d octets", len(b))
	}
	if string(b[:4]) != frameMagic {
		return h, hash32{}, fmt.Errorf("no record begins here")
	}
	be := binary.BigEndian
	if be.Uint32(b[leafSize:]) != checksum(b) || be.Uint32(b[leafSize+4:]) != 0 {
		return h, hash32{}, fmt.Errorf("header does not match its checksum")
	}
	h.typ, h.codec, h.cipher, h.flags = recordType(b[4]), b[5], b[6], b[7]
	h.frameLen, h.bodyLen = be.Uint32(b[8:]), be.Uint32(b[12:])
	h.seq, h.time = be.Uint64(b[16:]), int64(be.Uint64(b[24:]))
	copy(h.stream[:], b[32:])
	h.segment, h.class, h.tenant = be.Uint32(b[48:]), be.Uint16(b[52:]), be.Uint16(b[54:])
	h.key, h.dict = be.Uint32(b[56:]), be.Uint32(b[60:])
	h.plainLen, h.firstSeq = be.Uint64(b[64:]), be.Uint64(b[72:])
	copy(h.nonce[:], b[80:])
	h.chunk = be.Uint32(b[92:])
	copy(h.cmt[:], b[96:])
	copy(h.bodySum[:], b[128:])
	copy(h.metaCmt[:], b[160:])
	copy(h.prev[:], b[192:])
	return h, leafHash(b), h.validate()
}

func leafHash(b []byte) hash32 { return hash32(tlog.RecordHash(b[:leafSize])) }

// validate refuses what this version cannot read and lengths that lie.
func (h *header) validate() error {
	switch h.typ {
	case typeMessage, typeChunk, typeReference, typeEvent, typeOpen, typeSeal:
	default:
		return fmt.Errorf("record type %#02x is unknown to this version", uint8(h.typ))
	}
	switch {
	case !h.knownCodec():
		return fmt.Errorf("codec %d with dictionary %08x is unknown to this version", h.codec, h.dict)
	case h.cipher > cipherGCM || h.cipher == cipherGCM && h.bodyLen < tagSize:
		return fmt.Errorf("cipher %d with a body of %d octets is unknown to this version", h.cipher, h.bodyLen)
	case h.cipher == cipherNone && (h.key != 0 || h.nonce != [12]byte{}):
		return fmt.Errorf("record has a key and no cipher")
	case h.bodyLen > maxBody || h.plainLen > maxPlain:
		return fmt.Errorf("body of %d octets, %d decoded, is over the limit", h.bodyLen, h.plainLen)
	case h.frameLen != frameLen(h.bodyLen):
		return fmt.Errorf("frame of %d octets does not fit a body of %d", h.frameLen, h.bodyLen)
	case h.firstSeq > h.seq || uint64(h.chunk) != h.seq-h.firstSeq:
		return fmt.Errorf("chunk %d of group %d cannot be record %d", h.chunk, h.firstSeq, h.seq)
	}
	return nil
}

// knownCodec reports whether the codec is one of this version, with a dictionary
// where it needs one.
func (h *header) knownCodec() bool {
	switch h.codec {
	case codecRaw, codecZstd, codecZstd | codecFolded:
		return h.dict == 0
	case codecZstdDict, codecZstdDict | codecFolded:
		return h.dict != 0
	}
	return false
}

// compression is the codec without folding.
func (h *header) compression() uint8 { return h.codec &^ codecFolded }

// frameLen is the length of a frame whose body has n octets, padding included.
func frameLen(n uint32) uint32 {
	return (headerSize + n + frameAlign - 1) / frameAlign * frameAlign
}

// checkBody compares the body with its hash; b is the frame behind the header.
func (h *header) checkBody(b []byte) error {
	if sha(b[:h.bodyLen]) != h.bodySum {
		return fmt.Errorf("body does not match its SHA-256")
	}
	if pad := b[h.bodyLen:]; !bytes.Equal(pad, make([]byte, len(pad))) {
		return fmt.Errorf("padding is not zero")
	}
	return nil
}
