package extract_test

import (
	"testing"

	"github.com/mailkeep/mailkeep/parser/extract"
)

func TestKindOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, ctype, head string
		want              extract.Kind
	}{
		{"a.txt", "application/pdf", "%PDF-1.7", extract.PDF},
		{"a.pdf", "application/octet-stream", "junk\n%PDF-1.4", extract.PDF},
		{"a.doc", "", "{\\rtf1 x", extract.RTF},
		{"a.doc", "application/msword", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", extract.OLE},
		{"a.xls", "application/vnd.ms-excel", "<html><table>", extract.HTML},
		{"a.xls", "application/vnd.ms-excel", "<?xml version='1.0'?><Workbook/>", extract.XML},
		{"a.xls", "application/vnd.ms-excel", "a\tb\nc\td\n", extract.Plain},
		{"a.xls", "application/vnd.ms-excel", "\x09\x08\x10\x00\x00\x06\x05\x00", extract.XLS},
		{"a.docx", "", "PK\x03\x04", extract.ZIP},
		{"a.docx", "", "\x00\x00", extract.DOCX},
		{"winmail.dat", "application/octet-stream", "\x78\x9f\x3e\x22", extract.TNEF},
		{"", "text/plain", "<html>", extract.Plain},
		{"a.htm", "text/plain", "words", extract.HTML},
		{"a.ics", "application/octet-stream", "BEGIN:VCALENDAR", extract.Calendar},
		{"", "", "BEGIN:VCARD\r\n", extract.Card},
		{"", "", "Received: from a\n", extract.Mail},
		{"", "", "\xff\xfeh\x00", extract.Plain},
		{"", "", "", extract.Unknown},
		{"", "", "\x01\x02\x03", extract.Unknown},
		{"x.bin", "application/octet-stream", "just words", extract.Plain},
		{"x.mp3", "audio/mpeg", "just words", extract.Binary},
		{"x.png", "", "\x89PNG\r\n\x1a\n", extract.Image},
		{"x", "", "RIFF1234WEBP", extract.Image},
		{"x", "", "RIFF1234WAVE", extract.Binary},
		{"x", "", "1234ftypheic", extract.Image},
		{"x", "", "1234ftypmp42", extract.Binary},
		{"x", "", "BZh91AY&SY", extract.Bzip2},
		{"x", "", "BZheader of a text", extract.Plain},
		{"x", "IMAGE/PNG; name=x", "\x00", extract.Image},
		{"x.odt", "", "<?xml version='1.0'?>", extract.ODF},
		{"x", "application/vnd.oasis.opendocument.text", "\x00", extract.ODF},
	} {
		if got := extract.KindOf(tc.name, tc.ctype, []byte(tc.head)); got != tc.want {
			t.Errorf("%q, %q, %q: %s, want %s", tc.name, tc.ctype, tc.head, got, tc.want)
		}
	}
}
