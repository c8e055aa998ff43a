package extract

// pptx reads PresentationML (ECMA-376 part 1 section 19): the slides in their
// order of showing, each with its notes and comments. Masters and layouts are
// left out: their text is that of the program ("Click to edit ...").
func (p *opc) pptx() error {
	for _, slide := range p.slides() {
		p.out.owe(paraGap)
		if err := p.part(slide, p.wordTokens); err != nil {
			return err
		}
		for _, l := range p.links(slide) {
			if !slideText(l.kind) {
				continue
			}
			if err := p.part(l.target, p.slideNote); err != nil {
				return err
			}
		}
	}
	err := p.each(p.wordTokens, "ppt/slides/slide*.xml", "ppt/notesslides/notesslide*.xml", "ppt/diagrams/data*.xml")
	if err != nil {
		return err
	}
	if err := p.each(p.slideNote, "ppt/comments/*.xml", "ppt/authors.xml", "ppt/commentauthors.xml"); err != nil {
		return err
	}
	return p.tail("ppt/")
}

// slideText reports whether a part that a slide refers to holds text of it.
func slideText(kind string) bool {
	return kind == "notesSlide" || kind == "comments" || kind == "diagramData"
}

// slides returns the parts of the slides in order.
func (p *opc) slides() (ordered []string) {
	main := p.main("ppt/presentation.xml")
	targets := make(map[string]string)
	for _, l := range p.links(main) {
		if l.kind == "slide" {
			targets[l.id] = l.target
		}
	}
	_ = p.part(main, func(x *xmlReader) error {
		return x.walk(func(t token) error {
			if t == startToken && x.name == "sldId" && targets[x.rel()] != "" {
				ordered = append(ordered, targets[x.rel()])
			}
			return nil
		})
	})
	return ordered
}

// slideNote writes notes and comments, old (text in p:text) and new.
func (p *opc) slideNote(x *xmlReader) error {
	p.out.owe(lineGap)
	take := 0
	return x.walk(func(t token) error {
		switch {
		case t == startToken && (x.name == "t" || x.name == "text"):
			take++
		case t == endToken && (x.name == "t" || x.name == "text"):
			take--
			if x.name == "text" {
				p.out.owe(lineGap)
			}
		case t == startToken && (x.name == "cmAuthor" || x.name == "author"):
			p.out.line(x.get("name"))
		case t != textToken && (x.name == "p" || x.name == "br"):
			p.out.owe(lineGap)
		case t == textToken && take > 0:
			p.out.write(string(x.text))
		}
		return p.full()
	})
}
