package main

import (
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/app"
)

// Status tells what does not guard the reading of documents, and says nothing
// of it before there was any.
func TestStatusOfExtraction(t *testing.T) {
	r := app.StatusReport{Extraction: &app.ExtractionStatus{Workers: 2}}
	var quiet, loud strings.Builder
	if err := renderStatus(&quiet, r); err != nil || strings.Contains(quiet.String(), "documents") {
		t.Errorf("%s, %v", quiet.String(), err)
	}
	r.Extraction = &app.ExtractionStatus{Workers: 2, Running: 1, Waiting: 3, Started: 2, Lost: 1,
		Missing: map[string]string{"seccomp": "not permitted", "landlock": "the kernel has\nno Landlock"}}
	if err := renderStatus(&loud, r); err != nil {
		t.Fatal(err)
	}
	const want = "documents: 1 being read, 3 waiting; 2 workers started, 1 lost\n" +
		"documents are read without the guard landlock: the kernel has"
	if got := loud.String(); !strings.Contains(got, want) || strings.Count(got, "without the guard") != 2 || strings.Contains(got, "has\nno") {
		t.Errorf("%s", got)
	}
}
