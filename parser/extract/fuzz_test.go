package extract_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/parser/extract"
)

// fuzzLimits are small, so that what the fuzzer finds is work and not size.
var fuzzLimits = extract.Limits{Depth: 3, Entries: 100, Unpacked: 4 << 20, Entry: 1 << 20, RatioFrom: 1 << 20, Text: 64 << 10}

// fuzz reads documents that make builds of what the fuzzer invents, and checks
// the invariants, and that a second run gives the same.
func fuzz(f *testing.F, name string, build func(testing.TB, []byte) []byte, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		doc := extract.Document{Name: name, Data: build(t, b)}
		res := extract.Text(t.Context(), doc, fuzzLimits, tools())
		if problem := check(res, fuzzLimits); problem != "" {
			t.Errorf("%s\n%q", problem, b)
		}
		if again := extract.Text(t.Context(), doc, fuzzLimits, tools()); again != res {
			t.Errorf("two results: %+v, %+v", res, again)
		}
	})
}

func same(_ testing.TB, b []byte) []byte { return b }

func FuzzZIP(f *testing.F) {
	d := documents(f)
	fuzz(f, "a.zip", same, string(d["files.zip"]), string(d["cut.zip"]), string(d["moved.zip"]), string(encryptedZip(f)), "PK\x03\x04")
}

func FuzzStreams(f *testing.F) {
	d := documents(f)
	fuzz(f, "a", same, string(d["files.tar.gz"]), string(d["one.txt.xz"]), string(tarOf(f, file{name: "a", data: "b"})), "BZh91AY&SY")
}

func FuzzRAR(f *testing.F) {
	fuzz(f, "a.rar", same, string(rarOf("a.txt", "words")), string(sealedRAR()), "Rar!\x1a\x07\x00")
}

func FuzzDOCX(f *testing.F) {
	build := func(tb testing.TB, b []byte) []byte {
		return zipOf(tb, file{name: "_rels/.rels"}, file{name: "word/document.xml", data: string(b)})
	}
	fuzz(f, "a.docx", build, paragraph("a"), "<w:p><w:tab/><mc:Choice/><mc:Fallback><w:t>a", "<a b=c d>&#65;&x;<![CDATA[x]]>", "\xff\xfe<\x00a\x00>\x00")
}

func FuzzXLSX(f *testing.F) {
	build := func(tb testing.TB, b []byte) []byte {
		parts := bytes.SplitN(append(bytes.Clone(b), 0, 0, 0), []byte{0}, 4)
		return zipOf(tb, file{name: "xl/workbook.xml", data: string(parts[0])}, file{name: "xl/sharedStrings.xml", data: string(parts[1])},
			file{name: "xl/styles.xml", data: string(parts[2])}, file{name: "xl/worksheets/sheet1.xml", data: string(parts[3])})
	}
	fuzz(f, "a.xlsx", build, "<sheet name='a'/>\x00<si><t>a</t></si>\x00<cellXfs><xf numFmtId='14'/></cellXfs>\x00<row><c t='s'><v>0</v></c><c s='0'><v>1e9</v></c></row>",
		"<workbookPr date1904='1'/>\x00<rPh><t>\x00<numFmt numFmtId='1' formatCode='\"y'/>\x00<c s='-1'><v>nan</v></c><oddHeader>&\"&amp;")
}

func FuzzODF(f *testing.F) {
	fuzz(f, "a.fodt", same, string(documents(f)["flat.fodt"]), "<office:document xmlns:o='opendocument'><p><s c='9'/><annotation><p>a", "<?xml version='1.0'?><a>b")
}

func FuzzCompound(f *testing.F) {
	d := documents(f)
	fuzz(f, "a", same, string(d["text.doc"]), string(d["saved.msg"]), string(d["slides.ppt"]), string(oleOf(file{name: "\x01Ole10Native", data: string(nativeOf("a", "b"))})))
}

// FuzzDOC parts what the fuzzer invents into the two streams of a document.
func FuzzDOC(f *testing.F) {
	build := func(_ testing.TB, b []byte) []byte {
		main, table, _ := bytes.Cut(b, []byte("|table|"))
		return oleOf(file{name: "WordDocument", data: string(main)}, file{name: "0Table", data: string(table)}, file{name: "1Table", data: string(table)})
	}
	head := make([]byte, 0x300)
	copy(head, le(uint16(0xa5ec), uint16(193), uint16(0), uint16(0x409), uint16(0), uint16(0)))
	copy(head[0x1a2:], le(uint32(0), uint32(100)))
	plc := le(uint32(0), uint32(4), uint16(0), uint32(0x40000600), uint16(0))
	old := make([]byte, 0x80)
	copy(old, le(uint16(0xa5dc), uint16(104)))
	copy(old[0x18:], le(uint32(0x80), uint32(0x90)))
	fuzz(f, "a.doc", build, string(head)+"text|table|"+string(le(byte(2), uint32(len(plc)), plc)), string(old)+"\x13words\x15\x07")
}

