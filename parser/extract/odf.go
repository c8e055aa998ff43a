package extract

import (
	"strconv"
	"strings"
)

// odf reads an OpenDocument package: its contents, what its pages have at their
// edges, objects inside and what the author said of it.
func (p *opc) odf() error {
	if p.sealed() {
		return errEncrypted
	}
	read := func(x *xmlReader) error { return p.odfTokens(x) }
	if err := p.each(read, "content.xml", "styles.xml", "*/content.xml"); err != nil {
		return err
	}
	if err := p.properties("meta.xml"); err != nil {
		return err
	}
	for _, name := range p.names {
		if strings.HasPrefix(name, "object") && !strings.Contains(name, "/") {
			if err := p.embedding(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// openDocument reads what is named as one and is no ZIP: a flat one, or XML that
// was renamed.
func (r *reading) openDocument() error {
	if looksLikeText(r.doc.Data[:min(len(r.doc.Data), sniffSize)]) {
		r.kind = XML
		return r.xml()
	}
	return r.zipped()
}

// sealed reports whether the manifest says that parts are encrypted.
func (p *opc) sealed() (is bool) {
	_ = p.part("META-INF/manifest.xml", func(x *xmlReader) error {
		return x.walk(func(t token) error {
			is = is || t == startToken && x.name == "encryption-data"
			return nil
		})
	})
	return is
}

// odfTokens writes the text of a part or of a flat document (OpenDocument 1.3
// part 3): everything within paragraphs and headings. Annotations, notes and
// tracked deletions stand where they are attached.
func (r *reading) odfTokens(x *xmlReader) error {
	paragraphs, hidden := 0, 0
	return x.walk(func(t token) error {
		switch t {
		case startToken:
			switch x.name {
			case "p", "h":
				paragraphs++
			case "binary-data":
				hidden++
			}
			r.odfStart(x, paragraphs > 0)
		case endToken:
			switch x.name {
			case "p", "h":
				paragraphs = max(0, paragraphs-1)
				r.out.owe(lineGap)
			case "binary-data":
				hidden = max(0, hidden-1)
			case "table-cell", "covered-table-cell":
				r.out.gap = tabGap
			case "table-row", "title", "desc", "creator":
				r.out.owe(lineGap)
			}
		case textToken:
			if (paragraphs > 0 || odfNamed(x.name)) && hidden == 0 {
				r.odfText(x.text)
			}
		}
		return r.full()
	})
}

// odfNamed reports whether an element outside of paragraphs holds words: of
// pictures, of annotations, of the document's properties in a flat one.
func odfNamed(name string) bool { return name == "title" || name == "desc" || isProperty(name) }

// odfText writes text with white space folded, as the format demands.
func (r *reading) odfText(text []byte) { r.out.words(text) }

func (r *reading) odfStart(x *xmlReader, inside bool) {
	switch x.name {
	case "line-break", "text-box":
		r.out.owe(lineGap)
	case "tab":
		r.out.owe(tabGap)
	case "s":
		if n, err := strconv.Atoi(x.get("c")); inside && (err != nil || n > 0) {
			r.out.owe(spaceGap)
		}
	case "table":
		r.out.owe(paraGap)
		r.out.line(x.get("name"))
	case "page":
		r.out.owe(paraGap)
	case "note", "note-body", "annotation":
		r.out.owe(spaceGap)
	}
}
