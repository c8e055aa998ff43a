package readable

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// htmlDepth bounds how often text inside of an element that the scanner does
// not look into is read as HTML of its own.
const htmlDepth = 2

// maxQuotes bounds how many quotes of a page are told of.
const maxQuotes = 1000

// A Range is a stretch of a text, in octets from its start; To is behind the last.
type Range struct{ From, To int }

// HTML is Page without the quotes.
func HTML(b []byte, limit int) (text string, cut bool) {
	text, _, cut = Page(b, limit)
	return text, cut
}

// Page makes text of HTML that is in UTF-8. Scripts and styles are dropped; what a style
// merely hides stays, because it was sent and may matter; of links and images
// the words remain. It cuts HTML where the tokenizer of the HTML standard
// (section 13.2.5) does, so it reads what a browser shows, but keeps no tree and
// no attributes: no nesting can exhaust it, and an image of megabytes in an
// attribute costs a search for its closing quote. It keeps at most limit octets.
// quotes are the outermost blockquotes that have words, in order, at most maxQuotes.
func Page(b []byte, limit int) (text string, quotes []Range, cut bool) {
	h := &htmlReader{limit: limit}
	h.out = make([]byte, 0, min(len(b)/4+64, limit))
	h.read(b, 0)
	h.endQuote()
	text = string(h.out)
	lead := len(text) - len(strings.TrimLeftFunc(text, unicode.IsSpace))
	text = strings.TrimSpace(text)
	for i := range h.quotes {
		q := &h.quotes[i]
		q.From, q.To = max(q.From-lead, 0), max(min(q.To-lead, len(text)), 0)
	}
	return text, h.quotes, h.cut
}

