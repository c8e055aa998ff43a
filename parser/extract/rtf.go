package extract

import (
	"errors"
	"strconv"
	"unicode/utf16"
)

// rtfDepth bounds the states that are kept of open groups. Deeper groups share
// the state of the deepest.
const rtfDepth = 1000

// An rtfState is what a group inherits and gives back at its end.
type rtfState struct {
	dest  rtfDest
	label string // charset of octets
	skip  int    // characters that stand in for one of \u
	quiet bool   // \htmlrtf: text that is there for RTF alone, not in the HTML
	after gap    // owed when the group ends
}

// An rtfDest is where text goes.
type rtfDest uint8

const (
	rtfBody  rtfDest = iota
	rtfDrop          // colours, styles, pictures, instructions
	rtfFonts         // the table of fonts: it tells charsets
)

// An rtfReader reads Rich Text Format 1.9.1, and HTML that Outlook wrapped in it
// ([MS-OXRTFEX]), whose tags are dropped. Anything is read as far as it goes:
// there is no text that is not some RTF.
type rtfReader struct {
	r     *reading
	b     []byte
	at    int
	state rtfState
	stack []rtfState
	depth int // groups open beyond the stack
	fonts map[int]string
	font  int // being declared
	first int // of the font that \deff names
	code  string
	raw   []byte // octets whose charset is known when they end
	high  rune   // first half of a surrogate pair
	owed  int    // characters still to be skipped behind \u
	star  bool   // \* came just before
}

func (r *reading) rtf() error {
	x := &rtfReader{r: r, b: r.doc.Data, code: "windows-1252", fonts: make(map[int]string)}
	x.state = rtfState{label: x.code, skip: 1}
	for n := 0; x.at < len(x.b); n++ {
		if n%65536 == 0 && r.ended() != nil {
			return r.ended()
		}
		x.step()
		if err := r.full(); err != nil {
			return err
		}
	}
	x.flush()
	if len(x.stack) > 0 && r.out.len() == 0 {
		return errors.New("ends within a group, without text")
	}
	return nil
}

// step reads one group mark, control or octet of text.
func (x *rtfReader) step() {
	c := x.b[x.at]
	x.at++
	switch c {
	case '{':
		x.flush()
		x.open()
	case '}':
		x.flush()
		x.close()
	case '\\':
		x.control()
	case '\r', '\n', 0:
	default:
		x.at--
		x.run()
	}
}

// run takes octets of text up to the next that means something.
func (x *rtfReader) run() {
	from := x.at
	for x.at < len(x.b) && !rtfMeaning(x.b[x.at]) {
		x.at++
	}
	x.star = false
	skipped := min(x.owed, x.at-from)
	x.owed -= skipped
	if x.state.dest == rtfBody && !x.state.quiet {
		x.raw = append(x.raw, x.b[from+skipped:x.at]...)
	}
}

func rtfMeaning(c byte) bool {
	return c == '\\' || c == '{' || c == '}' || c == '\r' || c == '\n' || c == 0
}

func (x *rtfReader) open() {
	x.owed, x.star = 0, false
	if len(x.stack) >= rtfDepth {
		x.depth++
		return
	}
	x.stack = append(x.stack, x.state)
}

func (x *rtfReader) close() {
	x.owed, x.star = 0, false
	switch {
	case x.depth > 0:
		x.depth--
	case len(x.stack) > 0:
		last := len(x.stack) - 1
		if outer := x.stack[last]; x.state.after != outer.after {
			x.owe(x.state.after)
		}
		x.state, x.stack = x.stack[last], x.stack[:last]
	}
}

// octet takes an octet of text that is written with an escape.
func (x *rtfReader) octet(c byte) {
	x.star = false
	if x.owed > 0 {
		x.owed--
		return
	}
	if x.state.dest == rtfBody && !x.state.quiet {
		x.raw = append(x.raw, c)
	}
}

// flush writes the octets that have come together.
func (x *rtfReader) flush() {
	if len(x.raw) > 0 {
		x.r.out.write(decodeLabel(x.raw, x.state.label))
		x.raw = x.raw[:0]
	}
}

// write adds text that is no octets of the document.
func (x *rtfReader) write(s string) {
	x.flush()
	if x.state.dest == rtfBody && !x.state.quiet {
		x.r.out.write(s)
	}
}

func (x *rtfReader) owe(g gap) {
	x.flush()
	if x.state.dest == rtfBody && !x.state.quiet {
		x.r.out.owe(g)
	}
}

