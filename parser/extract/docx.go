package extract

// docx reads WordprocessingML (ECMA-376 part 1 section 17): the main part, then
// what stands at the edges of its pages, then what is attached to it.
func (p *opc) docx() error {
	if err := p.part(p.main("word/document.xml"), p.wordTokens); err != nil {
		return err
	}
	err := p.each(p.wordTokens, "word/document*.xml", "word/header*.xml", "word/footer*.xml", "word/footnotes*.xml", "word/endnotes*.xml",
		"word/comments.xml", "word/comments[0-9]*.xml", "word/glossary/document*.xml", "word/diagrams/data*.xml")
	if err != nil {
		return err
	}
	return p.tail("word/")
}

// tail reads what all three formats have beside their own parts.
func (p *opc) tail(folder string) error {
	if err := p.each(p.chartTokens, folder+"charts/chart*.xml", "xl/charts/chart*.xml"); err != nil {
		return err
	}
	if err := p.properties("docprops/core.xml", "docprops/custom.xml"); err != nil {
		return err
	}
	return p.embeddings(folder + "embeddings/")
}

// wordTokens writes the text of a part. DrawingML, VML and mathematics inside it
// have their text in elements of the same local names.
func (r *reading) wordTokens(x *xmlReader) error {
	w := wordWriter{out: &r.out, x: x}
	return x.walk(func(t token) error {
		switch t {
		case startToken:
			w.start()
		case endToken:
			w.end()
		case textToken:
			if w.text > 0 && w.skip == 0 {
				r.out.write(string(x.text))
			}
		}
		return r.full()
	})
}

// A wordWriter is the state between the tokens of one part.
type wordWriter struct {
	out   *sheet
	x     *xmlReader
	text  int // open elements that hold text
	props int // open properties of paragraphs, whose tabs are stops
	// Alternatives (ECMA-376 part 3) hold the same twice, for old and new
	// readers. The second is skipped where the first gave text.
	choice int // length of the text before the choice
	skip   int // open fallbacks that are skipped
}

func (w *wordWriter) start() {
	switch w.x.name {
	case "t", "delText":
		w.text++
	case "tab":
		w.tab()
	case "br", "cr", "tr", "txbxContent":
		w.out.owe(lineGap)
	case "tc":
		w.out.owe(tabGap)
	case "noBreakHyphen":
		w.out.write("-")
	case "pPr":
		w.props++
	case "textpath": // WordArt in VML
		w.out.line(w.x.get("string"))
	case "docPr": // a picture's words for those who do not see it
		w.out.line(w.x.get("descr"))
	case "Choice":
		w.choice = w.out.len()
	case "Fallback":
		if w.skip > 0 || w.out.len() > w.choice {
			w.skip++
		}
	}
}

func (w *wordWriter) tab() {
	if w.props == 0 {
		w.out.owe(tabGap)
	}
}

func (w *wordWriter) end() {
	switch w.x.name {
	case "t", "delText":
		w.text = max(0, w.text-1)
	case "p", "tr":
		w.out.owe(lineGap)
	case "tbl", "txbxContent":
		w.out.owe(paraGap)
	case "tc":
		w.out.gap = tabGap // the paragraph that a cell ends with is no line
	case "pPr":
		w.props = max(0, w.props-1)
	case "Fallback":
		w.skip = max(0, w.skip-1)
	}
}

// chartTokens writes the words and numbers of a chart: DrawingML's text and the
// cached values.
func (p *opc) chartTokens(x *xmlReader) error {
	take := false
	return x.walk(func(t token) error {
		switch t {
		case startToken:
			take = x.name == "t" || x.name == "v"
		case endToken:
			take = false
			if x.name == "v" || x.name == "p" {
				p.out.owe(lineGap)
			}
		case textToken:
			if take {
				p.out.write(string(x.text))
			}
		}
		return p.full()
	})
}
