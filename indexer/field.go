package indexer

import (
	"math/bits"
	"strings"

	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"
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
func (f *field) AnalyzedTokenFrequencies() index.TokenFrequencies { return f.terms }
func (f *field) NumPlainTextBytes() uint64                        { return 0 }

// AnalyzedLength is what the engine keeps with each posting as the length of
// the field. It is kept in one octet: see lengthClass.
func (f *field) AnalyzedLength() int { return lengthClass(f.length) }

// lengthClass returns n in steps of an eighth of it, 1 to 127; texts of more than
// 2^18 tokens count as of that many. It is never 0: the engine forgets the only
// document of a term with that.
func lengthClass(n int) int {
	if n < 8 {
		return max(n, 1)
	}
	e := bits.Len(uint(n)) - 4
	return min(8*e+n>>e, 127)
}

// Size is the engine's estimate of memory; nothing of ours depends on it.
func (f *field) Size() int { return len(f.value) + 64*len(f.terms) + 48*f.length }

// How the places of a term are kept.
//
// Bleve keeps some six octets for each place of a term, and four of them are
// zero for us: it never sees the text, so it has no use for offsets into it.
// Places are a good half of an index. So they are packed into the numbers that
// the engine carries for us without looking at them:
//
//   - A term with one place, as most are, has no location at all. Its frequency
//     is 2*position+1.
//   - A term with n places has the frequency 2*n and one location: Position is
//     the first place, Start, End and ArrayPositions are the distances from each
//     place to the next, 0 standing for none.
//
// readPlaces is the other way; termCount gives the frequency as such.

// readPlaces appends the places of a posting that was read with its locations.
func readPlaces(out []uint64, p segment.Posting) []uint64 {
	if freq := p.Frequency(); freq&1 == 1 {
		return append(out, freq>>1)
	}
	for _, l := range p.Locations() {
		at := l.Pos()
		out = append(out, at)
		for _, step := range [2]uint64{l.Start(), l.End()} {
			if step != 0 {
				at += step
				out = append(out, at)
			}
		}
		for _, step := range l.ArrayPositions() {
			at += step
			out = append(out, at)
		}
	}
	return out
}

// termCount returns how many places the frequency of a posting stands for.
func termCount(freq uint64) uint64 {
	if freq&1 == 1 {
		return 1
	}
	return freq / 2
}

// An analysis makes a field of words.
type analysis struct {
	terms  index.TokenFrequencies
	length int

	single []index.TokenFreq // room for terms
	again  []index.TokenLocation
	links  []*index.TokenLocation
	names  strings.Builder // room for the octets of terms
}

// room is how many terms are made room for at once.
const room = 64

// words analyses text into a field with positions.
func words(name, text string) *field {
	a := analysis{terms: make(index.TokenFrequencies, 8+len(text)/16)}
	t := tokenizer{buf: make([]byte, 0, maxToken)}
	t.each(text, func(k token) bool {
		a.add(k)
		return true
	})
	a.finish()
	return &field{name: name, opts: index.IndexField | index.IncludeTermVectors, terms: a.terms, length: a.length}
}

// add takes a token. Until finish, a location has the distances in
// ArrayPositions alone and the last place in End.
func (a *analysis) add(k token) {
	a.length++
	tf := a.terms[string(k.term)]
	switch {
	case tf == nil:
		tf = a.next()
		tf.SetFrequency(2*k.pos + 1)
		a.terms[a.name(k.term)] = tf
	case tf.Locations == nil:
		first := tf.Frequency() >> 1
		if first == k.pos {
			return // two spellings that are one after all
		}
		tf.Locations = a.location(first, k.pos)
		tf.SetFrequency(2 * 2)
	case tf.Locations[0].End != k.pos:
		l := tf.Locations[0]
		l.ArrayPositions = append(l.ArrayPositions, uint64(k.pos-l.End))
		l.End = k.pos
		tf.SetFrequency(tf.Frequency() + 2)
	}
}

func (a *analysis) next() *index.TokenFreq {
	if len(a.single) == cap(a.single) {
		a.single = make([]index.TokenFreq, 0, room)
	}
	a.single = append(a.single, index.TokenFreq{})
	return &a.single[len(a.single)-1]
}

// name keeps the octets of a term.
func (a *analysis) name(term []byte) string {
	if a.names.Cap()-a.names.Len() < len(term) {
		a.names = strings.Builder{}
		a.names.Grow(room * 8)
	}
	n := a.names.Len()
	a.names.Write(term)
	return a.names.String()[n:]
}

// location returns the location of a term with two places.
func (a *analysis) location(first, second int) []*index.TokenLocation {
	if len(a.again) == cap(a.again) {
		a.again = make([]index.TokenLocation, 0, room)
	}
	a.again = append(a.again, index.TokenLocation{Position: first, End: second, ArrayPositions: []uint64{uint64(second - first)}})
	a.links = append(a.links, &a.again[len(a.again)-1])
	n := len(a.links)
	return a.links[n-1 : n : n]
}

// finish puts the first two distances where they take the least room.
func (a *analysis) finish() {
	for _, l := range a.links {
		l.Start, l.End = int(l.ArrayPositions[0]), 0
		l.ArrayPositions = l.ArrayPositions[1:]
		if len(l.ArrayPositions) > 0 {
			l.End = int(l.ArrayPositions[0])
			l.ArrayPositions = l.ArrayPositions[1:]
		}
	}
}

// keywords makes a field of whole terms, without positions: of the first
// maxKeywords different values, each cut at maxKeyword octets.
func keywords(name string, values []string) *field {
	f := &field{name: name, opts: index.IndexField}
	f.terms = make(index.TokenFrequencies, len(values))
	all := make([]index.TokenFreq, len(values))
	for i, v := range values {
		if v != "" && len(f.terms) < maxKeywords {
			all[i].SetFrequency(1)
			f.terms[clip(v, maxKeyword)] = &all[i]
		}
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
