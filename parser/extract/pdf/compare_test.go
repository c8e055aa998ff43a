package pdf

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// TestComparePDF reads the PDF documents of the corpus and compares the words
// with pdftotext's. MAILKEEP_COMPARE=1 switches it on; docs/extraction.md has
// what it prints.
func TestComparePDF(t *testing.T) {
	if os.Getenv("MAILKEEP_COMPARE") == "" {
		t.Log("not asked for")
		return
	}
	files, err := filepath.Glob("../../../../shared/corpus/documents/pdf/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	e := open(t)
	opened, compared, recall := 0, 0, 0.0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.Text(t.Context(), b, 16<<20, nil)
		if err == nil || errors.Is(err, ErrEncrypted) {
			opened++
		}
		theirs, errTheirs := exec.CommandContext(t.Context(), "pdftotext", f, "-").Output()
		if err != nil || errTheirs != nil || len(words(string(theirs))) == 0 {
			t.Logf("%s: %v, pdftotext: %v", filepath.Base(f), err, errTheirs)
			continue
		}
		share := found(words(string(theirs)), words(r.Text))
		compared, recall = compared+1, recall+share
		t.Logf("%s: %.2f", filepath.Base(f), share)
	}
	t.Logf("opened %d of %d, recall %.3f over %d", opened, len(files), recall/float64(compared), compared)
	if float64(opened) < 0.98*float64(len(files)) || recall < 0.87*float64(compared) {
		t.Error("fewer documents were opened, or fewer words found, than is the goal")
	}
}

// words counts the words of a text.
func words(s string) map[string]int {
	all := map[string]int{}
	for _, w := range strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		all[w]++
	}
	return all
}

// found returns which share of the words is among those that were read.
func found(want, got map[string]int) float64 {
	all, hit := 0, 0
	for w, n := range want {
		all, hit = all+n, hit+min(n, got[w])
	}
	return float64(hit) / float64(all)
}
