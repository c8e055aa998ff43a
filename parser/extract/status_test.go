package extract_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/extract"
)

// encryptedZip is an archive whose only file has the flag of encryption.
func encryptedZip(tb testing.TB) []byte {
	tb.Helper()
	b := zipOf(tb, file{name: "a.txt", data: "hidden"})
	i := bytes.Index(b, []byte("PK\x01\x02"))
	b[i+8] |= 1
	return b
}

// TestStatuses: what cannot be read is named for why.
func TestStatuses(t *testing.T) {
	t.Parallel()
	encryptedDoc := docOf("hidden")
	main := bytes.Index(encryptedDoc, le(uint16(0xa5ec), uint16(193)))
	encryptedDoc[main+11] |= 1
	for name, tc := range map[string]struct {
		doc  []byte
		kind string
		want mail.TextStatus
	}{
		"sealed.zip":   {encryptedZip(t), "zip", mail.TextEncrypted},
		"sealed.docx":  {oleOf(file{name: "EncryptionInfo", data: "x"}, file{name: "EncryptedPackage", data: "x"}), "docx", mail.TextEncrypted},
		"sealed.doc":   {encryptedDoc, "doc", mail.TextEncrypted},
		"sealed.xls":   {oleOf(file{name: "Workbook", data: string(le(rec(0x809, uint16(0x600), make([]byte, 14)), rec(0x2f, make([]byte, 54))))}), "xls", mail.TextEncrypted},
		"sealed.ppt":   {oleOf(file{name: "PowerPoint Document", data: strings.Repeat("x", 20)}, file{name: "EncryptedSummary", data: "x"}), "ppt", mail.TextEncrypted},
		"rights.doc":   {oleOf(file{name: "\x09DRMContent", data: "x"}), "ole", mail.TextEncrypted},
		"sealed.odt":   {zipOf(t, file{name: "mimetype", data: "x"}, file{name: "META-INF/manifest.xml", data: "<m><encryption-data/></m>"}, file{name: "content.xml", data: "\x00"}), "odf", mail.TextEncrypted},
		"sealed.txt":   {[]byte("-----BEGIN PGP MESSAGE-----\n\nx\n"), "plain", mail.TextEncrypted},
		"sealed.p7m":   {smimeOf("\x03", []byte("Subject: hidden\n\n")), "smime", mail.TextEncrypted},
		"packed.p7m":   {smimeOf("\x09", []byte("x")), "smime", mail.TextUnsupported},
		"sealed.rar":   {sealedRAR(), "rar", mail.TextEncrypted},
		"draw.vsd":     {oleOf(file{name: "VisioDocument", data: "x"}), "ole", mail.TextUnsupported},
		"paper.pdf":    {[]byte("%PDF-1.4"), "pdf", mail.TextUnsupported},
		"strange.bin":  {[]byte{1, 2, 3, 0}, "unknown", mail.TextUnsupported},
		"binary.xlsb":  {zipOf(t, file{name: "_rels/.rels"}, file{name: "xl/workbook.bin"}), "xlsx", mail.TextUnsupported},
		"picture.png":  {[]byte("\x89PNG\r\n\x1a\n"), "image", mail.TextNone},
		"program.exe":  {[]byte("MZ\x90\x00"), "binary", mail.TextNone},
		"broken.docx":  {[]byte{0, 1, 2, 3}, "docx", mail.TextFailed},
		"broken.doc":   {[]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "ole", mail.TextFailed},
		"broken.7z":    {[]byte("7z\xbc\xaf\x27\x1c\x00\x04"), "7z", mail.TextFailed},
		"broken.rar":   {[]byte("Rar!\x1a\x07\x00\x00"), "rar", mail.TextFailed},
		"broken.gz":    {[]byte("\x1f\x8b\x08"), "gzip", mail.TextFailed},
		"broken.bz2":   {[]byte("BZh91AY&SY\x00"), "bzip2", mail.TextFailed},
		"broken.xz":    {[]byte("\xfd7zXZ\x00\x00"), "xz", mail.TextFailed},
		"winmail.dat":  {[]byte("\x78\x9f\x3e\x22"), "tnef", mail.TextFailed},
		"empty.zip":    {[]byte("PK\x05\x06" + strings.Repeat("\x00", 18)), "zip", mail.TextOK},
		"method.zip":   {methodZip(t, 9), "zip", mail.TextUnsupported},
		"window.xz":    {wideXZ(t), "xz", mail.TextTruncated},
		"cut.txt.gz":   {gzipOf(t, bytes.Repeat([]byte("words "), 100))[:40], "gzip", mail.TextTruncated},
		"fault.docx":   {zipOf(t, file{name: "_rels/.rels"}, file{name: "word/document.xml", data: paragraph("words") + "<w:p a='"}), "docx", mail.TextTruncated},
		"in a zip.zip": {zipOf(t, file{name: "a.txt", data: "words"}, file{name: "b.zip", data: string(encryptedZip(t))}), "zip", mail.TextEncrypted},
	} {
		res := read(t, name, "", tc.doc)
		if res.Status != tc.want || res.Extractor.Name != tc.kind {
			t.Errorf("%s: %s by %s, want %s by %s (%s)", name, res.Status, res.Extractor.Name, tc.want, tc.kind, res.Detail)
		}
		if strings.Contains(res.Text, "hidden") {
			t.Errorf("%s: text %q", name, res.Text)
		}
		if problem := check(res, extract.DefaultLimits()); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

func methodZip(tb testing.TB, method uint16) []byte {
	tb.Helper()
	b := zipOf(tb, file{name: "a.txt", data: "hidden"})
	i := bytes.Index(b, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint16(b[i+10:], method)
	return b
}

// wideXZ asks for a window of 4 GB for a few octets.
func wideXZ(tb testing.TB) []byte {
	tb.Helper()
	b := xzOf(tb, []byte("words"), 1<<20)
	i := bytes.Index(b[12:], []byte{0x21, 0x01})
	b[12+i+2] = 40
	return b
}

// TestUnreadIsCounted: the status is that of the worst inside, and the counts
// tell how many there are.
func TestUnreadIsCounted(t *testing.T) {
	t.Parallel()
	inner := zipOf(t, file{name: "x.bin", data: "\x00\x01"}, file{name: "y.pdf", data: "%PDF-1.4"}, file{name: "z.txt", data: "words"})
	res := read(t, "a.zip", "", zipOf(t, file{name: "inner.zip", data: string(inner)}, file{name: "p.png", data: "\x89PNG\r\n"}))
	if res.Status != mail.TextUnsupported || res.Embedded != 5 || res.Unread != 2 || !strings.Contains(res.Text, "words") {
		t.Errorf("%+v", res)
	}
	if want := "inner.zip: x.bin: no reader for this format"; res.Detail != want {
		t.Errorf("detail %q, want %q", res.Detail, want)
	}
}

// TestTools: PDF and pictures reach the functions given, at any depth, with what
// is left of the limit, and their extractor is named for a document of its own.
func TestTools(t *testing.T) {
	t.Parallel()
	tools := tools()
	var limits []int
	tools.PDF = func(_ context.Context, b []byte, limit int) extract.Result {
		limits = append(limits, limit)
		return extract.Result{Text: "pages of " + string(b[5:]), Status: mail.TextTruncated, Extractor: mail.Extractor{Name: "pdf", Version: 7}, Detail: "two\nlines"}
	}
	tools.Image = func(context.Context, []byte, int) extract.Result {
		return extract.Result{Text: "seen", Status: mail.TextOK, Extractor: mail.Extractor{Name: "ocr", Version: 2}}
	}
	doc := zipOf(t, file{name: "a.txt", data: "0123456789"}, file{name: "b.pdf", data: "%PDF-1.4"}, file{name: "c.png", data: "\x89PNG\r\n"})
	res := extract.Text(t.Context(), extract.Document{Name: "a.zip", Data: doc}, extract.Limits{Text: 100}, tools)
	if want := "a.txt\n0123456789\n\nb.pdf\npages of 1.4\n\nc.png\nseen"; res.Text != want {
		t.Errorf("%q, want %q", res.Text, want)
	}
	if res.Status != mail.TextTruncated || res.Extractor.Name != "zip" || res.Unread != 1 {
		t.Errorf("%+v", res)
	}
	if len(limits) != 1 || limits[0] > 83 {
		t.Errorf("limits %v", limits)
	}
	res = extract.Text(t.Context(), extract.Document{Data: []byte("%PDF-1.4")}, extract.Limits{}, tools)
	if res.Extractor != (mail.Extractor{Name: "pdf", Version: 7}) || res.Detail != "two lines" || res.Status != mail.TextTruncated {
		t.Errorf("%+v", res)
	}
}

// TestPanicsAreCaught: a reader with a fault costs its own document alone.
func TestPanicsAreCaught(t *testing.T) {
	t.Parallel()
	tools := tools()
	tools.PDF = func(context.Context, []byte, int) extract.Result { panic("on purpose") }
	doc := zipOf(t, file{name: "a.pdf", data: "%PDF-1.4"}, file{name: "b.txt", data: "words"})
	res := extract.Text(t.Context(), extract.Document{Name: "a.zip", Data: doc}, extract.Limits{}, tools)
	if res.Status != mail.TextFailed || !strings.Contains(res.Text, "words") || !strings.Contains(res.Detail, "panic: on purpose") {
		t.Errorf("%+v", res)
	}
}

// TestEntitiesStay: an entity that a document declares is not expanded.
func TestEntitiesStay(t *testing.T) {
	t.Parallel()
	bomb := `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "boom"><!ENTITY c "&b;&b;"><!ENTITY d SYSTEM "file:///etc/passwd">]><a>&b;&c;&d;&amp;</a>`
	res := read(t, "a.xml", "", []byte(bomb))
	if res.Status != mail.TextOK || res.Text != "&b;&c;&d;&" {
		t.Errorf("%s: %q", res.Status, res.Text)
	}
}

// TestDeepNesting: neither groups nor elements nor records are recursed into.
func TestDeepNesting(t *testing.T) {
	t.Parallel()
	const deep = 300_000
	for name, b := range map[string][]byte{
		"deep.rtf":  []byte(`{\rtf1 ` + strings.Repeat("{", deep) + "words" + strings.Repeat("}", deep) + "}"),
		"deep.xml":  []byte("<?xml version='1.0'?>" + strings.Repeat("<a>", deep) + "words" + strings.Repeat("</a>", deep)),
		"deep.docx": zipOf(t, file{name: "_rels/.rels"}, file{name: "word/document.xml", data: strings.Repeat("<w:p>", deep) + paragraph("words")}),
		"deep.html": []byte("<html>" + strings.Repeat("<div>", deep) + "words"),
		"deep.ppt":  oleOf(file{name: "PowerPoint Document", data: strings.Repeat("\x0f\x00\xee\x03\xff\xff\xff\x7f", deep) + string(le(uint16(0), uint16(0xfa8), uint32(5), "words"))}),
	} {
		if res := read(t, name, "", b); res.Text != "words" {
			t.Errorf("%s: %s, %.40q (%s)", name, res.Status, res.Text, res.Detail)
		}
	}
}

// TestOverlappingPieces: pieces of a document that all show the same octets end
// at a limit, also where they show nothing.
func TestOverlappingPieces(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("\x01", 1<<16)
	pieces := make([]string, 64)
	for i := range pieces {
		pieces[i] = text
	}
	res := limited(t, "a.doc", docOf(pieces...), extract.Limits{Text: 1 << 17})
	if res.Status != mail.TextTruncated {
		t.Errorf("%s", res.Status)
	}
}

func TestOutdated(t *testing.T) {
	t.Parallel()
	now := extract.Current(extract.DOCX)
	if now.Name != "docx" || now.Version < 1 || extract.Outdated(now) {
		t.Errorf("%+v", now)
	}
	if !extract.Outdated(mail.Extractor{Name: "docx"}) || extract.Outdated(mail.Extractor{Name: "pdf"}) {
		t.Error("the older is not outdated, or another's is")
	}
}

// TestCompressedRTF: the example of [MS-OXRTFCP] section 3.1.1, which refers back
// into what the window begins with and into itself.
func TestCompressedRTF(t *testing.T) {
	t.Parallel()
	packed := le("\x2d\x00\x00\x00\x2b\x00\x00\x00LZFu\xf1\xc5\xc7\xa7\x03\x00\x0a\x00rcpg125", "B2\x0a\xf3 hel\x09\x00 bw\x05\xb0ld}\x0a\x80\x0f\xa0")
	data := mapi(mapiOctets(0x102, 0x1009, packed))
	b := le(uint32(0x223e9f78), uint16(1), byte(1), uint32(0x69003), uint32(len(data)), data, uint16(0))
	if res := read(t, "winmail.dat", "", b); res.Text != "hello world" || res.Status != mail.TextOK {
		t.Errorf("%s: %q (%s)", res.Status, res.Text, res.Detail)
	}
}
