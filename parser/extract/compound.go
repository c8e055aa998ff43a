package extract

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// A compound is an OLE compound file ([MS-CFB]): storages and streams in
// sectors, chained by a table. This reader takes whatever can be made out of a
// broken one, because mail holds many that were cut: sectors beyond the end are
// left out, a chain ends where it turns back on itself, entries that no tree
// reaches belong to the root.
type compound struct {
	b       []byte
	shift   uint     // log2 of the size of a sector
	fat     []uint32 // next sector by sector
	miniFAT []uint32
	mini    []byte // the stream that small streams lie in
	nodes   []node
	mark    []uint32 // by sector: the number of the last chain that passed it
	chains  uint32
}

// A node is one entry of the directory.
type node struct {
	name     string
	kind     byte // of the kinds below
	children []int
	left     uint32
	right    uint32
	child    uint32
	start    uint32
	size     uint64
}

const (
	storageNode = 1
	streamNode  = 2
	rootNode    = 5
)

const (
	lastSector = 0xfffffffa // above are marks: end of chain, free, tables
	miniShift  = 6
	miniLimit  = 4096 // streams below this size lie in the mini stream
)

// A storage is a folder of a compound file.
type storage struct {
	c  *compound
	id int
}

// openCompound reads the tables and the directory.
func openCompound(b []byte) (*compound, error) {
	if len(b) < 512 {
		return nil, errors.New("the compound file ends within its header")
	}
	c := &compound{b: b, shift: uint(u16(b, 30))}
	if c.shift != 9 && c.shift != 12 {
		c.shift = 9
	}
	c.readFAT()
	c.mark = make([]uint32, len(c.fat))
	c.miniFAT = words32(c.chain(u32(b, 60), uint64(len(b))))
	c.readDirectory(c.chain(u32(b, 48), uint64(len(b))))
	if len(c.nodes) == 0 {
		return nil, errors.New("the compound file has no directory")
	}
	c.mini = c.chain(c.nodes[0].start, c.nodes[0].size)
	c.link()
	return c, nil
}

// sector returns the octets of a sector, fewer at the end of the file.
func (c *compound) sector(n uint32) []byte {
	from := (uint64(n) + 1) << c.shift
	if from >= uint64(len(c.b)) {
		return nil
	}
	return c.b[from:min(from+1<<c.shift, uint64(len(c.b)))]
}

// readFAT joins the sectors of the table. Their numbers are in the header and,
// of large files, in a chain of sectors. There cannot be more of them than the
// file has.
func (c *compound) readFAT() {
	most := len(c.b)>>c.shift + 1
	add := func(numbers []uint32) {
		for _, n := range numbers {
			if n <= lastSector && len(c.fat)>>(c.shift-2) < most {
				c.fat = append(c.fat, words32(c.sector(n))...)
			}
		}
	}
	add(words32(c.b[76:512]))
	next := u32(c.b, 68)
	for range most {
		s := words32(c.sector(next))
		if next > lastSector || len(s) < 2 {
			return
		}
		add(s[:len(s)-1])
		next = s[len(s)-1]
	}
}

// chain returns the octets of a chain of sectors, at most size.
func (c *compound) chain(at uint32, size uint64) []byte {
	c.chains++
	var out []byte
	for at <= lastSector && uint64(len(out)) < size {
		s := c.sector(at)
		if len(s) == 0 || int64(at) < int64(len(c.mark)) && c.mark[at] == c.chains {
			break
		}
		out = append(out, s...)
		if int64(at) >= int64(len(c.fat)) {
			break
		}
		c.mark[at] = c.chains
		at = c.fat[at]
	}
	return out[:min(uint64(len(out)), size)]
}

// miniChain is chain for the small streams.
func (c *compound) miniChain(at uint32, size uint64) []byte {
	var out []byte
	for range len(c.miniFAT) {
		from := uint64(at) << miniShift
		if at > lastSector || from >= uint64(len(c.mini)) || uint64(len(out)) >= size {
			break
		}
		out = append(out, c.mini[from:min(from+1<<miniShift, uint64(len(c.mini)))]...)
		if int64(at) >= int64(len(c.miniFAT)) {
			break
		}
		at = c.miniFAT[at]
	}
	return out[:min(uint64(len(out)), size)]
}

