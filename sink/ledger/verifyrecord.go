package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/mailkeep/mailkeep/mail"
)

// record verifies what a good frame holds.
func (v *verifier) record(ctx context.Context, e *examined) {
	h := &e.head
	if e.content != nil {
		v.here(FoundContent, e.content)
		v.spoil(h)
		return
	}
	if h.typ != typeChunk {
		v.abandon()
	}
	switch h.typ {
	case typeSeal:
		v.seal(h, e.raw)
	case typeMessage:
		v.message(e)
	case typeChunk:
		v.chunk(e)
	case typeReference:
		v.reference(ctx, e)
	case typeEvent:
		v.event(e)
	}
}

// message verifies a message, or begins the group of a large one.
func (v *verifier) message(e *examined) {
	h := &e.head
	if e.noteErr != nil {
		v.here(FoundContent, e.noteErr)
		return
	}
	if h.flags&flagLast != 0 {
		v.whole(e.note, e.digest, uint64(len(e.raw)), e)
		return
	}
	v.group = group{head: *h, off: v.off, sum: sha256.New(), size: uint64(len(e.raw)), meta: e.note, intact: true, any: true}
	v.group.sum.Write(e.raw)
}

func (v *verifier) whole(m meta, digest mail.Digest, size uint64, e *examined) {
	if m.Digest != digest || uint64(m.Size) != size || e.key.content(digest, size) != e.head.cmt {
		v.here(FoundContent, fmt.Errorf("message is %.12s with %d octets, its delivery says %s", digest, size, m.Fingerprint))
		return
	}
	v.report.Messages++
}

// chunk verifies a further chunk of a large message.
func (v *verifier) chunk(e *examined) {
	h, g := &e.head, &v.group
	if !g.any || g.head.seq != h.firstSeq {
		if h.firstSeq >= v.lost {
			v.here(FoundChain, fmt.Errorf("chunk belongs to record %d, which is not before it", h.firstSeq))
		}
		return
	}
	g.sum.Write(e.raw)
	g.size += uint64(len(e.raw))
	if h.flags&flagLast == 0 {
		return
	}
	if g.intact {
		v.whole(g.meta, mail.Digest(g.sum.Sum(nil)), g.size, e)
	}
	g.any = false
}

// abandon notes a group that something else follows.
func (v *verifier) abandon() {
	if v.group.any && v.group.intact {
		v.find(v.seg.name(), v.group.off, v.group.head.seq, FoundAbandoned, errors.New("large message was not completed"))
	}
	v.group = group{}
}

// reference verifies that the target is the message that the reference says.
func (v *verifier) reference(ctx context.Context, e *examined) {
	h, m := &e.head, e.note
	switch {
	case e.noteErr != nil:
		v.here(FoundContent, e.noteErr)
		return
	case e.key.content(m.Digest, uint64(m.Size)) != h.cmt:
		v.here(FoundContent, errors.New("digest does not match its commitment"))
		return
	case m.Of == nil || m.Of.Seq >= h.seq:
		v.here(FoundReference, errors.New("reference points nowhere"))
		return
	}
	if err := v.target(ctx, m); err != nil {
		v.here(FoundReference, fmt.Errorf("message %s: %w", *m.Of, err))
		return
	}
	v.report.Messages++
}

// target says whether a reference points at another message than it says. What
// is damaged in the target, or on the way to it, is found where it is.
func (v *verifier) target(ctx context.Context, ref meta) error {
	p, err := v.place(ref.Of.Seq)
	if err != nil {
		if v.report.Damaged > 0 {
			return nil
		}
		return err
	}
	defer p.release()
	w := newGlance(p.f)
	h, err := v.view.header(w, p, ref.Of.Seq)
	if err != nil {
		return nil
	}
	open, err := p.means(ctx, &h)
	if err != nil {
		return nil
	}
	b, _, err := w.note(p.off, &h, open)
	if err != nil {
		return nil // erased, too
	}
	m, err := parseMeta(b)
	if err != nil || h.typ != typeMessage || m.Digest != ref.Digest || m.Size != ref.Size {
		return errors.New("it is not the one that the reference says")
	}
	return nil
}

// place finds a record that is behind us, in this segment or one before.
func (v *verifier) place(seq uint64) (place, error) {
	if seq < v.seg.first {
		return v.view.locate(seq)
	}
	i, ok := slices.BinarySearch(v.seqs, seq)
	if !ok {
		return place{}, missing(seq)
	}
	h, err := v.view.files.acquire(v.seg.first, v.seg.name())
	if err != nil {
		return place{}, err
	}
	return place{handle: h, seg: v.seg, off: int64(v.offsets[i])}, nil
}

// seal compares the seal with what was read, and ends the segment.
func (v *verifier) seal(h *header, raw []byte) {
	v.ended = true
	s, err := parseSeal(raw)
	if err == nil {
		err = v.checkSeal(s, h)
	}
	if err != nil {
		v.here(FoundSeal, err)
	}
	if end := v.off + int64(h.frameLen); err == nil {
		tail, _ := v.w.read(end, tailSize)
		if off, ok := parseTail(tail); !ok || off != v.off || end+tailSize != v.size {
			v.here(FoundSeal, errors.New("file does not end with the tail of its seal"))
		}
		if !v.rooted { // go on with the tree of the seal
			v.chain.tree = tree{size: s.size, peaks: slices.Clone(s.peaks)}
			v.rooted = true
		}
	}
}

func (v *verifier) checkSeal(s *seal, h *header) error {
	var sum hash32
	v.sum.Sum(sum[:0])
	switch {
	case s.size != h.seq || h.seq-uint64(len(s.offsets)) != v.seg.first:
		return fmt.Errorf("seal of %d records up to %d is of another segment", len(s.offsets), s.size)
	case v.damaged:
		return nil // the rest says no more than was found
	case v.opts.Depth == DepthContent && !bytes.Equal(sum[:], s.sum[:]):
		return errors.New("file does not match the SHA-256 of its seal")
	case !slices.Equal(s.offsets, v.offsets):
		return errors.New("offsets of the seal are not those of the records")
	case v.rooted && v.chain.tree.root() != s.root:
		return errors.New("tree does not have the root of the seal")
	}
	return nil
}
