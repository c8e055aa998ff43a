package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math/bits"
	"slices"
	"sync"

	"github.com/mailkeep/mailkeep/mail"
)

// The shape of a tree.
const (
	Depth  = 16         // of the leaves; the root has depth 0
	Leaves = 1 << Depth // records that a segment may have
)

// ErrErased is wrapped by the error of a key that was punctured. Its kind is
// mail.NotFound.
var ErrErased = errors.New("erased")

// A secret is the value of a node.
type secret = [sha256.Size]byte

// A node is what the leaves of a subtree are derived from.
type node struct {
	depth  uint8
	first  uint32 // the first leaf below it
	secret secret
}

// end returns the first leaf behind the subtree.
func (n *node) end() uint32 { return n.first + 1<<(Depth-n.depth) }

// children returns the two nodes below n, which is not a leaf.
func (n *node) children() (left, right node) {
	left = node{n.depth + 1, n.first, child(&n.secret, 0)}
	right = node{n.depth + 1, n.first + 1<<(Depth-n.depth-1), child(&n.secret, 1)}
	return left, right
}

const childTag = "mar1/ggm"

// child returns SHA-256("mar1/ggm" || parent || bit): one block of the hash.
func child(parent *secret, bit byte) secret {
	var b [len(childTag) + sha256.Size + 1]byte
	copy(b[:], childTag)
	copy(b[len(childTag):], parent[:])
	b[len(b)-1] = bit
	sum := sha256.Sum256(b[:])
	clear(b[:])
	return sum
}

// A Tree derives the keys of the records of one segment. It may be used by
// many goroutines at once. Sequential indices are cheapest: the path to the
// last leaf is kept.
type Tree struct {
	mu    sync.Mutex
	nodes []node // disjoint, in the order of their leaves

	// The path to leaf, from depth top, where the node lies that covers it.
	cached bool
	leaf   uint32
	top    uint8
	path   [Depth + 1]secret
}

// NewTree returns a tree of a fresh random secret, with nothing erased.
func NewTree() *Tree {
	t := &Tree{nodes: make([]node, 1)}
	rand.Read(t.nodes[0].secret[:]) //nolint:errcheck // it never fails
	return t
}

// Key returns the key of the record with index i in its segment; mail.NotFound
// wrapping ErrErased if it was punctured, mail.Invalid if i is not below Leaves.
func (t *Tree) Key(i uint32) (RecordKey, error) {
	if i >= Leaves {
		return RecordKey{}, mail.Errorf(mail.Invalid, "key %d: a segment has %d keys", i, Leaves)
	}
	leaf, ok := t.derive(i)
	if !ok {
		return RecordKey{}, mail.Errorf(mail.NotFound, "key %d: %w", i, ErrErased)
	}
	defer clear(leaf[:])
	return expand(&leaf)
}

// Erased reports whether the key with index i was punctured.
func (t *Tree) Erased(i uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return i < Leaves && t.covering(i) == nil
}

func (t *Tree) derive(i uint32) (secret, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.covering(i)
	if n == nil {
		return secret{}, false
	}
	d := int(n.depth)
	if t.cached && t.leaf >= n.first && t.leaf < n.end() {
		d = max(d, Depth-bits.Len32(t.leaf^i)) // where the two paths part
	} else {
		t.path[d] = n.secret
	}
	for ; d < Depth; d++ {
		t.path[d+1] = child(&t.path[d], byte(i>>(Depth-1-d)&1))
	}
	t.cached, t.leaf, t.top = true, i, n.depth
	return t.path[Depth], true
}

// covering returns the node above leaf i, or nil. Called with mu held.
func (t *Tree) covering(i uint32) *node {
	at, found := slices.BinarySearchFunc(t.nodes, i, func(n node, i uint32) int {
		switch {
		case n.end() <= i:
			return -1
		case n.first > i:
			return 1
		}
		return 0
	})
	if !found {
		return nil
	}
	return &t.nodes[at]
}

// Puncture makes the keys with these indices underivable. Indices that were
// punctured already are no error. k indices of n leaves leave at most some
// k*log2(n/k) nodes. It is done in memory only: see Erase.
func (t *Tree) Puncture(indices ...uint32) error {
	leaves := slices.Compact(slices.Sorted(slices.Values(indices)))
	if n := len(leaves); n > 0 && leaves[n-1] >= Leaves {
		return mail.Errorf(mail.Invalid, "erase key %d: a segment has %d keys", leaves[n-1], Leaves)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// With room for all, append leaves no copies behind that nobody clears.
	left := make([]node, 0, min(len(t.nodes)+Depth*len(leaves), Leaves))
	for i := range t.nodes {
		n := &t.nodes[i]
		from, _ := slices.BinarySearch(leaves, n.first)
		to, _ := slices.BinarySearch(leaves, n.end())
		left = split(left, n, leaves[from:to])
	}
	t.wipe()
	t.nodes = left
	return nil
}

// split appends the nodes below n, n included, that cover all of its leaves
// but these.
func split(out []node, n *node, leaves []uint32) []node {
	switch {
	case len(leaves) == 0:
		return append(out, *n)
	case n.depth == Depth:
		return out
	}
	left, right := n.children()
	at, _ := slices.BinarySearch(leaves, right.first)
	out = split(out, &left, leaves[:at])
	out = split(out, &right, leaves[at:])
	clear(left.secret[:])
	clear(right.secret[:])
	return out
}

// Wipe clears the secrets. All keys of a wiped tree are erased; it is for
// trees that are not used any more.
func (t *Tree) Wipe() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wipe()
}

func (t *Tree) wipe() {
	clear(t.nodes)
	clear(t.path[:])
	t.nodes, t.cached = nil, false
}
