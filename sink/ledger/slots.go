package ledger

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailkeep/mailkeep/sink/keys"
)

// parallelOctets is from how many octets of bodies on it pays to share the work
// of encrypting them among the processors.
const parallelOctets = 32 << 10

// A slot is a record that has its place in a segment: its header is complete
// but for what the record before decides.
type slot struct {
	entry *Entry
	head  header
	at    int // of its frame, in the buffer of the segment
}

// add appends one record, whose header says more than its entry.
func (s *segmentFile) add(c *chain, e *Entry, h header, now func() time.Time) (header, error) {
	slots := []slot{{entry: e, head: h}}
	err := s.addAll(c, slots, now)
	return slots[0].head, err
}

// addAll appends records and completes their headers.
func (s *segmentFile) addAll(c *chain, slots []slot, now func() time.Time) error {
	s.place(c, slots, now)
	if err := s.fill(slots); err != nil {
		return err
	}
	for i := range slots {
		s.link(c, &slots[i])
	}
	if len(s.buf) >= writeSize {
		return s.flush()
	}
	return nil
}

// place decides where the records are and all that follows from it, and makes
// room for them in the buffer.
func (s *segmentFile) place(c *chain, slots []slot, now func() time.Time) {
	end, last := len(s.buf), c.time
	for i := range slots {
		p, h := &slots[i], &slots[i].head
		h.stream, h.segment, h.seq = c.stream, c.number, c.seq+uint64(i)
		h.firstSeq = h.seq - uint64(h.chunk)
		if h.time = now().UnixNano(); h.time < last {
			h.time, h.flags = last, h.flags|flagClamped
		}
		last = h.time
		tree := s.treeFor(h)
		if tree != nil {
			h.cipher, h.key = cipherGCM, uint32(h.seq-s.first)
		}
		h.bodyLen = uint32(bodySize(tree, len(p.entry.body)))
		h.frameLen = frameLen(h.bodyLen)
		p.at, end = end, end+int(h.frameLen)
	}
	s.buf = slices.Grow(s.buf, end-len(s.buf))[:end]
}

// treeFor returns the keys of a record, nil if it is stored in the clear.
func (s *segmentFile) treeFor(h *header) *keys.Tree {
	if h.content() {
		return s.tree
	}
	return nil
}

// fill writes the bodies to their places, on all processors if they are to be
// encrypted and it pays.
func (s *segmentFile) fill(slots []slot) error {
	var octets int
	for i := range slots {
		octets += len(slots[i].entry.body)
	}
	workers := min(runtime.GOMAXPROCS(0), len(slots))
	if s.tree == nil || workers < 2 || octets < parallelOctets {
		for i := range slots {
			if err := s.encrypt(&slots[i]); err != nil {
				return err
			}
		}
		return nil
	}
	var next atomic.Int64
	var group sync.WaitGroup
	failed := make([]error, workers)
	for w := range workers {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(slots)) && failed[w] == nil; i = next.Add(1) - 1 {
				failed[w] = s.encrypt(&slots[i])
			}
		})
	}
	group.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *segmentFile) encrypt(p *slot) error {
	h := &p.head
	body := s.buf[p.at+headerSize : p.at+int(h.frameLen)]
	clear(body[h.bodyLen:])
	return p.entry.encrypt(s.treeFor(h), h, body[:h.bodyLen])
}

// link writes the header of the next record, which holds the leaf hash of the
// one before.
func (s *segmentFile) link(c *chain, p *slot) {
	h := &p.head
	h.prev = c.prev
	h.appendTo(s.buf[p.at:p.at])
	leaf := leafHash(s.buf[p.at:])
	s.offsets = append(s.offsets, uint64(s.off))
	s.off += int64(h.frameLen)
	c.add(h, leaf)
}
