package segments

import "bytes"

// A Table is different terms, numbered from 0 in the order in which they came, each
// with a value. It is used for one set of terms after the other, so that its memory is.
type Table[V any] struct {
	slots []uint32 // number of a term and 1 by hash, or 0; their count is a power of two
	Terms []Entry[V]
	Text  []byte // of the terms
}

// An Entry is one term of a table.
type Entry[V any] struct {
	Hash  uint32 // of the term; see Hash
	End   uint32 // in Text. A term begins where the one before it ends
	Value V
}

// Reset empties the table. slots, a power of two, is twice as many terms as are
// expected.
func (t *Table[V]) Reset(slots int) {
	t.Terms, t.Text = t.Terms[:0], t.Text[:0]
	t.rehash(slots)
}

// Number returns the number of a term, and whether it is new.
func (t *Table[V]) Number(hash uint32, term []byte) (n uint32, fresh bool) {
	mask := uint32(len(t.slots) - 1)
	i := hash & mask
	for ; t.slots[i] != 0; i = (i + 1) & mask {
		n := t.slots[i] - 1
		if t.Terms[n].Hash == hash && bytes.Equal(t.Term(n), term) {
			return n, false
		}
	}
	n = uint32(len(t.Terms))
	t.Text = append(t.Text, term...)
	t.Terms = append(t.Terms, Entry[V]{Hash: hash, End: uint32(len(t.Text))})
	t.slots[i] = n + 1
	if 2*len(t.Terms) > len(t.slots) {
		t.rehash(2 * len(t.slots))
	}
	return n, true
}

// rehash makes n slots, with the terms that there are.
func (t *Table[V]) rehash(n int) {
	t.slots = sized(t.slots, uint32(n))
	clear(t.slots)
	mask := uint32(n - 1)
	for number := range t.Terms {
		i := t.Terms[number].Hash & mask
		for t.slots[i] != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = uint32(number) + 1
	}
}

// Term returns a term by its number.
func (t *Table[V]) Term(n uint32) []byte {
	if n == 0 {
		return t.Text[:t.Terms[0].End]
	}
	return t.Text[t.Terms[n-1].End:t.Terms[n].End]
}
