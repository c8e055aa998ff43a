package indexer

import (
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

const (
	maxFragments = 3    // of a hit
	perSection   = 2    // of one section
	fragmentSize = 160  // octets, about
	leadSize     = 50   // octets before the first match, about
	maxMatched   = 4096 // tokens looked at in one section
)

// wanted is what a query asks for, as far as it can be seen in a text: its
// words, phrases and the like that are not negated.
type wanted struct {
	sequences []sequence
	terms     map[string]bool
	others    []queryToken // that stand for more than themselves
}

// A sequence is tokens at their distances, wanted in one field of texts
// ("subject", "body", "attachment", "filename") or anywhere ("").
type sequence struct {
	field string
	toks  []queryToken
}

// in reports whether the sequence is wanted in a section.
func (q *sequence) in(s section) bool {
	return q.field == "" || slices.Contains(textFields(q.field), s.kind)
}

func wantedOf(n query.Node) *wanted {
	w := &wanted{terms: map[string]bool{}}
	w.collect(n, "")
	return w
}

func (w *wanted) collect(n query.Node, field string) {
	switch n := n.(type) {
	case query.And:
		for _, k := range n {
			w.collect(k, field)
		}
	case query.Or:
		for _, k := range n {
			w.collect(k, field)
		}
	case query.Field:
		switch n.Name {
		case "subject", "body", "attachment", "filename":
			w.collect(n.Node, n.Name)
		}
	case query.Near:
		for _, k := range queryTokens(n) {
			k.offset = 0
			w.add(sequence{field: field, toks: []queryToken{k}})
		}
	case query.Word, query.Phrase, query.Prefix, query.Fuzzy, query.Stem:
		w.add(sequence{field: field, toks: queryTokens(n)})
	}
}

func (w *wanted) add(s sequence) {
	if len(s.toks) == 0 {
		return
	}
	w.sequences = append(w.sequences, s)
	for _, k := range s.toks {
		if k.as != whole {
			w.others = append(w.others, k)
			continue
		}
		for _, t := range k.terms {
			w.terms[t] = true
		}
	}
}

// has reports whether any sequence has the term.
func (w *wanted) has(term []byte) bool {
	if w.terms[string(term)] {
		return true
	}
	return slices.ContainsFunc(w.others, func(k queryToken) bool { return k.matches(string(term)) })
}

// A section is a text of a message that snippets are cut from.
type section struct {
	kind  string // one of the fields of words
	label string // mail.Fragment.Field
	text  string
}

func sections(m *mail.Message) []section {
	out := []section{{fieldSubject, "subject", m.Subject}, {fieldBody, "body", m.Text}, {fieldBody, "body", m.HTMLText}}
	for _, p := range m.Parts {
		label := p.FileName
		if label == "" {
			label = "attachment"
		}
		out = append(out, section{fieldFileName, label, p.FileName}, section{fieldAttachment, label, p.Text})
	}
	return out
}

// snippets returns up to maxFragments pieces of m around what is wanted; where
// nothing of it can be seen, the beginning of the body.
func snippets(m *mail.Message, w *wanted) []mail.Fragment {
	var out []mail.Fragment
	for _, s := range sections(m) {
		s.text = clip(s.text, maxText)
		marks := w.marks(s)
		for n := 0; len(marks) > 0 && n < perSection && len(out) < maxFragments; n++ {
			var f mail.Fragment
			f, marks = cut(s, marks)
			out = append(out, f)
		}
	}
	if len(out) == 0 && strings.TrimSpace(m.Text) != "" {
		f, _ := cut(section{label: "body", text: clip(strings.TrimSpace(m.Text), maxText)}, nil)
		out = append(out, f)
	}
	return out
}

// A place is a token of a text that some sequence has.
type place struct {
	term            string
	pos, start, end int
}

// marks returns the octets of s that match, in order and apart from each other.
func (w *wanted) marks(s section) [][2]int {
	places := w.places(s.text)
	var out [][2]int
	for _, q := range w.sequences {
		if q.in(s) {
			out = append(out, q.find(places)...)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i][0] < out[j][0] })
	return merged(out)
}

