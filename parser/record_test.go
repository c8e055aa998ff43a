package parser_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

func TestListFields(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   []string
		want *mail.List
	}{
		"none":         {[]string{"Subject: s"}, nil},
		"list":         {[]string{"List-Id: The \"list\" <Talk.Example.ORG>", "Precedence: list"}, &mail.List{ID: "talk.example.org"}},
		"bare list":    {[]string{"List-ID: talk.example.org", "X-Mailer: Mail 1.0", "User-Agent: other"}, &mail.List{ID: "talk.example.org", Mailer: "Mail 1.0"}},
		"auto":         {[]string{"Auto-Submitted: Auto-Replied; owner-email=x", "Importance: High", "X-Priority: 5"}, &mail.List{AutoSubmitted: "auto-replied", Importance: "high"}},
		"auto comment": {[]string{"Auto-Submitted: auto-generated (vacation)", "X-Priority: 4 (Low)"}, &mail.List{AutoSubmitted: "auto-generated", Importance: "low"}},
		"normal":       {[]string{"Importance: Normal", "X-Priority: 3"}, nil},
		"thread index": {[]string{"Thread-Index: AdnQm5y0zW2GkKqiTH+JYJ1tXnBhWgAAAKnQAAAAVQA="}, &mail.List{ThreadIndex: "AdnQm5y0zW2GkKqiTH+JYJ1tXnBhWg=="}},
		"short index":  {[]string{"Thread-Index: AdnQ"}, nil},
	} {
		if diff := cmp.Diff(tc.want, parser.Parse(text(append(tc.in, "", "x")...)).List); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestDeliveryFields(t *testing.T) {
	t.Parallel()
	m := parser.Parse(text("Return-Path: <Bounce@Example.org>", "Delivered-To: ann@example.org", "Return-Path: <older@example.org>",
		"X-Original-To: Sales@Example.org", "", "x"))
	want := []mail.Address{{Addr: "ann@example.org"}, {Addr: "sales@example.org"}}
	if diff := cmp.Diff(want, m.DeliveredTo); diff != "" || m.ReturnPath != "bounce@example.org" {
		t.Errorf("return path %q, delivered to %s", m.ReturnPath, diff)
	}
	if m := parser.Parse(text("Return-Path: <> (null)", "", "x")); m.ReturnPath != "" {
		t.Errorf("return path %q of a bounce", m.ReturnPath)
	}
}

func TestLineEndsOfMessage(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                     "",
		"Subject: s":           "",
		"Subject: s\n\nx\n":    "lf",
		"Subject: s\r\n\r\nx":  "crlf",
		"Subject: s\r\rx\r":    "cr",
		"Subject: s\r\n\nx":    "mixed 12",
		"a: b\n\nx\ny\r\nz":    "mixed 10",
		"a: b\r\n\r\nx\ry\r\n": "crlf",
		"a: b\r\r\n\r\r\n":     "crlf",
		"\n":                   "lf",
		"\r\n":                 "crlf",
	} {
		for _, window := range []int{1, 2, 3, 512} {
			m, err := parser.ParseWindow([]byte(in), window)
			if err != nil {
				t.Fatal(err)
			}
			got := m.EOL
			for _, d := range m.Defects {
				if d.Code == "EOL_MIXED" {
					got += " " + string(rune('0'+d.Off/10)) + string(rune('0'+d.Off%10))
				}
			}
			if got = strings.Replace(got, " 0", " ", 1); got != want {
				t.Errorf("%q, window %d: %q, want %q", in, window, got, want)
			}
		}
	}
}

func TestCharsetSources(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ label, body, used, declared, source string }{
		{"utf-8", "gr\xc3\xbcn", "utf-8", "", "label"},
		{"UTF-8", "gr\xc3\xbcn", "utf-8", "", "label"},
		{"iso-8859-1", "gr\xfcn", "windows-1252", "iso-8859-1", "label"},
		{"cp932", "\x93\xfa", "shift_jis", "cp932", "label"},
		{"us-ascii", "plain", "us-ascii", "", "label"},
		{"", "plain", "us-ascii", "", "default"},
		{"", "gr\xfcn", "windows-1252", "", "default"},
		{"us-ascii", "gr\xc3\xbcn", "utf-8", "us-ascii", "detected"},
		{"x-klingon", "gr\xc3\xbcn", "utf-8", "x-klingon", "detected"},
		{"x-klingon", "plain", "us-ascii", "x-klingon", "default"},
		{"utf-8", "gr\xfcn", "windows-1252", "utf-8", "default"},
		{"", "\x1b$BF|K\\\x1b(B", "iso-2022-jp", "", "detected"},
	} {
		m := parser.Parse([]byte("Content-Type: text/plain; charset=" + tc.label + "\n\n" + tc.body))
		p := m.Parts[0]
		if p.Charset != tc.used || p.CharsetSource != tc.source || p.CharsetDeclared != tc.declared {
			t.Errorf("%s %q: %s, declared %q, source %q", tc.label, tc.body, p.Charset, p.CharsetDeclared, p.CharsetSource)
		}
	}
}

