package extract_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/extract"
)

// BenchmarkText reads documents of the size that people attach; the rate is of
// their octets as attached.
func BenchmarkText(b *testing.B) {
	var body, rows strings.Builder
	for i := range 4000 {
		body.WriteString(paragraph(fmt.Sprintf("Paragraph %d says that the quick brown fox jumps over the lazy dog %d times.", i, i*i)))
		fmt.Fprintf(&rows, `<row><c><v>%d</v></c><c t="inlineStr"><is><t>item %d</t></is></c></row>`, i*i, i)
	}
	words := strings.Repeat("The quick brown fox jumps over the lazy dog.\r", 10_000)
	for name, doc := range map[string][]byte{
		"docx": zipOf(b, file{name: "_rels/.rels"}, file{name: "word/document.xml", data: body.String()}),
		"xlsx": zipOf(b, file{name: "xl/workbook.xml", data: "<w/>"}, file{name: "xl/worksheets/sheet1.xml", data: rows.String()}),
		"doc":  docOf(words),
		"rtf":  []byte(`{\rtf1\ansi ` + strings.ReplaceAll(words, "\r", `\par `) + "}"),
		"msg":  msgOf(),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				res := extract.Text(b.Context(), extract.Document{Data: doc}, extract.Limits{}, extract.Tools{})
				if res.Status != mail.TextOK {
					b.Fatal(res.Status, res.Detail)
				}
			}
		})
	}
}
