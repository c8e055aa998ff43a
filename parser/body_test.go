package parser_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

// outline writes the parts of a message one per line: path, type, role, status.
func outline(m *mail.Message) string {
	var sb strings.Builder
	for _, p := range m.Parts {
		fmt.Fprintf(&sb, "%s %s %s %s\n", p.Path, p.Type, p.Role, p.TextStatus)
	}
	return sb.String()
}

// multi makes a multipart of parts that each begin with their header.
func multi(kind, boundary string, parts ...string) string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "Content-Type: multipart/%s; boundary=%s\n\n", kind, boundary)
	for _, p := range parts {
		fmt.Fprintf(&sb, "--%s\n%s\n", boundary, p)
	}
	fmt.Fprintf(&sb, "--%s--\n", boundary)
	return sb.String()
}

const (
	plainPart = "Content-Type: text/plain\n\nplain words"
	htmlPart  = "Content-Type: text/html\n\n<p>HTML <b>words</b></p>"
	sameHTML  = "Content-Type: text/html\n\n<p>Plain&nbsp;<i>words</i>!</p>"
	imagePart = "Content-Type: image/png\nContent-ID: <pic@x>\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo="
	pdfPart   = "Content-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\nJVBERi0xLjQ="
	csvPart   = "Content-Type: text/csv\nContent-Disposition: attachment; filename=a.csv\n\nname,sum\nann,7"
)

func TestTextSelection(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, text, html, outline string }{
		{"plain", plainPart, "plain words", "", "1 text/plain body ok\n"},
		{"html alone", htmlPart, "HTML words", "", "1 text/html body ok\n"},
		{"alternative", multi("alternative", "b", plainPart, htmlPart), "plain words", "HTML words",
			"1 multipart/alternative container \n1.1 text/plain body ok\n1.2 text/html body ok\n"},
		{"alternative that says the same", multi("alternative", "b", plainPart, sameHTML), "plain words", "",
			"1 multipart/alternative container \n1.1 text/plain body ok\n1.2 text/html body ok\n"},
		{"alternative with an empty plain part", multi("alternative", "b", "\n \n", htmlPart), "HTML words", "",
			"1 multipart/alternative container \n1.1 text/plain body ok\n1.2 text/html body ok\n"},
		{"related in alternative", multi("alternative", "a", plainPart, multi("related", "r", htmlPart, imagePart)), "plain words", "HTML words",
			"1 multipart/alternative container \n1.1 text/plain body ok\n1.2 multipart/related container \n1.2.1 text/html body ok\n1.2.2 image/png inline none\n"},
		{"mixed with attachments", multi("mixed", "m", multi("alternative", "a", plainPart, htmlPart), pdfPart, csvPart), "plain words", "HTML words",
			"1 multipart/mixed container \n1.1 multipart/alternative container \n1.1.1 text/plain body ok\n1.1.2 text/html body ok\n1.2 application/pdf attachment unsupported\n1.3 text/csv attachment ok\n"},
		{"two texts", multi("mixed", "m", plainPart, imagePart, "\nfooter words"), "plain words\n\nfooter words", "",
			"1 multipart/mixed container \n1.1 text/plain body ok\n1.2 image/png inline none\n1.3 text/plain body ok\n"},
		{"plain and html in mixed", multi("mixed", "m", plainPart, htmlPart), "plain words\n\nHTML words", "",
			"1 multipart/mixed container \n1.1 text/plain body ok\n1.2 text/html body ok\n"},
		{"text as attachment", multi("mixed", "m", plainPart, "Content-Disposition: attachment\n\nother words"), "plain words", "",
			"1 multipart/mixed container \n1.1 text/plain body ok\n1.2 text/plain attachment ok\n"},
		{"only part is a calendar", "Content-Type: text/calendar\n\nSUMMARY:meeting", "SUMMARY:meeting", "", "1 text/calendar body ok\n"},
		{"only part is a document", pdfPart, "", "", "1 application/pdf attachment unsupported\n"},
		{"document declared as text", "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nJVBERi0xLjQ=", "", "", "1 text/plain attachment unsupported\n"},
		{"octets that are text", multi("mixed", "m", plainPart, "Content-Type: application/octet-stream; name=notes.TXT\n\nnote words"), "plain words", "",
			"1 multipart/mixed container \n1.1 text/plain body ok\n1.2 application/octet-stream attachment ok\n"},
		{"digest", multi("digest", "d", "\nSubject: inner\n\ninner words"), "", "",
			"1 multipart/digest container \n1.1 message/rfc822 nested ok\n1.1.1 text/plain body ok\n"},
		{"report", multi("report", "r", plainPart, "Content-Type: message/delivery-status\n\nAction: failed"), "plain words", "",
			"1 multipart/report container \n1.1 text/plain body ok\n1.2 message/delivery-status attachment ok\n"},
	} {
		m := parser.Parse([]byte(tc.in))
		if m.Text != tc.text || m.HTMLText != tc.html {
			t.Errorf("%s: text %q, HTML %q", tc.name, m.Text, m.HTMLText)
		}
		if got := outline(m); got != tc.outline {
			t.Errorf("%s:\n%swant\n%s", tc.name, got, tc.outline)
		}
	}
}

