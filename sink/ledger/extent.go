package ledger

import (
	"fmt"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// An Extent is a run of octets of a ledger that never changes any more: a sealed
// segment, or what is durable of the open one. Extents are what a copy of a
// ledger is made of.
type Extent struct {
	Name   string // of the file, in the directory of the ledger
	First  uint64 // number of its first record
	Next   uint64 // number behind its last one
	Octets int64  // from the start of the file
	Open   bool   // the file is the open segment, under the name that it had then
	// Sum is the SHA-256 that the seal tells of the first Covered octets; both are
	// zero for an open segment.
	Sum     mail.Digest
	Covered int64
}

// SealedName is the name that the segment has, or will have, once it is sealed.
func (e Extent) SealedName() string { return sealedName(e.First) }

// Extents returns, in order, the sealed segments and what the open one has of
// the records before until, which the caller knows to be durable. It is
// mail.Temporary if the Reader has not found so many records yet.
func (r *Reader) Extents(until uint64) ([]Extent, error) {
	r.renewing.Lock()
	defer r.renewing.Unlock()
	r.mu.RLock()
	segs := r.segs
	r.mu.RUnlock()
	out := make([]Extent, 0, len(segs))
	for _, seg := range segs {
		e, err := r.extent(seg, until)
		if err != nil {
			return nil, err
		}
		if e.Octets > 0 {
			out = append(out, e)
		}
	}
	if n := len(out); until > 0 && (n == 0 || out[n-1].Next < until) {
		return nil, mail.Errorf(mail.Temporary, "the ledger has not shown its records up to %d yet", until)
	}
	return out, nil
}

// extent is called with renewing held.
func (r *Reader) extent(seg segment, until uint64) (Extent, error) {
	if seg.open {
		return r.openExtent(seg, until), nil
	}
	h, err := r.acquire(seg)
	if err != nil {
		return Extent{}, fmt.Errorf("open segment %s: %w", seg.name(), err)
	}
	defer h.release()
	s, _, err := h.sealed()
	if err != nil {
		return Extent{}, err
	}
	info, err := h.f.Stat()
	if err != nil {
		return Extent{}, err
	}
	return Extent{
		Name: seg.name(), First: seg.first, Next: s.size + 1, Octets: info.Size(),
		Sum: mail.Digest(s.sum), Covered: s.at,
	}, nil
}

// openExtent ends behind the record before until: what follows may be a large
// message that is not complete, or not durable.
func (r *Reader) openExtent(seg segment, until uint64) Extent {
	if until <= seg.first {
		return Extent{}
	}
	e := Extent{Name: seg.name(), First: seg.first, Open: true}
	n := min(until-seg.first, uint64(len(seg.offsets)))
	e.Next, e.Octets = seg.first+n, r.tail.scan.off
	if n < uint64(len(seg.offsets)) {
		e.Octets = int64(seg.offsets[n])
	}
	return e
}

// A SegmentFile is a sealed segment as the directory shows it.
type SegmentFile struct {
	Name   string
	First  uint64 // number of its first record, from its name
	Octets int64
}

// SegmentFiles returns the sealed segments of the ledger in fsys, in order,
// without looking into them.
func SegmentFiles(fsys durable.FS) ([]SegmentFile, error) {
	dir, err := list(fsys)
	if err != nil {
		return nil, err
	}
	out := make([]SegmentFile, 0, len(dir.sealed))
	for _, first := range dir.sealed {
		info, err := fsys.Stat(sealedName(first))
		if err != nil {
			return nil, err
		}
		out = append(out, SegmentFile{sealedName(first), first, info.Size()})
	}
	return out, nil
}
