package extract

import (
	"strconv"
	"strings"
)

// xlsx reads SpreadsheetML (ECMA-376 part 1 section 18): the sheets in their
// order, hidden ones too, each by its name with a line for a row and a tab
// between cells; then comments, drawings and charts. Formulas are left out, the
// values that they last had are not.
func (p *opc) xlsx() error {
	b := &workbook{opc: p}
	main := p.main("xl/workbook.xml")
	if strings.HasSuffix(main, ".bin") || p.has("xl/workbook.bin") {
		return errUnsupported // [MS-XLSB]
	}
	if err := b.load(main); err != nil {
		return err
	}
	for _, s := range b.sheets {
		p.out.owe(paraGap)
		p.out.line(s.name)
		if err := p.part(s.part, b.sheetTokens); err != nil {
			return err
		}
	}
	if err := p.each(b.sheetTokens, "xl/worksheets/sheet*.xml"); err != nil {
		return err
	}
	err := p.each(p.wordTokens, "xl/comments*.xml", "xl/comments/comment*.xml", "xl/threadedcomments/*.xml", "xl/drawings/drawing*.xml", "xl/drawings/vmldrawing*.vml")
	if err != nil {
		return err
	}
	return p.tail("xl/")
}

// A workbook is what cells refer to.
type workbook struct {
	*opc
	strings []string
	dates   []bool // by style of a cell: its number is a date
	since04 bool   // dates count from 1904
	sheets  []sheetName
}

type sheetName struct{ name, part string }

func (b *workbook) load(main string) error {
	targets := make(map[string]link)
	var others []link
	for _, l := range b.links(main) {
		targets[l.id] = l
		others = append(others, l)
	}
	if err := b.part(main, func(x *xmlReader) error { return b.workbookTokens(x, targets) }); err != nil {
		return err
	}
	for _, l := range append(others, link{kind: "sharedStrings", target: "xl/sharedstrings.xml"}, link{kind: "styles", target: "xl/styles.xml"}) {
		var err error
		switch l.kind {
		case "sharedStrings":
			err = b.part(l.target, b.stringTokens)
		case "styles":
			err = b.part(l.target, b.styleTokens)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *workbook) workbookTokens(x *xmlReader, targets map[string]link) error {
	return x.walk(func(t token) error {
		switch {
		case t == startToken && x.name == "sheet" && len(b.sheets) < b.lim.Entries:
			b.sheets = append(b.sheets, sheetName{x.get("name"), targets[x.rel()].target})
		case t == startToken && x.name == "workbookPr":
			b.since04 = x.get("date1904") == "1" || x.get("date1904") == "true"
		}
		return nil
	})
}

// stringTokens collects the shared strings. Together they are bounded by what
// could be written of them, as each is written at least once in honest files.
func (b *workbook) stringTokens(x *xmlReader) error {
	var sb strings.Builder
	text, phonetic, left := 0, 0, b.lim.Text
	return x.walk(func(t token) error {
		switch t {
		case startToken:
			switch x.name {
			case "t":
				text++
			case "rPh":
				phonetic++
			}
		case textToken:
			if text > 0 && phonetic == 0 {
				sb.Write(x.text)
			}
		case endToken:
			switch x.name {
			case "t":
				text--
			case "rPh":
				phonetic--
			case "si":
				left -= sb.Len() + 16
				b.strings = append(b.strings, sb.String())
				sb.Reset()
			}
		}
		if left < sb.Len() {
			return errLimit
		}
		return nil
	})
}

// styleTokens finds the styles that show numbers as dates.
func (b *workbook) styleTokens(x *xmlReader) error {
	custom := make(map[string]bool)
	inCells := false
	return x.walk(func(t token) error {
		switch {
		case t == startToken && x.name == "numFmt":
			custom[x.get("numFmtId")] = isDateFormat(x.get("formatCode"))
		case t != textToken && x.name == "cellXfs":
			inCells = t == startToken
		case t == startToken && x.name == "xf" && inCells && len(b.dates) < 1<<16:
			id := x.get("numFmtId")
			n, err := strconv.Atoi(id)
			b.dates = append(b.dates, custom[id] || err == nil && isBuiltinDate(n))
		}
		return nil
	})
}

// A cell is one of a sheet in the making.
type cell struct {
	kind  string // attribute t
	style int
	value strings.Builder
}

func (b *workbook) sheetTokens(x *xmlReader) error {
	var c cell
	take := 0
	return x.walk(func(t token) error {
		switch t {
		case startToken:
			switch x.name {
			case "c":
				c.kind = x.get("t")
				c.style, _ = strconv.Atoi(x.get("s"))
				c.value.Reset()
			case "v", "t":
				take++
			case "oddHeader", "oddFooter", "evenHeader", "evenFooter", "firstHeader", "firstFooter":
				take++
				c.kind = "header"
				c.value.Reset()
			}
		case textToken:
			if take > 0 && c.value.Len() < b.lim.Text {
				c.value.Write(x.text)
			}
		case endToken:
			switch x.name {
			case "v", "t":
				take = max(0, take-1)
			case "c":
				b.out.write(b.show(&c))
				b.out.owe(tabGap)
			case "row":
				b.out.owe(lineGap)
			case "oddHeader", "oddFooter", "evenHeader", "evenFooter", "firstHeader", "firstFooter":
				take = max(0, take-1)
				b.out.line(headerText(c.value.String()))
			}
		}
		return b.full()
	})
}

// show returns the text of a cell.
func (b *workbook) show(c *cell) string {
	v := c.value.String()
	switch c.kind {
	case "s":
		i, err := strconv.Atoi(strings.TrimSpace(v))
		if err != nil || i < 0 || i >= len(b.strings) {
			return ""
		}
		return b.strings[i]
	case "b":
		return map[string]string{"0": "FALSE", "1": "TRUE"}[v]
	case "", "n":
		if f, err := strconv.ParseFloat(v, 64); err == nil && c.style >= 0 && c.style < len(b.dates) && b.dates[c.style] {
			return serialDate(f, b.since04)
		}
	}
	return v
}

// headerText takes the codes for fonts and fields out of a header or footer of
// a printed page (ECMA-376 part 1 section 18.3.1.46).
func headerText(s string) string {
	var sb strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '&' || i+1 == len(s) {
			sb.WriteByte(s[i])
			continue
		}
		i++
		switch {
		case s[i] == '&':
			sb.WriteByte('&')
		case s[i] == '"': // a font's name and style
			i += skipTo(s[i+1:], '"')
		case s[i] == '[': // a field by its long name
			i += skipTo(s[i+1:], ']')
		case s[i] == 'L' || s[i] == 'C' || s[i] == 'R':
			sb.WriteByte(' ')
		case s[i] >= '0' && s[i] <= '9':
			for i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9' {
				i++
			}
		}
	}
	return strings.TrimSpace(sb.String())
}

// skipTo returns how far behind the start of s the octet is, or the end.
func skipTo(s string, c byte) int {
	if i := strings.IndexByte(s, c); i >= 0 {
		return i + 1
	}
	return len(s)
}