func FuzzXLS(f *testing.F) {
	build := func(_ testing.TB, b []byte) []byte { return oleOf(file{name: "Workbook", data: string(b)}) }
	book := func(version uint16, recs ...[]byte) string {
		return string(append(rec(0x809, version, uint16(5), uint32(0)), bytes.Join(recs, nil)...))
	}
	fuzz(f, "a.xls", build,
		book(0x600, rec(0xfc, uint32(1), uint32(1), uint16(3), byte(0), "a"), rec(0x3c, byte(1), "b\x00c\x00"), rec(0xfd, make([]byte, 10)), rec(0x1b6, make([]byte, 18)), rec(0x3c, byte(1), "a\x00")),
		book(0x500, rec(0x42, uint16(1251)), rec(0x204, make([]byte, 6), uint16(2), "\xf2\xe5"), rec(0x203, make([]byte, 14)), rec(0x14, byte(3), "&LA")),
		string(rec(0x09, uint16(2), uint16(0x10)))+string(rec(0x04, make([]byte, 7), byte(1), "a"))+string(rec(0x03, make([]byte, 15))))
}

func FuzzPPT(f *testing.F) {
	build := func(_ testing.TB, b []byte) []byte {
		return oleOf(file{name: "PowerPoint Document", data: string(b)})
	}
	fuzz(f, "a.ppt", build, string(le(uint16(15), uint16(1000), uint32(12), uint16(0), uint16(0xfa8), uint32(4), "text")), string(le(uint16(0), uint16(0xfa0), uint32(0xffffffff), "a\x00")))
}

func FuzzRTF(f *testing.F) {
	d := documents(f)
	fuzz(f, "a.rtf", same, string(d["letter.rtf"]), string(d["wrapped.rtf"]), `{\rtf1\u-1\'\bin99999999999 `, `{\rtf1{\*\x{\uc9\u1 `)
}

func FuzzTNEF(f *testing.F) {
	fuzz(f, "winmail.dat", same, string(tnefOf()), string(tnefBomb(3)), "\x78\x9f\x3e\x22\x00\x00\x01")
}

// FuzzLZFu unpacks the body of a message.
func FuzzLZFu(f *testing.F) {
	build := func(_ testing.TB, b []byte) []byte {
		data := mapi(mapiOctets(0x102, 0x1009, le(uint32(0), uint32(0), uint32(0x75465a4c), uint32(0), b)))
		return le(uint32(0x223e9f78), uint16(1), byte(1), uint32(0x69003), uint32(len(data)), data, uint16(0))
	}
	fuzz(f, "winmail.dat", build, "\x00{\\rtf1 a", "\x03\x00\x0f{\\", "\xff\xff\xff\xff\xff")
}

func FuzzCard(f *testing.F) {
	d := documents(f)
	fuzz(f, "a.ics", same, string(d["meeting.ics"]), string(d["card.vcf"]), "SUMMARY;ENCODING=QUOTED-PRINTABLE:=\n=\n", "a:\n b\n\tc", `ATTENDEE;CN=":x`)
}

func FuzzMail(f *testing.F) {
	fuzz(f, "a.eml", same, string(documents(f)["mail.eml"]), "Subject: a\n\nb")
}

func FuzzKind(f *testing.F) {
	for _, s := range []string{"", "PK\x03\x04", "%PDF-", "RIFF....WEBP", "....ftypheic", "<?xml", "BZh91AY&SY"} {
		f.Add("a.doc", "text/plain; x", []byte(s))
	}
	f.Fuzz(func(t *testing.T, name, ctype string, head []byte) {
		kind := extract.KindOf(name, ctype, head)
		if kind == "" {
			t.Error("no kind")
		}
	})
}

// mutants is how many a test makes of each document.
const mutants = 60

// TestMutants changes documents in all ways that transfer and storage do, always
// the same, and checks the invariants.
func TestMutants(t *testing.T) {
	t.Parallel()
	all := documents(t)
	for _, folder := range []string{"documents", "Teamwork+tnef"} {
		for path, b := range corpus(t, folder) {
			if len(b) < 1<<17 {
				all[path] = b
			}
		}
	}
	for name, b := range all {
		n := mutants
		if strings.Contains(name, "/") {
			n /= 10
		}
		rng := rand.New(rand.NewPCG(uint64(len(b)), 5))
		for range n {
			m := mutate(rng, b)
			res := extract.Text(t.Context(), extract.Document{Name: name, Data: m}, fuzzLimits, tools())
			if problem := check(res, fuzzLimits); problem != "" {
				t.Errorf("%s: %s", name, problem)
			}
		}
	}
}

// mutate flips, cuts, doubles and overwrites.
func mutate(rng *rand.Rand, b []byte) []byte {
	m := bytes.Clone(b)
	if len(m) == 0 {
		return m
	}
	for range 1 + rng.IntN(8) {
		at := rng.IntN(len(m))
		end := min(len(m), at+1+rng.IntN(16))
		switch rng.IntN(6) {
		case 0:
			m[at] ^= 1 << rng.IntN(8)
		case 1:
			m[at] = byte(rng.IntN(256))
		case 2:
			copy(m[at:end], bytes.Repeat([]byte{0xff}, 16))
		case 3:
			clear(m[at:end])
		case 4:
			m = slices.Insert(m, at, m[at:end]...)
		case 5:
			m = slices.Delete(m, at, min(end, at+len(m)-1))
		}
		if len(m) == 0 {
			return m
		}
	}
	return m
}
