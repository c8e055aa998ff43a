package parser

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
)

// What extractors make of the documents of a mail replaces what the parser said
// of them, and nothing else.
func TestRestateTexts(t *testing.T) {
	m := &mail.Message{
		Parts: []mail.Part{
			{Path: "1", Type: "multipart/mixed"},
			{Path: "1.1", Type: "text/plain", TextStatus: mail.TextTruncated, OffBody: 10},
			{Path: "1.2", Type: "application/pdf", TextStatus: mail.TextUnsupported, OffBody: 20},
			{Path: "1.3", Type: "application/zip", TextStatus: mail.TextUnsupported, OffBody: 30},
			{Path: "1.4", Type: "application/pkcs7-mime", TextStatus: mail.TextEncrypted, OffBody: 40},
			{Path: "1.5", Type: "image/png", TextStatus: mail.TextNone, OffBody: 50},
		},
		Defects: []mail.Defect{
			{Code: "LIM_TEXT", Severity: mail.Loss, Part: "1.1", Off: 10, Count: 1},
			{Code: "EXT_UNSUPPORTED", Severity: mail.Loss, Part: "1.2", Off: 20, Count: 2, Detail: "application/pdf"},
			{Code: "EXT_ENCRYPTED", Severity: mail.Loss, Part: "1.4", Off: 40, Count: 1, Detail: "application/pkcs7-mime"},
		},
	}
	if got := Documents(m, true); !cmp.Equal(got, []int{2, 3, 5}) {
		t.Errorf("with pictures: %v", got)
	}
	docs := Documents(m, false)
	if !cmp.Equal(docs, []int{2, 3}) {
		t.Errorf("documents: %v", docs)
	}
	m.Parts[2].TextStatus = mail.TextOK
	m.Parts[3].TextStatus = mail.TextTimeout
	RestateTexts(m, docs, map[int]string{3: "it took too long"})
	want := []mail.Defect{
		{Code: "LIM_TEXT", Severity: mail.Loss, Part: "1.1", Off: 10, Count: 1},
		{Code: "EXT_TIMEOUT", Severity: mail.Loss, Part: "1.3", Off: 30, Count: 1, Detail: "it took too long"},
		{Code: "EXT_ENCRYPTED", Severity: mail.Loss, Part: "1.4", Off: 40, Count: 1, Detail: "application/pkcs7-mime"},
	}
	if d := cmp.Diff(want, m.Defects); d != "" {
		t.Error(d)
	}
	for status, code := range extracted {
		if severities[code] == "" {
			t.Errorf("%s: %s is not in the table of codes", status, code)
		}
	}
}
