package segments

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/RoaringBitmap/roaring/v2"
	index "github.com/blevesearch/bleve_index_api"
	zap "github.com/blevesearch/zapx/v17"
	"github.com/golang/snappy"
)

const (
	chunkPostings = 1024 // documents of a term that are read over to find one of them
	chunkValues   = 1024 // documents whose values are read together
	noValues      = math.MaxUint64

	maxArray  = 4096    // documents of a bitmap that are kept as a list
	container = 1 << 16 // documents that one list is for
)

// writeField writes the postings of a field, the index of its terms, and the terms
// of each document where they can be read back.
func (m *maker) writeField(c *column) error {
	d := &m.dict
	d.fill(c)
	m.fstData.Reset()
	if err := m.fst.Reset(&m.fstData); err != nil {
		return err
	}
	for _, r := range d.order {
		at, err := m.writePostings(d.postings(r.n))
		if err != nil {
			return err
		}
		if err := m.fst.Insert(d.Term(r.n), at); err != nil {
			return err
		}
	}
	if err := m.fst.Close(); err != nil {
		return err
	}
	dict := m.at()
	m.number(uint64(m.fstData.Len()))
	m.out = append(m.out, m.fstData.Bytes()...)
	from, to := uint64(noValues), uint64(noValues)
	if c.options.IncludeDocValues() {
		from = m.at()
		m.writeValues()
		to = m.at()
	}
	c.addr = m.at()
	m.number(from)
	m.number(to)
	m.number(dict)
	return nil
}

// writePostings writes the postings of one term and returns where they are; or,
// of a term that is in one document, once and without places, its document and
// the length of its field.
func (m *maker) writePostings(docs []uint32, freqs, locs []byte) (uint64, error) {
	if len(docs) == 1 && len(locs) == 0 && freqs[0] == 1<<1 {
		norm, _ := binary.Uvarint(freqs[1:])
		return zap.FSTValEncode1Hit(uint64(docs[0]), norm), nil
	}
	all := uint64(len(m.docs))
	chunk := all / (uint64(len(docs))/chunkPostings + 1)
	count := (all-1)/chunk + 1
	freqAt, locAt := m.at(), uint64(0)
	if count == 1 {
		m.number(1)
		m.number(uint64(len(freqs)))
		m.out = append(m.out, freqs...)
		if len(locs) > 0 {
			locAt = m.at()
			m.number(1)
			m.number(uint64(len(locs)))
			m.out = append(m.out, locs...)
		}
	} else {
		freqEnds, locEnds := chunkEnds(docs, freqs, locs, chunk, count)
		m.chunks(freqEnds, freqs)
		if len(locs) > 0 {
			locAt = m.at()
			m.chunks(locEnds, locs)
		}
	}
	at := m.at()
	m.number(freqAt)
	m.number(locAt)
	return at, m.writeDocs(docs)
}

func (m *maker) chunks(ends []uint64, data []byte) {
	m.number(uint64(len(ends)))
	for _, e := range ends {
		m.number(e)
	}
	m.out = append(m.out, data...)
}

// chunkEnds returns where the documents of each chunk end in freqs and in locs.
func chunkEnds(docs []uint32, freqs, locs []byte, chunk, count uint64) (freqEnds, locEnds []uint64) {
	freqEnds, locEnds = make([]uint64, count), make([]uint64, count)
	freqAt, locAt, now := 0, 0, uint64(0)
	for _, doc := range docs {
		for ; now < uint64(doc)/chunk; now++ {
			freqEnds[now], locEnds[now] = uint64(freqAt), uint64(locAt)
		}
		freq, n := binary.Uvarint(freqs[freqAt:])
		freqAt += n
		_, n = binary.Uvarint(freqs[freqAt:])
		freqAt += n
		if freq&1 == 1 {
			octets, n := binary.Uvarint(locs[locAt:])
			locAt += n + int(octets)
		}
	}
	for ; now < count; now++ {
		freqEnds[now], locEnds[now] = uint64(freqAt), uint64(locAt)
	}
	return freqEnds, locEnds
}

// writeDocs writes a bitmap with its length before it. Most terms are in few
// documents: these are written without making a bitmap, as the format of
// roaring bitmaps has them.
func (m *maker) writeDocs(docs []uint32) error {
	if len(docs) > maxArray || docs[len(docs)-1] >= container {
		b, err := roaring.BitmapOf(docs...).ToBytes()
		if err != nil {
			return err
		}
		m.number(uint64(len(b)))
		m.out = append(m.out, b...)
		return nil
	}
	const cookie, header = 12346, 16
	m.number(uint64(header + 2*len(docs)))
	out := m.out
	out = binary.LittleEndian.AppendUint32(out, cookie) // no container is one of runs
	out = binary.LittleEndian.AppendUint32(out, 1)      // containers
	out = binary.LittleEndian.AppendUint16(out, 0)      // the high half of their documents
	out = binary.LittleEndian.AppendUint16(out, uint16(len(docs)-1))
	out = binary.LittleEndian.AppendUint32(out, header)
	for _, doc := range docs {
		out = binary.LittleEndian.AppendUint16(out, uint16(doc))
	}
	m.out = out
	return nil
}

// writeValues writes the terms of each document, in chunks.
func (m *maker) writeValues() {
	values := make([][]byte, len(m.docs))
	for _, r := range m.dict.order {
		docs, _, _ := m.dict.postings(r.n)
		for _, doc := range docs {
			values[doc] = append(append(values[doc], m.dict.Term(r.n)...), index.DocValueTermSeparator)
		}
	}
	begin := m.at()
	var ends []uint64
	for from := 0; from < len(values); from += chunkValues {
		m.writeChunk(uint64(from), values[from:min(from+chunkValues, len(values))])
		ends = append(ends, m.at()-begin)
	}
	at := m.at()
	for _, e := range ends {
		m.number(e)
	}
	m.out = binary.BigEndian.AppendUint64(m.out, m.at()-at)
	m.out = binary.BigEndian.AppendUint64(m.out, uint64(len(ends)))
}

// writeChunk writes the values of the documents from first on.
func (m *maker) writeChunk(first uint64, values [][]byte) {
	var data bytes.Buffer
	var ends []byte
	count := uint64(0)
	for i, v := range values {
		if len(v) == 0 {
			continue
		}
		data.Write(v)
		ends = binary.AppendUvarint(binary.AppendUvarint(ends, first+uint64(i)), uint64(data.Len()))
		count++
	}
	if count == 0 {
		return
	}
	m.number(count)
	m.out = append(m.out, ends...)
	m.out = append(m.out, snappy.Encode(nil, data.Bytes())...)
}
