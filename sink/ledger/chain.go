package ledger

import "fmt"

// A chain is what the next record must fit: the state of a ledger behind its
// last record.
type chain struct {
	stream  [16]byte
	number  uint32 // of the segment
	seq     uint64 // of the next record
	prev    hash32 // leaf hash of the record before
	known   bool   // prev is known; false behind damage
	time    int64
	tree    tree
	visible uint64 // behind the last complete group that followers see
}

func newChain(stream [16]byte) chain { return chain{stream: stream, known: true} }

func (c *chain) clone() chain {
	out := *c
	out.tree = c.tree.clone()
	return out
}

// check says what keeps a valid header from being the next record.
func (c *chain) check(h *header) error {
	switch {
	case h.stream != c.stream:
		return fmt.Errorf("record is of the stream %x, not %x", h.stream, c.stream)
	case h.seq != c.seq:
		return fmt.Errorf("record has the number %d", h.seq)
	case h.segment != c.number:
		return fmt.Errorf("record is of segment number %d, not %d", h.segment, c.number)
	case c.known && h.prev != c.prev:
		return fmt.Errorf("record does not continue the chain of leaf hashes")
	case h.time < c.time:
		return fmt.Errorf("record is older than the one before")
	}
	return nil
}

// add goes behind a record.
func (c *chain) add(h *header, leaf hash32) {
	c.tree.add(leaf)
	c.seq, c.prev, c.known, c.time = h.seq+1, leaf, true, h.time
	if h.completes() {
		c.visible = c.seq
	}
}
