package segments

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/blevesearch/bleve/v2/document"
	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	zap "github.com/blevesearch/zapx/v17"
)

// A fakeField is a field in the shape that the engine's own maker takes.
type fakeField struct {
	name   string
	opts   index.FieldIndexingOptions
	value  []byte
	length int
	terms  index.TokenFrequencies
}

func (f *fakeField) Name() string                                     { return f.name }
func (f *fakeField) Value() []byte                                    { return f.value }
func (f *fakeField) ArrayPositions() []uint64                         { return nil }
func (f *fakeField) EncodedFieldType() byte                           { return 't' }
func (f *fakeField) Analyze()                                         {}
func (f *fakeField) Options() index.FieldIndexingOptions              { return f.opts }
func (f *fakeField) AnalyzedLength() int                              { return f.length }
func (f *fakeField) AnalyzedTokenFrequencies() index.TokenFrequencies { return f.terms }
func (f *fakeField) NumPlainTextBytes() uint64                        { return 0 }
func (f *fakeField) Size() int                                        { return 0 }

// A draft makes the same field in both shapes.
type draft struct {
	ours   Field
	theirs fakeField
}

func newDraft(name string, opts index.FieldIndexingOptions, length int, value string) *draft {
	d := &draft{ours: Field{Name: name, Options: opts, Length: uint32(length)}}
	d.theirs = fakeField{name: name, opts: opts, length: length, terms: index.TokenFrequencies{}}
	if opts.IsStored() {
		d.ours.Value, d.theirs.value = []byte(value), []byte(value)
	}
	return d
}

// add adds a term, if it is new.
func (d *draft) add(term string, freq int, places ...uint64) {
	if d.theirs.terms[term] != nil {
		return
	}
	f := &d.ours
	f.Text = append(f.Text, term...)
	tf := &index.TokenFreq{}
	tf.SetFrequency(freq)
	if len(places) > 2 {
		for _, v := range append(append([]uint64{}, places[:3]...), append([]uint64{uint64(len(places) - 3)}, places[3:]...)...) {
			f.Places = binary.AppendUvarint(f.Places, v)
		}
		tf.Locations = []*index.TokenLocation{{Position: int(places[0]), Start: int(places[1]), End: int(places[2]), ArrayPositions: places[3:]}}
	}
	f.Terms = append(f.Terms, Term{Hash: Hash([]byte(term)), Frequency: uint32(freq), End: uint32(len(f.Text)), PlacesEnd: uint32(len(f.Places))})
	d.theirs.terms[term] = tf
}

