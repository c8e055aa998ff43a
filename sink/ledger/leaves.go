package ledger

import (
	"context"
	"errors"
	"iter"

	"github.com/mailkeep/mailkeep/mail"
)

// LeafSize is how many octets of a header are the leaf of its record in the
// Merkle tree.
const LeafSize = leafSize

// leafAhead is what is read at once where headers alone are wanted: bodies are
// larger than this, as a rule, and are passed over.
const leafAhead = 4 << 10

// Leaves returns the leaves of the records from to until-1, bookkeeping
// included, in order. A leaf is valid until the next one. Each header is
// checked against its CRC and the chain of leaf hashes; bodies are not read.
// The caller knows that so many records are there and durable: from Root, or
// because the ledger is closed. An error is the last pair and names the place:
// mail.Corrupt, mail.Temporary if reading failed, or that of ctx.
func (v *view) Leaves(ctx context.Context, from, until uint64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		r := leafWalk{view: v, chain: chain{stream: v.stream, seq: from, known: from == 0}, until: until, yield: yield}
		for r.chain.seq < until && !r.stop {
			if err := r.segment(ctx); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// A leafWalk goes over all headers of a ledger in order.
type leafWalk struct {
	*view
	chain chain // its tree is not kept
	until uint64
	yield func([]byte, error) bool
	stop  bool
}

// segment walks from chain.seq to the end of the segment that holds it.
func (r *leafWalk) segment(ctx context.Context) error {
	p, err := r.locate(r.chain.seq)
	if mail.KindOf(err) == mail.NotFound {
		return corrupt("behind the last known", 0, r.chain.seq, errors.New("record is missing"))
	}
	if err != nil {
		return err
	}
	defer p.release()
	w := &window{f: p.f, ahead: leafAhead}
	for first := true; r.chain.seq < r.until && !r.stop; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, leaf, err := w.header(p.off)
		if err == nil {
			if first {
				r.chain.number = h.segment
			}
			err = r.chain.check(&h)
		}
		if err != nil {
			return r.fault(p.seg.name(), p.off, r.chain.seq, err)
		}
		b, err := w.read(p.off, headerSize)
		if err != nil {
			return r.fault(p.seg.name(), p.off, r.chain.seq, &readError{err})
		}
		r.stop = !r.yield(b[:leafSize:leafSize], nil)
		r.chain.seq, r.chain.prev, r.chain.known, r.chain.time = h.seq+1, leaf, true, h.time
		p.off += int64(h.frameLen)
		if h.typ == typeSeal {
			return nil
		}
	}
	return nil
}

// Root returns the number of leaves of the Merkle tree and its root over all
// records that the Reader has found, bookkeeping included. They are durable if
// the ledger was closed without an error before the Reader last looked.
func (r *Reader) Root() (uint64, mail.Digest, error) {
	r.renewing.Lock()
	defer r.renewing.Unlock()
	if r.tail != nil {
		t := r.tail.scan.chain.tree
		return t.size, mail.Digest(t.root()), nil
	}
	r.mu.RLock()
	segs := r.segs
	r.mu.RUnlock()
	if len(segs) == 0 {
		t := tree{}
		return 0, mail.Digest(t.root()), nil
	}
	last := segs[len(segs)-1]
	h, err := r.files.acquire(last.first, last.name())
	if err != nil {
		return 0, mail.Digest{}, err
	}
	defer h.release()
	_, c, err := h.sealed()
	if err != nil {
		return 0, mail.Digest{}, err
	}
	return c.tree.size, mail.Digest(c.tree.root()), nil
}

// IsSeal reports whether a leaf is that of the record that ends a segment.
func IsSeal(leaf []byte) bool { return len(leaf) == LeafSize && recordType(leaf[4]) == typeSeal }