func TestNestedHeads(t *testing.T) {
	t.Parallel()
	want := &mail.Nested{
		Subject: "innér", MessageID: "in@example.org",
		From: []mail.Address{{Name: "Carol", Addr: "carol@example.org"}}, To: []mail.Address{{Addr: "dan@example.org"}}, Cc: []mail.Address{{Addr: "eve@example.org"}},
		Date: time.Date(1998, 1, 5, 12, 0, 0, 0, time.FixedZone("", -5*3600)),
	}
	inner := "Subject: =?utf-8?Q?inn=C3=A9r?=\nFrom: Carol <carol@example.org>\nTo: dan@example.org\nCc: eve@example.org\nMessage-ID: <in@example.org>\n" +
		"Date: Mon, 5 Jan 1998 12:00:00 EST\n\ninner words"
	for name, in := range map[string]string{
		"plain":    "Content-Type: message/rfc822\n\n" + inner,
		"encoded":  "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n" + strings.ReplaceAll(inner, "=", "=3D"),
		"unicode":  "Content-Type: message/global\n\n" + inner,
		"attached": "Content-Type: message/rfc822\nContent-Disposition: attachment; filename=a.eml\n\n" + inner,
	} {
		m := parser.Parse([]byte(in))
		p := m.Parts[0]
		if p.Message == nil {
			t.Errorf("%s: no head", name)
			continue
		}
		if diff := cmp.Diff(want, p.Message, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if !strings.Contains(p.Text, "inner words") || !strings.Contains(p.Text, "Date: Mon, 05 Jan 1998 12:00:00 -0500") {
			t.Errorf("%s: text %q", name, p.Text)
		}
	}
}

// What is kept of the heads of many nested messages is bounded for all of them
// together.
func TestNestedHeadsAreLimited(t *testing.T) {
	t.Parallel()
	part := "Content-Type: message/rfc822\n\nSubject: " + strings.Repeat("s", 5000) + "\nTo: a@example.org, b@example.org\n\nx"
	m, _ := parser.ParseSpans([]byte(multi("mixed", "m", part, part, part)), parser.Limits{Addresses: 3, MailText: 3000})
	n, subjects, texts := 0, 0, 0
	for _, p := range m.Parts {
		if p.Message != nil {
			n, subjects = n+len(p.Message.To), max(subjects, len(p.Message.Subject))
		}
		texts += len(p.Text)
	}
	if n != 3 || subjects != 2000 || texts > 3100 {
		t.Errorf("%d addresses, a subject of %d octets, %d octets of text", n, subjects, texts)
	}
	wantDefects(t, m, "LIM_ADDRESSES", "LIM_TEXT")
}

func TestCanonicalAddresses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Ann@Example.ORG":               "ann@example.org",
		"ann@example.org.":              "ann@example.org",
		"ann+tag@example.org":           "ann+tag@example.org",
		"a.n.n@example.org":             "a.n.n@example.org",
		"ann@[192.0.2.1]":               "ann@[192.0.2.1]",
		"ann@[IPv6:2001:DB8::1]":        "ann@[ipv6:2001:db8::1]",
		"jo\u0308rg@example.org":        "jörg@example.org",
		"ann@Bücher.example":            "ann@xn--bcher-kva.example",
		"ann@XN--BCHER-KVA.example":     "ann@xn--bcher-kva.example",
		"ann@faß.example":               "ann@xn--fa-hia.example",
		"ann@例え.テスト":                    "ann@xn--r8jz45g.xn--zckzah",
		"ann@exa_mple.org":              "ann@exa_mple.org",
		"\"ann b\"@example.org":         "\"ann b\"@example.org",
		"@example.org":                  "",
		"ann@":                          "",
		"ann":                           "",
		"ann@ex ample.org":              "",
		strings.Repeat("a", 999) + "@b": "",
	} {
		got := parser.Canonical(in)
		if got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
		if again := parser.Canonical(got); again != got {
			t.Errorf("%s: %s becomes %s", in, got, again)
		}
	}
}
