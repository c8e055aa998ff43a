package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A coder compresses and decompresses bodies, against a dictionary or none. It
// keeps its encoders, since each holds a window of half a megabyte. It may be
// used by many goroutines at once.
type coder struct {
	codec    uint8
	encoders sync.Pool
	decoders sync.Pool // of whole bodies
	// A decoder that has left a stream in the middle has no room for a whole
	// body, and would wait for it for ever: such have a pool of their own.
	streams sync.Pool
}

// plain is the coder without a dictionary. It is a package variable because
// entries can be made by functions that belong to no ledger.
var plain = newCoder(nil)

// newCoder makes the coder of a dictionary that was inspected, or of none.
func newCoder(dictionary []byte) *coder {
	c := &coder{codec: codecZstd}
	var encoder []zstd.EOption
	var decoder []zstd.DOption
	if dictionary != nil {
		c.codec = codecZstdDict
		encoder = append(encoder, zstd.WithEncoderDict(dictionary))
		decoder = append(decoder, zstd.WithDecoderDicts(dictionary))
	}
	c.encoders.New = func() any { return newEncoder(encoder) }
	c.decoders.New = func() any { return newDecoder(decoder) }
	c.streams.New = func() any { return newDecoder(decoder) }
	return c
}

// newEncoder compresses at the speed of the disk. Literals that only entropy
// coding can shrink are coded, since the base64 of attachments is such.
func newEncoder(o []zstd.EOption) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, append([]zstd.EOption{
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithAllLitEntropyCompression(true),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(512 << 10),
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false), // the body has its SHA-256
	}, o...)...)
	if err != nil {
		panic(err) // the options are constants, and the dictionary was inspected
	}
	return e
}

func newDecoder(o []zstd.DOption) *zstd.Decoder {
	d, err := zstd.NewReader(nil, append([]zstd.DOption{
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(8 << 20),
		zstd.WithDecoderMaxMemory(maxInside), // what one body may hold, and no more
	}, o...)...)
	if err != nil {
		panic(err) // the options are constants, and the dictionary was inspected
	}
	return d
}

// encode returns codec(u32 len(meta) || meta || raw) and the codec, which is raw
// where zstd gains nothing. The metadata ends a block of the zstd frame, so that
// a reader can stop behind it.
func (c *coder) encode(meta, raw []byte) (uint8, []byte) {
	prefix := storedBody(meta, nil)
	var out bytes.Buffer
	out.Grow((len(prefix) + len(raw)) / 2)
	e := c.encoders.Get().(*zstd.Encoder)
	e.Reset(&out)
	_, err1 := e.Write(prefix)
	err2 := e.Flush()
	_, err3 := e.Write(raw)
	err := errors.Join(err1, err2, err3, e.Close())
	e.Reset(nil)
	c.encoders.Put(e)
	if err != nil || out.Len() >= len(prefix)+len(raw) {
		return codecRaw, storedBody(meta, raw)
	}
	return c.codec, out.Bytes()
}

// storedBody returns u32 len(meta) || meta || raw: the body of codec 0.
func storedBody(meta, raw []byte) []byte {
	b := make([]byte, 0, 4+len(meta)+len(raw))
	b = binary.BigEndian.AppendUint32(b, uint32(len(meta)))
	b = append(b, meta...)
	return append(b, raw...)
}

// inflate decompresses a whole body behind what is in buf.
func (c *coder) inflate(buf, body []byte) ([]byte, error) {
	d := c.decoders.Get().(*zstd.Decoder)
	defer c.decoders.Put(d)
	inside, err := d.DecodeAll(body, buf)
	if err != nil {
		return nil, fmt.Errorf("body does not decompress: %w", err)
	}
	return inside, nil
}
