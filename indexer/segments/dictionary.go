package segments

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
)

// A dictionary is the terms of a field with their postings. It is used for one
// field after the other, so that its memory is.
type dictionary struct {
	Table[entry]
	which []uint32 // numbers of the terms of all cells, in the order of cells
	order []ranked

	docs  []uint32 // of all terms, by number
	freqs []byte   // likewise: for each document frequency and length
	locs  []byte   // likewise: for each document with places
}

// An entry is one term. While terms are counted, docs, freqs and locs are how much
// there is of it; then where the next of it goes, and in the end where it ends in
// the slices of the dictionary, which is where the next term begins.
type entry struct {
	docs, freqs, locs uint32
}

// A ranked term is sorted by its first octets, and by the rest where these are equal.
type ranked struct {
	key uint64
	n   uint32
}

// fill makes the dictionary that of a column.
func (d *dictionary) fill(c *column) {
	d.count(c)
	var docs, freqs, locs uint32
	for i := range d.Terms {
		t := &d.Terms[i].Value
		docs, t.docs = docs+t.docs, docs
		freqs, t.freqs = freqs+t.freqs, freqs
		locs, t.locs = locs+t.locs, locs
	}
	d.docs, d.freqs, d.locs = sized(d.docs, docs), sized(d.freqs, freqs), sized(d.locs, locs)
	d.place(c)
	d.sort()
}

// sized returns a slice of n elements, of whatever content.
func sized[T any](s []T, n uint32) []T {
	return slices.Grow(s[:0], int(n))[:n]
}

// count finds the different terms, and how much is to be kept of each.
func (d *dictionary) count(c *column) {
	total := 0
	for i := range c.cells {
		total += len(c.cells[i].Terms)
	}
	d.which = slices.Grow(d.which[:0], total)
	d.Reset(1 << 10)
	field := size(c.number)
	for i := range c.cells {
		f := c.cells[i].Field
		norm := size(uint64(f.Length))
		from, places := uint32(0), uint32(0)
		for _, t := range f.Terms {
			n, _ := d.Number(t.Hash, f.Text[from:t.End])
			d.which = append(d.which, n)
			e := &d.Terms[n].Value
			e.docs++
			e.freqs += size(uint64(t.Frequency)<<1) + norm
			if octets := t.PlacesEnd - places; octets > 0 {
				e.locs += size(uint64(octets+field)) + octets + field
			}
			from, places = t.End, t.PlacesEnd
		}
	}
}

// size returns how many octets a number takes.
func size(n uint64) uint32 { return uint32(bits.Len64(n|1)+6) / 7 }

// place puts what is to be written for each document where its term's is.
func (d *dictionary) place(c *column) {
	field := size(c.number)
	which := d.which
	for i := range c.cells {
		cell := &c.cells[i]
		from := uint32(0)
		for j := range cell.Terms {
			t := &cell.Terms[j]
			e := &d.Terms[which[j]].Value
			d.docs[e.docs] = cell.doc
			e.docs++
			octets := t.PlacesEnd - from
			freq := uint64(t.Frequency) << 1
			if octets > 0 {
				freq |= 1
				at := d.locs[e.locs:]
				n := binary.PutUvarint(at, uint64(octets+field))
				n += binary.PutUvarint(at[n:], c.number)
				n += copy(at[n:], cell.Places[from:t.PlacesEnd])
				e.locs += uint32(n)
			}
			n := binary.PutUvarint(d.freqs[e.freqs:], freq)
			n += binary.PutUvarint(d.freqs[int(e.freqs)+n:], uint64(cell.Length))
			e.freqs += uint32(n)
			from = t.PlacesEnd
		}
		which = which[len(cell.Terms):]
	}
}

// sort sets the order of the terms.
func (d *dictionary) sort() {
	d.order = d.order[:0]
	for n := range uint32(len(d.Terms)) {
		var first [8]byte
		copy(first[:], d.Term(n))
		d.order = append(d.order, ranked{binary.BigEndian.Uint64(first[:]), n})
	}
	slices.SortFunc(d.order, func(a, b ranked) int {
		if a.key != b.key {
			return cmp.Compare(a.key, b.key)
		}
		return bytes.Compare(d.Term(a.n), d.Term(b.n))
	})
}

// postings returns what there is of a term.
func (d *dictionary) postings(n uint32) (docs []uint32, freqs, locs []byte) {
	e := d.Terms[n].Value
	var before entry
	if n > 0 {
		before = d.Terms[n-1].Value
	}
	return d.docs[before.docs:e.docs], d.freqs[before.freqs:e.freqs], d.locs[before.locs:e.locs]
}
