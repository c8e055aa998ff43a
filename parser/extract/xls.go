package extract

import (
	"errors"
	"fmt"
	"strings"
)

// The records that hold text. Numbers in front of a name tell the versions of
// BIFF where the forms differ.
const (
	recBOF, recBOF2, recBOF3, recBOF4        = 0x809, 0x009, 0x209, 0x409
	recFilePass                              = 0x02f
	recCodePage, recDateMode                 = 0x042, 0x022
	recSheet, recSST                         = 0x085, 0x0fc
	recLabel2, recLabel, recRString, recLSST = 0x004, 0x204, 0x0d6, 0x0fd
	recNumber2, recNumber, recRK, recMulRK   = 0x003, 0x203, 0x27e, 0x0bd
	recInteger2                              = 0x002
	recFormula, recFormula3, recFormula4     = 0x006, 0x206, 0x406
	recString2, recString                    = 0x007, 0x207
	recBool                                  = 0x205
	recXF, recFormat                         = 0x0e0, 0x41e
	recTXO, recNote                          = 0x1b6, 0x01c
	recHeader, recFooter                     = 0x014, 0x015
)

// workbookStream reads a workbook of Excel 5 to 2003.
func (r *reading) workbookStream(root *storage) error {
	name := "Workbook"
	if !root.has(name) {
		name = "Book"
	}
	b, cut := r.stream(root, name)
	if cut != nil && !errors.Is(cut, errLimit) {
		return cut
	}
	if err := r.biff(b); err != nil {
		return err
	}
	for s := range root.folders() {
		if err := r.object(s); err != nil {
			return err
		}
	}
	return cut
}

// workbookBare reads a workbook that is a stream without a compound file, as
// Excel 2 to 4 and some programs write.
func (r *reading) workbookBare() error {
	if kind, _ := kindByMagic(r.doc.Data); kind == XLS {
		return r.biff(r.doc.Data)
	}
	return r.ole()
}

// A biffBook is the state of reading a workbook stream.
type biffBook struct {
	r       *reading
	x       *biffReader
	version int // 2, 3, 4, 5 or 8
	label   string
	since04 bool
	strings []string
	sheets  map[int]string // names by where the sheet begins
	formats map[int]bool   // number formats that show dates
	dates   []bool         // by XF: its numbers are dates
	row     int
	formula bool // the last formula gives a string, in the next record
}

func (r *reading) biff(b []byte) error {
	k := &biffBook{r: r, x: &biffReader{b: b}, label: "windows-1252", version: 8, sheets: make(map[int]string), formats: make(map[int]bool), row: -1}
	for n := 0; k.x.read(); n++ {
		if n == 0 && !isBOF(k.x.kind) {
			return fmt.Errorf("no workbook: the first record is %#x", k.x.kind)
		}
		if n%4096 == 0 && r.ended() != nil {
			return r.ended()
		}
		if err := k.record(); err != nil {
			return err
		}
		if err := r.full(); err != nil {
			return err
		}
	}
	if k.x.at == 0 {
		return errors.New("no records")
	}
	return nil
}

func isBOF(kind int) bool {
	return kind == recBOF || kind == recBOF2 || kind == recBOF3 || kind == recBOF4
}

// record acts on the current record: those of the workbook here, those of cells
// in cell.
func (k *biffBook) record() error {
	d := k.x.data
	switch k.x.kind {
	case recBOF, recBOF2, recBOF3, recBOF4:
		k.begin(d)
	case recFilePass:
		return errEncrypted
	case recCodePage:
		if len(d) >= 2 && k.version < 8 {
			k.label = codePage(u16(d, 0))
		}
	case recDateMode:
		k.since04 = len(d) >= 2 && u16(d, 0) == 1
	case recSheet:
		if len(d) > 7 && len(k.sheets) < k.r.lim.Entries {
			k.sheets[int(u32(d, 0))] = k.short(d[6:])
		}
	case recSST:
		return k.sharedStrings()
	case recXF:
		if len(d) >= 4 && len(k.dates) < 1<<16 {
			id := u16(d, 2)
			k.dates = append(k.dates, k.formats[id] || isBuiltinDate(id))
		}
	case recFormat:
		k.format(d)
	case recTXO:
		k.textObject(d)
	case recNote:
		if k.version < 8 && len(d) > 6 {
			k.r.out.line(decodeLabel(d[6:], k.label))
		}
	case recHeader, recFooter:
		k.edge(d)
	default:
		k.cell(d)
	}
	return nil
}

// begin starts a sheet, or the part in front of them all.
func (k *biffBook) begin(d []byte) {
	switch {
	case k.x.kind == recBOF && len(d) >= 2 && u16(d, 0) < 0x600:
		k.version = 5
	case k.x.kind == recBOF:
		k.version = 8
	default:
		k.version = 2 + k.x.kind>>9
	}
	k.row = -1
	k.r.out.owe(paraGap)
	k.r.out.line(k.sheets[k.x.at])
}

// short reads a string with a count of 8 bits.
func (k *biffBook) short(d []byte) string {
	if len(d) < 2 {
		return ""
	}
	n := int(d[0])
	if k.version == 8 {
		t := biffText{b: d[2:]}
		return t.chars(n, d[1])
	}
	return decodeLabel(d[1:min(len(d), 1+n)], k.label)
}