func (w *wanted) places(text string) []place {
	var out []place
	var t tokenizer
	t.each(text, func(k token) bool {
		if w.has(k.term) {
			out = append(out, place{string(k.term), k.pos, k.start, k.end})
		}
		return len(out) < maxMatched
	})
	return out
}

// find returns the octets from the first to the last token of each occurrence.
func (q *sequence) find(places []place) [][2]int {
	var out [][2]int
	for i, first := range places {
		if !q.toks[0].matches(first.term) {
			continue
		}
		end := first.end
		for n := 1; n < len(q.toks) && end > 0; n++ {
			end = q.toks[n].endAt(places[i:], first.pos+q.toks[n].offset)
		}
		if end > 0 {
			out = append(out, [2]int{first.start, end})
		}
	}
	return out
}

// endAt returns where the token ends that stands at pos, if it is one of k;
// else 0. The places ascend.
func (k *queryToken) endAt(places []place, pos int) int {
	n := sort.Search(len(places), func(j int) bool { return places[j].pos >= pos })
	for ; n < len(places) && places[n].pos == pos; n++ {
		if k.matches(places[n].term) {
			return places[n].end
		}
	}
	return 0
}

// merged joins ranges that overlap; they are sorted by their beginnings.
func merged(in [][2]int) [][2]int {
	var out [][2]int
	for _, m := range in {
		if n := len(out); n > 0 && m[0] < out[n-1][1] {
			out[n-1][1] = max(out[n-1][1], m[1])
			continue
		}
		out = append(out, m)
	}
	return out
}

// cut returns the piece of s around the first marks, and the marks behind it. A
// match longer than a fragment is marked as far as the fragment goes.
func cut(s section, marks [][2]int) (mail.Fragment, [][2]int) {
	from := 0
	if len(marks) > 0 && len(s.text) > fragmentSize {
		from = wordStart(s.text, max(0, marks[0][0]-leadSize), marks[0][0])
	}
	to := len(s.text)
	if to-from > fragmentSize {
		to = wordEnd(s.text, from, from+fragmentSize)
	}
	f := mail.Fragment{Field: s.label, Text: printable(s.text[from:to]), Marks: [][2]int{}}
	for len(marks) > 0 && marks[0][0] < to {
		f.Marks = append(f.Marks, [2]int{marks[0][0] - from, min(marks[0][1], to) - from})
		marks = marks[1:]
	}
	return f, marks
}

// wordStart returns the first place at or after i, and not after limit, where a
// word may begin: behind a space, else the next character.
func wordStart(s string, i, limit int) int {
	if i == 0 {
		return 0
	}
	if n := strings.IndexAny(s[i:limit], " \t\r\n"); n >= 0 {
		return i + n + 1
	}
	for i < limit && !utf8.RuneStart(s[i]) {
		i++
	}
	return i
}

// wordEnd returns the last place at or before i, in the latter half of what
// begins at from, where a word ends, else a character.
func wordEnd(s string, from, i int) int {
	half := from + (i-from)/2
	if n := strings.LastIndexAny(s[half:i], " \t\r\n"); n >= 0 {
		return half + n
	}
	for i > from && !utf8.RuneStart(s[i]) {
		i--
	}
	return i
}

// printable returns s with a space for each octet of a control character and a
// question mark for each that is not UTF-8: as long as s, so that marks hold.
func printable(s string) string {
	b := []byte(s)
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b[i] = '?'
		case r < 0x20, 0x7f <= r && r < 0xa0, r == '\u2028', r == '\u2029', 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069:
			for j := range n {
				b[i+j] = ' '
			}
		}
		i += n
	}
	return string(b)
}
