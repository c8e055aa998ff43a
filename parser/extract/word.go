package extract

import (
	"errors"
	"fmt"
	"strings"
)

// A wordFile is what a Word document says of where its text is: the start of
// its first stream ([MS-DOC] section 2.5, and the like of older versions).
type wordFile struct {
	main  []byte // the stream WordDocument
	table []byte // the stream that holds the piece table
	label string // charset of text of one octet per character
	wide  bool   // pieces say by a bit whether they are UTF-16: Word 97 and later
	at    int    // of the piece table in table
	size  int
	fcMin int
	fcMac int
}

const (
	wordComplex   = 0x0004
	wordEncrypted = 0x0100
	wordOneTable  = 0x0200
	wordUTF16     = 0x1000 // fExtChar: the whole text is UTF-16
)

// word reads a document of Word 6 or later.
func (r *reading) word(root *storage) error {
	main, cut := r.stream(root, "WordDocument")
	if cut != nil && !errors.Is(cut, errLimit) {
		return cut
	}
	f, err := r.wordFile(root, main)
	if err != nil {
		return err
	}
	w := wordText{r: r, left: 4 * r.lim.Text}
	if err := w.read(f); err != nil {
		return err
	}
	if err := r.objects(root.folder("ObjectPool")); err != nil {
		return err
	}
	return cut
}

// wordBare reads a document of Word 2, which is a file of its own.
func (r *reading) wordBare() error {
	b := r.doc.Data
	if kind, _ := kindByMagic(b); kind == Unknown {
		return r.salvage()
	}
	if len(b) < 0x20 || u16(b, 0) != 0xa5db {
		return r.ole()
	}
	if u16(b, 10)&wordEncrypted != 0 {
		return errEncrypted
	}
	w := wordText{r: r, left: 4 * r.lim.Text}
	return w.read(&wordFile{main: b, label: codePageOf(u16(b, 6)), fcMin: int(u32(b, 0x18)), fcMac: int(u32(b, 0x1c))})
}

// salvageRun is how many characters of text in a row are taken for words.
const salvageRun = 6

// salvage takes the runs of ASCII out of a document of a word processor that
// nobody reads any more. They are better than nothing, and no claim to be all.
func (r *reading) salvage() error {
	b := r.doc.Data[:min(len(r.doc.Data), 4*r.lim.Text)]
	from := 0
	for i := 0; i <= len(b); i++ {
		if i < len(b) && (b[i] >= ' ' && b[i] < 0x7f || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
			continue
		}
		if i-from >= salvageRun {
			r.out.owe(spaceGap)
			r.out.write(string(b[from:i]))
		}
		from = i + 1
	}
	return errUnsupported
}

func (r *reading) wordFile(root *storage, main []byte) (*wordFile, error) {
	if len(main) < 0x80 {
		return nil, errors.New("the document ends within its header")
	}
	flags := u16(main, 10)
	if flags&wordEncrypted != 0 {
		return nil, errEncrypted
	}
	f := &wordFile{
		main: main, table: main, label: codePageOf(u16(main, 6)),
		fcMin: int(u32(main, 0x18)), fcMac: int(u32(main, 0x1c)),
	}
	where := 0x160
	if version := u16(main, 2); version >= 105 && u16(main, 0) != 0xa5dc || version >= 193 {
		name := "0Table"
		if flags&wordOneTable != 0 {
			name = "1Table"
		}
		table, err := r.stream(root, name)
		if err != nil {
			return nil, err
		}
		f.table, f.wide, where = table, true, 0x1a2
		f.label = "windows-1252" // of compressed pieces, whatever the language
	} else if flags&wordComplex == 0 {
		return f, nil
	}
	if len(main) >= where+8 {
		f.at, f.size = int(u32(main, where)), int(u32(main, where+4))
	}
	return f, nil
}

// A piece is a run of text in the main stream.
type piece struct {
	from, chars int
	wide        bool
}

// pieces reads the piece table ([MS-DOC] section 2.9.38): positions of
// characters, then where in the stream each run begins.
func (f *wordFile) pieces() []piece {
	if f.at < 0 || f.at >= len(f.table) || f.size <= 0 {
		return nil
	}
	b := f.table[f.at:min(len(f.table), f.at+f.size)]
	for len(b) >= 3 && b[0] == 1 { // changes of properties come first
		b = b[min(len(b), 3+u16(b, 1)):]
	}
	if len(b) < 5 || b[0] != 2 {
		return nil
	}
	b = b[5:min(len(b), 5+int(u32(b, 1)))]
	n := (len(b) - 4) / 12
	if n <= 0 {
		return nil
	}
	out := make([]piece, 0, n)
	for i := range n {
		chars := int(u32(b, 4*(i+1))) - int(u32(b, 4*i))
		p := piece{from: int(u32(b, 4*(n+1)+8*i+2)), chars: chars}
		if f.wide {
			p.wide = p.from&0x40000000 == 0
			p.from &= 0x3fffffff
			if !p.wide {
				p.from /= 2
			}
		}
		out = append(out, p)
	}
	return out
}

// octets returns those of a piece, as far as the stream has them.
func (f *wordFile) octets(p piece) []byte {
	if p.chars <= 0 || p.from < 0 || p.from >= len(f.main) {
		return nil
	}
	size := int64(p.chars)
	if p.wide {
		size *= 2
	}
	return f.main[p.from:min(int64(len(f.main)), int64(p.from)+size)]
}

// A wordText writes runs of text without the marks that Word puts into it.
type wordText struct {
	r    *reading
	left int  // octets that may still be looked at; runs may overlap
	code bool // within the instruction of a field, whose result comes later
}

func (w *wordText) read(f *wordFile) error {
	pieces := f.pieces()
	if len(pieces) == 0 {
		if f.fcMin < 0 || f.fcMac <= f.fcMin || f.fcMin >= len(f.main) {
			return fmt.Errorf("no text found in the document")
		}
		p := piece{from: f.fcMin, chars: f.fcMac - f.fcMin, wide: len(f.main) > 12 && f.wide && u16(f.main, 10)&wordUTF16 != 0}
		if p.wide {
			p.chars /= 2
		}
		pieces = []piece{p}
	}
	for _, p := range pieces {
		b := f.octets(p)
		over := len(b) > w.left
		if over {
			b = b[:w.left]
		}
		w.left -= len(b)
		if p.wide {
			w.write(utf16Text(b))
		} else {
			w.write(decodeLabel(b, f.label))
		}
		if err := w.r.full(); err != nil || over {
			return errLimit
		}
	}
	return nil
}

func (w *wordText) write(text string) {
	for len(text) > 0 {
		i := strings.IndexFunc(text, func(c rune) bool { return c < ' ' })
		if i < 0 {
			i = len(text)
		}
		if !w.code {
			w.r.out.write(text[:i])
		}
		if i == len(text) {
			return
		}
		w.control(text[i])
		text = text[i+1:]
	}
}

// control acts on a mark ([MS-DOC] section 2.4.1). An instruction ends with its
// paragraph at the latest, so that a stray mark hides no more than that.
func (w *wordText) control(c byte) {
	switch c {
	case 0x0d, 0x0b, 0x0c, 0x0e:
		w.code = false
		w.r.out.owe(lineGap)
	case 0x07, 0x09:
		w.r.out.owe(tabGap)
	case 0x1e:
		if !w.code {
			w.r.out.write("-")
		}
	case 0x13:
		w.code = true
	case 0x14, 0x15:
		w.code = false
	}
}
