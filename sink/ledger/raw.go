package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/mailkeep/mailkeep/mail"
)

// Raw opens the bytes of a message, or of the message that a reference points
// at. All of them are compared with the hashes and the commitment of the
// record before Raw returns, and again when they are read, so that a Raw of
// any size takes the memory of one chunk. It returns a mail.NotFound error if
// id is not a message or reference below Size, and a mail.Corrupt one that
// names the place if a byte is not what was written.
func (v *view) Raw(ctx context.Context, id mail.ID) (mail.Raw, error) {
	m, err := v.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if m.typ != typeReference {
		return v.openRaw(ctx, m)
	}
	if m.meta.Of == nil {
		return nil, corrupt(m.segment, m.off, id.Seq, errors.New("reference points nowhere"))
	}
	target, err := v.find(ctx, *m.meta.Of)
	if err != nil {
		return nil, fmt.Errorf("reference %s: %w", id, err)
	}
	if target.typ != typeMessage || target.meta.Fingerprint.Digest != m.meta.Digest || target.meta.Size != m.meta.Size {
		return nil, corrupt(m.segment, m.off, id.Seq, fmt.Errorf("reference points at %s, which is not its message", *m.meta.Of))
	}
	return v.openRaw(ctx, target)
}

// errAbandoned says that the chunk that is due was never written.
var errAbandoned = errors.New("record is not the chunk that is due")

// A message is a record that was found by its id: its header and metadata.
type message struct {
	header
	meta    meta
	segment string
	off     int64
	read    *window // what was read of it
}

// find reads the header and metadata of a message or reference.
func (v *view) find(ctx context.Context, id mail.ID) (message, error) {
	var m message
	if err := ctx.Err(); err != nil {
		return m, err
	}
	if id.Partition != v.partition || id.Seq >= v.Size() {
		return m, mail.Errorf(mail.NotFound, "the ledger has no message %s", id)
	}
	p, err := v.locate(id.Seq)
	if err != nil {
		return m, err
	}
	defer p.release()
	w := p.window()
	m.segment, m.off, m.read = p.seg.name(), p.off, w
	if m.header, err = v.header(w, p, id.Seq); err != nil {
		return m, err
	}
	if m.typ != typeMessage && m.typ != typeReference {
		return m, mail.Errorf(mail.NotFound, "record %s is not a message", id)
	}
	if m.meta, err = readMeta(ctx, w, p, &m.header); err != nil {
		return m, v.fault(m.segment, m.off, id.Seq, err)
	}
	return m, nil
}

// readMeta reads the metadata of a message or reference, and compares what it
// says of the message with the commitment of a single record.
func readMeta(ctx context.Context, w *window, p place, h *header) (meta, error) {
	open, err := p.means(ctx, h)
	if err != nil {
		return meta{}, err
	}
	b, key, err := w.note(p.off, h, open)
	if err != nil {
		return meta{}, err
	}
	m, err := parseMeta(b)
	if err == nil && h.completes() && key.content(m.Digest, uint64(m.Size)) != h.cmt {
		err = errors.New("digest does not match its commitment")
	}
	return m, err
}

// openRaw verifies the whole message and returns it.
func (v *view) openRaw(ctx context.Context, m message) (mail.Raw, error) {
	r := &raw{view: v, first: m.seq, size: m.meta.Size, last: -1, read: m.read}
	whole := sha256.New()
	var at int64
	for i := 0; ; i++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h, key, err := r.load(ctx, i)
		if errors.Is(err, errAbandoned) {
			return nil, mail.Errorf(mail.NotFound, "message %d was never sealed whole", m.seq)
		}
		if err != nil {
			return nil, err
		}
		at += int64(len(r.data))
		last := h.flags&flagLast != 0
		if i == 0 && last {
			// The commitment of a single record is to the digest of all the bytes:
			// load has compared it with them, and find with the metadata.
			if h.cmt == m.cmt && at == m.meta.Size {
				return r, nil
			}
			return nil, m.mismatch()
		}
		whole.Write(r.data)
		if !last && len(r.data) == ChunkSize {
			continue
		}
		digest := mail.Digest(whole.Sum(nil))
		if !last || digest != m.meta.Digest || at != m.meta.Size || key.content(digest, uint64(at)) != h.cmt {
			return nil, m.mismatch()
		}
		return r, nil
	}
}

func (m message) mismatch() error {
	return corrupt(m.segment, m.off, m.seq, errors.New("message does not match its digest"))
}

// A raw reads a message chunk by chunk and keeps the last one.
type raw struct {
	view  *view
	first uint64
	size  int64

	mu     sync.Mutex
	read   *window // of the first record; nil once it was used
	last   int     // index of the chunk in data
	data   []byte
	closed bool
}

// Size implements mail.Raw.
func (r *raw) Size() int64 { return r.size }

// Close implements mail.Raw.
func (r *raw) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed, r.data, r.last = true, nil, -1
	return nil
}

// ReadAt implements mail.Raw.
func (r *raw) ReadAt(p []byte, off int64) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, mail.Errorf(mail.Invalid, "message is closed")
	}
	if off < 0 {
		return 0, mail.Errorf(mail.Invalid, "negative offset")
	}
	for n < len(p) {
		at := off + int64(n)
		if at >= r.size {
			return n, io.EOF
		}
		if chunk := int(at / ChunkSize); chunk != r.last {
			// The keys were loaded when the message was opened; if it takes longer
			// than they are kept, reading them again is as short as reading this.
			if _, _, err := r.load(context.Background(), chunk); err != nil {
				return n, err
			}
		}
		rest := r.data[min(at%ChunkSize, int64(len(r.data))):]
		if len(rest) == 0 {
			return n, mail.Errorf(mail.Corrupt, "message %d has changed while it was read", r.first)
		}
		n += copy(p[n:], rest)
	}
	return n, nil
}

// load reads and verifies a chunk. Called with mu held, or before r is shared.
func (r *raw) load(ctx context.Context, chunk int) (header, commitKey, error) {
	r.last, r.data = -1, nil
	seq := r.first + uint64(chunk)
	p, err := r.view.locate(seq)
	if err != nil {
		return header{}, commitKey{}, err
	}
	defer p.release()
	w := p.window()
	if chunk == 0 && r.read != nil && r.read.covers(p.off, max(p.len, headerSize)) {
		w = &window{f: p.f, ahead: w.ahead, buf: r.read.buf, at: r.read.at}
	}
	r.read = nil
	h, err := r.view.header(w, p, seq)
	if err != nil {
		return h, commitKey{}, err
	}
	if h.firstSeq != r.first || (h.typ != typeChunk) == (chunk > 0) || h.typ != typeChunk && h.typ != typeMessage {
		return h, commitKey{}, errAbandoned
	}
	d, err := readBody(ctx, w, p, &h)
	if err == nil && h.flags&flagLast == 0 && len(d.raw) != ChunkSize {
		err = fmt.Errorf("chunk has %d octets", len(d.raw))
	}
	if err != nil {
		return h, commitKey{}, r.view.fault(p.seg.name(), p.off, seq, err)
	}
	r.last, r.data = chunk, d.raw
	return h, d.key, nil
}

// readBody reads a whole body, and compares it with all that its header says.
func readBody(ctx context.Context, w *window, p place, h *header) (decoded, error) {
	open, err := p.means(ctx, h)
	if err != nil {
		return decoded{}, err
	}
	body, err := w.body(p.off, h)
	if err != nil {
		return decoded{}, err
	}
	d, err := open.decode(new(scratch), h, body)
	if err == nil {
		err = h.checkContent(d)
	}
	return d, err
}
