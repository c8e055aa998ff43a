package ledger

import (
	"crypto/sha256"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// A tree is the right edge of a Merkle tree (RFC 6962 section 2.1): the roots
// of its complete subtrees, largest first. It is all that is needed to append
// leaves and to tell the root, in at most 64 hashes.
type tree struct {
	size  uint64
	peaks []hash32
}

// add appends a leaf by its leaf hash.
func (t *tree) add(leaf hash32) {
	t.peaks = append(t.peaks, leaf)
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.peaks) - 1
		t.peaks[last-1] = hash32(tlog.NodeHash(tlog.Hash(t.peaks[last-1]), tlog.Hash(t.peaks[last])))
		t.peaks = t.peaks[:last]
	}
	t.size++
}

// root returns the tree head; of the empty tree it is the SHA-256 of nothing.
func (t *tree) root() hash32 {
	if len(t.peaks) == 0 {
		return sha256.Sum256(nil)
	}
	r := t.peaks[len(t.peaks)-1]
	for _, p := range slices.Backward(t.peaks[:len(t.peaks)-1]) {
		r = hash32(tlog.NodeHash(tlog.Hash(p), tlog.Hash(r)))
	}
	return r
}

// clone returns a tree that shares nothing with t.
func (t *tree) clone() tree { return tree{size: t.size, peaks: slices.Clone(t.peaks)} }

// peakCount is the number of peaks of a tree with n leaves.
func peakCount(n uint64) int { return bits.OnesCount64(n) }
