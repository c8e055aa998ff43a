package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/mailkeep/mailkeep/mail"
)

// The pools are package variables because an encoder holds a window of half a
// megabyte and entries are made by functions that belong to no ledger.
var (
	encoders = sync.Pool{New: func() any { return newEncoder() }}
	decoders = sync.Pool{New: func() any { return newDecoder() }} // of whole bodies
	// A decoder that has left a stream in the middle has no room for a whole
	// body, and would wait for it for ever: such have a pool of their own.
	streams = sync.Pool{New: func() any { return newDecoder() }}
)

// newEncoder compresses at the speed of the disk. Literals that only entropy
// coding can shrink are coded, since the base64 of attachments is such.
func newEncoder() *zstd.Encoder {
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithAllLitEntropyCompression(true),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(512<<10),
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false)) // the body has its SHA-256
	if err != nil {
		panic(err) // the options are constants
	}
	return e
}

func newDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(8<<20),
		zstd.WithDecoderMaxMemory(maxBody)) // what one body may hold, and no more
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}

// encodeBody returns codec(u32 len(meta) || meta || raw) and the codec, which
// is raw where zstd gains nothing. The metadata ends a block of the zstd frame,
// so that a reader can stop behind it.
func encodeBody(meta, raw []byte) (uint8, []byte) {
	prefix := storedBody(meta, nil)
	var out bytes.Buffer
	out.Grow((len(prefix) + len(raw)) / 2)
	e := encoders.Get().(*zstd.Encoder)
	e.Reset(&out)
	_, err1 := e.Write(prefix)
	err2 := e.Flush()
	_, err3 := e.Write(raw)
	err := errors.Join(err1, err2, err3, e.Close())
	e.Reset(nil)
	encoders.Put(e)
	if err != nil || out.Len() >= len(prefix)+len(raw) {
		return codecRaw, storedBody(meta, raw)
	}
	return codecZstd, out.Bytes()
}

// storedBody returns u32 len(meta) || meta || raw: the body of codec 0.
func storedBody(meta, raw []byte) []byte {
	b := make([]byte, 0, 4+len(meta)+len(raw))
	b = binary.BigEndian.AppendUint32(b, uint32(len(meta)))
	b = append(b, meta...)
	return append(b, raw...)
}

// decodeBody returns the metadata and the raw octets of a body that matches
// its SHA-256, and checks them against the commitments as far as the header
// alone allows.
func decodeBody(h *header, body []byte) (meta, raw []byte, err error) {
	meta, raw, _, err = decodeInto(nil, h, body)
	return meta, raw, err
}

// decodeInto does so in the memory of buf, which it returns, grown if need be.
func decodeInto(buf []byte, h *header, body []byte) (meta, raw, plain []byte, err error) {
	inside := body
	if h.codec == codecZstd {
		if plain, err = inflate(slices.Grow(buf[:0], int(h.plainLen)+2048), body); err != nil {
			return nil, nil, buf, err
		}
		inside = plain
	}
	if len(inside) < 4 {
		return nil, nil, plain, fmt.Errorf("body of %d octets holds no metadata", len(inside))
	}
	n := uint64(binary.BigEndian.Uint32(inside))
	if n > maxMeta || uint64(len(inside)) != 4+n+h.plainLen {
		return nil, nil, plain, fmt.Errorf("body of %d octets is not %d of metadata and %d of content", len(inside), n, h.plainLen)
	}
	meta, raw = inside[4:4+n], inside[4+n:]
	if commitToMeta(meta) != h.metaCmt {
		return nil, nil, plain, errors.New("metadata does not match its commitment")
	}
	return meta, raw, plain, nil
}

// checkContent compares the content of one record with the header's
// commitment, where that is about this content: the last of several chunks
// commits to the whole message, a reference to that of another record.
func (h *header) checkContent(raw []byte) error { return h.checkDigest(mail.DigestOf(raw)) }

// checkDigest does so by the digest of the content.
func (h *header) checkDigest(digest mail.Digest) error {
	if h.typ == typeReference || h.typ == typeChunk && h.flags&flagLast != 0 {
		return nil
	}
	if commitTo(digest, h.plainLen) != h.cmt {
		return errors.New("content does not match its commitment")
	}
	return nil
}

// inflate decompresses a whole body behind what is in buf.
func inflate(buf, body []byte) ([]byte, error) {
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	plain, err := d.DecodeAll(body, buf)
	if err != nil {
		return nil, fmt.Errorf("body does not decompress: %w", err)
	}
	return plain, nil
}

// decodeMeta reads the metadata alone from the first octets of a body. It
// returns io.ErrUnexpectedEOF if it needs more of them.
func decodeMeta(h *header, body []byte) ([]byte, error) {
	var r io.Reader = bytes.NewReader(body)
	if h.codec == codecZstd {
		d := streams.Get().(*zstd.Decoder)
		defer streams.Put(d)
		if err := d.Reset(r); err != nil {
			return nil, err
		}
		r = d
	}
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
	if commitToMeta(meta) != h.metaCmt {
		return nil, errors.New("metadata does not match its commitment")
	}
	return meta, nil
}

func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
