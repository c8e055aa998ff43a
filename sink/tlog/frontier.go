package tlog

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	// entriesLevel stands for the bundles of leaves beside level 0.
	entriesLevel = -1
)

// A frontier is the right edge of the tree: what is needed to append leaves and
// to tell the root.
type frontier struct {
	size   uint64
	levels [][]tlog.Hash // of the partial tile of each level; each shorter than tileWidth
	bundle []byte        // the leaves of the partial tile of level 0, as entries
}

// An emit is given each tile that is complete, or each partial one that is
// wanted. The data is its own.
type emit func(t tlog.Tile, data []byte) error

// add appends a leaf.
func (f *frontier) add(leaf []byte, full emit) error {
	f.bundle = binary.BigEndian.AppendUint16(f.bundle, uint16(len(leaf)))
	f.bundle = append(f.bundle, leaf...)
	f.size++
	h := tlog.RecordHash(leaf)
	for level := 0; ; level++ {
		if level == len(f.levels) {
			f.levels = append(f.levels, make([]tlog.Hash, 0, tileWidth))
		}
		f.levels[level] = append(f.levels[level], h)
		if len(f.levels[level]) < tileWidth {
			return nil
		}
		if err := f.complete(level, full); err != nil {
			return err
		}
		h = subtree(f.levels[level])
		f.levels[level] = f.levels[level][:0]
	}
}

// complete emits the tile of a level that has become full.
func (f *frontier) complete(level int, full emit) error {
	t := tlog.Tile{H: tileHeight, L: level, N: int64(f.size>>(tileHeight*(level+1))) - 1, W: tileWidth}
	if level == 0 {
		if err := full(tlog.Tile{H: tileHeight, L: entriesLevel, N: t.N, W: tileWidth}, f.bundle); err != nil {
			return err
		}
		f.bundle = nil
	}
	return full(t, join(f.levels[level]))
}

// partials emits the partial tiles.
func (f *frontier) partials(some emit) error {
	for level, hashes := range f.levels {
		if len(hashes) == 0 {
			continue
		}
		t := f.partial(level)
		if level == 0 {
			if err := some(tlog.Tile{H: tileHeight, L: entriesLevel, N: t.N, W: t.W}, f.bundle); err != nil {
				return err
			}
		}
		if err := some(t, join(hashes)); err != nil {
			return err
		}
	}
	return nil
}

func (f *frontier) partial(level int) tlog.Tile {
	return tlog.Tile{H: tileHeight, L: level, N: int64(f.size >> (tileHeight * (level + 1))), W: len(f.levels[level])}
}

// root is the tree head.
func (f *frontier) root() (mail.Digest, error) {
	h, err := tlog.TreeHash(int64(f.size), tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			level := tlog.TileForIndex(tileHeight, x).L
			if level >= len(f.levels) {
				return nil, fmt.Errorf("tree of %d leaves has no level %d", f.size, level)
			}
			var err error
			if out[i], err = tlog.HashFromTile(f.partial(level), join(f.levels[level]), x); err != nil {
				return nil, err
			}
		}
		return out, nil
	}))
	return mail.Digest(h), err
}

// restore loads the frontier of a tree from its partial tiles.
func restore(head Checkpoint, tiles *tiles) (*frontier, error) {
	f := &frontier{size: head.Size}
	if head.Size == 0 {
		return f, nil
	}
	for level := 0; head.Size>>(tileHeight*level) > 0; level++ {
		w := int(head.Size >> (tileHeight * level) % tileWidth)
		f.levels = append(f.levels, make([]tlog.Hash, 0, tileWidth))
		if w == 0 {
			continue
		}
		t := tlog.Tile{H: tileHeight, L: level, N: int64(head.Size >> (tileHeight * (level + 1))), W: w}
		b, err := tiles.read(t)
		if err != nil {
			return nil, err
		}
		for ; len(b) > 0; b = b[tlog.HashSize:] {
			f.levels[level] = append(f.levels[level], tlog.Hash(b[:tlog.HashSize]))
		}
		if level > 0 {
			continue
		}
		if f.bundle, err = tiles.read(tlog.Tile{H: tileHeight, L: entriesLevel, N: t.N, W: w}); err != nil {
			return nil, err
		}
		if err := sameLeaves(f.bundle, f.levels[0]); err != nil {
			return nil, err
		}
	}
	root, err := f.root()
	if err == nil && root != head.Root {
		err = fmt.Errorf("tiles of size %d have the root %s, the checkpoint has %s", head.Size, root, head.Root)
	}
	return f, err
}

// sameLeaves compares a bundle of entries with the hashes of its leaves.
func sameLeaves(bundle []byte, hashes []tlog.Hash) error {
	for i, want := range hashes {
		if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
			return fmt.Errorf("bundle of entries ends in entry %d", i)
		}
		n := 2 + int(binary.BigEndian.Uint16(bundle))
		if tlog.RecordHash(bundle[2:n]) != want {
			return fmt.Errorf("entry %d of a bundle does not match its hash", i)
		}
		bundle = bundle[n:]
	}
	if len(bundle) > 0 {
		return fmt.Errorf("bundle has more than %d entries", len(hashes))
	}
	return nil
}

// subtree is the root of a complete tree over hashes.
func subtree(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtree(hashes[:half]), subtree(hashes[half:]))
}

func join(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}
