package parser_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/parser"
)

// The quick readings are there for speed alone: whatever they accept, go-message
// must read to the same.

func FuzzQuickBody(f *testing.F) {
	for _, s := range []string{"", "a=3D=\r\nb \t\r\nc", "a=", "=", "a=\n", "a= \nb", "=4", "=zz", "a\x01", "a\r\r\nb\rc\n", "caf\xe9=e9=\r", "  \n", "aGVs\r\nbG8=", "aGVsbG8", "aGV!", "aGVsbG8=\r\n\r\n", "a\x7f"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, encoding := range []string{"quoted-printable", "base64", "7bit"} {
			quick, strict, quickOK, strictOK := parser.BothBodies(encoding, body)
			if quickOK && (!strictOK || !bytes.Equal(quick, strict)) {
				t.Errorf("%s %q: %q, by go-message %q (%t)", encoding, body, quick, strict, strictOK)
			}
		}
	})
}

func FuzzQuickAddresses(f *testing.F) {
	for _, s := range []string{
		"ann@example.org", "<ann@example.org>", "Ann B. Example <ann@example.org>, bob@example.org", "\"Doe, Jane\" <jane@example.org>", "=?utf-8?Q?J=C3=B6rg?= <j@example.org>",
		"a@b,", ",a@b", "a b@c", "Ann<a@b>", "\"\" <a@b>", "a.b. <c@d>", "a..b <c@d>", ".a <b@c>", "x <a@b.>", "x <.a@b>", "a@b (c)", "a  b <c@d>", "\"a\"b <c@d>", "\"=?utf-8?Q?a?=\" <c@d>", "A@B.org ,\tc@d ",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		quick, strict, quickOK, strictOK := parser.BothAddresses(v)
		if !quickOK {
			return
		}
		if !strictOK {
			t.Errorf("%q: %v, and go-message refuses it", v, quick)
		} else if diff := cmp.Diff(strict, quick); diff != "" {
			t.Errorf("%q: %s", v, diff)
		}
	})
}

// The quick readings must be those that nearly all mail takes.
func TestQuickReadingsAreTaken(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"ann@example.org", "Ann Example <ann@example.org>, \"Doe, Jane\" <jane@example.org>", "=?utf-8?Q?J=C3=B6rg_M=C3=BCller?= <joerg@example.org>", "<a@b>"} {
		if _, _, ok, _ := parser.BothAddresses(v); !ok {
			t.Errorf("%s is left to go-message", v)
		}
	}
	for _, body := range []string{"a=3Db=\r\nc  \r\n\r\nd\r\n", "text\n", ""} {
		if _, _, ok, _ := parser.BothBodies("quoted-printable", []byte(body)); !ok {
			t.Errorf("%q is left to go-message", body)
		}
	}
}

// Eight octets are looked at in one step: each octet must be judged alike at each
// place, whatever stands before it.
func TestQuotedPrintableRun(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for at := range 19 {
			for _, around := range []byte{' ', 'a', '\t', '>', 0xff} {
				b := bytes.Repeat([]byte{around}, 19)
				b[at] = byte(c)
				want := len(b)
				if c == '=' || c == 0x7f || c < ' ' && c != '\t' {
					want = at
				}
				if got := parser.QPRun(b); got != want {
					t.Fatalf("octet %#x at %d among %q: a run of %d, want %d", c, at, around, got, want)
				}
			}
		}
	}
}
