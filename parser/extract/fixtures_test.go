package extract_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"math"
	"testing"
	"unicode/utf16"

	"github.com/ulikunitz/xz"
)

// A file is an entry of an archive or of a compound file; kids make it a folder.
type file struct {
	name string
	data string
	kids []file
}

func zipOf(tb testing.TB, files ...file) []byte {
	tb.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, f := range files {
		w, err := z.Create(f.name)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write([]byte(f.data)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func tarOf(tb testing.TB, files ...file) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.data)), Mode: 0o600}); err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write([]byte(f.data)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func gzipOf(tb testing.TB, b []byte) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func xzOf(tb testing.TB, b []byte, window int) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w, err := xz.WriterConfig{DictCap: window}.NewWriter(&buf)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

// le writes values in little endian: numbers by their size, strings and octets
// as they are.
func le(values ...any) []byte {
	var out []byte
	for _, v := range values {
		switch v := v.(type) {
		case string:
			out = append(out, v...)
		case []byte:
			out = append(out, v...)
		case byte:
			out = append(out, v)
		case uint16:
			out = binary.LittleEndian.AppendUint16(out, v)
		case uint32:
			out = binary.LittleEndian.AppendUint32(out, v)
		case float64:
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
		default:
			panic("le: no such type")
		}
	}
	return out
}

func wide(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

const (
	endOfChain = 0xfffffffe
	freeSector = 0xffffffff
)

// An oleWriter writes a compound file with sectors of 512 octets.
type oleWriter struct {
	sectors []byte
	fat     []uint32
	mini    []byte
	miniFAT []uint32
	dir     []byte
}

func oleOf(files ...file) []byte {
	w := &oleWriter{}
	w.entry("Root Entry", 5, freeSector, 0, 0)
	first := w.folder(files)
	binary.LittleEndian.PutUint32(w.dir[76:], first)
	miniAt := w.add(w.mini)
	binary.LittleEndian.PutUint32(w.dir[116:], miniAt)
	binary.LittleEndian.PutUint32(w.dir[120:], uint32(len(w.mini)))
	var table []byte
	for _, n := range w.miniFAT {
		table = binary.LittleEndian.AppendUint32(table, n)
	}
	tableAt, dirAt := w.add(table), w.add(w.dir)
	fatAt := uint32(len(w.fat))
	fatSectors := uint32(len(w.fat)+8)/127 + 1
	for range fatSectors {
		w.fat = append(w.fat, 0xfffffffd)
	}
	var fat []byte
	for _, n := range w.fat {
		fat = binary.LittleEndian.AppendUint32(fat, n)
	}
	for len(fat) < int(fatSectors)*512 {
		fat = binary.LittleEndian.AppendUint32(fat, freeSector)
	}
	head := le("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", make([]byte, 16), uint16(0x3e), uint16(3), uint16(0xfffe), uint16(9), uint16(6), make([]byte, 6),
		uint32(0), fatSectors, dirAt, uint32(0), uint32(4096), tableAt, uint32(1), uint32(endOfChain), uint32(0))
	for i := range uint32(109) {
		if i < fatSectors {
			head = binary.LittleEndian.AppendUint32(head, fatAt+i)
		} else {
			head = binary.LittleEndian.AppendUint32(head, freeSector)
		}
	}
	return append(append(head, w.sectors...), fat...)
}

// folder adds entries, each the right sibling of the one before.
func (w *oleWriter) folder(files []file) (first uint32) {
	first, last := uint32(freeSector), -1
	for _, f := range files {
		id := uint32(len(w.dir) / 128)
		if last < 0 {
			first = id
		} else {
			binary.LittleEndian.PutUint32(w.dir[last*128+72:], id)
		}
		last = int(id)
		switch {
		case f.kids != nil:
			w.entry(f.name, 1, freeSector, 0, 0)
			child := w.folder(f.kids)
			binary.LittleEndian.PutUint32(w.dir[int(id)*128+76:], child)
		case len(f.data) < 4096:
			at := uint32(len(w.miniFAT))
			for rest := len(f.data); rest > 0; rest -= 64 {
				w.miniFAT = append(w.miniFAT, uint32(len(w.miniFAT)+1))
			}
			if len(f.data) > 0 {
				w.miniFAT[len(w.miniFAT)-1] = endOfChain
			}
			w.mini = append(w.mini, f.data...)
			for len(w.mini)%64 != 0 {
				w.mini = append(w.mini, 0)
			}
			w.entry(f.name, 2, freeSector, at, uint32(len(f.data)))
		default:
			w.entry(f.name, 2, freeSector, w.add([]byte(f.data)), uint32(len(f.data)))
		}
	}
	return first
}

func (w *oleWriter) entry(name string, kind byte, child, start, size uint32) {
	n := wide(name)
	w.dir = append(w.dir, le(n, make([]byte, 64-len(n)), uint16(len(n)+2), kind, byte(1), uint32(freeSector), uint32(freeSector), child,
		make([]byte, 36), start, size, uint32(0))...)
}

// add writes a chain of sectors and returns the first.
func (w *oleWriter) add(b []byte) uint32 {
	if len(b) == 0 {
		return endOfChain
	}
	at := uint32(len(w.fat))
	for rest := len(b); rest > 0; rest -= 512 {
		w.fat = append(w.fat, uint32(len(w.fat)+1))
	}
	w.fat[len(w.fat)-1] = endOfChain
	w.sectors = append(w.sectors, b...)
	for len(w.sectors)%512 != 0 {
		w.sectors = append(w.sectors, 0)
	}
	return at
}

// docOf writes a Word 97 document of the pieces of text, odd ones in UTF-16.
func docOf(pieces ...string) []byte {
	main := make([]byte, 0x400)
	cps, pcds, cp := []byte{}, []byte{}, uint32(0)
	cps = binary.LittleEndian.AppendUint32(cps, 0)
	for i, p := range pieces {
		at := uint32(len(main))
		if i%2 == 1 {
			u := wide(p)
			main = append(main, u...)
			cp += uint32(len(u) / 2)
		} else {
			main = append(main, p...)
			cp += uint32(len(p))
			at = at*2 | 0x40000000
		}
		cps = binary.LittleEndian.AppendUint32(cps, cp)
		pcds = append(pcds, le(uint16(0), at, uint16(0))...)
	}
	plc := append(cps, pcds...)
	clx := le(byte(1), uint16(2), "xx", byte(2), uint32(len(plc)), plc)
	copy(main, le(uint16(0xa5ec), uint16(193), uint16(0), uint16(0x409), uint16(0), uint16(0x0200)))
	copy(main[0x1a2:], le(uint32(0), uint32(len(clx))))
	return oleOf(file{name: "WordDocument", data: string(main)}, file{name: "1Table", data: string(clx)},
		file{name: "\x05SummaryInformation", data: string(summaryOf("A title", "windows-1252"))})
}

// word6Of writes a Word 6 document without a piece table.
func word6Of(text string, language uint16) []byte {
	main := make([]byte, 0x300)
	copy(main, le(uint16(0xa5dc), uint16(101), uint16(0), language))
	copy(main[0x18:], le(uint32(len(main)), uint32(len(main)+len(text))))
	return oleOf(file{name: "WordDocument", data: string(main) + text})
}

func summaryOf(title, _ string) []byte {
	set := le(uint32(0), uint32(2), uint32(1), uint32(24), uint32(2), uint32(32),
		uint32(2), uint16(1252), uint16(0), uint32(0x1e), uint32(len(title)+1), title, byte(0))
	return le(uint16(0xfffe), make([]byte, 22), uint32(1), make([]byte, 16), uint32(48), set)
}

// rec is a record of a workbook.
func rec(kind uint16, values ...any) []byte {
	data := le(values...)
	return le(kind, uint16(len(data)), data)
}

// xlsOf writes a BIFF8 workbook.
func xlsOf() []byte {
	name := "Budget"
	globals := func(at uint32) []byte {
		return le(rec(0x809, uint16(0x600), uint16(5), make([]byte, 12)),
			rec(0x41e, uint16(170), uint16(10), byte(0), "yyyy\\-mm;@"),
			rec(0xe0, uint16(0), uint16(0), make([]byte, 16)), rec(0xe0, uint16(0), uint16(170), make([]byte, 16)),
			rec(0x85, at, uint16(0), byte(len(name)), byte(0), name),
			// The second string goes on behind the record, in the other width.
			rec(0xfc, uint32(3), uint32(3), uint16(5), byte(0), "first", uint16(6), byte(0), "sec"),
			rec(0x3c, byte(1), wide("ond")), rec(0x3c, uint16(4), byte(9), uint16(1), wide("größ"), uint32(0)),
			rec(0x0a))
	}
	sheet := le(rec(0x809, uint16(0x600), uint16(0x10), make([]byte, 12)),
		rec(0x14, uint16(10), byte(0), "&L&\"A,B\"He"),
		rec(0xfd, uint16(0), uint16(0), uint16(0), uint32(0)), rec(0xfd, uint16(0), uint16(1), uint16(0), uint32(1)), rec(0xfd, uint16(0), uint16(2), uint16(0), uint32(2)),
		rec(0x203, uint16(1), uint16(0), uint16(0), 1234.5), rec(0x203, uint16(1), uint16(1), uint16(1), 45292.0),
		rec(0xbd, uint16(2), uint16(0), uint16(0), uint32(100<<2|2), uint16(0), uint32(250<<2|3), uint16(1)),
		rec(0x06, uint16(3), uint16(0), uint16(0), byte(0), make([]byte, 5), uint16(0xffff), make([]byte, 6)), rec(0x207, uint16(6), byte(0), "result"),
		rec(0x205, uint16(4), uint16(0), uint16(0), byte(1), byte(0)), rec(0x205, uint16(4), uint16(1), uint16(0), byte(42), byte(1)),
		rec(0x204, uint16(5), uint16(0), uint16(0), uint16(5), byte(0), "label"),
		rec(0x1b6, make([]byte, 10), uint16(7), make([]byte, 6)), rec(0x3c, byte(0), "comment"), rec(0x3c, make([]byte, 8)),
		rec(0x0a))
	return oleOf(file{name: "Workbook", data: string(append(globals(uint32(len(globals(0)))), sheet...))})
}

func pptOf() []byte {
	atom := func(kind uint16, data []byte) []byte { return le(uint16(0), kind, uint32(len(data)), data) }
	box := func(kind uint16, data []byte) []byte { return le(uint16(0xf), kind, uint32(len(data)), data) }
	slide := box(0x3ee, le(atom(0xfa0, wide("A größer title\rsecond")), box(0xf00d, atom(0xfa8, []byte("a box\x0bof text")))))
	return oleOf(
		file{name: "Current User", data: string(le(make([]byte, 12), uint32(0xe391c05f)))},
		file{name: "PowerPoint Document", data: string(le(box(0x3f8, atom(0xfa8, []byte("Click to edit"))), slide, atom(0xfba, wide("a comment")), atom(0xfba, wide("___PPT10"))))})
}

// mapi writes properties in the form of TNEF.
func mapi(props ...[]byte) []byte {
	return le(uint32(len(props)), bytes.Join(props, nil))
}

func mapiString(id uint16, s string) []byte {
	w := append(wide(s), 0, 0)
	return le(uint16(0x1f), id, uint32(1), uint32(len(w)), w, make([]byte, (4-len(w)%4)%4))
}

func mapiOctets(kind, id uint16, b []byte) []byte {
	return le(kind, id, uint32(1), uint32(len(b)), b, make([]byte, (4-len(b)%4)%4))
}

func tnefOf() []byte {
	att := func(level byte, id uint32, data []byte) []byte {
		return le(level, id, uint32(len(data)), data, uint16(0))
	}
	packed := lzfuOf("{\\rtf1\\ansi the body\\par in RTF}")
	return le(uint32(0x223e9f78), uint16(1),
		att(1, 0x69007, le(uint32(1251), uint32(0))),
		att(1, 0x18004, []byte("\xf2\xe5\xec\xe0\x00")),
		att(1, 0x69003, mapi(
			le(uint16(3), uint16(0x26), uint32(1)),
			mapiOctets(0x102, 0x1009, packed),
			le(uint16(0x1f), uint16(0x8001), make([]byte, 16), uint32(1), uint32(4), wide("ab"), uint32(1), uint32(6), wide("Ort"), uint16(0)),
		)),
		att(2, 0x69002, make([]byte, 14)),
		att(2, 0x18010, []byte("NOTES~1.TXT\x00")),
		att(2, 0x6800f, []byte("the attached words")),
		att(2, 0x69005, mapi(mapiString(0x3707, "notes.txt"))),
	)
}

// lzfuOf packs without ever referring back.
func lzfuOf(s string) []byte {
	var body []byte
	for len(s) > 0 {
		n := min(8, len(s))
		body = append(append(body, 0), s[:n]...)
		s = s[n:]
	}
	return le(uint32(len(body)+12), uint32(0), uint32(0x75465a4c), uint32(0), body)
}

func msgOf() []byte {
	prop := func(id string, s string) file { return file{name: "__substg1.0_" + id, data: s} }
	fixed := file{name: "__properties_version1.0", data: string(make([]byte, 32))}
	inner := []file{fixed, prop("0037001F", string(wide("inner subject"))), prop("1000001E", "inner body")}
	return oleOf(fixed, prop("0037001F", string(wide("outer subject"))), prop("0C1A001F", string(wide("A. Sender"))),
		prop("10130102", "<p>an <b>HTML</b> body"), prop("8005001F", string(wide("a place"))),
		file{name: "__recip_version1.0_#00000000", kids: []file{fixed, prop("3001001F", string(wide("A. Reader"))), prop("39FE001F", string(wide("reader@example.org")))}},
		file{name: "__attach_version1.0_#00000000", kids: []file{fixed, prop("3707001F", string(wide("notes.txt"))), prop("37010102", "attached words")}},
		file{name: "__attach_version1.0_#00000001", kids: []file{fixed, prop("3001001F", string(wide("inner"))), {name: "__substg1.0_3701000D", kids: inner}}})
}

// sevenZipOf writes an archive of one stored file. All numbers are below 128,
// which is one octet each.
func sevenZipOf(name, data string) []byte {
	n, names := byte(len(data)), append(wide(name), 0, 0)
	head := le("\x01\x04\x06\x00\x01\x09", n, "\x00", // one packed stream
		"\x07\x0b\x01\x00\x01\x01\x00\x0c", n, "\x00\x08\x00\x00", // one folder, copied
		"\x05\x01\x11", byte(len(names)+1), byte(0), names, "\x00\x00")
	start := le(uint32(len(data)), uint32(0), uint32(len(head)), uint32(0), crc32.ChecksumIEEE(head))
	return le("7z\xbc\xaf\x27\x1c\x00\x04", crc32.ChecksumIEEE(start), start, data, head)
}

// rarOf writes an archive of version 5 with one stored file.
func rarOf(name, data string) []byte {
	return le(rarSignature, rarBlock(1, 0, 0), rarBlock(2, 2, byte(len(data)), 0, byte(len(data)), 0, 0, 1, byte(len(name)), name), data, rarBlock(5, 0, 0))
}

// sealedRAR begins with the header that says that all others are encrypted.
func sealedRAR() []byte {
	return le(rarSignature, rarBlock(4, 0, 0, 0, 4, make([]byte, 16)), make([]byte, 64))
}

const rarSignature = "Rar!\x1a\x07\x01\x00"

// rarBlock writes a header: checksum, size, and what is given; numbers below 128
// are one octet.
func rarBlock(values ...any) []byte {
	var body []byte
	for _, v := range values {
		if n, ok := v.(int); ok {
			v = byte(n)
		}
		body = append(body, le(v)...)
	}
	body = append([]byte{byte(len(body))}, body...)
	return le(crc32.ChecksumIEEE(body), body)
}
