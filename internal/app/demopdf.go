package app

import (
	"bytes"
	"fmt"
	"strings"
)

// demoPDF writes a PDF document (ISO 32000-1 section 7.5) of one page with the
// lines, which hold no parentheses and no backslashes.
func demoPDF(lines ...string) []byte {
	var content strings.Builder
	content.WriteString("BT /F 14 Tf 18 TL 72 760 Td")
	for _, l := range lines {
		content.WriteString(" (" + l + ") Tj T*")
	}
	content.WriteString(" ET")
	var b bytes.Buffer
	var table strings.Builder
	b.WriteString("%PDF-1.4\n")
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R>>",
		"<</Type/Pages/Count 1/Kids[3 0 R]>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 4 0 R>>>>/Contents 5 0 R>>",
		"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
		fmt.Sprintf("<</Length %d>>stream\n%s\nendstream", len(content.String()), content.String()),
	}
	for i, o := range objects {
		fmt.Fprintf(&table, "%010d 00000 n \n", b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, table.String(), len(objects)+1, start)
	return b.Bytes()
}