func TestTextOfAttachments(t *testing.T) {
	t.Parallel()
	m := parser.Parse([]byte(multi("mixed", "m", plainPart, csvPart, "Content-Type: text/html; name=p.html\nContent-Disposition: attachment\n\n<p>page</p>")))
	if got := m.Parts[2].Text; got != "name,sum\nann,7" {
		t.Errorf("csv %q", got)
	}
	if got := m.Parts[3].Text; got != "page" {
		t.Errorf("html %q", got)
	}
	if m.Parts[1].Text != "" {
		t.Errorf("the body is told twice: %q", m.Parts[1].Text)
	}
}

// A search for what a forwarded message says must find the mail around it.
func TestNestedMessage(t *testing.T) {
	t.Parallel()
	inner := "Subject: =?utf-8?Q?inn=C3=A9r?=\nFrom: Carol <carol@example.org>\nTo: dan@example.org\n" + multi("mixed", "i", htmlPart, csvPart)
	m := parser.Parse([]byte("Subject: outer\n" + multi("mixed", "o", plainPart, "Content-Type: message/rfc822\n\n"+inner)))
	want := "1 multipart/mixed container \n1.1 text/plain body ok\n1.2 message/rfc822 nested ok\n1.2.1 multipart/mixed container \n" +
		"1.2.1.1 text/html body ok\n1.2.1.2 text/csv attachment ok\n"
	if got := outline(m); got != want {
		t.Errorf("%swant\n%s", got, want)
	}
	if got := m.Parts[2].Text; got != "Subject: innér\nFrom: Carol <carol@example.org>\nTo: dan@example.org\n\nHTML words" {
		t.Errorf("text of the nested message: %q", got)
	}
	if m.Text != "plain words" || m.Subject != "outer" || m.Parts[5].Text == "" {
		t.Errorf("subject %q, text %q, csv %q", m.Subject, m.Text, m.Parts[5].Text)
	}
}

func TestNestedMessageInBase64(t *testing.T) {
	t.Parallel()
	// "Subject: inner\n\ninner words\n"
	m := parser.Parse([]byte(multi("mixed", "o", plainPart, "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogaW5uZXIKCmlubmVyIHdvcmRzCg==")))
	if p := m.Parts[2]; p.Role != mail.RoleNested || !strings.Contains(p.Text, "inner words") || p.TextStatus != mail.TextOK {
		t.Errorf("%+v", p)
	}
}

func TestEncrypted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   string
		part int
		want mail.TextStatus
	}{
		"smime":        {"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nx", 0, mail.TextEncrypted},
		"smime signed": {"Content-Type: application/pkcs7-mime; smime-type=signed-data\n\nx", 0, mail.TextUnsupported},
		"pgp": {multi("encrypted", "e", "Content-Type: application/pgp-encrypted\n\nVersion: 1", "Content-Type: application/octet-stream; name=encrypted.asc\n\nx"),
			2, mail.TextEncrypted},
		"pgp control part": {multi("encrypted", "e", "Content-Type: application/pgp-encrypted\n\nVersion: 1", "Content-Type: application/octet-stream\n\nx"), 1, mail.TextNone},
		"inline pgp":       {"\n-----BEGIN PGP MESSAGE-----\nx\n", 0, mail.TextEncrypted},
		"signature":        {multi("signed", "s", plainPart, "Content-Type: application/pgp-signature\n\nx"), 2, mail.TextNone},
	} {
		m := parser.Parse([]byte(tc.in))
		if got := m.Parts[tc.part].TextStatus; got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
		if tc.want == mail.TextEncrypted {
			wantDefects(t, m, "EXT_ENCRYPTED")
		}
	}
}

func TestTextOutsideOfParts(t *testing.T) {
	t.Parallel()
	m := parser.Parse([]byte("Content-Type: multipart/mixed; boundary=b\n\nThis is a multi-part message in MIME format.\n--b\n\npart\n--b--\nadded by a list\n"))
	if m.Text != "part\n\nadded by a list" {
		t.Errorf("text %q", m.Text)
	}
	wantDefects(t, m, "MIME_TEXT_OUTSIDE")
}

