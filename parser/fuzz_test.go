package parser_test

import (
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