// drafts makes the fields of a document: some are missing, some empty.
func drafts(r *rand.Rand, n int) []*draft {
	id := newDraft("unique", index.IndexField, 1, "")
	id.add(fmt.Sprint("u", n), 1)
	column := newDraft("order", index.IndexField|index.DocValues, 1, "")
	column.add(fmt.Sprintf("%08d", r.IntN(1e8)), 1)
	hit := newDraft("hit", index.StoreField, 1, strings.Repeat("abc", r.IntN(40)))
	out := []*draft{hit, id, column}
	for _, name := range []string{"body", "attachment"} {
		f := newDraft(name, index.IndexField|index.IncludeTermVectors, 1+r.IntN(127), "")
		f.add("common", 2*n+1)
		for range r.IntN(30) {
			term := strings.Repeat("prefix", r.IntN(3)) + fmt.Sprintf("%x", r.IntN(1<<r.IntN(16)))
			places := make([]uint64, 3+r.IntN(4))
			for i := range places {
				places[i] = r.Uint64N(1 << r.IntN(30))
			}
			f.add(term, 1+r.IntN(300), places[:r.IntN(2)*len(places)]...)
		}
		if r.IntN(3) > 0 {
			out = append(out, f)
		}
	}
	many := newDraft("values", index.IndexField|index.StoreField|index.DocValues, 1, "stored")
	for range r.IntN(3) {
		many.add(fmt.Sprint("v", r.IntN(5)), 1)
	}
	if r.IntN(2) > 0 {
		out = append(out, many)
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// both makes a segment of the same documents in both ways.
func both(tb testing.TB, docs int, make func(n int) []*draft) (ours, theirs segment.Segment) {
	tb.Helper()
	var in, out []index.Document
	for n := range docs {
		id := fmt.Sprintf("%08x", n)
		c, d := &Content{}, document.NewDocument(id)
		for _, f := range make(n) {
			c.Fields = append(c.Fields, &f.ours)
			d.AddField(&f.theirs)
		}
		in, out = append(in, c.Document(id)), append(out, d)
	}
	for i := range docs { // as the engine does
		in[i].AddIDField()
		out[i].AddIDField()
		out[i].VisitFields(func(f index.Field) { f.Analyze() })
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(docs, func(i, j int) { in[i], in[j] = in[j], in[i] })
	ours, _, err := (&Plugin{}).New(in)
	if err != nil {
		tb.Fatal(err)
	}
	theirs, _, err = (&zap.ZapPlugin{}).New(out)
	if err != nil {
		tb.Fatal(err)
	}
	return ours, theirs
}

// dump tells all that can be read of a segment.
func dump(tb testing.TB, s segment.Segment) string {
	tb.Helper()
	var b strings.Builder
	check := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	fields := s.Fields()
	fmt.Fprintln(&b, s.Count(), fields)
	for _, name := range fields {
		dict, err := s.Dictionary(name)
		check(err)
		terms := dict.AutomatonIterator(nil, nil, nil)
		for e, err := terms.Next(); e != nil; e, err = terms.Next() {
			check(err)
			list, err := dict.PostingsList([]byte(e.Term), nil, nil)
			check(err)
			// e.Count is wrong behind a term of one document, in merged segments too.
			fmt.Fprintln(&b, name, e.Term, list.Count())
			it := list.Iterator(true, true, true, nil)
			for p, err := it.Next(); p != nil; p, err = it.Next() {
				check(err)
				fmt.Fprint(&b, "\t", p.Number(), " ", p.Frequency(), " ", p.Norm())
				for _, l := range p.Locations() {
					fmt.Fprint(&b, " ", l.Field(), l.Pos(), l.Start(), l.End(), l.ArrayPositions())
				}
				b.WriteByte('\n')
			}
		}
	}
	var state segment.DocVisitState
	for n := range s.Count() {
		check(s.VisitStoredFields(n, func(field string, typ byte, value []byte, pos []uint64) bool {
			fmt.Fprintf(&b, "%d %s %c %q %d\n", n, field, typ, value, pos)
			return true
		}))
		var err error
		state, err = s.(segment.DocValueVisitable).VisitDocValues(n, fields, func(field string, term []byte) {
			fmt.Fprintf(&b, "%d %s=%s\n", n, field, term)
		}, state)
		check(err)
	}
	return b.String()
}

// merged returns what the engine merges of a segment alone, but for the list of
// sections, whose order is that of a map.
func merged(tb testing.TB, s segment.Segment) []byte {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "merged.zap")
	_, _, err := (&zap.ZapPlugin{}).Merge([]segment.Segment{s}, []*roaring.Bitmap{nil}, path, make(chan struct{}), nil)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	footer := b[len(b)-zap.FooterSize+4:] // behind the length of the writer's name
	sections := binary.BigEndian.Uint64(footer[16:])
	_, n := binary.Uvarint(b[sections:])
	return b[:binary.BigEndian.Uint64(b[sections+uint64(n):])]
}

// compare fails if a segment of ours differs from one of the engine's.
func compare(tb testing.TB, docs int, make func(n int) []*draft) {
	tb.Helper()
	ours, theirs := both(tb, docs, make)
	if a, b := dump(tb, theirs), dump(tb, ours); a != b {
		tb.Fatalf("of %d documents the engine reads (-its own +ours):\n%.4000s", docs, cmp.Diff(a, b))
	}
	if a, b := merged(tb, theirs), merged(tb, ours); !bytes.Equal(a, b) {
		tb.Fatalf("of %d documents the engine merges %d octets of its own, %d of ours, or others", docs, len(a), len(b))
	}
}

// TestLikeTheEngine: our segments are to the engine what its own are, on either
// side of the limits of the format.
func TestLikeTheEngine(t *testing.T) {
	t.Parallel()
	for _, docs := range []int{1, 2, 100, chunkPostings - 1, chunkPostings, 2*chunkPostings + 5} {
		r := rand.New(rand.NewPCG(uint64(docs), 7))
		compare(t, docs, func(n int) []*draft { return drafts(r, n) })
	}
}

// TestManyDocuments: bitmaps are no lists any more, and have two containers.
func TestManyDocuments(t *testing.T) {
	t.Parallel()
	for _, docs := range []int{maxArray, maxArray + 1, container + 10} {
		ours, theirs := both(t, docs, func(n int) []*draft {
			f := newDraft("body", index.IndexField, 1, "")
			f.add("common", 3)
			if n%(container-1) == 0 {
				f.add("ends", 5, 1, 2, 3)
			}
			return []*draft{f}
		})
		if a, b := merged(t, theirs), merged(t, ours); !bytes.Equal(a, b) {
			t.Fatalf("of %d documents the engine merges %d octets of its own, %d of ours, or others", docs, len(a), len(b))
		}
	}
}

// TestFilesAreTheEngines: what is persisted, the engine opens.
func TestFilesAreTheEngines(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 3))
	ours, _ := both(t, 50, func(n int) []*draft { return drafts(r, n) })
	path := filepath.Join(t.TempDir(), "a.zap")
	if err := ours.(segment.UnpersistedSegment).Persist(path); err != nil {
		t.Fatal(err)
	}
	s, err := (&zap.ZapPlugin{}).Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if d := cmp.Diff(dump(t, ours), dump(t, s)); d != "" {
		t.Errorf("in memory and in a file (-memory +file):\n%.4000s", d)
	}
}

