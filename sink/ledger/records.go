package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// Records returns the records that begin at or behind from, in order, up to
// the Size at the time of the call. Each header is checked against its CRC and
// the chain of leaf hashes, each metadata and event against its commitment;
// bodies of messages are not read. Of an erased record no more is known than
// that it is one. An error is the last pair and names the
// place: mail.Corrupt, mail.Temporary if reading failed, or that of ctx.
func (v *view) Records(ctx context.Context, from uint64) iter.Seq2[mail.Record, error] {
	limit := v.Size()
	return func(yield func(mail.Record, error) bool) {
		r := walk{view: v, chain: chain{stream: v.stream, seq: from}, limit: limit, yield: yield}
		if from == 0 {
			r.chain.known = true
		}
		for r.chain.seq < limit && !r.stop {
			if err := r.segment(ctx); err != nil {
				yield(mail.Record{}, err)
				return
			}
		}
	}
}

// A walk goes over the records of a ledger in order.
type walk struct {
	*view
	chain chain // its tree is not kept
	limit uint64
	yield func(mail.Record, error) bool
	stop  bool
	group *mail.Record // a large message whose last chunk is to come
}

// segment walks from chain.seq to the end of the segment that holds it.
func (r *walk) segment(ctx context.Context) error {
	p, err := r.locate(r.chain.seq)
	if err != nil {
		if mail.KindOf(err) == mail.NotFound {
			return corrupt("behind the last known", 0, r.chain.seq, errors.New("record is missing"))
		}
		return err
	}
	defer p.release()
	w := newWindow(p.f)
	for first := true; r.chain.seq < r.limit && !r.stop; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		seq := r.chain.seq
		h, leaf, err := w.header(p.off)
		if err == nil {
			if first {
				r.chain.number = h.segment
			}
			err = r.chain.check(&h)
		}
		if err == nil {
			err = r.record(ctx, w, p, &h)
		}
		if err != nil {
			return r.fault(p.seg.name(), p.off, seq, err)
		}
		r.advance(&h, leaf)
		p.off += int64(h.frameLen)
		if h.typ == typeSeal {
			return nil
		}
	}
	return nil
}

// advance goes behind a record; unlike chain.add it keeps no tree.
func (r *walk) advance(h *header, leaf hash32) {
	r.chain.seq, r.chain.prev, r.chain.known, r.chain.time = h.seq+1, leaf, true, h.time
}

// record hands out the record that ends with h, if one does.
func (r *walk) record(ctx context.Context, w *window, p place, h *header) error {
	switch h.typ {
	case typeChunk:
		if r.group != nil && r.group.ID.Seq == h.firstSeq && h.completes() {
			r.hand(*r.group, h.seq+1)
		}
		return nil
	case typeMessage, typeReference, typeEvent:
		rec, err := r.open(ctx, w, p, h)
		if err != nil {
			return err
		}
		if r.group = nil; h.completes() {
			r.hand(rec, h.seq+1)
		} else {
			r.group = &rec
		}
	}
	return nil
}

func (r *walk) hand(rec mail.Record, next uint64) {
	rec.Next = next
	r.group = nil
	r.stop = !r.yield(rec, nil)
}

// open reads what followers get to see of a record.
func (r *walk) open(ctx context.Context, w *window, p place, h *header) (mail.Record, error) {
	rec := mail.Record{
		ID: mail.ID{Partition: r.partition, Seq: h.seq}, Kind: mail.RecordKind(h.typ),
		Time: time.Unix(0, h.time).UTC(), Segment: h.segment,
	}
	var err error
	if h.typ == typeEvent {
		rec.Event, err = readEvent(ctx, w, p, h)
	} else {
		var m meta
		m, err = readMeta(ctx, w, p, h)
		rec.Delivery, rec.Again = m.Delivery, m.Again
		if m.Of != nil {
			rec.Of = *m.Of
		}
	}
	if isErased(err) {
		rec.Erased, err = true, nil
	}
	return rec, err
}

func readEvent(ctx context.Context, w *window, p place, h *header) (*mail.Event, error) {
	d, err := readBody(ctx, w, p, h)
	if err != nil {
		return nil, err
	}
	e := new(mail.Event)
	return e, json.Unmarshal(d.raw, e)
}
