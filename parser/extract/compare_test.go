package extract_test

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mailkeep/mailkeep/mail"
)

// presentGoal is in how many of the files where a reference tool has text ours
// must have some.
const presentGoal = 0.95

// references are programs that we did not write (Debian: docx2txt, catdoc,
// antiword), as commands that read the file FILE, each with the part of its
// words that ours must have on average. catppt prints the names of designs,
// which nobody wrote, and catdoc takes RTF in Japanese and text between cells
// of a table for other words; it prints the instructions of fields, and the codes
// of WordPerfect as letters.
var references = []struct {
	folder string
	argv   []string
	recall float64
}{
	{"docx", []string{"docx2txt", "FILE", "-"}, 0.9},
	{"doc", []string{"catdoc", "-dutf-8", "-w", "FILE"}, 0.85},
	{"doc", []string{"antiword", "-m", "UTF-8.txt", "FILE"}, 0.95},
	{"xls", []string{"xls2csv", "-dutf-8", "FILE"}, 0.9},
	{"ppt", []string{"catppt", "-dutf-8", "FILE"}, 0.65},
	{"rtf", []string{"catdoc", "-dutf-8", "-w", "FILE"}, 0.75},
}

// A comparison counts files of one kind against one tool.
type comparison struct {
	both, theirs, ours int // files with text in both, in the tool's alone, in ours alone
	recall             []float64
	missed             []string
}

// TestCompare compares with other tools over the corpus. It runs them some
// hundred times, so it is for "make compare".
func TestCompare(t *testing.T) {
	if os.Getenv("MAILKEEP_COMPARE") == "" {
		t.Log("not compared with other tools: MAILKEEP_COMPARE is not set")
		return
	}
	all := corpus(t, "documents")
	if len(all) == 0 {
		t.Fatal("there is no corpus to compare over")
	}
	for _, ref := range references {
		if _, err := exec.LookPath(ref.argv[0]); err != nil {
			t.Errorf("%s is not installed", ref.argv[0])
			continue
		}
		c := compareOver(t, all, ref.folder, ref.argv)
		t.Logf("%s against %s: text in both %d, theirs alone %d, ours alone %d, word recall mean %.3f, least %.3f",
			ref.folder, ref.argv[0], c.both, c.theirs, c.ours, mean(c.recall), slices.Min(append(c.recall, 1)))
		for _, m := range c.missed {
			t.Log(m)
		}
		if got := float64(c.both) / float64(max(1, c.both+c.theirs)); got < presentGoal {
			t.Errorf("%s: text in %.3f of the files where %s has some, want %.2f", ref.folder, got, ref.argv[0], presentGoal)
		}
		if got := mean(c.recall); got < ref.recall {
			t.Errorf("%s: %.3f of the words of %s, want %.2f", ref.folder, got, ref.argv[0], ref.recall)
		}
	}
}

func compareOver(t *testing.T, all map[string][]byte, folder string, argv []string) (c comparison) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if filepath.Base(filepath.Dir(path)) != folder {
			continue
		}
		res := read(t, filepath.Base(path), "", all[path])
		theirs, ours := wordsOf(reference(t, argv, path)), wordsOf(res.Text)
		switch {
		case len(theirs) == 0 && len(ours) > 0:
			c.ours++
		case len(theirs) > 0 && len(ours) == 0:
			c.theirs++
			c.missed = append(c.missed, "  no text of ours: "+filepath.Base(path)+", "+string(res.Status))
		case len(theirs) > 0:
			c.both++
			r := recall(theirs, ours)
			c.recall = append(c.recall, r)
			if r < 0.9 && res.Status != mail.TextEncrypted {
				c.missed = append(c.missed, "  words missed: "+filepath.Base(path)+": "+strings.Join(lacking(theirs, ours, 12), " "))
			}
		}
	}
	return c
}

// reference runs a tool. One that fails or hangs has what it printed until then.
func reference(t *testing.T, argv []string, path string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	args := slices.Clone(argv[1:])
	args[slices.Index(args, "FILE")] = path
	out, err := exec.CommandContext(ctx, argv[0], args...).Output()
	if err != nil {
		t.Logf("  %s %s: %v", argv[0], filepath.Base(path), err)
	}
	return string(out)
}

// wordsOf returns the set of words of two letters or digits and more.
func wordsOf(s string) map[string]bool {
	words := make(map[string]bool)
	for w := range strings.FieldsFuncSeq(s, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
		if len(w) > 1 {
			words[strings.ToLower(w)] = true
		}
	}
	return words
}

func recall(theirs, ours map[string]bool) float64 {
	return 1 - float64(len(lacking(theirs, ours, len(theirs))))/float64(len(theirs))
}

// lacking returns words of theirs that are not ours, at most n.
func lacking(theirs, ours map[string]bool, n int) (words []string) {
	for _, w := range slices.Sorted(maps.Keys(theirs)) {
		if !ours[w] && len(words) < n {
			words = append(words, w)
		}
	}
	return words
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, f := range v {
		sum += f
	}
	return sum / float64(max(1, len(v)))
}