// TestTheSameAgain: octets depend on the documents alone, not on their order in
// the batch nor on the seed of the hashes of another process.
func TestTheSameAgain(t *testing.T) {
	t.Parallel()
	var made [2][]byte
	for i := range made {
		r := rand.New(rand.NewPCG(5, 5))
		var in []input
		for n := range 300 {
			c := &Content{}
			for _, f := range drafts(r, n) {
				if i == 1 {
					for k := range f.ours.Terms {
						f.ours.Terms[k].Hash *= 0x9e3779b1
					}
				}
				c.Fields = append(c.Fields, &f.ours)
			}
			in = append(in, input{fmt.Sprintf("%04d", n), c})
		}
		m, err := build(in)
		if err != nil {
			t.Fatal(err)
		}
		made[i] = m.out
	}
	if string(made[0]) != string(made[1]) {
		t.Error("other hashes make another segment")
	}
}

// TestTwoKinds: a document that carries nothing is the engine's, and is never
// dropped beside ours.
func TestTwoKinds(t *testing.T) {
	t.Parallel()
	plain := document.NewDocument("a")
	plain.AddIDField()
	s, _, err := (&Plugin{}).New([]index.Document{plain})
	if err != nil || s.Count() != 1 {
		t.Errorf("a document without content: %v, error %v", s, err)
	}
	ours := (&Content{}).Document("b")
	ours.AddIDField()
	if _, _, err := (&Plugin{}).New([]index.Document{plain, ours}); err == nil {
		t.Error("documents of two kinds make a segment")
	}
}

// FuzzLikeTheEngine compares segments of other documents.
func FuzzLikeTheEngine(f *testing.F) {
	f.Add(uint64(1), uint16(3))
	f.Fuzz(func(t *testing.T, seed uint64, docs uint16) {
		r := rand.New(rand.NewPCG(seed, 7))
		compare(t, 1+int(docs)%200, func(n int) []*draft { return drafts(r, n) })
	})
}

// BenchmarkBuild compares the time of our maker with that of the engine's.
func BenchmarkBuild(b *testing.B) {
	r := rand.New(rand.NewPCG(9, 9))
	const docs = 1000
	var in, out []index.Document
	for n := range docs {
		id := fmt.Sprintf("%08x", n)
		c, d := &Content{}, document.NewDocument(id)
		for _, f := range drafts(r, n) {
			c.Fields, d.Fields = append(c.Fields, &f.ours), append(d.Fields, &f.theirs)
		}
		in, out = append(in, c.Document(id)), append(out, d)
		in[n].AddIDField()
		out[n].AddIDField()
		out[n].VisitFields(func(f index.Field) { f.Analyze() })
	}
	for name, make := range map[string]func() error{
		"ours":   func() error { _, _, err := (&Plugin{}).New(in); return err },
		"theirs": func() error { _, _, err := (&zap.ZapPlugin{}).New(out); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := make(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*docs/b.Elapsed().Seconds(), "docs/s")
		})
	}
}
