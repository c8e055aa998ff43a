package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mailkeep/mailkeep/internal/durable"
)

// A Depth says how much of each record a verification looks at. Whatever is
// found at one depth is found at every deeper one.
type Depth uint8

// The depths, the deepest first.
const (
	// DepthContent decodes each body and compares it with the commitments.
	DepthContent Depth = iota
	// DepthBodies reads every octet and compares each body with the SHA-256 in its
	// header. No key is needed. It runs at about the speed of SHA-256.
	DepthBodies
	// DepthChain reads every header: checksums, order, chain and Merkle root. Of
	// bodies it reads those of seals.
	DepthChain
	// DepthStructure reads the first header and the seal of each segment: that all
	// segments are there, and follow each other.
	DepthStructure
)

// covers reports whether the body of a record is looked at.
func (d Depth) covers(h *header) bool { return d <= DepthBodies || h.typ == typeSeal }

// decodes reports whether the body of a record is decoded.
func (d Depth) decodes(h *header) bool { return d == DepthContent || h.typ == typeSeal }

// skim passes a record that is good as far as the depth goes.
func (v *verifier) skim(h *header) {
	if h.completes() && h.typ != typeEvent {
		v.report.Messages++
	}
}

// structure looks at the ends of each segment.
func (v *verifier) structure(ctx context.Context, segs []segment) error {
	for _, seg := range segs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.ends(seg); err != nil {
			return fmt.Errorf("verify %s: %w", seg.name(), err)
		}
	}
	return nil
}

// ends verifies the first header and the seal of one segment.
func (v *verifier) ends(seg segment) error {
	f, err := v.view.fs.Open(seg.name())
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	v.seg, v.off, v.size, v.ended = seg, 0, info.Size(), false
	v.report.Segments++
	v.enter()
	if err := v.first(f); err != nil {
		return err
	}
	if seg.open {
		v.ended = true
		return nil
	}
	return v.last(f)
}

// first verifies the record that begins the segment.
func (v *verifier) first(f durable.File) error {
	h, _, err := newGlance(f).header(0)
	if isReadError(err) {
		return err
	}
	if err == nil {
		v.learn(&h)
		err = v.chain.check(&h)
	}
	if err == nil && h.typ != typeOpen {
		err = errors.New("segment does not begin with its open record")
	}
	if err != nil {
		v.here(FoundChain, err)
	}
	return nil
}

// last verifies the seal, and takes the chain behind it.
func (v *verifier) last(f durable.File) error {
	s, end, err := readEnd(f, v.seg.first)
	if isReadError(err) {
		return err
	}
	if err != nil {
		v.here(FoundSeal, err)
		v.noSeal, v.chain.known, v.rooted = true, false, false
		return nil
	}
	if end.stream != v.chain.stream {
		v.here(FoundChain, fmt.Errorf("segment is of the stream %x, not %x", end.stream, v.chain.stream))
	}
	v.chain, v.rooted = end.clone(), true
	v.report.Records += uint64(len(s.offsets)) + 1
	v.report.Octets += v.size
	return nil
}

// readEnd is loadSeal with a failure of the medium told apart.
func readEnd(f durable.File, first uint64) (*seal, chain, error) {
	if _, err := f.Stat(); err != nil {
		return nil, chain{}, &readError{err}
	}
	return loadSeal(f, first)
}

// begin makes the state in front of the segment that the verification begins
// with.
func (v *verifier) begin(segs []segment) ([]segment, error) {
	if v.opts.From == 0 {
		return segs, nil
	}
	i, ok := slices.BinarySearchFunc(segs, v.opts.From, func(s segment, first uint64) int { return cmp.Compare(s.first, first) })
	if !ok {
		return nil, missing(v.opts.From)
	}
	v.chain.seq, v.chain.known, v.chain.number, v.rooted = v.opts.From, false, 0, false
	if i == 0 {
		return segs, nil
	}
	h, err := v.view.acquire(segs[i-1])
	if err != nil {
		return nil, err
	}
	defer h.release()
	if _, end, err := h.sealed(); err == nil && end.seq == v.opts.From {
		v.chain, v.rooted = end.clone(), true
	}
	return segs[i:], nil
}

// reach is how many octets will be read.
func (v *verifier) reach(segs []segment) (total int64) {
	for _, s := range segs {
		if v.opts.Durable > 0 && s.first >= v.opts.Durable {
			break
		}
		if info, err := v.view.fs.Stat(s.name()); err == nil {
			total += info.Size()
		}
	}
	return total
}
