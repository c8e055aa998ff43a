package parser_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/parser"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata")

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// TestGolden compares the whole message, defects included, with a file that was
// read by a person when it was made. Fixtures have LF line ends in the
// repository; a second run gives them CR LF and wants the same but for offsets.
func TestGolden(t *testing.T) {
	t.Parallel()
	mails := fixtures(t)
	for _, name := range sortedKeys(mails) {
		got, err := json.MarshalIndent(parser.Parse(mails[name]), "", "  ")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got = append(got, '\n')
		golden := strings.TrimSuffix(name, ".eml") + ".golden"
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Errorf("%v (make it with -update)", err)
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: (-want +got)\n%s", name, cmp.Diff(string(want), string(got)))
		}
	}
}

// TestLineEnds gives the fixtures CR LF and wants the same texts and headers.
func TestLineEnds(t *testing.T) {
	t.Parallel()
	for name, b := range fixtures(t) {
		if bytes.Contains(b, []byte("\r")) {
			continue
		}
		lf := parser.Parse(b)
		crlf := parser.Parse(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")))
		if lf.Text != crlf.Text || lf.HTMLText != crlf.HTMLText || lf.Subject != crlf.Subject || len(lf.Parts) != len(crlf.Parts) {
			t.Errorf("%s: differs with CR LF:\n%s", name, cmp.Diff(lf, crlf))
		}
	}
}
