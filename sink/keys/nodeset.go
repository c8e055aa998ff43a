package keys

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// nodeSize is a node on disk: u8 depth, u16 first leaf, 32 octets.
const nodeSize = 1 + 2 + 32

// maxNodes is the most that punctures can leave: every second leaf.
const maxNodes = Leaves / 2

var errNodeSet = errors.New("the node set is not well formed")

// appendTo appends u32 count and the nodes in the order of their leaves.
func (t *Tree) appendTo(b []byte) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	b = binary.BigEndian.AppendUint32(b, uint32(len(t.nodes)))
	for i := range t.nodes {
		n := &t.nodes[i]
		b = append(b, n.depth)
		b = binary.BigEndian.AppendUint16(b, uint16(n.first))
		b = append(b, n.secret[:]...)
	}
	return b
}

// size returns how many octets appendTo appends.
func (t *Tree) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return 4 + nodeSize*len(t.nodes)
}

// parseTree reads what appendTo has written, and nothing else: nodes that
// overlap, are out of order or begin inside another subtree are refused.
func parseTree(b []byte) (*Tree, error) {
	if len(b) < 4 {
		return nil, errNodeSet
	}
	n := binary.BigEndian.Uint32(b)
	b = b[4:]
	if n > maxNodes || len(b) != int(n)*nodeSize {
		return nil, fmt.Errorf("%w: %d octets for %d nodes", errNodeSet, len(b), n)
	}
	t := &Tree{nodes: make([]node, n)}
	free := uint32(0) // the first leaf that no node covers
	for i := range t.nodes {
		at := &t.nodes[i]
		at.depth, at.first = b[0], uint32(binary.BigEndian.Uint16(b[1:]))
		if at.depth > Depth || at.first%(1<<(Depth-at.depth)) != 0 || at.first < free {
			t.Wipe()
			return nil, fmt.Errorf("%w: node %d", errNodeSet, i)
		}
		copy(at.secret[:], b[3:nodeSize])
		free, b = at.end(), b[nodeSize:]
	}
	return t, nil
}
