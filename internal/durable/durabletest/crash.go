package durabletest

import (
	"math/rand/v2"
	"slices"
)

// Crash returns the file system as it is after a power cut now. Of what was
// not synced, each write and each change of a name survives with the
// probability keep (0: nothing, 1: all); a write that does not may still
// survive in part unless keep is 0. The same seed gives the same result. The
// file system itself is not changed, so one state can be crashed many times.
func (f *FS) Crash(seed uint64, keep float64) *FS {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	c := crash{rng: rand.New(rand.NewPCG(seed, 0)), keep: keep, done: map[*node]*node{}}
	return newFS(c.node(f.disk.root))
}

type crash struct {
	rng  *rand.Rand
	keep float64
	done map[*node]*node // a file with two names stays one file
}

func (c *crash) node(n *node) *node {
	if out, ok := c.done[n]; ok {
		return out
	}
	out := &node{mode: n.mode}
	c.done[n] = out
	if n.mode.IsDir() {
		out.entries, out.kept = map[string]*node{}, map[string]*node{}
		names := c.names(n)
		for _, name := range sorted(names) {
			child := c.node(names[name])
			out.entries[name], out.kept[name] = child, child
		}
		return out
	}
	left := node{data: n.data, synced: slices.Clone(n.synced)}
	for _, e := range n.pending {
		c.extent(&left, e)
	}
	out.data, out.synced = left.synced, slices.Clone(left.synced)
	return out
}

func (c *crash) names(n *node) map[string]*node {
	out := map[string]*node{}
	apply(out, n.kept)
	for _, set := range n.changes {
		if c.rng.Float64() < c.keep {
			apply(out, set)
		}
	}
	return out
}

func (c *crash) extent(n *node, e extent) {
	switch {
	case c.keep == 0 || e.off == e.end:
	case c.rng.Float64() < c.keep:
		n.keep(e)
	case c.rng.IntN(2) == 0: // one page of it, somewhere
		page := e.off + c.rng.IntN(e.end-e.off)
		n.keep(extent{page, min(page+4096, e.end)})
	default: // the start of it
		n.keep(extent{e.off, e.off + c.rng.IntN(e.end-e.off)})
	}
}

func sorted(m map[string]*node) []string {
	out := make([]string, 0, len(m))
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Flip inverts one bit of a file, as a medium that rots.
func (f *FS) Flip(name string, off int64, bit uint) error {
	return f.edit(name, func(data []byte) []byte {
		data[off] ^= 1 << (bit % 8)
		return data
	})
}

// Truncate cuts a file to a size that is not above its own.
func (f *FS) Truncate(name string, size int64) error {
	return f.edit(name, func(data []byte) []byte { return data[:size] })
}

// Append adds bytes to a file behind its writer's back.
func (f *FS) Append(name string, b []byte) error {
	return f.edit(name, func(data []byte) []byte { return append(data, b...) })
}

func (f *FS) edit(name string, change func([]byte) []byte) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n, err := f.disk.find("edit", f.full(name))
	if err != nil {
		return err
	}
	n.data = change(slices.Clone(n.data))
	n.synced, n.pending = slices.Clone(n.data), nil
	return nil
}
