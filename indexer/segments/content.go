package segments

import (
	"hash/maphash"

	"github.com/blevesearch/bleve/v2/document"
	index "github.com/blevesearch/bleve_index_api"
)

// A Content is all that a segment holds of a document but its id. It travels
// through the engine as a field of the engine's own document; see Document.
type Content struct {
	Fields []*Field // no two of the same name
}

// A Field is an analysed field of a document.
type Field struct {
	Name string
	// Options are those of the engine: whether terms are indexed, the value is
	// stored, and terms can be read back by document.
	Options index.FieldIndexingOptions
	Value   []byte // of a stored field
	// Length is what the engine keeps with each term as the length of the field.
	Length uint32
	// Terms are different from one another, in any order.
	Terms []Term
	Text  []byte // of the terms, one after the other
	// Places are the locations of the terms, one after the other; see Location.
	Places []byte
}

// A Term is one term of a field.
type Term struct {
	Hash      uint32 // of the term; see Hash
	Frequency uint32
	End       uint32 // in Text. A term begins where the one before it ends
	PlacesEnd uint32 // in Places, likewise. A term may have none
}

// seed is that of all hashes: they are compared with one another. It differs from
// process to process, so that nobody can send words that collide.
var seed = maphash.MakeSeed()

// Hash returns the hash of a term.
func Hash(term []byte) uint32 { return uint32(maphash.Bytes(seed, term)) }

// Document returns a document of the engine that carries c.
func (c *Content) Document(id string) *document.Document {
	return document.NewDocument(id).AddField(carrier{c})
}

// contentOf returns what a document of the engine carries, or nil.
func contentOf(d index.Document) *Content {
	var c *Content
	d.VisitFields(func(f index.Field) {
		if carried, ok := f.(carrier); ok {
			c = carried.content
		}
	})
	return c
}

// A carrier is a field that the engine hands on and does nothing with.
type carrier struct{ content *Content }

func (carrier) Name() string                                     { return "content" }
func (carrier) Value() []byte                                    { return nil }
func (carrier) ArrayPositions() []uint64                         { return nil }
func (carrier) EncodedFieldType() byte                           { return 0 }
func (carrier) Analyze()                                         {}
func (carrier) Options() index.FieldIndexingOptions              { return 0 }
func (carrier) AnalyzedLength() int                              { return 0 }
func (carrier) AnalyzedTokenFrequencies() index.TokenFrequencies { return nil }
func (carrier) NumPlainTextBytes() uint64                        { return 0 }

// Size is the engine's estimate of memory; nothing of ours depends on it.
func (carrier) Size() int { return 0 }
