package keys

import "context"

// For white-box tests.

// NodeCount returns how many nodes a tree has.
func (t *Tree) NodeCount() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.nodes)
}

// TreeOf returns the tree of a known secret.
func TreeOf(secret [32]byte) *Tree { return &Tree{nodes: []node{{secret: secret}}} }

// Encode returns the node set of a tree.
func (t *Tree) Encode() []byte { return t.appendTo(nil) }

// ParseTree reads a node set.
var ParseTree = parseTree

// ReencodeFile parses a key file and writes it again.
func ReencodeFile(b []byte) ([]byte, error) {
	f, err := parseFile(b)
	if err != nil {
		return nil, err
	}
	return f.encode(), nil
}

// ReencodeKEKs parses a file of KEKs and writes it again.
func ReencodeKEKs(b []byte) ([]byte, error) {
	l, err := parseKEKList(b)
	if err != nil {
		return nil, err
	}
	return l.encode(), nil
}

// CheckGroup is the group of check values.
var CheckGroup = checkGroup

// DeriveLeaf derives a leaf without the keys of its record.
func (t *Tree) DeriveLeaf(i uint32) bool {
	_, ok := t.derive(i)
	return ok
}

// CreateOf makes the key file of a known tree, as Create does of a fresh one.
func (d *Dir) CreateOf(ctx context.Context, first uint64, number uint32, g Group, t *Tree) error {
	return d.create(ctx, first, number, g, t)
}

// OpenFile opens the octets of a key file, whatever its name and segment.
func OpenFile(ctx context.Context, w Wrapper, b []byte) (*Tree, error) {
	f, err := parseFile(b)
	if err != nil {
		return nil, err
	}
	return f.open(ctx, w)
}
