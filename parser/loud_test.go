package parser_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/parser"
)

// TestLoudFailures holds inputs at which go-message v0.18.2 gives up with an
// error and loses the message or the rest of it. Each must give its subject,
// its text and the defect that tells what is wrong.
func TestLoudFailures(t *testing.T) {
	t.Parallel()
	head := "Subject: s\nFrom: ann@example.org\n"
	parts := "--b\n\none\n--b\n\ntwo\n"
	mixed := head + "Content-Type: multipart/mixed; boundary=b\n\n"
	long := strings.Repeat("x", 5000)
	for name, tc := range map[string]struct{ in, text, code string }{
		"line without colon":           {"Subject: s\nno colon here\nFrom: ann@example.org\n\nbody", "body", "HDR_JUNK_LINE"},
		"key with space":               {"Subject: s\nBad key: v\nFrom: ann@example.org\n\nbody", "body", "HDR_JUNK_LINE"},
		"key that is not ASCII":        {"Subject: s\nSch\u00f6n: v\nFrom: ann@example.org\n\nbody", "body", "HDR_JUNK_LINE"},
		"NUL in a key":                 {"Subject: s\nBad\x00: v\nFrom: ann@example.org\n\nbody", "body", "HDR_JUNK_LINE"},
		"mbox line":                    {"From ann Tue Nov 24\n" + head + "\nbody", "body", "HDR_MBOX_FROM"},
		"byte order mark":              {"\ufeff" + head + "\nbody", "body", "HDR_BOM"},
		"CR CR LF":                     {strings.ReplaceAll(head+"\nbody", "\n", "\r\r\n"), "body", "EOL_MULTI_CR"},
		"lost fold of a boundary":      {head + "Content-Type: multipart/mixed;\nboundary=b\n\n" + parts + "--b--\n", "one\n\ntwo", "HDR_LOST_FOLD"},
		"first line begins with space": {" " + head + "\nbody", "body", "HDR_LEADING_WSP"},
		"no blank line":                {head + "body without one", "body without one", "HDR_NO_BLANK"},
		"header over 1 MiB":            {head + "X: " + strings.Repeat("x", 1<<20) + "\n\nbody", "body", "LIM_HEADER"},
		"no boundary parameter":        {head + "Content-Type: multipart/mixed\n\n" + parts + "--b--\n", "one\n\ntwo", "MIME_NO_BOUNDARY"},
		"boundary never appears":       {mixed + "all text", "all text", "MIME_BOUNDARY_NOT_FOUND"},
		"no close delimiter":           {mixed + parts, "one\n\ntwo", "MIME_NO_CLOSE"},
		"outer boundary ends an inner": {mixed + "--b\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--b\n\ntwo\n--b--\n", "one\n\ntwo", "MIME_NO_CLOSE"},
		"long line in a preamble":      {mixed + long + "\n" + parts + "--b--\n", "one\n\ntwo", "MIME_TEXT_OUTSIDE"},
		"boundary over 4 KB": {
			head + "Content-Type: multipart/mixed; boundary=" + long + "\n\n--" + long + "\n\none\n--" + long + "\n\ntwo\n--" + long + "--\n", "one\n\ntwo", "LIM_BOUNDARY",
		},
		"CR LF and LF between boundaries": {mixed + "--b\r\n\r\none\r\n--b\n\ntwo\n--b--\n", "one\n\ntwo", "EOL_MIXED"},
		"unknown transfer encoding":       {head + "Content-Transfer-Encoding: base9000\n\nas it is", "as it is", "CTE_UNKNOWN"},
		"encoding with a comment":         {head + "Content-Transfer-Encoding: base64 (comment)\n\nYm9keQ==", "body", ""},
		"garbage in base64":               {head + "Content-Transfer-Encoding: base64\n\nYm9!keQ==", "body", "CTE_BAD_BASE64"},
		"base64 without padding":          {head + "Content-Transfer-Encoding: base64\n\nYm9keQ", "body", "CTE_BAD_BASE64"},
		"two blocks of base64":            {head + "Content-Transfer-Encoding: base64\n\nYm9keQ==\nYm9keQ==", "bodybody", "CTE_BAD_BASE64"},
		"base64 with a list's footer":     {head + "Content-Transfer-Encoding: base64\n\nYm9keQ==\n____\nlist footer\n", "body", "CTE_BAD_BASE64"},
		"quoted-printable with a control": {head + "Content-Transfer-Encoding: quoted-printable\n\nbo\x01dy=21", "body!", "CTE_BAD_QP"},
		"unknown charset":                 {head + "Content-Type: text/plain; charset=x-klingon\n\nbody\xe4", "bodyä", "CS_UNKNOWN"},
		"cp932":                           {head + "Content-Type: text/plain; charset=cp932\n\n\x93\xfa\x96{", "日本", ""},
		"utf-7":                           {head + "Content-Type: text/plain; charset=utf-7\n\n+AOQ-", "ä", ""},
		"unicode-1-1-utf-7":               {head + "Content-Type: text/plain; charset=unicode-1-1-utf-7\n\n+AOQ-", "ä", ""},
		"viscii":                          {head + "Content-Type: text/plain; charset=viscii\n\nbody \xaa", "body", ""},
		"utf_8":                           {head + "Content-Type: text/plain; charset=utf_8\n\n\u00e4", "ä", ""},
		"ansi":                            {head + "Content-Type: text/plain; charset=ansi\n\n\xe4", "ä", ""},
		"cp-850":                          {head + "Content-Type: text/plain; charset=cp-850\n\n\x84", "ä", ""},
		"iso-2022-jp-ms":                  {head + "Content-Type: text/plain; charset=iso-2022-jp-ms\n\n\x1b$BF|K\\\x1b(B", "日本", ""},
		"no header at all":                {"just text\nand more", "just text\nand more", "HDR_NONE"},
	} {
		m := parser.Parse([]byte(tc.in))
		if m.Subject != "s" && name != "no header at all" {
			t.Errorf("%s: subject %q", name, m.Subject)
		}
		for word := range strings.FieldsSeq(tc.text) {
			if !strings.Contains(m.Text, word) {
				t.Errorf("%s: text %.100q without %q", name, m.Text, word)
			}
		}
		if len(tc.in) < 2000 && !strings.HasPrefix(m.Text, tc.text) {
			t.Errorf("%s: text %.100q", name, m.Text)
		}
		if tc.code != "" && !hasDefect(m, tc.code) {
			t.Errorf("%s: no %s in %+v", name, tc.code, m.Defects)
		}
		if err := check([]byte(tc.in), parser.Limits{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The same for fields of which go-message gives nothing.
func TestLoudFields(t *testing.T) {
	t.Parallel()
	m := parser.Parse(text("Subject: =?x-klingon?Q?caf=C3=A9?= =?utf-8?Q?_ok?=", "To: good@example.org, broken <, other@example.org",
		"Message-ID: no brackets@example.org", "References: a@x b@x", "Date: 2026-11-24 09:15", "", "x"))
	if m.Subject != "café ok" || len(m.To) < 2 || m.To[0].Addr != "good@example.org" || m.To[len(m.To)-1].Addr != "other@example.org" {
		t.Errorf("subject %q, to %v", m.Subject, m.To)
	}
	if m.MessageID == "" || strings.Join(m.References, " ") != "a@x b@x" || m.DateHeader.IsZero() {
		t.Errorf("id %q, references %v, date %v", m.MessageID, m.References, m.DateHeader)
	}
	wantDefects(t, m, "HDR_BAD_2047", "ADDR_LENIENT", "MSGID_BAD", "DATE_LENIENT")
	for _, date := range []string{
		"2024-03-01T09:15:00Z", "Fri Mar  1 09:15:00 2024", "Fr, 1 Mrz 2024 09:15:00 +0000", "Freitag, 1. März 2024 09:15:00 +0000", "Fri, 1 Mar 124 09:15:00 +0000",
		"Friday, 1 Mar 2024 09:15:00 +0000", "Fri, 1 Mar 2024 10:15:00 GMT+0100", "Fri, 1 Mar 2024 09.15.00 +0000",
	} {
		if m := parser.Parse(text("Date: "+date, "", "")); !m.DateHeader.Equal(time.Date(2024, 3, 1, 9, 15, 0, 0, time.UTC)) {
			t.Errorf("%s: %v", date, m.DateHeader)
		}
	}
	if m := parser.Parse(text("Date: Thu, 29 Feb 2024 24:00:00 +0000", "", "")); !m.DateHeader.Equal(time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("24:00:00: %v", m.DateHeader)
	}
	m = parser.Parse(text("Date: Fri, 1 Mar 20244 09:15:00 +0000", "", ""))
	if wantDefects(t, m, "DATE_BAD"); !m.DateHeader.IsZero() {
		t.Errorf("a year of five digits: %v", m.DateHeader)
	}
}

// TestEveryDefectIsReached wants each code of the table from some message, but
// for those that other packages add.
func TestEveryDefectIsReached(t *testing.T) {
	t.Parallel()
	elsewhere := map[string]bool{
		"EXT_FAILED": true, "EXT_TIMEOUT": true, "EXT_TRUNCATED": true, "EXT_SKIPPED": true,
		"JOURNAL_UNPARSED": true, "JOURNAL_PARTLY": true, "JOURNAL_NO_MESSAGE": true, "ENVELOPE_UNKNOWN": true,
	}
	reached := map[string]bool{}
	note := func(b string, lim parser.Limits) {
		m, _ := parser.ParseSpans([]byte(b), lim)
		for _, d := range m.Defects {
			reached[d.Code] = true
		}
	}
	small := parser.Limits{Fields: 3, Kept: 3, Value: 20, Addresses: 1, Words: 1, Params: 1, Depth: 1, Parts: 2, PartText: 5}
	note("To: a@example.org, b@example.org\nSubject: =?utf-8?Q?a?= =?utf-8?Q?b?=\nContent-Type: text/plain; a=b; c=d\nX: y\nY: z\n\nlong text", small)
	note(multi("mixed", "b", plainPart, plainPart, plainPart), small)
	note(nestedMultiparts(3), small)
	for _, in := range []string{
		"a: b\r\rx", "a: b\r\n\nx", "a: b\r\r\n\r\r\nx", "text", "\ufeffa: b\n\nx", "From x\na: b\n\nx", "\n\na: b\n\nx", " a: b\n\nx", "a: b\njunk\nFrom: c\n\nx", "a: b;\nc\n\nx", "a: b\ntext",
		"a: b\n \nc: d\n\nx", "a: " + strings.Repeat("x", 1000) + "\n\nx", "a: \x00\n\nx", "a: \xfc\n\nx", "a: ü\n\nx", "Subject: =?utf-8?Q?=zz?=\n\nx",
		"Content-Type: text/plain; name*=utf-8''%zz\n\nx", "Subject: =?utf-8?Q?=0A?=\n\nx", "Subject: a\nSubject: b\n\nx", "From: a b@example.org\n\nx", "Date: never\n\nx", "Date: 2026-11-24\n\nx",
		"Date: Tue, 24 Nov 1970 00:00:00 +0000\n\nx", "Message-ID: x\n\nx", "Content-Type: nonsense\n\nx", "Content-Type: multipart/mixed\n\nx", multi("mixed", "b", plainPart)[:60],
		"Content-Type: multipart/mixed; boundary=x\n\n--b\n\none\n--b--\n", multi("mixed", "b", plainPart) + "text behind", "Content-Transfer-Encoding: x-y\n\nx", "Content-Transfer-Encoding: base64\n\nx!",
		"Content-Transfer-Encoding: quoted-printable\n\n\x01", "Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n", "Content-Type: text/plain; charset=x-y\n\nx", "Content-Type: text/plain; charset=euc-kr\n\n你好😀",
		"Content-Type: text/plain; charset=utf-8\n\n\xfc", "a: b\n\n\xfc", "Content-Type: multipart/mixed; boundary=" + strings.Repeat("b", 2000) + "\n\nx", "a: " + strings.Repeat("x", 1<<20) + "\n\nx",
		"To: " + strings.Repeat("a", 70_000) + "\n\nx", smimePart("; smime-type=enveloped-data", der(0x30, oidEnveloped)), pdfPart, "",
	} {
		note(in, parser.Limits{})
	}
	reached["PANIC"] = hasDefect(parser.ParsePanicking([]byte("a: b\n\nx")), "PANIC")
	for code := range parser.Severities {
		if !reached[code] && !elsewhere[code] {
			t.Errorf("no message here has the defect %s", code)
		}
	}
}
