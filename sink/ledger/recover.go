package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/mailkeep/mailkeep/internal/durable"
)

// recover brings the directory into a state that can be appended to: every
// segment sealed. It is run by Open, and with the octets of the open segment
// that are known to be synced (known >= 0) after a failure in this process.
// It may itself be cut off anywhere and be run again.
func (l *Ledger) recover(known int64) error {
	dir, err := list(l.fs)
	if err != nil {
		return err
	}
	for _, name := range dir.recover {
		if err := l.fs.Remove(name); err != nil {
			return err
		}
	}
	r := recovery{Ledger: l, chain: newChain(l.stream)}
	if err := r.load(dir.sealed); err != nil {
		return err
	}
	if l.opts.SealEach {
		if err := l.discard(dir.open); err != nil {
			return err
		}
		dir.open = nil
	}
	for _, first := range dir.open {
		limit := int64(-1)
		if l.seg != nil && l.seg.first == first {
			limit = known
		}
		if err := r.settle(first, limit); err != nil {
			return err
		}
	}
	if need := max(l.opts.Known, l.Size()); r.chain.visible < need {
		return r.shrunk(need)
	}
	l.seg, l.chain = nil, r.chain
	l.synced = synced{chain: r.chain.clone()}
	l.set(r.segs, r.chain.visible)
	return nil
}

// A recovery goes over the segments of a ledger in order.
type recovery struct {
	*Ledger
	chain chain
	segs  []segment
}

// load takes over the sealed segments. Only the last is looked into.
func (r *recovery) load(sealed []uint64) error {
	for _, first := range sealed {
		r.files.forget(first) // it may be the copy of what is open in the cache
		r.segs = append(r.segs, segment{first: first})
	}
	if len(sealed) == 0 {
		return nil
	}
	last := r.segs[len(r.segs)-1]
	h, err := r.files.acquire(last.first, last.name())
	if err != nil {
		return err
	}
	defer h.release()
	_, end, err := h.sealed()
	if err != nil {
		return err
	}
	if end.stream != r.stream {
		return corrupt(last.name(), 0, last.first, fmt.Errorf("it belongs to another archive or partition: stream %x, not %x", end.stream, r.stream))
	}
	r.chain = end.clone()
	r.chain.visible, err = r.lastVisible(r.segs)
	return err
}

// settle replaces an open segment by a sealed copy of its good prefix.
func (r *recovery) settle(first uint64, limit int64) error {
	name := openName(first)
	if slices.ContainsFunc(r.segs, func(s segment) bool { return s.first == first }) {
		return r.leftover(first)
	}
	if first != r.chain.seq {
		return corrupt(name, 0, first, fmt.Errorf("the segment before ends with record %d", r.chain.seq))
	}
	f, err := r.fs.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s, err := r.examine(f, name, info.Size(), limit)
	if err != nil {
		return err
	}
	// Nothing was changed up to here.
	torn := info.Size() - s.off
	if torn > 0 {
		r.log.Warn("a segment has a torn tail", slog.String("segment", name), slog.Int64("offset", s.off),
			slog.Int64("octets", torn), slog.Any("why", s.fault), slog.Bool("after_failure", limit >= 0))
	}
	if len(s.offsets) > 0 {
		if err := r.rebuild(f, s, first, torn); err != nil {
			return err
		}
		r.segs = append(r.segs, segment{first: first})
		r.files.forget(first)
		r.chain = s.chain
	}
	// If we die here, the sealed copy and the original are both there, and
	// leftover comes to the same end.
	return r.clear(name, torn > 0)
}

// examine finds the good prefix. Behind limit, if it is not negative, nothing
// is good; before it everything must be.
func (r *recovery) examine(f durable.File, name string, size, limit int64) (*scan, error) {
	end := size
	if limit >= 0 {
		end = min(end, limit)
	}
	s := &scan{chain: r.chain.clone()}
	s.chain.number++
	if err := s.resume(f, end); err != nil {
		return nil, err
	}
	if limit >= 0 && s.off != limit {
		return nil, corrupt(name, s.off, s.chain.seq, fmt.Errorf("synced octets do not read back: %w", orCut(s.fault)))
	}
	if s.fault != nil {
		behind, ok, err := s.behind(f, size)
		if err != nil {
			return nil, err
		}
		if ok {
			return nil, corrupt(name, s.off, s.chain.seq,
				fmt.Errorf("%w, and record %d at offset %d shows that it was durable", s.fault, behind.head.seq, behind.off))
		}
	}
	if need := max(r.opts.Known, r.Size()); s.chain.visible < need {
		return nil, r.shrunk(need)
	}
	return s, nil
}

