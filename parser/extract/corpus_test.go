package extract_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
	"github.com/mailkeep/mailkeep/parser/extract"
)

// tools gives the parser to the readers, as the program does.
func tools() extract.Tools {
	return extract.Tools{Signed: parser.OpenSigned, Mail: parser.Parse, Part: parser.PartReader}
}

func read(tb testing.TB, name, ctype string, b []byte) extract.Result {
	tb.Helper()
	return extract.Text(tb.Context(), extract.Document{Name: name, Type: ctype, Data: b}, extract.Limits{}, tools())
}

// check returns what breaks an invariant of the package.
func check(res extract.Result, lim extract.Limits) string {
	switch {
	case !utf8.ValidString(res.Text):
		return "the text is not UTF-8"
	case len(res.Text) > lim.Text:
		return "the text is over its limit"
	case strings.ContainsAny(res.Text, "\r\x00\x1b"):
		return "the text holds controls"
	case res.Status == "":
		return "there is no status"
	case res.Extractor.Name == "":
		return "there is no extractor"
	case strings.HasPrefix(res.Detail, "panic"), strings.Contains(res.Detail, ": panic"):
		return res.Detail
	case strings.Contains(res.Detail, "\n") || len(res.Detail) > 200:
		return "the detail is no short line"
	case res.Embedded < res.Unread || res.Embedded > lim.Entries+1:
		return "the counts of embedded documents are wrong"
	case res.Unpacked > lim.Unpacked:
		return "unpacked more than the limit"
	}
	return ""
}

// corpus returns the files below a folder of the corpus of real mail, beside the
// module. It is not part of the repository; in CI it must be there.
func corpus(tb testing.TB, folder string) map[string][]byte {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), "go", "env", "GOMOD").Output()
	if err != nil {
		tb.Fatal(err)
	}
	root := filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "..", "shared", "corpus", folder)
	if _, err := os.Stat(root); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("the corpus is missing in CI: %v", err)
		}
		tb.Logf("no corpus at %s: only documents made here are tested", root)
		return nil
	}
	files := make(map[string][]byte)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "LICENSE") {
			return err
		}
		files[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

// timeBound is what a document may take on a busy machine.
const timeBound = 60 * time.Second

func TestCorpus(t *testing.T) {
	t.Parallel()
	statuses := make(map[string]map[mail.TextStatus]int)
	for _, folder := range []string{"documents", "Teamwork+tnef"} {
		for path, b := range corpus(t, folder) {
			start := time.Now()
			res := read(t, filepath.Base(path), "", b)
			if problem := check(res, extract.DefaultLimits()); problem != "" {
				t.Errorf("%s: %s", path, problem)
			}
			if d := time.Since(start); d > timeBound {
				t.Errorf("%s took %v", path, d)
			}
			kind := filepath.Base(filepath.Dir(path))
			if statuses[kind] == nil {
				statuses[kind] = make(map[mail.TextStatus]int)
			}
			statuses[kind][res.Status]++
			if res.Status != mail.TextOK || res.Text == "" {
				t.Logf("%s: %s, %d octets of text (%s: %s)", filepath.Base(path), res.Status, len(res.Text), res.Extractor.Name, res.Detail)
			}
		}
	}
	for kind, n := range statuses {
		t.Logf("%s: %v", kind, n)
	}
}
