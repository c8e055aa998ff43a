package segments

import (
	"bytes"
	"encoding/binary"
	"slices"

	index "github.com/blevesearch/bleve_index_api"
	"github.com/blevesearch/vellum"
	zap "github.com/blevesearch/zapx/v17"
	"github.com/golang/snappy"
)

// idField is the engine's name for the field of ids, always the first.
const idField = "_id"

// A maker makes one segment.
type maker struct {
	docs   []input
	fields []*column // by number
	out    []byte

	stored, sections uint64 // where these begin in out

	fst     *vellum.Builder
	fstData bytes.Buffer
	dict    dictionary
}

// A column is one field of all documents.
type column struct {
	name    string
	number  uint64
	options index.FieldIndexingOptions
	cells   []cell
	addr    uint64 // of the index of the field in out
}

// A cell is the field of one document.
type cell struct {
	doc uint32
	*Field
}

// build makes the octets of a segment of the documents. There is at least one.
func build(docs []input) (*maker, error) {
	m := &maker{docs: docs}
	var err error
	// Suffixes are not shared, as in the engine's own segments: that takes longer
	// than it saves room.
	if m.fst, err = vellum.New(&m.fstData, &vellum.BuilderOpts{Encoder: 1, RegistryMRUSize: 1}); err != nil {
		return nil, err
	}
	m.sort()
	m.out = make([]byte, 0, m.estimate())
	m.writeStored()
	for _, c := range m.fields {
		if err := m.writeField(c); err != nil {
			return nil, err
		}
	}
	m.writeSections()
	return m, nil
}

// sort makes the columns, in the order of their names.
func (m *maker) sort() {
	ids := &column{name: idField, options: index.IndexField | index.StoreField}
	by := map[string]*column{}
	for n, d := range m.docs {
		ids.cells = append(ids.cells, cell{uint32(n), idOf(d.id)})
		for _, f := range d.content.Fields {
			c := by[f.Name]
			if c == nil {
				c = &column{name: f.Name}
				by[f.Name] = c
				m.fields = append(m.fields, c)
			}
			c.options |= f.Options
			c.cells = append(c.cells, cell{uint32(n), f})
		}
	}
	slices.SortFunc(m.fields, func(a, b *column) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	m.fields = append([]*column{ids}, m.fields...)
	for n, c := range m.fields {
		c.number = uint64(n)
	}
}

// idOf returns the field of an id.
func idOf(id string) *Field {
	text := []byte(id)
	return &Field{Name: idField, Length: 1, Text: text, Terms: []Term{{Hash: Hash(text), Frequency: 1, End: uint32(len(text))}}}
}

// estimate returns how many octets the segment will have, about: its out must
// not be copied often.
func (m *maker) estimate() int {
	n := 1 << 16
	for _, d := range m.docs {
		n += 64
		for _, f := range d.content.Fields {
			n += len(f.Value) + 7*len(f.Terms) + 2*len(f.Places) + len(f.Text)/2
		}
	}
	return n
}

func (m *maker) at() uint64 { return uint64(len(m.out)) }

func (m *maker) number(n uint64) { m.out = binary.AppendUvarint(m.out, n) }

// writeStored writes the ids and stored values of the documents, and where each
// document's begin.
func (m *maker) writeStored() {
	begins := make([]uint64, len(m.docs))
	var meta, data, packed []byte
	numbers := map[string]uint64{}
	for _, c := range m.fields {
		numbers[c.name] = c.number
	}
	for n, d := range m.docs {
		meta, data = binary.AppendUvarint(meta[:0], uint64(len(d.id))), data[:0]
		for _, f := range d.content.storedFields() {
			// Field, type, where it begins, its length, and how many array positions.
			for _, v := range [...]uint64{numbers[f.Name], 't', uint64(len(data)), uint64(len(f.Value)), 0} {
				meta = binary.AppendUvarint(meta, v)
			}
			data = append(data, f.Value...)
		}
		packed = snappy.Encode(packed[:cap(packed)], data)
		begins[n] = m.at()
		m.number(uint64(len(meta)))
		m.number(uint64(len(d.id) + len(packed)))
		m.out = append(append(append(m.out, meta...), d.id...), packed...)
	}
	m.stored = m.at()
	for _, b := range begins {
		m.out = binary.BigEndian.AppendUint64(m.out, b)
	}
	m.number(0) // nested documents
}

// storedFields returns the stored fields in the order of their names.
func (c *Content) storedFields() []*Field {
	var out []*Field
	for _, f := range c.Fields {
		if f.Options.IsStored() {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b *Field) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return out
}

// writeSections writes the names of the fields, and where to find what of each.
func (m *maker) writeSections() {
	begins := make([]uint64, len(m.fields))
	for i, c := range m.fields {
		begins[i] = m.at()
		m.number(uint64(len(c.name)))
		m.out = append(m.out, c.name...)
		m.number(uint64(c.options))
		sections := [...]uint16{zap.SectionInvertedTextIndex, zap.SectionSynonymIndex, zap.SectionGeoShapeV2Index}
		m.number(uint64(len(sections)))
		for _, s := range sections {
			addr := uint64(0)
			if s == zap.SectionInvertedTextIndex {
				addr = c.addr
			}
			m.out = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint16(m.out, s), addr)
		}
	}
	m.sections = m.at()
	m.number(uint64(len(m.fields)))
	for _, b := range begins {
		m.out = binary.BigEndian.AppendUint64(m.out, b)
	}
}
