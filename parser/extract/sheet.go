package extract

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/parser/readable"
)

// detailLimit bounds, in octets, what a Result says of a fault.
const detailLimit = 200

// A sheet is the text of one document in the making. Its gaps are owed rather
// than written, so that there are none at its ends and never two in a row.
type sheet struct {
	b     strings.Builder
	limit int
	gap   gap
	cut   bool // the limit was reached: what comes is dropped
}

// A gap is the space owed before the next text.
type gap uint8

const (
	noGap gap = iota
	spaceGap
	tabGap
	lineGap
	paraGap
)

var gapText = [...]string{"", " ", "\t", "\n", "\n\n"}

// owe asks for at least the gap before the next text.
func (s *sheet) owe(g gap) { s.gap = max(s.gap, g) }

// write adds text, cut at the limit between characters.
func (s *sheet) write(text string) {
	if text == "" || s.cut {
		return
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	gap := ""
	if s.b.Len() > 0 {
		gap = gapText[s.gap]
	}
	s.gap = noGap
	if room := s.limit - s.b.Len() - len(gap); len(text) > room {
		s.cut = true
		text = cutText(text, room)
	}
	if text != "" {
		s.b.WriteString(gap)
		s.b.WriteString(text)
	}
}

// words adds text with its white space folded.
func (s *sheet) words(text []byte) {
	fields := bytes.Fields(text)
	for i, f := range fields {
		if i > 0 || isSpace(text[0]) {
			s.owe(spaceGap)
		}
		s.write(string(f))
	}
	if len(text) > 0 && isSpace(text[len(text)-1]) {
		s.owe(spaceGap)
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// line adds text as a line of its own.
func (s *sheet) line(text string) {
	s.owe(lineGap)
	s.write(text)
	s.owe(lineGap)
}

func (s *sheet) len() int { return s.b.Len() }

// room is how many octets may still be written, at least 1.
func (s *sheet) room() int { return max(1, s.limit-s.b.Len()) }

// String returns the text, cleaned of controls and invisible characters.
func (s *sheet) String() string {
	text, _ := readable.Plain(s.b.String(), s.limit)
	return text
}

// cutText returns the longest prefix of s of at most n octets that ends between
// characters.
func cutText(s string, n int) string {
	if n <= 0 {
		return ""
	}
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// oneLine makes a short line of a text that may hold anything.
func oneLine(s string) string {
	s = cutText(strings.ToValidUTF8(s, "\uFFFD"), detailLimit)
	s, _ = readable.Plain(s, detailLimit)
	return strings.Join(strings.Fields(s), " ")
}