func (c *compound) readDirectory(b []byte) {
	for ; len(b) >= 128; b = b[128:] {
		n := node{
			name: utf16Text(b[:min(64, max(0, u16(b, 64)-2))]), kind: b[66],
			left: u32(b, 68), right: u32(b, 72), child: u32(b, 76),
			start: u32(b, 116), size: binary.LittleEndian.Uint64(b[120:]),
		}
		if c.shift == 9 {
			n.size &= 0xffffffff // the upper half may be anything in version 3
		}
		c.nodes = append(c.nodes, n)
	}
}

// link hangs each entry under its storage, in the order of the directory.
func (c *compound) link() {
	parents := make([]int, len(c.nodes))
	for i := range parents {
		parents[i] = -1
	}
	type step struct{ id, parent int }
	todo := []step{{int(c.nodes[0].child), 0}}
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s.id <= 0 || s.id >= len(c.nodes) || parents[s.id] >= 0 {
			continue
		}
		parents[s.id] = s.parent
		n := &c.nodes[s.id]
		todo = append(todo, step{int(n.left), s.parent}, step{int(n.right), s.parent})
		if n.kind == storageNode {
			todo = append(todo, step{int(n.child), s.id})
		}
	}
	for id := 1; id < len(c.nodes); id++ {
		n := c.nodes[id]
		if n.kind == storageNode || n.kind == streamNode {
			parent := &c.nodes[max(0, parents[id])]
			parent.children = append(parent.children, id)
		}
	}
}

// root returns the storage that holds all others.
func (c *compound) root() *storage { return &storage{c, 0} }

// find returns the entry of a storage by its name, in any case, or nil.
func (s *storage) find(name string) *node {
	for _, id := range s.c.nodes[s.id].children {
		if n := &s.c.nodes[id]; strings.EqualFold(n.name, name) {
			return n
		}
	}
	return nil
}

// has reports whether the storage has a stream of the name.
func (s *storage) has(name string) bool {
	n := s.find(name)
	return n != nil && n.kind == streamNode
}

// folder returns a storage in a storage, or nil.
func (s *storage) folder(name string) *storage {
	for f := range s.folders() {
		if strings.EqualFold(f.name(), name) {
			return f
		}
	}
	return nil
}

// folders yields the storages in a storage.
func (s *storage) folders() func(yield func(*storage) bool) {
	return func(yield func(*storage) bool) {
		for _, id := range slices.Clone(s.c.nodes[s.id].children) {
			if s.c.nodes[id].kind == storageNode && !yield(&storage{s.c, id}) {
				return
			}
		}
	}
}

func (s *storage) name() string { return s.c.nodes[s.id].name }

// stream reads a stream of a storage; nil if there is none. Many streams may
// claim the same sectors, so what is read counts as unpacked.
func (r *reading) stream(s *storage, name string) ([]byte, error) {
	n := s.find(name)
	if n == nil || n.kind != streamNode {
		return nil, nil
	}
	return r.octets(s.c, n)
}

func (r *reading) octets(c *compound, n *node) ([]byte, error) {
	if err := r.ended(); err != nil {
		return nil, err
	}
	size := min(n.size, uint64(max(0, min(r.unpacked, r.lim.Entry))))
	var b []byte
	if n.size < miniLimit {
		b = c.miniChain(n.start, size)
	} else {
		b = c.chain(n.start, size)
	}
	r.unpacked -= int64(len(b))
	if uint64(len(b)) == size && size < n.size {
		return b, fmt.Errorf("a stream is too large: %w", errLimit)
	}
	return b, nil
}

// words32 reads octets as numbers of 32 bits, leaving out a rest.
func words32(b []byte) []uint32 {
	out := make([]uint32, len(b)/4)
	for i := range out {
		out[i] = u32(b, 4*i)
	}
	return out
}

// utf16Text reads UTF-16LE; half a surrogate becomes U+FFFD.
func utf16Text(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(u16(b, 2*i))
	}
	return string(utf16.Decode(units))
}
