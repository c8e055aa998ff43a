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

// An analysis makes a field of words. What it makes for the engine is cut from
// few pieces of memory: a mail has hundreds of different words.
type analysis struct {
	terms  index.TokenFrequencies
	length int

	seen   []seenTerm // Frequency of a term is its number here, until finish
	steps  []step
	again  int // how many terms have more than one place
	single []index.TokenFreq
	names  strings.Builder
}

// A seenTerm is a term and its places.
type seenTerm struct {
	freq        *index.TokenFreq
	first, last int
	// The distances from place to place are a chain in steps, from head to tail,
	// both counted from 1.
	head, tail, places int32
}

type step struct {
	distance uint64
	next     int32
}

// room is how many terms are made room for at once.
const room = 64

// words analyses text into a field with positions.
func words(name, text string) *field {
	n := 8 + len(text)/12
	a := analysis{terms: make(index.TokenFrequencies, n), seen: make([]seenTerm, 0, n), steps: make([]step, 0, n)}
	t := tokenizer{buf: make([]byte, 0, maxToken)}
	t.each(text, func(k token) bool {
		a.add(k)
		return true
	})
	a.finish()
	return &field{name: name, opts: index.IndexField | index.IncludeTermVectors, terms: a.terms, length: a.length}
}

func (a *analysis) add(k token) {
	a.length++
	tf := a.terms[string(k.term)]
	if tf == nil {
		tf = a.next()
		tf.SetFrequency(len(a.seen))
		a.seen = append(a.seen, seenTerm{freq: tf, first: k.pos, last: k.pos, places: 1})
		a.terms[a.name(k.term)] = tf
		return
	}
	s := &a.seen[tf.Frequency()]
	if s.last == k.pos {
		return // two spellings that are one after all
	}
	a.steps = append(a.steps, step{distance: uint64(k.pos - s.last)})
	at := int32(len(a.steps))
	if s.places == 1 {
		a.again++
		s.head = at
	} else {
		a.steps[s.tail-1].next = at
	}
	s.tail, s.last = at, k.pos
	s.places++
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

// finish gives the terms their frequencies and locations. The first two distances
// go where they take the least room.
func (a *analysis) finish() {
	places := make([]index.TokenLocation, 0, a.again)
	links := make([]*index.TokenLocation, 0, a.again)
	rest := make([]uint64, 0, len(a.steps))
	for i := range a.seen {
		s := &a.seen[i]
		if s.places == 1 {
			s.freq.SetFrequency(2*s.first + 1)
			continue
		}
		from := len(rest)
		for at := s.head; at != 0; at = a.steps[at-1].next {
			rest = append(rest, a.steps[at-1].distance)
		}
		l := index.TokenLocation{Position: s.first, Start: int(rest[from])}
		if s.places > 2 {
			l.End = int(rest[from+1])
		}
		if s.places > 3 {
			l.ArrayPositions = rest[from+2 : len(rest) : len(rest)]
		}
		places = append(places, l)
		links = append(links, &places[len(places)-1])
		n := len(links)
		s.freq.Locations = links[n-1 : n : n]
		s.freq.SetFrequency(2 * int(s.places))
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
