package readable_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/parser/readable"
)

func FuzzHTML(f *testing.F) {
	for _, s := range []string{"<p>a<br>b", "<style>x", "<title>x", "<script></script>", "<pre>\n", "<img alt=a", "&amp", "<!--", "<iframe><iframe>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, cut := readable.HTML(b, 1000)
		if len(got) > 1000 || strings.Contains(got, "\r") || strings.Contains(got, "\x00") {
			t.Errorf("%q became %q", b, got)
		}
		if again, cut2 := readable.HTML(b, 1000); again != got || cut != cut2 {
			t.Errorf("two results")
		}
	})
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"", "a\r\nb\rc", "\x00\u200b", "  x  ", "\u202eabc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, cut := readable.Plain(s, 1000)
		if len(got) > 1000 || strings.ContainsAny(got, "\r\x00") {
			t.Errorf("%q became %q", s, got)
		}
		if utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Errorf("%q became invalid", s)
		}
		if !cut && len(s) > 0 && len(got) > len(s) {
			t.Errorf("%q grew to %q", s, got)
		}
	})
}
