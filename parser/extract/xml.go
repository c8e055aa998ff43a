package extract

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding/unicode"

	"github.com/mailkeep/mailkeep/parser/charset"
)

// An xmlReader gives the tokens of a document in XML one by one. It keeps no
// tree and no stack, so that no nesting costs memory, and matches names without
// their prefixes: what a namespace is called is the writer's choice, and the
// vocabularies that are read here do not clash in the names that matter.
//
// Entities that a DTD declares stay as they are written.
type xmlReader struct {
	d    *xml.Decoder
	name string // of the element that start or end is about
	attr []xml.Attr
	text []byte // valid until the next token
}

// A token is what xmlReader.next found.
type token uint8

const (
	startToken token = iota
	endToken
	textToken
)

func newXMLReader(r io.Reader) *xmlReader {
	b := bufio.NewReaderSize(r, 32<<10)
	head, _ := b.Peek(2)
	wide := string(head) == "\xff\xfe" || string(head) == "\xfe\xff"
	r = b
	if wide {
		r = unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder().Reader(b)
	}
	d := xml.NewDecoder(r)
	d.Strict = false
	d.Entity = xml.HTMLEntity
	d.CharsetReader = func(label string, in io.Reader) (io.Reader, error) {
		if wide {
			return in, nil
		}
		return charset.NewReader(label, in)
	}
	return &xmlReader{d: d}
}

// next returns the next token that is one of the three kinds; io.EOF at the end.
func (x *xmlReader) next() (token, error) {
	for {
		t, err := x.d.RawToken()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return 0, io.EOF
			}
			return 0, fmt.Errorf("read XML: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			x.name, x.attr = t.Name.Local, t.Attr
			return startToken, nil
		case xml.EndElement:
			x.name, x.attr = t.Name.Local, nil
			return endToken, nil
		case xml.CharData:
			x.text = t
			return textToken, nil
		}
	}
}

// get returns an attribute of the current element by its local name.
func (x *xmlReader) get(name string) string {
	for _, a := range x.attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// rel returns the relationship id of the current element, which shares its local
// name with plain ids.
func (x *xmlReader) rel() string {
	for _, a := range x.attr {
		if a.Name.Local == "id" && a.Name.Space != "" {
			return a.Value
		}
	}
	return ""
}

// walk calls f for each token until the end.
func (x *xmlReader) walk(f func(token) error) error {
	for {
		t, err := x.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(t); err != nil {
			return err
		}
	}
}

// xml reads a document in XML: flat office formats by their own readers, because
// their elements part words, of all others every text. What has no element is
// read as text.
func (r *reading) xml() error {
	x := newXMLReader(patient{r, bytes.NewReader(r.doc.Data)})
	first, depth := true, 0
	err := x.walk(func(t token) error {
		switch {
		case t == startToken && first && x.name == "document" && strings.Contains(rootSpaces(x), "opendocument"):
			r.kind = ODF
			return r.odfTokens(x)
		case t == startToken && first && (x.name == "wordDocument" || x.name == "package"):
			first = false // WordprocessingML of 2003, or a package in one file
			return r.wordTokens(x)
		case t == startToken:
			first = false
			depth++
			r.out.owe(lineGap)
		case t == endToken:
			depth--
			r.out.owe(lineGap)
		case t == textToken && depth > 0:
			r.out.words(x.text)
		}
		return r.full()
	})
	if first && r.kind == XML && r.ended() == nil {
		r.kind = Plain // there is no element in it
		return r.plain()
	}
	return err
}

// A patient reader ends with the context.
type patient struct {
	of *reading
	r  io.Reader
}

func (p patient) Read(b []byte) (int, error) {
	if err := p.of.ended(); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}

// rootSpaces joins the namespaces that the current element declares.
func rootSpaces(x *xmlReader) string {
	var sb strings.Builder
	for _, a := range x.attr {
		if a.Name.Space == "xmlns" {
			sb.WriteString(a.Value)
		}
	}
	return sb.String()
}

// full returns an error when nothing more can be written.
func (r *reading) full() error {
	if r.out.cut {
		return errLimit
	}
	return nil
}