// control reads what follows a backslash.
func (x *rtfReader) control() {
	if x.at >= len(x.b) {
		return
	}
	c := x.b[x.at]
	if isLetter(c) {
		x.word()
		return
	}
	x.at++
	switch c {
	case '\'':
		x.hex()
	case '\\', '{', '}':
		x.octet(c)
	case '~':
		x.write(" ")
	case '_':
		x.write("-")
	case '\r', '\n':
		x.owe(lineGap)
	case '\t':
		x.owe(tabGap)
	case '*':
		x.star = true
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func (x *rtfReader) hex() {
	if x.at+2 > len(x.b) {
		x.at = len(x.b)
		return
	}
	v, err := strconv.ParseUint(string(x.b[x.at:x.at+2]), 16, 8)
	if err != nil {
		return
	}
	x.at += 2
	x.octet(byte(v))
}

// word reads a control word: letters, a number, and one space that ends it.
func (x *rtfReader) word() {
	from := x.at
	for x.at < len(x.b) && isLetter(x.b[x.at]) && x.at-from < 32 {
		x.at++
	}
	name := string(x.b[from:x.at])
	from = x.at
	if x.at < len(x.b) && x.b[x.at] == '-' {
		x.at++
	}
	for x.at < len(x.b) && x.b[x.at] >= '0' && x.b[x.at] <= '9' && x.at-from < 11 {
		x.at++
	}
	n, err := strconv.Atoi(string(x.b[from:x.at]))
	if x.at < len(x.b) && x.b[x.at] == ' ' {
		x.at++
	}
	x.act(name, n, err == nil)
}

// act does what a control word says, as far as text is concerned.
func (x *rtfReader) act(name string, n int, has bool) {
	star := x.star
	x.star = false
	if name != "u" && name != "bin" && x.owed > 0 {
		x.owed--
		return
	}
	if x.setting(name, n, has) {
		return
	}
	switch name {
	case "u":
		x.unicode(n)
	case "bin":
		x.flush()
		x.at = min(len(x.b), x.at+max(0, n))
	default:
		x.mark(name, star)
	}
}

// setting acts on words about charsets and fonts.
func (x *rtfReader) setting(name string, n int, has bool) bool {
	switch name {
	case "ansicpg":
		if has && n > 0 {
			x.setCode(codePage(n))
		}
	case "mac":
		x.setCode("macintosh")
	case "pc":
		x.setCode("cp437")
	case "pca":
		x.setCode("cp850")
	case "uc":
		x.state.skip = max(0, min(n, 100))
	case "deff":
		x.first = n
	case "f":
		x.setFont(n)
	case "fcharset", "cpg":
		x.setCharset(name, n)
	case "plain":
		x.setFont(x.first)
	case "htmlrtf":
		x.flush()
		x.state.quiet = !has || n != 0
	default:
		return false
	}
	return true
}

func (x *rtfReader) setCode(label string) {
	x.flush()
	x.code, x.state.label = label, label
}

func (x *rtfReader) setFont(n int) {
	x.flush()
	x.font = n
	if x.state.dest == rtfFonts {
		return
	}
	if label := x.fonts[n]; label != "" {
		x.state.label = label
	} else {
		x.state.label = x.code
	}
}

func (x *rtfReader) setCharset(name string, n int) {
	if x.state.dest != rtfFonts || len(x.fonts) > 1<<14 {
		return
	}
	label := codePage(n)
	if name == "fcharset" {
		label = fontCharset(n)
	}
	if label != "" {
		x.fonts[x.font] = label
	}
}

// fontCharset maps the charset numbers of Windows fonts.
func fontCharset(n int) string {
	return map[int]string{
		77: "macintosh", 128: "cp932", 129: "cp949", 130: "euc-kr", 134: "cp936", 136: "cp950", 161: "cp1253", 162: "cp1254", 163: "cp1258",
		177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250", 255: "cp437",
	}[n]
}

// unicode writes a character given by its number, in halves beyond 16 bits.
func (x *rtfReader) unicode(n int) {
	x.owed = x.state.skip
	c := rune(uint16(n))
	switch {
	case utf16.IsSurrogate(c) && c < 0xdc00:
		x.high = c
		return
	case utf16.IsSurrogate(c):
		c = utf16.DecodeRune(x.high, c)
	}
	x.high = 0
	x.write(string(c))
}

// mark acts on words that stand for characters, and on those that begin a group
// of which text is kept or not.
func (x *rtfReader) mark(name string, star bool) {
	if s, ok := rtfSymbols[name]; ok {
		x.write(s)
		return
	}
	switch name {
	case "par", "line", "row", "sect", "page", "softline", "nestrow":
		x.owe(lineGap)
	case "cell", "nestcell", "tab":
		x.owe(tabGap)
	case "fonttbl":
		x.state.dest = rtfFonts
	case "title", "subject", "author", "keywords", "doccomm", "footnote", "header", "footer", "headerl", "headerr", "headerf", "footerl", "footerr", "footerf":
		x.owe(lineGap)
		x.state.after = lineGap
	case "annotation", "atnauthor", "shpinst", "shptxt", "dptxbxtext", "shprslt", "objattph", "mhtmltag":
		x.owe(spaceGap)
		x.state.after = spaceGap
	default:
		if star || rtfDropped(name) {
			x.state.dest = rtfDrop
		}
	}
}

// rtfSymbols are words for single characters.
var rtfSymbols = map[string]string{
	"emdash": "—", "endash": "–", "emspace": " ", "enspace": " ", "qmspace": " ", "bullet": "•",
	"lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
}

// rtfDropped reports whether a word begins a group without text of the author.
func rtfDropped(name string) bool {
	switch name {
	case "colortbl", "stylesheet", "pict", "objdata", "fldinst", "themedata", "datastore", "colorschememapping", "latentstyles",
		"listtable", "leveltext", "levelnumbers", "listname", "listoverridetable", "rsidtbl", "generator", "filetbl", "revtbl", "xmlnstbl", "bkmkstart", "bkmkend", "datafield",
		"formfield", "panose", "falt", "fontemb", "operator", "company", "template", "nonshppict", "htmltag", "sp", "objclass", "objname", "pnseclvl":
		return true
	}
	return false
}
