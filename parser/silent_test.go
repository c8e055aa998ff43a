package parser_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

// Each test here is an input that go-message v0.18.2 reads wrongly without an
// error, so that only a test can notice.

// text makes a message of lines, which it ends with CR LF.
func text(lines ...string) []byte { return []byte(strings.Join(lines, "\r\n")) }

func hasDefect(m *mail.Message, code string) bool {
	for _, d := range m.Defects {
		if d.Code == code {
			return true
		}
	}
	return false
}

func wantDefects(t *testing.T, m *mail.Message, codes ...string) {
	t.Helper()
	for _, code := range codes {
		if !hasDefect(m, code) {
			t.Errorf("no defect %s in %+v", code, m.Defects)
		}
	}
}

func TestSilentLeadingBlankLine(t *testing.T) {
	m := parser.Parse(text("", "Subject: s", "From: ann@example.org", "", "body"))
	if m.Subject != "s" || m.Text != "body" || len(m.From) != 1 {
		t.Errorf("subject %q, from %v, text %q", m.Subject, m.From, m.Text)
	}
	wantDefects(t, m, "HDR_LEADING_BLANK")
}

func TestSilentNamedZones(t *testing.T) {
	for zone, hours := range map[string]int{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "GMT": 0, "CEST": 2, "JST": 9} {
		m := parser.Parse(text("Date: Mon, 5 Jan 1998 12:00:00 "+zone, "", ""))
		want := time.Date(1998, 1, 5, 12-hours, 0, 0, 0, time.UTC)
		if !m.DateHeader.Equal(want) {
			t.Errorf("%s: %v, want %v", zone, m.DateHeader, want)
		}
	}
}

func TestSilentParameterCharsets(t *testing.T) {
	for value, want := range map[string]string{
		`attachment; filename*=iso-8859-1''caf%E9.txt`:                        "café.txt",
		`attachment; filename*=shift_jis''%93%FA%96%7B.txt`:                   "日本.txt",
		`attachment; filename*0="a"; filename*2="c.txt"`:                      "ac.txt",
		`attachment; filename*1="b.txt"; filename*0="a"`:                      "ab.txt",
		`attachment; filename*0*=utf-8''na%C3; filename*1*=%AF; filename*2=f`: "naïf",
		`attachment; filename="=?utf-8?B?w6kudHh0?="`:                         "é.txt",
		`attachment; filename==?iso-8859-1?Q?=E9.txt?=`:                       "é.txt",
		"attachment; filename=\"caf\xe9.txt\"":                                "café.txt",
		`attachment; filename=two words.txt`:                                  "two words.txt",
	} {
		m := parser.Parse(text("Content-Type: text/plain", "Content-Disposition: "+value, "", "x"))
		if got := m.Parts[0].FileName; got != want {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
}

func TestSilentRawOctetsInHeader(t *testing.T) {
	m := parser.Parse(text("Subject: Gr\xfc\xdfe", "From: J\xf6rg <joerg@example.org>", "To: \xc3\x84nne <aenne@example.org>", "", "x"))
	if m.Subject != "Grüße" || m.From[0].Name != "Jörg" || m.To[0].Name != "Änne" {
		t.Errorf("subject %q, from %v, to %v", m.Subject, m.From, m.To)
	}
	wantDefects(t, m, "HDR_8BIT_RAW", "HDR_UTF8_RAW")
}

// The charset of the body is the best guess for octets of the header.
func TestSilentRawOctetsFollowTheBody(t *testing.T) {
	m := parser.Parse(text("Subject: \xf0\xd2\xc9\xd7\xc5\xd4", "Content-Type: text/plain; charset=koi8-r", "", "\xd4\xc5\xd3\xd4"))
	if m.Subject != "Привет" || m.Text != "тест" {
		t.Errorf("subject %q, text %q", m.Subject, m.Text)
	}
}

func TestSilentBodyOctetsAreValidated(t *testing.T) {
	for _, ctype := range []string{"text/plain; charset=utf-8", "text/plain; charset=us-ascii", "text/plain"} {
		m := parser.Parse(text("Content-Type: "+ctype, "", "Gr\xfc\xdfe"))
		if m.Text != "Grüße" {
			t.Errorf("%s: %q", ctype, m.Text)
		}
		if !hasDefect(m, "CS_INVALID_BYTES") && !hasDefect(m, "CS_8BIT_UNDECLARED") {
			t.Errorf("%s: no defect in %v", ctype, m.Defects)
		}
	}
}

func TestSilentLatin1MeansWindows1252(t *testing.T) {
	m := parser.Parse(text("Subject: =?iso-8859-1?Q?=93q=94?=", "Content-Type: text/plain; charset=iso-8859-1", "", "\x93q\x94"))
	if m.Subject != "“q”" || m.Text != "“q”" {
		t.Errorf("subject %q, text %q", m.Subject, m.Text)
	}
}

func TestSilentInjectionBySubject(t *testing.T) {
	m := parser.Parse(text("Subject: =?utf-8?Q?a=0D=0ABcc:_evil=40example.org=00=07?=", "From: =?utf-8?Q?b=0D=0Ax?= <b@example.org>", "", "x"))
	if m.Subject != "a Bcc: evil@example.org" || m.From[0].Name != "b x" {
		t.Errorf("subject %q, from %v", m.Subject, m.From)
	}
	wantDefects(t, m, "HDR_CRLF_IN_WORD")
}

func TestSilentUnpaddedWord(t *testing.T) {
	m := parser.Parse(text("Subject: =?utf-8?B?aGVsbG8?=", "", "x"))
	if m.Subject != "hello" {
		t.Errorf("subject %q", m.Subject)
	}
	wantDefects(t, m, "HDR_BAD_2047")
}

func TestSilentBareCR(t *testing.T) {
	m := parser.Parse([]byte("Subject: s\rFrom: ann@example.org\rContent-Type: multipart/mixed; boundary=b\r\r--b\r\rone\r--b\r\rtwo\r--b--\r"))
	if m.Subject != "s" || m.Text != "one\n\ntwo" {
		t.Errorf("subject %q, text %q", m.Subject, m.Text)
	}
	wantDefects(t, m, "EOL_BARE_CR")
}

func TestSilentUnusableType(t *testing.T) {
	for _, ctype := range []string{"text", "plain text", ";charset=utf-8", "text/plain/x", "(comment)", "text/"} {
		m := parser.Parse(text("Content-Type: "+ctype, "", "body"))
		if m.Parts[0].Type != "text/plain" || m.Text != "body" {
			t.Errorf("%s: type %q, text %q", ctype, m.Parts[0].Type, m.Text)
		}
		wantDefects(t, m, "MIME_BAD_CTYPE")
	}
}

// A declared boundary of which only the closing line is there used to hide the
// whole body as an epilogue.
func TestSilentOnlyCloseDelimiterMatches(t *testing.T) {
	m := parser.Parse(text("Content-Type: multipart/mixed; boundary=declared", "", "--used", "", "one", "--used", "", "two", "--declared--", ""))
	if !strings.Contains(m.Text, "one") || !strings.Contains(m.Text, "two") {
		t.Errorf("text %q", m.Text)
	}
	wantDefects(t, m, "MIME_BOUNDARY_GUESSED")
	m = parser.Parse(text("Content-Type: multipart/mixed; boundary=b", "", "all of it", "--b--", ""))
	if !strings.HasPrefix(m.Text, "all of it") || m.Parts[0].Role != mail.RoleBody {
		t.Errorf("text %q, parts %+v", m.Text, m.Parts)
	}
}
