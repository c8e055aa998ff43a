//go:build compare

package parser_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

// The fields that are compared, in the order of the drivers' lines.
var compared = [...]string{"From", "To", "Subject", "Date", "Message-ID", "leaves", "attachments"}

// wantedShare is the share of mails in which we may say something else than the
// majority. Where that has found nothing, or fewer leaves, we have read more.
const wantedShare = 0.002

// A reading is what one parser made of one mail.
type reading [len(compared)]string

// TestCompare reads the corpus with this parser, GMime and Python's email, and
// holds against each of them where the two others agree on something else. See
// testdata/compare for the drivers, docs/parser-compare.md for what differs.
func TestCompare(t *testing.T) {
	mails := corpus(t)
	names := sortedKeys(mails)
	dir := t.TempDir()
	readers := []string{"ours", "GMime", "Python"}
	readings := make([][]reading, 3)
	for i, name := range names {
		b := withoutMboxLine(mails[name])
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)+".eml"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		readings[0] = append(readings[0], ourReading(b))
	}
	readings[1] = drive(t, len(names), gmimeDriver(t), dir, strconv.Itoa(len(names)))
	readings[2] = drive(t, len(names), "python3", "testdata/compare/reference.py", dir, strconv.Itoa(len(names)))
	explained := explanations(t)
	for f, field := range compared {
		var differ, refused [3]int
		majorities, unexplained, more := 0, 0, 0
		for i := range names {
			majority, ok := agreed(readings[0][i][f], readings[1][i][f], readings[2][i][f])
			if !ok {
				continue
			}
			majorities++
			for r := range readers {
				switch v := readings[r][i][f]; {
				case strings.HasPrefix(v, "!"):
					refused[r]++
				case v != majority:
					differ[r]++
				}
			}
			if ours := readings[0][i][f]; ours != majority {
				name := field + " " + corpusName(names[i])
				if readMore(field, ours, majority) {
					more++
				}
				t.Logf("%s\n  ours     %.200q\n  majority %.200q", name, ours, majority)
				if !explained[name] {
					unexplained++
					t.Errorf("%s is not explained in docs/parser-compare.md", name)
				}
			}
		}
		t.Logf("%-11s %d of %d mails have a majority; against it: ours %.2f %%, where we read more %.2f %%, GMime %.2f %%, Python %.2f %%; refused: 0, %d, %d; ours without an explanation: %d",
			field, majorities, len(names), share(differ[0]-more, majorities), share(more, majorities), share(differ[1], majorities), share(differ[2], majorities), refused[1], refused[2], unexplained)
		if float64(differ[0]-more) > wantedShare*float64(majorities) {
			t.Errorf("%s: against the majority in more than %.1f %%", field, 100*wantedShare)
		}
	}
}

// readMore reports whether the majority found nothing where we found something,
// or fewer leaves.
func readMore(field, ours, majority string) bool {
	if field != "leaves" {
		return majority == "" && ours != ""
	}
	found, _ := strconv.Atoi(ours)
	others, _ := strconv.Atoi(majority)
	return found > others
}

func share(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }

// agreed returns what at least two of three say.
func agreed(a, b, c string) (string, bool) {
	switch {
	case a == b || a == c:
		return a, true
	case b == c && !strings.HasPrefix(b, "!"):
		return b, true
	}
	return "", false
}

// corpusName is the name of a mail below the corpus, as the docs have it.
func corpusName(name string) string {
	_, below, ok := strings.Cut(filepath.ToSlash(name), "/corpus/")
	if !ok {
		below = name
	}
	return strings.ReplaceAll(below, " ", "_")
}

// explanations returns the mails that docs/parser-compare.md explains: list
// items of the form "* `Field path`: why".
func explanations(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(moduleRoot(t), "docs", "parser-compare.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if item, ok := strings.CutPrefix(line, "* `"); ok {
			name, _, _ := strings.Cut(item, "`")
			out[name] = true
		}
	}
	return out
}

func withoutMboxLine(b []byte) []byte {
	if bytes.HasPrefix(b, []byte("From ")) {
		if _, rest, ok := bytes.Cut(b, []byte("\n")); ok {
			return rest
		}
	}
	return b
}

func ourReading(b []byte) reading {
	m := parser.Parse(b)
	date := ""
	if !m.DateHeader.IsZero() {
		date = strconv.FormatInt(m.DateHeader.Unix(), 10)
	}
	leaves, octets := 0, int64(0)
	for _, p := range m.Parts {
		if p.Digest.IsZero() {
			continue
		}
		leaves++
		if major, _, _ := strings.Cut(p.Type, "/"); major != "text" && major != "message" && major != "multipart" {
			octets += p.Size
		}
	}
	return normal(reading{addrs(m.From), addrs(m.To), m.Subject, date, m.MessageID, strconv.Itoa(leaves), strconv.FormatInt(octets, 10)})
}

func addrs(list []mail.Address) string {
	var out []string
	for _, a := range list {
		if a.Addr != "" {
			out = append(out, a.Addr)
		}
	}
	return strings.Join(out, ",")
}

// normal takes out what is a matter of spelling: letter case and the forms of
// domains of addresses, white space, controls.
func normal(r reading) reading {
	for i := range r {
		r[i] = norm.NFC.String(strings.Join(strings.Fields(strings.Map(func(c rune) rune {
			if unicode.IsControl(c) && c != '\t' {
				return -1
			}
			return c
		}, strings.ToValidUTF8(r[i], "\ufffd"))), " "))
	}
	for i := range 2 {
		list := strings.Split(r[i], ",")
		for j, a := range list {
			if c := parser.Canonical(a); c != "" {
				list[j] = c
			}
		}
		r[i] = strings.Join(slices.DeleteFunc(list, func(a string) bool { return a == "" }), ",")
	}
	r[4] = strings.Join(strings.Fields(r[4]), "")
	return r
}

// drive runs a driver and reads its lines.
func drive(t *testing.T, n int, command string, args ...string) []reading {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	var readings []reading
	for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\n"), "\n") {
		var r reading
		if copy(r[:], strings.Split(line, "\t")) != len(r) {
			t.Fatalf("%s: line %d: %q", command, len(readings)+1, line)
		}
		readings = append(readings, normal(r))
	}
	if len(readings) != n {
		t.Fatalf("%s: %d lines for %d mails", command, len(readings), n)
	}
	return readings
}
