package parser_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/parser"
	"github.com/mailkeep/mailkeep/parser/charset"
)

// TestDetectionOnCorpus takes the label off texts that are not UTF-8 and wants
// most of them read the same without it.
func TestDetectionOnCorpus(t *testing.T) {
	t.Parallel()
	same, all := 0, 0
	wrong := map[string]int{}
	mails := corpus(t)
	for _, name := range sortedKeys(mails) {
		m := parser.Parse(mails[name])
		for _, p := range m.Parts {
			if p.CharsetSource != "label" || !strings.HasPrefix(p.Type, "text/") {
				continue
			}
			b, err := io.ReadAll(parser.PartReader(bytes.NewReader(mails[name]), p))
			if err != nil {
				t.Fatal(err)
			}
			want := charset.Decode(b, p.Charset)
			if want.Invalid || want.Detected || want.Used == charset.UTF8 || isASCII(want.Text) {
				continue
			}
			all++
			if got := charset.Decode(b, ""); got.Text == want.Text {
				same++
			} else {
				wrong[want.Used+" as "+got.Used]++
			}
		}
	}
	t.Logf("%d of %d texts are read as their labels say; not so %v", same, all, wrong)
	if all > 100 && same*100 < all*75 {
		t.Errorf("%d of %d texts are read as their labels say", same, all)
	}
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}