func TestBoundaries(t *testing.T) {
	t.Parallel()
	head := "Content-Type: multipart/mixed; boundary=b\n\n"
	for _, tc := range []struct{ name, in, text, code string }{
		{"never closed", head + "--b\n\none\n--b\n\ntwo", "one\n\ntwo", "MIME_NO_CLOSE"},
		{"space behind", head + "--b \t\n\none\n--b-- \n", "one", ""},
		{"part behind the close", head + "--b\n\none\n--b--\n--b\n\ntwo\n--b--\n", "one\n\ntwo", ""},
		{"no parameter", "Content-Type: multipart/mixed\n\n--x\n\none\n--x\n\ntwo\n--x--\n", "one\n\ntwo", "MIME_BOUNDARY_GUESSED"},
		{"no parameter, one part", "Content-Type: multipart/mixed\n\n--x\n\none\n--x--\n", "one", "MIME_BOUNDARY_GUESSED"},
		{"no boundary at all", "Content-Type: multipart/mixed\n\nwords\n-- \nsignature\n", "words\n-- \nsignature", "MIME_BOUNDARY_NOT_FOUND"},
		{"longer boundary", head + "--b\n\none\n--bb\ntwo\n--b--\n", "one\n--bb\ntwo", ""},
		{"not at a line start", head + "--b\n\none --b\n--b--\n", "one --b", ""},
		{"outer ends inner", head + "--b\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--b\n\ntwo\n--b--\n", "one\n\ntwo", "MIME_NO_CLOSE"},
		{"same boundary nested", head + "--b\n" + head + "--b\n\none\n--b--\n--b\n\ntwo\n--b--\n", "one\n\ntwo", ""},
		{"header ended by a boundary", head + "--b\nContent-Type: text/plain\n--b\n\ntwo\n--b--\n", "two", ""},
		{"bare CR behind a boundary", head + "--b\n\none\n--b\rX: y\n\ntwo\n--b--\n", "one\n\ntwo", ""},
		{"at once at the beginning", "Content-Type: multipart/mixed; boundary=b\n--b\n\none\n--b--\n", "one", "HDR_NO_BLANK"},
	} {
		m := parser.Parse([]byte(tc.in))
		if m.Text != tc.text {
			t.Errorf("%s: text %q, want %q", tc.name, m.Text, tc.text)
		}
		if tc.code != "" {
			wantDefects(t, m, tc.code)
		}
	}
}

func TestHeaderBlocks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, subject, text, code string }{
		{"byte order mark", "\ufeffSubject: s\n\nbody", "s", "body", "HDR_BOM"},
		{"mbox line", "From ann Tue Nov 24\nSubject: s\n\nbody", "s", "body", "HDR_MBOX_FROM"},
		{"mbox line inside", "X: y\n>From ann Tue Nov 24\nSubject: s\n\nbody", "s", "body", "HDR_MBOX_FROM"},
		{"space first", " Subject: s\n\nbody", "s", "body", "HDR_LEADING_WSP"},
		{"junk line", "X: y\njunk\nSubject: s\n\nbody", "s", "body", "HDR_JUNK_LINE"},
		{"lost fold", "X: y;\nz=1\nSubject: s\n\nbody", "s", "body", "HDR_LOST_FOLD"},
		{"no blank line", "Subject: s\nbody without colon\nand more", "s", "body without colon\nand more", "HDR_NO_BLANK"},
		{"white line", "Subject: s\n \t\nX: y\n\nbody", "s", "body", "HDR_WSP_LINE"},
		{"double CR", "Subject: s\r\r\nX: y\r\r\n\r\r\nbody\r\r\n", "s", "body", "EOL_MULTI_CR"},
		{"mixed line ends", "Subject: s\r\nX: y\n\nbody", "s", "body", "EOL_MIXED"},
		{"NUL", "Subject: a\x00b\n\nbody", "ab", "body", "HDR_NUL"},
		{"space before colon", "Subject : s\n\nbody", "s", "body", ""},
		{"folded", "Subject: a\n b\n\tc\n\nbody", "a b c", "body", ""},
		{"no header", "hello there\nthis is text: yes\n", "", "hello there\nthis is text: yes", "HDR_NONE"},
		{"no end", "Subject: s", "s", "", ""},
		{"empty", "", "", "", "EMPTY"},
	} {
		m := parser.Parse([]byte(tc.in))
		if m.Subject != tc.subject || m.Text != tc.text {
			t.Errorf("%s: subject %q, text %q", tc.name, m.Subject, m.Text)
		}
		if tc.code != "" {
			wantDefects(t, m, tc.code)
		}
	}
}

