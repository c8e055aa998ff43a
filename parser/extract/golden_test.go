package extract_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/parser/extract"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	wordNS  = `xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"`
	relsNS  = `xmlns="http://schemas.openxmlformats.org/package/2006/relationships"`
	relType = `http://schemas.openxmlformats.org/officeDocument/2006/relationships/`
	odfNS   = `xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"`
)

// paragraph is one of WordprocessingML.
func paragraph(s string) string { return "<w:p><w:r><w:t>" + s + "</w:t></w:r></w:p>" }

// documents are one of each format, written here, so that each octet in them is
// there for a reason.
func documents(tb testing.TB) map[string][]byte {
	tb.Helper()
	docs := map[string][]byte{
		"plain.txt": []byte("gr\xfcn\r\nund blau\r\n"), "utf16.txt": append([]byte{0xff, 0xfe}, wide("grün\r\n")...),
		"table.csv": []byte("a;b\n1;2\n"),
		"page.html": []byte("<html><meta charset=koi8-r><p>\xd4\xc5\xd3\xd4<script>x()</script>"),
		"data.xml":  []byte("<?xml version='1.0'?><a><b>one</b><c>two &amp; three</c></a>"),
		"utf16.xml": append([]byte{0xff, 0xfe}, wide("<?xml version='1.0' encoding='UTF-16'?><a>grün</a>")...),
		"text.doc":  docOf("8-bit \x93text\x94\r", "und größer\r", "a\x07b\x07\x07 \x13HYPERLINK \"http://example.org\"\x14shown\x15 soft\x1fhyphen\r", "末\r"),
		"word6.doc": word6Of("\xcf\xf0\xe8\xe2\xe5\xf2\rline\r", 0x419), "book.xls": xlsOf(), "slides.ppt": pptOf(),
		"winmail.dat": tnefOf(), "saved.msg": msgOf(),
		"letter.rtf": []byte(`{\rtf1\ansi\ansicpg1250\deff0{\fonttbl{\f0\fcharset238 A;}{\f1\fcharset128 B;}}{\info{\title A title}}{\*\generator G;}{\colortbl;\red0;}` +
			`za\'bf\'f3\'b3\'e6 \f1 \'93\'fa\'96\'7b\f0\par \u24180?\'61 \uc2\u21517 ab{\b c}\tab d\emdash e\line{\field{\*\fldinst HYPERLINK "x"}{\fldrslt shown}}` +
			`{\footnote a note}{\pict 0102}\u-10179?\u-8704?\bin3 xyz end}`),
		"wrapped.rtf": []byte(`{\rtf1\ansi\fromhtml1{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 shown{\*\htmltag84 <b>}\htmlrtf hidden\htmlrtf0 words\htmlrtf }\htmlrtf0 }`),
		"meeting.ics": []byte("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:A long sum\r\n mary\\, folded\r\nDTSTART;TZID=Europe/Berlin:20240131T093000\r\n" +
			"ORGANIZER;CN=\"Sales: North\":MAILTO:sales@example.org\r\nATTENDEE;ROLE=X:mailto:a@example.org\r\nDESCRIPTION:one\\ntwo\r\nUID:hidden\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"),
		"card.vcf": []byte("BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;=\r\nEva\r\nFN:Eva\r\nitem1.EMAIL;TYPE=work:eva@example.org\r\n" +
			"TEL:+49 1\r\nORG:Example;Sales\r\nNOTE:a\\;b\r\nPHOTO;ENCODING=BASE64:AAAA\r\nEND:VCARD\r\n"),
		"mail.eml": []byte("From: a@example.org\nTo: b@example.org\nSubject: the subject\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nthe body\n" +
			"--x\nContent-Type: application/rtf; name=a.rtf\n\n{\\rtf1 inside}\n--x\nContent-Type: text/plain; name=b.txt\nContent-Disposition: attachment; filename=b.txt\n\nmore\n--x--\n"),
		"fault.doc": []byte("\xffWPC\x00\x01 words that remain\x00\x02ab\x00"),
	}
	docs["signed.p7m"] = smimeOf("\x02", docs["mail.eml"])
	docs["letter.docx"] = docxOf(tb)
	docs["book.xlsx"] = xlsxOf(tb)
	docs["slides.pptx"] = pptxOf(tb)
	docs["letter.odt"] = odtOf(tb)
	docs["flat.fodt"] = []byte(`<?xml version="1.0"?><office:document ` + odfNS + ` xmlns:t="x"><office:body><t:p>flat words</t:p></office:body></office:document>`)
	docs["old.xml"] = []byte(`<?xml version="1.0"?><w:wordDocument ` + wordNS + `><w:body><w:p><w:r><w:t>one wo</w:t></w:r><w:r><w:t>rd</w:t></w:r></w:p></w:body></w:wordDocument>`)
	docs["files.zip"] = zipOf(tb, file{name: "a/b.txt", data: "in a file"}, file{name: "c.docx", data: string(docs["letter.docx"])}, file{name: "d.png", data: "\x89PNG\r\n\x1a\n"})
	docs["cut.zip"] = docs["files.zip"][:bytes.LastIndex(docs["files.zip"], []byte("PK\x01\x02"))-40]
	docs["moved.zip"] = append([]byte("MZ a program in front"), docs["files.zip"]...)
	docs["files.tar.gz"] = gzipOf(tb, tarOf(tb, file{name: "a.txt", data: "in a tar"}, file{name: "b.ics", data: string(docs["meeting.ics"])}))
	docs["one.txt.xz"] = xzOf(tb, []byte("in XZ"), 1<<20)
	docs["files.7z"] = sevenZipOf("größe.txt", "in 7z")
	docs["files.rar"] = rarOf("a.txt", "in RAR")
	return docs
}