func orCut(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// behind looks for a record behind a fault that was written after a sync.
func (s *scan) behind(f durable.File, size int64) (found, bool, error) {
	from := s.off + frameAlign
	h, _, err := newGlance(f).header(s.off)
	if err == nil && s.chain.check(&h) == nil {
		from = s.off + int64(h.frameLen) // what is in a body is no record
	}
	return search(f, from, size, s.chain.stream, func(h *header) bool {
		return h.flags&flagCommit != 0 && h.seq > s.chain.seq
	})
}

func (r *recovery) shrunk(need uint64) error {
	return corrupt("behind the last good one", 0, need,
		fmt.Errorf("records up to this one were durable once, the ledger now ends before"))
}

// rebuild writes the good prefix and a seal into a fresh file: what the page
// cache shows of the old one may never have reached the disk.
func (r *recovery) rebuild(f durable.File, s *scan, first uint64, torn int64) error {
	name := recoverName(first)
	seg, err := createSegment(r.fs, name, first)
	if err != nil {
		return err
	}
	err = r.copyAndSeal(seg, f, s, torn)
	if cerr := seg.f.Close(); err == nil {
		err = cerr
	}
	// If we die here, the next recovery removes the copy and begins again.
	if err == nil {
		err = publish(r.fs, name, first)
	}
	if err != nil {
		_ = r.fs.Remove(name) // gives the space back; the next recovery does it too
	}
	return err
}

func (r *recovery) copyAndSeal(seg *segmentFile, f durable.File, s *scan, torn int64) error {
	w := newWindow(f)
	for off := int64(0); off < s.off; {
		b, err := w.read(off, int(min(windowSize, s.off-off)))
		if err != nil {
			return err
		}
		if err := seg.write(b); err != nil {
			return err
		}
		off += int64(len(b))
	}
	if s.sealed {
		return seg.sync()
	}
	seg.off, seg.offsets = s.off, s.offsets
	return seg.seal(&s.chain, sealNote{Why: "recovery", Torn: torn}, r.opts.Now)
}

// leftover handles an open segment that has a sealed one of the same name: a
// crash came between the link and the removal.
func (r *recovery) leftover(first uint64) error {
	// The link may not be durable yet. Directories are metadata: if writing
	// them back had failed, the file system would refuse all that follows.
	if err := r.fs.SyncDir("."); err != nil {
		return err
	}
	same, err := samePrefix(r.fs, openName(first), sealedName(first))
	if err != nil {
		return err
	}
	return r.clear(openName(first), !same)
}

// clear removes an open segment whose records are all sealed elsewhere, or
// sets it aside if it has more.
func (r *recovery) clear(name string, keep bool) error {
	if keep {
		aside, err := setAside(r.fs, name)
		if err != nil {
			return err
		}
		r.log.Warn("a segment was set aside", slog.String("segment", name), slog.String("aside", aside))
	} else if err := r.fs.Remove(name); err != nil {
		return err
	}
	return r.fs.SyncDir(".")
}

// samePrefix reports whether the file a holds nothing that b does not begin
// with.
func samePrefix(fsys durable.FS, a, b string) (bool, error) {
	fa, err := fsys.Open(a)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := fsys.Open(b)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	info, err := fa.Stat()
	if err != nil {
		return false, err
	}
	wa, wb := newWindow(fa), newWindow(fb)
	for off := int64(0); off < info.Size(); {
		n := int(min(windowSize, info.Size()-off))
		pa, err := wa.read(off, n)
		if err != nil {
			return false, err
		}
		pb, err := wb.read(off, n)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return false, err
		}
		if !bytes.Equal(pa, pb) {
			return false, nil
		}
		off += int64(n)
	}
	return true, nil
}
