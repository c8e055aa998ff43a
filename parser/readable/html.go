package readable

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// htmlDepth bounds how often text inside of an element that the tokenizer does
// not look into is read as HTML of its own.
const htmlDepth = 2

// HTML makes text of HTML that is in UTF-8. Scripts and styles are dropped; what a style
// merely hides stays, because it was sent and may matter; of links and images
// the words remain. The tokenizer keeps no tree, so no nesting can exhaust it,
// and its buffer is bounded by the limit on b: real mails hold images of
// megabytes in one attribute. It keeps at most limit octets.
func HTML(b []byte, limit int) (text string, cut bool) {
	h := &htmlReader{limit: limit}
	h.out.Grow(min(len(b)/4, limit))
	h.read(bytes.NewReader(b), 0)
	return strings.TrimSpace(h.out.String()), h.cut
}

type htmlReader struct {
	out   strings.Builder
	limit int
	cut   bool
	gap   gap // what stands before the next word
	pre   int // open <pre>
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

func (h *htmlReader) read(r io.Reader, depth int) {
	z := html.NewTokenizer(r)
	raw := atom.Atom(0) // element whose content the tokenizer gives as one text
	for !h.cut {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.TextToken:
			if raw == 0 {
				h.write(z.Text())
				continue
			}
			h.rawText(raw, bytes.Clone(z.Text()), z.Next() == html.ErrorToken, depth)
			raw = 0
		case html.StartTagToken, html.SelfClosingTagToken:
			raw = h.start(z)
		case html.EndTagToken:
			name, _ := z.TagName()
			h.end(atom.Lookup(name))
			raw = 0
		}
	}
}

// rawText handles the content of an element that is not HTML to the tokenizer.
// One that is never closed has swallowed the rest of the mail: that is read.
func (h *htmlReader) rawText(el atom.Atom, text []byte, unclosed bool, depth int) {
	switch {
	case el == atom.Title || el == atom.Textarea:
		if !unclosed {
			h.owe(lineGap)
			h.write(text)
			h.owe(lineGap)
			return
		}
	case (el == atom.Script || el == atom.Style) && !unclosed:
		return
	}
	if depth < htmlDepth {
		h.owe(lineGap)
		h.read(bytes.NewReader(text), depth+1)
	}
}

func (h *htmlReader) start(z *html.Tokenizer) (raw atom.Atom) {
	name, attrs := z.TagName()
	el := atom.Lookup(name)
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
	case atom.Img, atom.Area:
		h.alt(z, attrs)
	}
	h.owe(gapOf(el))
	return raw
}

func (h *htmlReader) end(el atom.Atom) {
	if el == atom.Pre && h.pre > 0 {
		h.pre--
	}
	h.owe(gapOf(el))
}

// alt writes the text that stands for an image.
func (h *htmlReader) alt(z *html.Tokenizer, more bool) {
	for more {
		var key, val []byte
		key, val, more = z.TagAttr()
		if string(key) == "alt" && len(val) > 0 {
			h.owe(spaceGap)
			h.write(val)
			h.owe(spaceGap)
		}
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

// write adds text, its white space folded outside of <pre>.
func (h *htmlReader) write(b []byte) {
	for len(b) > 0 && !h.cut {
		r, n := utf8.DecodeRune(b)
		b = b[n:]
		switch {
		case h.pre > 0 && r == '\n':
			h.owe(lineGap)
		case r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\f' || r == '\u00a0':
			h.owe(spaceGap)
		case invisible(r):
		default:
			h.settle()
			if h.out.Len()+utf8.UTFMax > h.limit {
				h.cut = true
				return
			}
			h.out.WriteRune(r)
		}
	}
}

// settle writes the gap that is owed.
func (h *htmlReader) settle() {
	if h.gap != noGap && h.out.Len() > 0 {
		h.out.WriteString([...]string{"", " ", "\t", "\n", "\n\n"}[h.gap])
	}
	h.gap = noGap
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