func TestTransferEncodings(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, encoding, body, text, code string }{
		{"base64", "base64", "aGVsbG8gd29ybGQ=", "hello world", ""},
		{"base64 without padding", "base64", "aGVsbG8", "hello", "CTE_BAD_BASE64"},
		{"base64 with garbage", "base64", "aGVs!!bG8=", "hello", "CTE_BAD_BASE64"},
		{"base64, two blocks", "base64", "aGVsbG8=\nIHdvcmxk", "hello world", "CTE_BAD_BASE64"},
		{"base64, two blocks in a line", "base64", "aGVsbG8=IHdvcmxk", "hello world", "CTE_BAD_BASE64"},
		{"base64 with a footer", "base64", "aGVsbG8=\n____\nThe list of lists\n", "hello", "CTE_BAD_BASE64"},
		{"base64 indented", "base64", "  aGVs\n\tbG8=", "hello", ""},
		{"qp", "quoted-printable", "h=65llo=\n w=6Frld  \n", "hello world", ""},
		{"qp with raw octets", "quoted-printable", "caf=C3=A9 caf\xc3\xa9", "café café", ""},
		{"qp with controls", "quoted-printable", "a\x01b=41", "abA", "CTE_BAD_QP"},
		{"qp with a bad triple", "quoted-printable", "a=ZZ b=4", "a=ZZ b=4", ""},
		{"qp misspelt", "quoted-printble", "=41", "A", "CTE_UNKNOWN"},
		{"uu", "x-uuencode", "begin 644 a\n+:&5L;&\\@=V]R;&0 \n \nend\n", "hello world", "CTE_UU"},
		{"unknown", "x-gzip64", "as it stands", "as it stands", "CTE_UNKNOWN"},
		{"comment", "base64 (comment)", "aGVsbG8=", "hello", ""},
		{"8 bit", "8 bit", "x", "x", ""},
	} {
		in := []byte("Content-Transfer-Encoding: " + tc.encoding + "\n\n" + tc.body)
		m := parser.Parse(in)
		if m.Text != tc.text {
			t.Errorf("%s: %q, want %q", tc.name, m.Text, tc.text)
		}
		if tc.code != "" {
			wantDefects(t, m, tc.code)
		}
		if err := checkPart(in, m.Parts[0]); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestPanicKeepsTheMail(t *testing.T) {
	t.Parallel()
	m := parser.ParsePanicking([]byte("Subject: s\n\nsome words"))
	if !strings.Contains(m.Text, "some words") || len(m.Parts) != 1 || m.Parts[0].TextStatus != mail.TextFailed {
		t.Errorf("%+v", m)
	}
	if d := m.Defects[0]; d.Code != "PANIC" || d.Severity != mail.Loss || d.Detail != "on purpose" {
		t.Errorf("%+v", d)
	}
}

func TestEveryDefectHasASeverity(t *testing.T) {
	t.Parallel()
	for code, severity := range parser.Severities {
		if severity != mail.Info && severity != mail.Warn && severity != mail.Loss {
			t.Errorf("%s: %q", code, severity)
		}
	}
}

// A faulty has octets up to a point and fails behind it.
type faulty struct {
	b   []byte
	end int64
	err error
}

func (f faulty) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.end {
		return 0, f.err
	}
	return bytes.NewReader(f.b).ReadAt(p, off)
}

func TestParseAtGivesTheErrorOfItsReader(t *testing.T) {
	t.Parallel()
	big := []byte("Subject: s\nContent-Transfer-Encoding: base64\n\n" + strings.Repeat("aGVsbG8gd29ybGQhISEh\n", 150_000))
	broken := errors.New("broken disk")
	for _, size := range []int{30, len(big)} {
		for end := 0; end < size; end += size/7 + 1 {
			m, err := parser.ParseAt(faulty{big, int64(end), broken}, int64(size), parser.DefaultLimits())
			if m != nil || !errors.Is(err, broken) {
				t.Errorf("size %d, broken at %d: %v", size, end, err)
			}
		}
	}
	if _, err := parser.ParseAt(bytes.NewReader(big), int64(len(big)+1), parser.Limits{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short reader: %v", err)
	}
	if m, err := parser.ParseAt(bytes.NewReader(nil), -1, parser.Limits{}); err != nil || m == nil {
		t.Errorf("no octets: %v", err)
	}
}

func TestHTMLDeclaresItsCharset(t *testing.T) {
	t.Parallel()
	for _, meta := range []string{`<meta charset=koi8-r>`, `<META http-equiv="Content-Type" content="text/html; charset=koi8-r">`} {
		m := parser.Parse([]byte("Content-Type: text/html\n\n" + meta + "\xd4\xc5\xd3\xd4"))
		if m.Text != "тест" || m.Parts[0].Charset != "koi8-r" {
			t.Errorf("%s: %q in %s", meta, m.Text, m.Parts[0].Charset)
		}
	}
	m := parser.Parse([]byte("Content-Type: text/html; charset=utf-8\n\n<meta charset=koi8-r>ü"))
	if m.Text != "ü" {
		t.Errorf("the header does not win: %q", m.Text)
	}
}
