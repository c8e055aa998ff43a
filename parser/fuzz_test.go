package parser_test

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/parser"
)

func FuzzParse(f *testing.F) {
	for _, b := range fixtures(f) {
		f.Add(b)
	}
	for _, s := range special {
		f.Add([]byte("Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\n" + s + "\n--b--\n"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := check(b, parser.Limits{}); err != nil {
			t.Error(err)
		}
		if err := check(b, parser.Limits{Header: 100, Parts: 3, Depth: 2, PartText: 50, MailText: 80, Params: 2}); err != nil {
			t.Errorf("with small limits: %v", err)
		}
	})
}

func FuzzDate(f *testing.F) {
	for _, s := range []string{"Tue, 24 Nov 2026 09:15:00 +0100", "2026-11-24T09:15:00Z", "24.11.26", "1/2/3 4.5.6 GMT+1", "T:", "0:", "+", "-", "Tue Nov 24 09:15:00 2026"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, _, ok := parser.ParseDate(s)
		if ok && (d.Year() < 1 || d.Year() > 9999) || !ok && !d.IsZero() {
			t.Errorf("%q: %v, %t", s, d, ok)
		}
		if _, err := d.MarshalJSON(); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		if d2, _, ok2 := parser.ParseDate(d.Format(time.RFC1123Z)); ok && d.Year() >= 1000 && (!ok2 || !d2.Equal(d)) {
			t.Errorf("%q became %v, which is read as %v", s, d, d2)
		}
	})
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"a@b", `"a, b" <c@d>`, "g: a@b;", "a <b", "=?utf-8?Q?a,b?= <c@d>", "(((", `"\`, "<<>>", "a:b:c@d", "x@[::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, _ := parser.ReadAddresses(s)
		for _, a := range list {
			for _, v := range []string{a.Name, a.Addr, a.Raw} {
				if !utf8.ValidString(v) || strings.ContainsAny(v, "\r\n\x00") {
					t.Errorf("%q: %+v", s, a)
				}
			}
			if a.Addr != "" && parser.Canonical(a.Addr) == "" {
				t.Errorf("%q: %q is not an address", s, a.Addr)
			}
		}
	})
}

func FuzzWord(f *testing.F) {
	for _, s := range []string{"=?utf-8?Q?a?=", "=?utf-8?B?YQ?= =?utf-8?B?YQ==?=", "=?", "=?a?b", "=?a?q?=", "=?utf-7?Q?+2D3cqQ-?="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, _, _ := parser.ReadWords(s)
		if utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Errorf("%q became %q", s, got)
		}
		if !strings.Contains(s, "=?") && got != s {
			t.Errorf("%q has no word and became %q", s, got)
		}
	})
}

// FuzzHeader reads a header block alone: its fields must tile it in order.
func FuzzHeader(f *testing.F) {
	for _, s := range []string{
		"Subject: a\n b\n\nx", "a:b\r\n\r\n", ":\n", " a: b\n", "From x\na: b\n", "junk\na: b\n", "a: b;\nc\n\n", "a\x00: b\n", "a : b\n", "\ufeffa: b\n", "\n\na: b\n", "a: b\r\rc: d\r\r",
		"a: b\n \n\t\nc: d\n", "--b\na: b\n", "a: b\n--b\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, spans := parser.ParseSpans(b, parser.Limits{Header: 500})
		if err := tiled(spans, int64(len(b))); err != nil {
			t.Error(err)
		}
		at := int64(0)
		for _, field := range m.Fields {
			if field.Off < at || field.Len < 2 || field.Off+field.Len > m.Parts[0].OffBody {
				t.Errorf("field %+v behind %d, body at %d", field, at, m.Parts[0].OffBody)
			}
			at = field.Off + field.Len
		}
	})
}

// FuzzBoundary cuts a multipart of any body: all is accounted for, whatever the
// boundary is.
func FuzzBoundary(f *testing.F) {
	for _, s := range []string{"--b\n\na\n--b--\n", "--b\n--b\n--b--", "--b--\n--b\n", "--b \t\n\nx", "--bb\n\n--b\n", "x\r--b\r\n--b--", "--b--x\n", "--a\n\n--a\n\n--a--"} {
		f.Add("b", []byte(s))
		f.Add("", []byte(s))
		f.Add("b--", []byte(s))
	}
	f.Fuzz(func(t *testing.T, boundary string, body []byte) {
		b := append([]byte("Content-Type: multipart/mixed; boundary=\""+boundary+"\"\n\n"), body...)
		if err := check(b, parser.Limits{}); err != nil {
			t.Error(err)
		}
		windowed, err := parser.ParseWindow(b, 64)
		if err != nil || !reflect.DeepEqual(windowed, parser.Parse(b)) {
			t.Errorf("a window of 64 octets gives another message (%v)", err)
		}
	})
}

func FuzzParam(f *testing.F) {
	for _, s := range []string{"a/b; c=d", "a; n*0=x; n*1=y", "a; n*=utf-8''%e2%82%ac", "a; n*0*=utf-8''%e2; n*1*=%82%ac", "a; n=\"x\\\"y\"", "a;;n=", "n=x", "a; n*9999999999=x", "a; n==?utf-8?Q?=C3=A9?="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, value, _ := parser.Param(s, "n")
		if utf8.ValidString(s) && !utf8.ValidString(value) || len(value) > 6*len(s)+8 {
			t.Errorf("%q: %q", s, value)
		}
	})
}

func FuzzMessageID(f *testing.F) {
	for _, s := range []string{"<a@b>", "<a@b> (c) <d@e>", "a@b c", "<<a>>", "(((", "<a b@c>", "(\\", "<a@b", ">"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ids, _ := parser.ReadIDs(s)
		for _, id := range ids {
			if id == "" || len(id) > 998 || strings.ContainsAny(id, " \t\r\n\x00") {
				t.Errorf("%q: id %q", s, id)
			}
		}
	})
}

// FuzzReport reads the fields of a delivery status.
func FuzzReport(f *testing.F) {
	f.Add([]byte(dsnFields))
	f.Add([]byte("Content-Type: message/feedback-report\n\nFeedback-Type: abuse\nOriginal-Rcpt-To: a@b\n"))
	f.Add([]byte("Content-Type: message/disposition-notification\n\nDisposition: a; b/c\n x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := parser.Parse(b)
		if m.Report == nil {
			return
		}
		for _, r := range m.Report.Recipients {
			for _, v := range []string{r.Final, r.Original, r.Action, r.Status, r.Diagnostic, m.Report.OriginalID, m.Report.Feedback} {
				if !utf8.ValidString(v) || strings.ContainsAny(v, "\r\n\x00") {
					t.Errorf("%q in %+v", v, r)
				}
			}
		}
	})
}
