package indexer

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/mailkeep/mailkeep/mail"
)

// A fakePosting is what the engine gives back of a term.
type fakePosting struct {
	segment.Posting
	frequency uint64
	places    []byte
}

func (p fakePosting) Frequency() uint64 { return p.frequency }

func (p fakePosting) Locations() []segment.Location {
	if len(p.places) == 0 {
		return nil
	}
	var all []uint64
	for b := p.places; len(b) > 0; {
		v, n := binary.Uvarint(b)
		all, b = append(all, v), b[n:]
	}
	if uint64(len(all)-4) != all[3] {
		panic(fmt.Sprintf("%d numbers, of which %d are array positions", len(all), all[3]))
	}
	return []segment.Location{fakeLocation{l: all}}
}

type fakeLocation struct {
	segment.Location
	l []uint64
}

func (l fakeLocation) Pos() uint64              { return l.l[0] }
func (l fakeLocation) Start() uint64            { return l.l[1] }
func (l fakeLocation) End() uint64              { return l.l[2] }
func (l fakeLocation) ArrayPositions() []uint64 { return l.l[4:] }

// TestPlacesArePackedWithoutLoss: what words packs, readPlaces unpacks.
func TestPlacesArePackedWithoutLoss(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 4))
	var made analysis
	for n := range 200 {
		var text strings.Builder
		for range n * 3 {
			text.WriteString(pick(r, []string{"a", "b", "c", "dd", "straße", "Öl", "oel", "東京", "\x1e", fmt.Sprint(r.IntN(50))}) + " ")
		}
		want := map[string][]uint64{}
		(&tokenizer{}).each(text.String(), func(k token) bool {
			at := append(want[string(k.term)], uint64(k.pos))
			want[string(k.term)] = slices.Compact(at)
			return true
		})
		got := map[string][]uint64{}
		f := made.words("x", text.String())
		from, places := uint32(0), uint32(0)
		for _, k := range f.Terms {
			term := string(f.Text[from:k.End])
			if got[term] != nil {
				t.Fatalf("%q is there twice", term)
			}
			got[term] = readPlaces(nil, fakePosting{frequency: uint64(k.Frequency), places: f.Places[places:k.PlacesEnd]})
			if c := termCount(uint64(k.Frequency)); c != uint64(len(got[term])) {
				t.Fatalf("%q counts %d, has %d places", term, c, len(got[term]))
			}
			if k.Frequency == 1 {
				t.Fatalf("%q has the frequency 1, which the engine keeps without its place", term)
			}
			from, places = k.End, k.PlacesEnd
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%q (-want +got):\n%s", text.String(), d)
		}
	}
}

func TestLengthClass(t *testing.T) {
	t.Parallel()
	last := 0
	for n := range 1 << 20 {
		c := lengthClass(n)
		if c < 1 || c > 127 || c < last {
			t.Fatalf("%d is of class %d after %d", n, c, last)
		}
		last = c
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"en": "The report and the figures of this year are with you.",
		"de": "Die Zahlen und der Bericht sind nicht fertig, bitte auf die Liste setzen.",
		"fr": "Nous vous remercions pour votre lettre et les documents dans cette enveloppe.",
		"ru": "Мы и вы не знаем, что это для нас, но как это на деле",
		"ja": "これはペンです。東京に行きます。",
		"zh": "这是一个很好的例子",
		"ko": "한국어 문서입니다",
		"el": "Καλημέρα σας κύριε",
		"":   "42 lorem 17",
	} {
		if got := language(new(analysis).words(fieldBody, text), text); got != want {
			t.Errorf("%q is of %q, want %q", text, got, want)
		}
	}
	if got := language(nil, ""); got != "" {
		t.Errorf("no text is of %q", got)
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string][2]bool{
		"Re: x": {true, false}, "RE[2]: x": {true, false}, "AW : x": {true, false}, "回复：x": {true, false}, "WG: x": {false, true}, "Fwd (3): x": {false, true},
		"Report: x": {}, "x": {}, "": {}, "rest: re: x": {},
	} {
		if got := [2]bool{prefixed(subject, replyMarks), prefixed(subject, forwardMarks)}; got != want {
			t.Errorf("%q: reply, forward %v, want %v", subject, got, want)
		}
	}
	for name, want := range map[string]string{
		"a.PDF": "pdf", "a.tar.gz": "gz", "a.pdf. ": "pdf", "a": "", "": "", ".profile": "profile", "a.b c": "", "a." + strings.Repeat("x", 17): "", "x/y.z/a": "",
	} {
		if got := extension(name); got != want {
			t.Errorf("%q has the extension %q, want %q", name, got, want)
		}
	}
}

func TestAddressTerms(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string][]string{
		"Anna@Sub.Example.org": {"anna@sub.example.org", "anna@", "@sub.example.org", "@example.org", "@org"},
		"a@b@example.org":      {"a@b@example.org", "a@b@", "@example.org", "@org"},
		"x@bücher.example":     {"x@xn--bcher-kva.example", "x@", "@xn--bcher-kva.example", "@example"},
		"nobody":               {"nobody", "@nobody"},
	} {
		if d := cmp.Diff(want, addressTerms(addr)); d != "" {
			t.Errorf("%s (-want +got):\n%s", addr, d)
		}
	}
}

// TestDaysOfAZone: the same day is another one elsewhere.
func TestDaysOfAZone(t *testing.T) {
	t.Parallel()
	l := newLedger()
	for _, at := range []string{"2024-03-30T18:14:00Z", "2024-03-30T18:15:00Z", "2024-03-31T18:14:59Z", "2024-03-31T18:15:00Z"} {
		date, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		l.add("a", &mail.Message{Text: "x", DateHeader: date})
	}
	x := indexed(t, l)
	for zone, want := range map[string]uint64{"": 2, "Asia/Kathmandu": 2, "+05:45": 2, "America/New_York": 2, "Europe/Berlin": 2, "+14:00": 2} {
		a, err := x.Search(t.Context(), mail.SearchRequest{Query: "on:2024-03-31", Zone: zone, Explain: true}, 4, nil)
		if err != nil || a.Total != want {
			t.Errorf("%q: total %d, want %d, error %v", zone, a.Total, want, err)
		}
		if zone == "Asia/Kathmandu" && (a.Hits[0].ID.Seq != 2 || a.Hits[1].ID.Seq != 1 || a.Explanation != "dated 2024-03-31 00:00 +05:45 or later, and before 2024-04-01 00:00 +05:45\n") {
			t.Errorf("%q: %+v, %q", zone, a.Hits, a.Explanation)
		}
	}
	for _, zone := range []string{"Local", "Nowhere/Else", "../etc/passwd", "+25:00"} {
		if _, err := x.Search(t.Context(), mail.SearchRequest{Zone: zone}, 4, nil); mail.KindOf(err) != mail.Invalid || mail.HintOf(err) == "" {
			t.Errorf("%q: error %v", zone, err)
		}
	}
}

func TestStrictRefusesWhatEvaluationPassesOver(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.add("a", &mail.Message{Text: "x"})
	x := indexed(t, l)
	if _, err := x.Search(t.Context(), mail.SearchRequest{Query: "x !!!", Strict: true}, 1, nil); mail.KindOf(err) != mail.Invalid {
		t.Errorf("error %v", err)
	}
	if _, err := x.Search(t.Context(), mail.SearchRequest{Query: "hold:m"}, 1, nil); mail.KindOf(err) != mail.Invalid {
		t.Errorf("a hold where nobody knows of holds: error %v", err)
	}
}