// long reads a string with a count of 16 bits.
func (k *biffBook) long(d []byte) string {
	if len(d) < 2 {
		return ""
	}
	if k.version == 8 {
		text, _ := newBiffText([][]byte{d}).rich()
		return text
	}
	return decodeLabel(d[2:min(len(d), 2+u16(d, 0))], k.label)
}

// sharedStrings reads the table of strings. It is bounded by what could be
// written of it.
func (k *biffBook) sharedStrings() error {
	t := newBiffText(k.x.continued())
	t.skip(8)
	left := k.r.lim.Text
	for t.more() {
		s, ok := t.rich()
		if !ok {
			break
		}
		if left -= len(s) + 16; left < 0 {
			k.r.mark("shared strings", statusOf(errLimit), errLimit.Error())
			break
		}
		k.strings = append(k.strings, s)
	}
	return nil
}

func (k *biffBook) format(d []byte) {
	if len(d) < 4 || len(k.formats) > 1<<16 {
		return
	}
	code := ""
	if k.version == 8 {
		code = k.long(d[2:])
	} else {
		code = k.short(d[2:])
	}
	if isDateFormat(code) {
		k.formats[u16(d, 0)] = true
	}
}

// textObject reads a box of text or a comment, whose text is in the record
// behind it.
func (k *biffBook) textObject(d []byte) {
	pieces := k.x.continued()
	if len(d) < 12 || len(pieces) < 2 || len(pieces[1]) == 0 {
		return
	}
	t := newBiffText(pieces[1:])
	flags := t.b[0]
	t.b = t.b[1:]
	k.r.out.line(t.chars(u16(d, 10), flags))
}

func (k *biffBook) edge(d []byte) {
	text := ""
	if k.version == 8 {
		text = k.long(d)
	} else {
		text = k.short(d)
	}
	k.r.out.line(headerText(text))
}

// cell writes a cell, if the record is one.
func (k *biffBook) cell(d []byte) {
	if k.x.kind == recString || k.x.kind == recString2 {
		k.formulaString(d)
		return
	}
	text, ok := k.value(d)
	if !ok {
		return
	}
	if row := u16(d, 0); row != k.row {
		k.row = row
		k.r.out.owe(lineGap)
	}
	k.r.out.write(strings.TrimRight(text, "\x00"))
	k.r.out.owe(tabGap)
}

// value returns the text of a record that is a cell.
func (k *biffBook) value(d []byte) (text string, ok bool) {
	head := 6
	if k.version == 2 {
		head = 7
	}
	if len(d) <= head {
		return "", false
	}
	style, body := u16(d, 4), d[head:]
	switch k.x.kind {
	case recLSST:
		if len(body) >= 4 && u32(body, 0) < uint32(len(k.strings)) {
			return k.strings[u32(body, 0)], true
		}
	case recLabel, recRString:
		return k.long(body), true
	case recLabel2:
		return k.short(body), true
	case recNumber, recNumber2:
		if len(body) >= 8 {
			return k.number(biffFloat(body), style), true
		}
	case recInteger2:
		if len(body) >= 2 {
			return formatNumber(float64(u16(body, 0))), true
		}
	case recRK:
		if len(body) >= 4 {
			return k.number(biffRK(u32(body, 0)), style), true
		}
	case recMulRK:
		return k.many(d[4:]), true
	case recFormula, recFormula3, recFormula4:
		return k.result(body, style)
	case recBool:
		return boolean(body)
	}
	return "", false
}

func (k *biffBook) number(f float64, style int) string {
	if k.version != 2 && style < len(k.dates) && k.dates[style] {
		return serialDate(f, k.since04)
	}
	return formatNumber(f)
}

// many reads a row of packed numbers.
func (k *biffBook) many(d []byte) string {
	var cells []string
	for ; len(d) >= 8; d = d[6:] {
		cells = append(cells, k.number(biffRK(u32(d, 2)), u16(d, 0)))
	}
	return strings.Join(cells, "\t")
}

// result reads the value that a formula last had ([MS-XLS] section 2.5.133).
func (k *biffBook) result(body []byte, style int) (text string, ok bool) {
	if len(body) < 8 {
		return "", false
	}
	if u16(body, 6) != 0xffff {
		return k.number(biffFloat(body), style), true
	}
	switch body[0] {
	case 0:
		k.formula = true
		return "", true
	case 1, 2:
		return boolean([]byte{body[2], body[0] - 1})
	}
	return "", false
}

// formulaString reads the string that belongs to the formula in front of it.
func (k *biffBook) formulaString(d []byte) {
	if !k.formula {
		return
	}
	k.formula = false
	text := ""
	if k.x.kind == recString2 {
		text = k.short(d)
	} else {
		pieces := k.x.continued()
		if k.version == 8 {
			text, _ = newBiffText(pieces).rich()
		} else {
			text = k.long(d)
		}
	}
	k.r.out.write(text)
	k.r.out.owe(tabGap)
}

// boolean reads a truth value or an error.
func boolean(body []byte) (string, bool) {
	if len(body) < 2 {
		return "", false
	}
	if body[1] == 0 {
		return [...]string{"FALSE", "TRUE"}[min(body[0], 1)], true
	}
	names := map[byte]string{0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}
	return names[body[0]], true
}