// smimeOf is a CMS object of a type of RFC 5652 (2 is SignedData, 3 EnvelopedData)
// whose content is a message.
func smimeOf(kind string, message []byte) []byte {
	const oid = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07"
	der := func(tag byte, parts ...string) string {
		body := strings.Join(parts, "")
		return string([]byte{tag, 0x82, byte(len(body) >> 8), byte(len(body))}) + body
	}
	content := der(0x30, oid+"\x01", der(0xa0, der(0x04, string(message))))
	return []byte(der(0x30, oid+kind, der(0xa0, der(0x30, "\x02\x01\x01", der(0x31), content, der(0x31)))))
}

func docxOf(tb testing.TB) []byte {
	tb.Helper()
	body := paragraph("first") + `<w:p><w:pPr><w:tabs><w:tab w:val="left"/></w:tabs></w:pPr><w:r><w:t xml:space="preserve">a </w:t></w:r><w:r><w:t>b</w:t><w:tab/><w:t>c</w:t></w:r></w:p>` +
		`<w:tbl><w:tr><w:tc>` + paragraph("1") + `</w:tc><w:tc>` + paragraph("2") + `</w:tc></w:tr></w:tbl>` +
		`<w:p><w:del><w:r><w:delText>deleted</w:delText></w:r></w:del><w:ins><w:r><w:t>inserted</w:t></w:r></w:ins></w:p>` +
		`<w:p><w:r><mc:AlternateContent><mc:Choice><w:txbxContent>` + paragraph("in a box") + `</w:txbxContent></mc:Choice><mc:Fallback><w:txbxContent>` + paragraph("in a box") + `</w:txbxContent></mc:Fallback></mc:AlternateContent></w:r></w:p>`
	return zipOf(tb,
		file{name: "[Content_Types].xml", data: "<Types/>"},
		file{name: "_rels/.rels", data: `<Relationships ` + relsNS + `><Relationship Id="r1" Type="` + relType + `officeDocument" Target="/word/document2.xml"/></Relationships>`},
		file{name: `word\document2.xml`, data: `<w:document ` + wordNS + `><w:body>` + body + `</w:body></w:document>`},
		file{name: "word/footnotes.xml", data: `<w:footnotes>` + paragraph("a note") + `</w:footnotes>`},
		file{name: "word/comments.xml", data: `<w:comments>` + paragraph("a comment") + `</w:comments>`},
		file{name: "word/header1.xml", data: `<w:hdr>` + paragraph("head") + `</w:hdr>`},
		file{name: "word/embeddings/oleObject1.bin", data: string(oleOf(file{name: "\x01Ole10Native", data: string(nativeOf("packed.txt", "packed words"))}))},
		file{name: "docProps/core.xml", data: `<cp:coreProperties><dc:title>A title</dc:title><cp:revision>7</cp:revision></cp:coreProperties>`})
}

func nativeOf(name, text string) []byte {
	in := le(uint16(2), name, byte(0), `C:\x`, byte(0), uint32(0x30000), uint32(4), "C:\\\x00", uint32(len(text)), text)
	return le(uint32(len(in)), in)
}

