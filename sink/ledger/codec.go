package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/mailkeep/mailkeep/sink/ledger/fold"
)

// A coder compresses and decompresses bodies, against a dictionary or none. It
// keeps its encoders, since each holds a window of half a megabyte. It may be
// used by many goroutines at once.
type coder struct {
	codec    uint8
	packers  sync.Pool // of *packer
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
	c.packers.New = func() any { return &packer{options: encoder} }
	c.decoders.New = func() any { return newDecoder(decoder) }
	c.streams.New = func() any { return newDecoder(decoder) }
	return c
}

// newEncoder compresses at the speed of the disk. With literals it also codes
// blocks in which nothing repeats.
func newEncoder(literals bool, o []zstd.EOption) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, append([]zstd.EOption{
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithAllLitEntropyCompression(literals),
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

// A packer is encoders and where they write to. It is one thing so that an
// encoder need not be told of each output, which against a dictionary means to
// copy its table once more.
type packer struct {
	options []zstd.EOption
	out     []byte

	// Base64 that cannot be folded, as it is in the midst of other text, shrinks by
	// entropy coding alone. Where all of it was folded, blocks in which nothing
	// repeats do not shrink: to try takes twice as long as all else.
	whole  *zstd.Encoder // nil until one is needed
	folded *zstd.Encoder // likewise
	folder fold.Folder
}

// encoder returns the encoder of content that was folded, or was not.
func (p *packer) encoder(folded bool) *zstd.Encoder {
	e := &p.whole
	if folded {
		e = &p.folded
	}
	if *e == nil {
		*e = newEncoder(!folded, p.options)
	}
	return *e
}

// Write implements io.Writer for the encoder.
func (p *packer) Write(b []byte) (int, error) {
	p.out = append(p.out, b...)
	return len(b), nil
}

// pack returns the zstd frame of all pieces, each of which ends a block. The frame
// tells its length, so that who reads it needs no room to spare. It is expected to
// have room octets or less.
func (p *packer) pack(e *zstd.Encoder, room int, pieces ...[]byte) ([]byte, error) {
	n := 0
	for _, b := range pieces {
		n += len(b)
	}
	p.out = make([]byte, 0, room)
	e.ResetContentSize(p, int64(n))
	var all error
	for i, b := range pieces {
		_, err := e.Write(b)
		if i < len(pieces)-1 {
			err = errors.Join(err, e.Flush())
		}
		all = errors.Join(all, err)
	}
	all = errors.Join(all, e.Close())
	out := p.out
	p.out = nil
	return out, all
}

// blockRoom is enough for the headers of all blocks of a body.
const blockRoom = 1 << 10

// keepFolded is how much memory of a folder is kept for the next body.
const keepFolded = 1 << 20

// encode returns codec(u32 len(meta) || meta || raw) and the codec, which is raw
// where zstd gains nothing. The metadata ends a block of the zstd frame, so that
// a reader can stop behind it. Base64 in raw is folded; what it encodes begins
// another block, since it has little in common with the text before.
func (c *coder) encode(meta, raw []byte) (uint8, []byte) {
	p := c.packers.Get().(*packer)
	codec, out, err := c.pack(p, storedBody(meta, nil), raw)
	if p.folder.Size() > keepFolded {
		p.folder = fold.Folder{}
	}
	c.packers.Put(p)
	if err != nil || len(out) >= 4+len(meta)+len(raw) {
		return codecRaw, storedBody(meta, raw)
	}
	return codec, out
}

func (c *coder) pack(p *packer, prefix, raw []byte) (codec uint8, out []byte, err error) {
	if head, payload, ok := p.folder.Fold(raw); ok {
		room := (len(prefix)+len(head))/2 + len(payload) + blockRoom // most attachments are compressed already
		out, err = p.pack(p.encoder(true), room, prefix, head, payload)
		return c.codec | codecFolded, out, err
	}
	out, err = p.pack(p.encoder(false), (len(prefix)+len(raw))/2, prefix, raw)
	return c.codec, out, err
}

// storedBody returns u32 len(meta) || meta || raw: the body of codec 0.
func storedBody(meta, raw []byte) []byte {
	b := make([]byte, 0, 4+len(meta)+len(raw))
	b = binary.BigEndian.AppendUint32(b, uint32(len(meta)))
	b = append(b, meta...)
	return append(b, raw...)
}

// fastRoom is the free room in a buffer that zstd wants, of a frame that does not
// tell its length, to decode by its assembly: a block, and some metadata. Frames
// that tell it want overRoom behind it.
const (
	fastRoom = 160 << 10
	overRoom = 16
)

// inflate decompresses a whole body, of n octets and some metadata, into buf or
// a longer buffer.
func (c *coder) inflate(buf, body []byte, n uint64) ([]byte, error) {
	d := c.decoders.Get().(*zstd.Decoder)
	defer c.decoders.Put(d)
	room := n + fastRoom
	var frame zstd.Header
	if err := frame.Decode(body); err == nil && frame.HasFCS {
		room = min(room, frame.FrameContentSize+overRoom)
	}
	inside, err := d.DecodeAll(body, slices.Grow(buf[:0], int(room)))
	if err != nil {
		return nil, fmt.Errorf("body does not decompress: %w", err)
	}
	return inside, nil
}
