package indexer

import (
	index "github.com/blevesearch/bleve_index_api"
)

// A field is one analysed field of a document, in the shape that the engine
// wants. It is analysed where the message is parsed and not by the engine, so
// that the work is spread over the workers and a fault in it stays with its
// message.
type field struct {
	name   string
	opts   index.FieldIndexingOptions
	value  []byte // of stored fields
	terms  index.TokenFrequencies
	length int
}

func (f *field) Name() string                                     { return f.name }
func (f *field) Value() []byte                                    { return f.value }
func (f *field) ArrayPositions() []uint64                         { return nil }
func (f *field) EncodedFieldType() byte                           { return 't' }
func (f *field) Analyze()                                         {}
func (f *field) Options() index.FieldIndexingOptions              { return f.opts }
func (f *field) AnalyzedLength() int                              { return f.length }
func (f *field) AnalyzedTokenFrequencies() index.TokenFrequencies { return f.terms }
func (f *field) NumPlainTextBytes() uint64                        { return 0 }

// Size is the engine's estimate of memory; nothing of ours depends on it.
func (f *field) Size() int { return len(f.value) + 64*len(f.terms) + 48*f.length }

// words analyses text into a field with positions.
func words(name, text string) *field {
	f := &field{name: name, opts: index.IndexField | index.IncludeTermVectors}
	f.terms = make(index.TokenFrequencies, 16+len(text)/24)
	var places []index.TokenLocation
	t := tokenizer{buf: make([]byte, 0, maxToken)}
	t.each(text, func(k token) bool {
		tf := f.terms[string(k.term)]
		if tf == nil {
			s := string(k.term)
			tf = &index.TokenFreq{Term: []byte(s)}
			f.terms[s] = tf
		}
		if len(places) == cap(places) {
			places = make([]index.TokenLocation, 0, 64)
		}
		// Offsets stay zero: the engine never sees the text, and zeros cost
		// little. Snippets are cut from the archive's text.
		places = append(places, index.TokenLocation{Position: k.pos})
		tf.Locations = append(tf.Locations, &places[len(places)-1])
		tf.SetFrequency(len(tf.Locations))
		f.length++
		return true
	})
	return f
}

// keywords makes a field of whole terms, without positions.
func keywords(name string, values []string) *field {
	f := &field{name: name, opts: index.IndexField}
	f.terms = make(index.TokenFrequencies, len(values))
	for _, v := range values {
		if _, ok := f.terms[v]; ok || v == "" {
			continue
		}
		tf := &index.TokenFreq{Term: []byte(v)}
		tf.SetFrequency(1)
		f.terms[v] = tf
		f.length++
	}
	return f
}

// column makes a field with one term, which can be read back by document.
func column(name, value string) *field {
	f := keywords(name, []string{value})
	f.opts |= index.DocValues
	return f
}

// stored makes a field that is kept but not indexed.
func stored(name string, value []byte) *field {
	return &field{name: name, opts: index.StoreField, value: value}
}