func xlsxOf(tb testing.TB) []byte {
	tb.Helper()
	return zipOf(tb,
		file{name: "[Content_Types].xml", data: "<Types/>"},
		file{name: "xl/workbook.xml", data: `<workbook><sheets><sheet name="Second" r:id="rId2"/><sheet name="First" state="hidden" r:id="rId1"/></sheets></workbook>`},
		file{name: "xl/_rels/workbook.xml.rels", data: `<Relationships><Relationship Id="rId1" Type="x/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="x/worksheet" Target="worksheets/sheet2.xml"/></Relationships>`},
		file{name: "xl/sharedStrings.xml", data: `<sst><si><t>shared</t></si><si><r><t>rich </t></r><r><t>text</t></r><rPh><t>phonetic</t></rPh></si></sst>`},
		file{name: "xl/styles.xml", data: `<styleSheet><numFmts><numFmt numFmtId="170" formatCode="yyyy\-mm"/></numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="170"/><xf numFmtId="22"/></cellXfs></styleSheet>`},
		file{name: "xl/worksheets/sheet1.xml", data: `<worksheet><sheetData><row><c t="s"><v>0</v></c><c t="s"><v>1</v></c><c t="s"><v>9</v></c></row><row><c><v>1.5</v></c><c s="1"><v>45292</v></c><c s="2"><v>45292.5</v></c></row>` +
			`<row><c t="inlineStr"><is><t>inline</t></is></c><c t="str"><f>A1&amp;B1</f><v>computed</v></c><c t="b"><v>1</v></c><c t="e"><v>#N/A</v></c></row></sheetData><headerFooter><oddFooter>&amp;CPage &amp;P</oddFooter></headerFooter></worksheet>`},
		file{name: "xl/worksheets/sheet2.xml", data: `<worksheet><sheetData><row><c t="s"><v>0</v></c></row></sheetData></worksheet>`},
		file{name: "xl/comments1.xml", data: `<comments><commentList><comment><text><r><t>a comment</t></r></text></comment></commentList></comments>`})
}

func pptxOf(tb testing.TB) []byte {
	tb.Helper()
	slide := func(s string) string {
		return `<p:sld><p:sp><a:p><a:r><a:t>` + s + `</a:t></a:r><a:br/><a:r><a:t>next line</a:t></a:r></a:p></p:sp></p:sld>`
	}
	return zipOf(tb,
		file{name: "[Content_Types].xml", data: "<Types/>"},
		file{name: "ppt/presentation.xml", data: `<p:presentation><p:sldIdLst><p:sldId id="257" r:id="rId2"/><p:sldId id="256" r:id="rId1"/></p:sldIdLst></p:presentation>`},
		file{name: "ppt/_rels/presentation.xml.rels", data: `<Relationships><Relationship Id="rId1" Type="x/slide" Target="slides/slide1.xml"/><Relationship Id="rId2" Type="x/slide" Target="slides/slide2.xml"/></Relationships>`},
		file{name: "ppt/slides/slide1.xml", data: slide("shown last")}, file{name: "ppt/slides/slide2.xml", data: slide("shown first")},
		file{name: "ppt/slides/_rels/slide2.xml.rels", data: `<Relationships><Relationship Id="n" Type="x/notesSlide" Target="../notesSlides/notesSlide1.xml"/></Relationships>`},
		file{name: "ppt/notesSlides/notesSlide1.xml", data: `<p:notes><a:p><a:r><a:t>notes of the first</a:t></a:r></a:p></p:notes>`},
		file{name: "ppt/slideMasters/slideMaster1.xml", data: slide("Click to edit")},
		file{name: "ppt/comments/comment1.xml", data: `<p:cmLst><p:cm><p:text>a comment</p:text></p:cm></p:cmLst>`})
}

func odtOf(tb testing.TB) []byte {
	tb.Helper()
	return zipOf(tb,
		file{name: "mimetype", data: "application/vnd.oasis.opendocument.text"},
		file{name: "content.xml", data: `<office:document-content ` + odfNS + `><office:body><office:text><text:tracked-changes><text:deletion><text:p>deleted</text:p></text:deletion></text:tracked-changes>` +
			`<text:h>Heading</text:h><text:p>two <text:span>words</text:span><text:s text:c="2"/>apart<text:tab/>tab<text:line-break/>line<office:annotation><dc:creator>A. Writer</dc:creator><text:p>remark</text:p></office:annotation></text:p>` +
			`<table:table table:name="T1"><table:table-row><table:table-cell><text:p>1</text:p></table:table-cell><table:table-cell><text:p>2</text:p></table:table-cell></table:table-row></table:table></office:text></office:body></office:document-content>`},
		file{name: "styles.xml", data: `<office:document-styles><style:master-page><style:footer><text:p>foot</text:p></style:footer></style:master-page></office:document-styles>`},
		file{name: "meta.xml", data: `<office:document-meta><dc:title>A title</dc:title><meta:generator>G</meta:generator></office:document-meta>`})
}

// TestGolden reads one document of each format.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, b := range documents(t) {
		res := read(t, name, "", b)
		if problem := check(res, extract.DefaultLimits()); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
		got := fmt.Sprintf("%s, %s %d, %d embedded, %d unread\n%s\n---\n%s\n", res.Status, res.Extractor.Name, res.Extractor.Version, res.Embedded, res.Unread, res.Detail, res.Text)
		path := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
