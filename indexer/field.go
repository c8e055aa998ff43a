package indexer

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/mailkeep/mailkeep/indexer/segments"
)

// A field is one analysed field of a document. It is analysed where the message
// is parsed and not by the engine, so that the work is spread over the workers
// and a fault in it stays with its message.
type field = segments.Field

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

// An analysis makes fields of words, one after the other: its memory is used again
// for the next.
type analysis struct {
	tokens tokenizer
	seen   segments.Table[occurrences]
	length int
	steps  []step
	places []byte
}

// The occurrences of a term are its places in the text.
type occurrences struct {
	first, last int
	// The distances from place to place are a chain in steps, from head to tail,
	// both counted from 1.
	head, tail, count int32
}

type step struct {
	distance uint64
	next     int32
}

// words analyses text into a field with positions.
func (a *analysis) words(name, text string) *field {
	a.begin(len(text))
	a.tokens.pos = 0
	a.tokens.each(text, func(k token) bool {
		a.add(k)
		return true
	})
	return a.finish(name)
}

func (a *analysis) begin(octets int) {
	a.steps, a.places, a.length = a.steps[:0], a.places[:0], 0
	a.seen.Reset(1 << bits.Len(uint(16+octets/8)))
}

func (a *analysis) add(k token) {
	a.length++
	n, fresh := a.seen.Number(segments.Hash(k.term), k.term)
	s := &a.seen.Terms[n].Value
	if fresh {
		s.first, s.last, s.count = k.pos, k.pos, 1
		return
	}
	if s.last == k.pos {
		return // two spellings that are one after all
	}
	a.steps = append(a.steps, step{distance: uint64(k.pos - s.last)})
	at := int32(len(a.steps))
	if s.count == 1 {
		s.head = at
	} else {
		a.steps[s.tail-1].next = at
	}
	s.tail, s.last = at, k.pos
	s.count++
}

// finish makes the field of the terms.
func (a *analysis) finish(name string) *field {
	f := &field{
		Name: name, Options: index.IndexField | index.IncludeTermVectors,
		Length: uint32(lengthClass(a.length)), Terms: make([]segments.Term, len(a.seen.Terms)),
	}
	for i := range a.seen.Terms {
		t := &a.seen.Terms[i]
		frequency := 2*uint32(t.Value.first) + 1
		if n := t.Value.count; n > 1 {
			frequency = 2 * uint32(n)
			a.pack(&t.Value)
		}
		f.Terms[i] = segments.Term{Hash: t.Hash, Frequency: frequency, End: t.End, PlacesEnd: uint32(len(a.places))}
	}
	text := a.seen.Text
	both := append(append(make([]byte, 0, len(text)+len(a.places)), text...), a.places...)
	f.Text, f.Places = both[:len(text):len(text)], both[len(text):]
	return f
}

// pack appends the location of a term with several places, as the engine has it
// in its files. The first two distances go where they take the least room.
func (a *analysis) pack(s *occurrences) {
	second, rest, more := uint64(0), int32(0), max(s.count-3, 0)
	first := a.steps[s.head-1]
	if first.next != 0 {
		next := a.steps[first.next-1]
		second, rest = next.distance, next.next
	}
	for _, n := range [...]uint64{uint64(s.first), first.distance, second, uint64(more)} {
		a.places = binary.AppendUvarint(a.places, n)
	}
	for ; rest != 0; rest = a.steps[rest-1].next {
		a.places = binary.AppendUvarint(a.places, a.steps[rest-1].distance)
	}
}

// keywords makes a field of whole terms, without positions: of the first
// maxKeywords different values, each cut at maxKeyword octets.
func (a *analysis) keywords(name string, values ...string) *field {
	a.begin(len(values) * 16)
	for _, v := range values {
		if v != "" && len(a.seen.Terms) < maxKeywords {
			term := []byte(clip(v, maxKeyword))
			a.seen.Number(segments.Hash(term), term)
		}
	}
	f := &field{Name: name, Options: index.IndexField, Length: 1, Terms: make([]segments.Term, len(a.seen.Terms)), Text: bytes.Clone(a.seen.Text)}
	for i, t := range a.seen.Terms {
		f.Terms[i] = segments.Term{Hash: t.Hash, Frequency: 1, End: t.End}
	}
	return f
}

// column makes a field with one term, which can be read back by document.
func (a *analysis) column(name, value string) *field {
	f := a.keywords(name, value)
	f.Options |= index.DocValues
	return f
}

// stored makes a field that is kept but not indexed.
func stored(name string, value []byte) *field {
	return &field{Name: name, Options: index.StoreField, Value: value, Length: 1}
}
