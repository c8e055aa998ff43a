package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	maxFileLines     = 500
	maxFunctionLines = 100
)

// walk calls f for each file of the repository with the extension.
func walk(t *testing.T, ext string, f func(path, text string)) {
	t.Helper()
	base := root(t)
	err := filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != base || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ext:
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		r, err := filepath.Rel(base, path)
		f(filepath.ToSlash(r), string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLengths: a file or function that outgrows a reader is cut.
func TestLengths(t *testing.T) {
	walk(t, ".go", func(path, text string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		if n := strings.Count(text, "\n"); n > maxFileLines {
			t.Errorf("%s has %d lines, more than %d", path, n, maxFileLines)
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, more than %d", path, fn.Name.Name, n, maxFunctionLines)
			}
		}
	})
}

// directWriters may rename and link files themselves.
var directWriters = []string{
	"internal/durable", // whose job it is
	"indexer/",         // sets a broken view aside; a view is rebuilt, so nothing depends on the order
	"internal/lab",     // delivers into the mailboxes of a test's server
}

// TestDurableHome: files are linked and renamed into place by the one package
// that syncs their directories too.
func TestDurableHome(t *testing.T) {
	call := regexp.MustCompile(`\b(os\.(Rename|Link)|unix\.(Rename|Link|Fsync|Fdatasync))\w*\(`)
	walk(t, ".go", func(path, text string) {
		if strings.HasSuffix(path, "_test.go") || slices.ContainsFunc(directWriters, func(w string) bool { return strings.HasPrefix(path, w) }) {
			return
		}
		for i, line := range strings.Split(text, "\n") {
			if call.MatchString(line) {
				t.Errorf("%s:%d: only internal/durable links, renames and syncs", path, i+1)
			}
		}
	})
}

// link finds inline links and images of Markdown.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks: no relative link of a document leads nowhere, be it a file or a
// heading.
func TestLinks(t *testing.T) {
	base := root(t)
	texts := make(map[string]string)
	walk(t, ".md", func(path, text string) { texts[path] = text })
	if len(texts) == 0 {
		t.Fatal("no documents were found")
	}
	for path, text := range texts {
		for _, m := range link.FindAllStringSubmatch(withoutCode(text), -1) {
			if problem := brokenLink(base, path, m[1], texts); problem != "" {
				t.Errorf("%s: %s: %s", path, m[1], problem)
			}
		}
	}
}

// brokenLink returns what is wrong with a target written in the document path.
func brokenLink(base, path, target string, texts map[string]string) string {
	u, err := url.Parse(target)
	if err != nil {
		return err.Error()
	}
	if u.Scheme != "" || u.Host != "" {
		return ""
	}
	file := path
	if u.Path != "" {
		file = filepath.ToSlash(filepath.Join(filepath.Dir(path), u.Path))
	}
	if _, err := os.Stat(filepath.Join(base, file)); err != nil {
		return "there is no " + file
	}
	if text, ok := texts[file]; ok && u.Fragment != "" && !slices.Contains(anchors(text), u.Fragment) {
		return fmt.Sprintf("%s has no heading #%s", file, u.Fragment)
	}
	return ""
}

// anchors returns the names of the headings as forges make them.
func anchors(text string) []string {
	var all []string
	for line := range strings.Lines(withoutCode(text)) {
		heading := strings.TrimLeft(line, "#")
		if heading == line {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 0x7F:
				return r
			}
			return -1
		}, strings.ToLower(strings.TrimSpace(heading)))
		all = append(all, name)
	}
	return all
}

// withoutCode drops fenced blocks, where brackets mean something else.
func withoutCode(text string) string {
	var b strings.Builder
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if !fenced {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestBrokenLinkIsFound(t *testing.T) {
	texts := map[string]string{"README.md": "# A heading, with marks\n```\n# no heading\n```\n", "docs/a.md": ""}
	base := t.TempDir()
	for path := range texts {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(base, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(base, path), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for target, ok := range map[string]bool{
		"../README.md": true, "../README.md#a-heading-with-marks": true, "../README.md#no-heading": false,
		"none.md": false, "https://example.org/none": true, "#x": false,
	} {
		if got := brokenLink(base, "docs/a.md", target, texts); (got == "") != ok {
			t.Errorf("%s: %q", target, got)
		}
	}
}