type htmlReader struct {
	out   []byte
	limit int
	cut   bool
	gap   gap // what stands before the next word
	pre   int // open <pre>

	quote  int // open <blockquote>
	from   int // where the outermost begins; -1 before its first word
	quotes []Range
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

var gaps = [...]string{noGap: "", spaceGap: " ", tabGap: "\t", lineGap: "\n", paraGap: "\n\n"}

func (h *htmlReader) read(b []byte, depth int) {
	var t tag
	for len(b) > 0 && !h.cut {
		i := bytes.IndexByte(b, '<')
		if i < 0 {
			h.text(b)
			return
		}
		h.text(b[:i])
		n := t.scan(b[i:])
		if n == 0 { // not markup
			h.text(b[i : i+1])
			b = b[i+1:]
			continue
		}
		b = b[i+n:]
		switch t.kind {
		case startTag:
			if raw := h.start(&t); raw != 0 {
				b = h.rawText(raw, t.name, b, depth)
			}
		case endTag:
			h.end(t.atom())
		}
	}
}

// rawText handles the content of an element that is not HTML to the tokenizer
// and returns what follows it. One that is never closed has swallowed the rest
// of the mail: that is read.
func (h *htmlReader) rawText(el atom.Atom, name, b []byte, depth int) (rest []byte) {
	end := closing(b, name)
	closed := end >= 0 && el != atom.Plaintext
	if !closed {
		end = len(b)
	}
	text, rest := b[:end], b[end:]
	switch {
	case closed && (el == atom.Title || el == atom.Textarea):
		h.owe(lineGap)
		h.text(text)
		h.owe(lineGap)
	case closed && (el == atom.Script || el == atom.Style):
	case depth < htmlDepth && len(text) > 0:
		h.owe(lineGap)
		h.read(text, depth+1)
	}
	return rest
}

// start takes a start tag and returns its element if the content of that is not
// HTML.
func (h *htmlReader) start(t *tag) (raw atom.Atom) {
	el := t.atom()
	switch el {
	case atom.Script, atom.Style, atom.Title, atom.Textarea, atom.Iframe, atom.Noembed, atom.Noframes, atom.Xmp, atom.Plaintext:
		raw = el
	case atom.Br:
		if h.gap == lineGap {
			h.owe(paraGap)
		}
		h.owe(lineGap)
	case atom.Pre:
		h.pre++
	case atom.Blockquote:
		if h.quote == 0 {
			h.from = -1
		}
		h.quote++
	case atom.Img, atom.Area:
		h.alt(t.alt)
	}
	h.owe(gapOf(el))
	return raw
}

func (h *htmlReader) end(el atom.Atom) {
	switch {
	case el == atom.Pre && h.pre > 0:
		h.pre--
	case el == atom.Blockquote && h.quote > 0:
		if h.quote == 1 {
			h.endQuote()
			break
		}
		h.quote--
	}
	h.owe(gapOf(el))
}

// endQuote ends the outermost quote, if one is open.
func (h *htmlReader) endQuote() {
	if h.quote > 0 && h.from >= 0 && h.from < len(h.out) && len(h.quotes) < maxQuotes {
		h.quotes = append(h.quotes, Range{h.from, len(h.out)})
	}
	h.quote = 0
}

// alt writes the text that stands for an image.
func (h *htmlReader) alt(text []byte) {
	if len(text) > 0 {
		h.owe(spaceGap)
		h.text(text)
		h.owe(spaceGap)
	}
}

func gapOf(el atom.Atom) gap {
	switch el {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Blockquote, atom.Table, atom.Ul, atom.Ol, atom.Pre:
		return paraGap
	case atom.Div, atom.Li, atom.Tr, atom.Dt, atom.Dd, atom.Hr, atom.Section, atom.Article, atom.Header, atom.Footer,
		atom.Address, atom.Form, atom.Option, atom.Center, atom.Caption, atom.Fieldset, atom.Body, atom.Head, atom.Title, atom.Main, atom.Nav:
		return lineGap
	case atom.Td, atom.Th:
		return tabGap
	case atom.Button, atom.Select, atom.Input:
		return spaceGap
	}
	return noGap
}

// owe asks for at least the gap before the next text.
func (h *htmlReader) owe(g gap) { h.gap = max(h.gap, g) }

// text adds text with character references.
func (h *htmlReader) text(b []byte) {
	for len(b) > 0 && !h.cut {
		i := bytes.IndexByte(b, '&')
		if i < 0 {
			h.write(b)
			return
		}
		h.write(b[:i])
		n := reference(b[i:])
		ref, ok := references[string(b[i:i+n])]
		if !ok {
			ref = html.UnescapeString(string(b[i : i+n]))
		}
		h.write([]byte(ref))
		b = b[i+n:]
	}
}

// references are those that nearly all pages use. The others are left to x/net.
var references = map[string]string{
	"&nbsp;": "\u00a0", "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": `"`, "&#39;": "'", "&apos;": "'", "&euro;": "€", "&copy;": "©", "&reg;": "®",
	"&mdash;": "—", "&ndash;": "–", "&rsquo;": "’", "&lsquo;": "‘", "&ldquo;": "“", "&rdquo;": "”", "&hellip;": "…", "&bull;": "•", "&middot;": "·",
	"&zwnj;": "\u200c", "&shy;": "\u00ad", "&auml;": "ä", "&ouml;": "ö", "&uuml;": "ü", "&szlig;": "ß", "&eacute;": "é", "&#160;": "\u00a0", "&#8203;": "\u200b",
	"&#847;": "\u034f", "&#8199;": "\u2007", "&#xa0;": "\u00a0", "&#xA0;": "\u00a0", "&times;": "×", "&raquo;": "»", "&laquo;": "«",
}

// reference returns the length of the character reference, or of what looks
// like one, at the start of b.
func reference(b []byte) int {
	n := 1
	if n < len(b) && b[n] == '#' {
		n++
	}
	for n < len(b) && isAlnum(b[n]) {
		n++
	}
	if n < len(b) && b[n] == ';' {
		n++
	}
	return n
}

func isAlnum(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' }

// write adds text, its white space folded outside of <pre>.
func (h *htmlReader) write(b []byte) {
	for len(b) > 0 && !h.cut {
		if n := wordsEnd(b); n > 0 {
			h.append(b[:n])
			b = b[n:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		switch {
		case h.pre > 0 && (r == '\n' || r == '\r'):
			h.owe(lineGap)
		case r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\f' || r == '\u00a0':
			h.owe(spaceGap)
		case invisible(r):
		case r == utf8.RuneError && n == 1:
			h.append([]byte(string(utf8.RuneError)))
		default:
			h.append(b[:n])
		}
		b = b[n:]
	}
}

// wordsEnd returns the length of the words of ASCII at the start of b that stand
// one space apart.
func wordsEnd(b []byte) int {
	n := printable(b)
	if i := bytes.Index(b[:n], []byte("  ")); i >= 0 {
		n = i
	}
	if n > 0 && b[n-1] == ' ' {
		n--
	}
	if n > 0 && b[0] == ' ' {
		return 0
	}
	return n
}

// printable returns how many octets at the start of b are from space to tilde. It
// looks at eight at once: an octet below 0x20, from 0x7f on, sets the high bit of its
// place in mask. A borrow can only set places behind one that is set, and the first
// counts.
func printable(b []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; n+8 <= len(b); n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		if mask := ((x - 0x20*ones) | x | (x + ones)) & highs; mask != 0 {
			return n + bits.TrailingZeros64(mask)/8
		}
	}
	for n < len(b) && b[n] >= ' ' && b[n] < 0x7f {
		n++
	}
	return n
}

func octetSet(in func(byte) bool) (t [256]bool) {
	for c := range t {
		t[c] = in(byte(c))
	}
	return t
}

// append adds one character, or ASCII of which a beginning may be kept, behind
// the gap that is owed.
func (h *htmlReader) append(b []byte) {
	if h.gap != noGap && len(h.out) > 0 {
		h.out = append(h.out, gaps[h.gap]...)
	}
	h.gap = noGap
	if h.quote > 0 && h.from < 0 {
		h.from = len(h.out)
	}
	if room := h.limit - len(h.out); len(b) > room {
		h.cut = true
		if b = b[:max(room, 0)]; len(b) > 0 && b[0] >= utf8.RuneSelf {
			b = nil
		}
	}
	h.out = append(h.out, b...)
}

// MetaCharset finds the charset that an HTML document declares of itself in its
// first octets, as `<meta charset=x>` or in a content attribute.
func MetaCharset(b []byte) string {
	b = bytes.ToLower(b[:min(len(b), 2048)])
	i := bytes.Index(b, []byte("<meta"))
	if i < 0 {
		return ""
	}
	b = b[i:]
	i = bytes.Index(b, []byte("charset="))
	if i < 0 {
		return ""
	}
	b = bytes.TrimLeft(b[i+len("charset="):], `"' `)
	end := bytes.IndexAny(b, `"'/> ;`)
	if end < 0 || end > 40 {
		return ""
	}
	return string(b[:end])
}
