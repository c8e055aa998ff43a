package parser_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

// check parses b and returns what breaks an invariant of the package.
func check(b []byte, lim parser.Limits) error {
	m, spans := parser.ParseSpans(b, lim)
	if err := tiled(spans, int64(len(b))); err != nil {
		return err
	}
	for _, d := range m.Defects {
		if d.Code == "PANIC" {
			return fmt.Errorf("panic: %s", d.Detail)
		}
		if _, ok := parser.Severities[d.Code]; !ok || d.Severity == "" {
			return fmt.Errorf("defect %q is not in the table", d.Code)
		}
		if d.Off < 0 || d.Off > int64(len(b)) || d.Count < 1 {
			return fmt.Errorf("defect out of bounds: %+v", d)
		}
	}
	if err := cleanHeader(m, int64(len(b))); err != nil {
		return err
	}
	if len(m.Parts) == 0 {
		return fmt.Errorf("no parts")
	}
	for _, p := range m.Parts {
		if err := checkPart(b, p); err != nil {
			return fmt.Errorf("part %s: %w", p.Path, err)
		}
	}
	if !utf8.ValidString(m.Text) || !utf8.ValidString(m.HTMLText) {
		return fmt.Errorf("text is not UTF-8")
	}
	at := 0
	for _, k := range m.Marks {
		if k.From < at || k.To <= k.From || k.To > len(m.Text) || !utf8.ValidString(m.Text[k.From:k.To]) {
			return fmt.Errorf("mark out of bounds or order: %+v behind %d of %d", k, at, len(m.Text))
		}
		at = k.To
	}
	return nil
}

// tiled checks that every octet is in one span.
func tiled(spans []parser.Span, size int64) error {
	at := int64(0)
	for _, s := range spans {
		if s.Off != at {
			return fmt.Errorf("octets %d to %d: %s begins where %d was due", s.Off, s.End, s.Kind, at)
		}
		at = s.End
	}
	if at != size {
		return fmt.Errorf("octets from %d to %d are unaccounted for", at, size)
	}
	return nil
}

func cleanHeader(m *mail.Message, size int64) error {
	values := []string{m.Subject, m.MessageID}
	values = append(values, m.References...)
	for _, f := range m.Fields {
		if f.Off < 0 || f.Len <= 0 || f.Off+f.Len > size {
			return fmt.Errorf("field %s at %d+%d is outside", f.Name, f.Off, f.Len)
		}
		values = append(values, f.Name, f.Value)
	}
	for _, list := range [][]mail.Address{m.From, m.Sender, m.ReplyTo, m.To, m.Cc, m.Bcc} {
		for _, a := range list {
			values = append(values, a.Name, a.Addr, a.Raw)
			if a.Addr != "" && strings.Count(a.Addr, "@") == 0 {
				return fmt.Errorf("address %q", a.Addr)
			}
		}
	}
	for _, v := range values {
		if !utf8.ValidString(v) || strings.ContainsAny(v, "\r\n\x00\x1b\u0085\u2028") {
			return fmt.Errorf("header value %q is not one line of UTF-8", v)
		}
	}
	return nil
}

func checkPart(b []byte, p mail.Part) error {
	if p.OffHeader < 0 || p.OffBody < p.OffHeader || p.Len < 0 || p.OffBody+p.Len > int64(len(b)) {
		return fmt.Errorf("offsets %d %d+%d are outside of %d", p.OffHeader, p.OffBody, p.Len, len(b))
	}
	if strings.ContainsAny(p.FileName, "/\\\r\n\x00\u202e") || len(p.FileName) > 200 || !utf8.ValidString(p.FileName) {
		return fmt.Errorf("file name %q", p.FileName)
	}
	for _, v := range []string{p.Type, p.Charset, p.Encoding, p.Disposition, p.ContentID, p.Text} {
		if !utf8.ValidString(v) {
			return fmt.Errorf("%q is not UTF-8", v)
		}
	}
	if p.Role == "" {
		return fmt.Errorf("no role")
	}
	if p.Digest.IsZero() {
		return nil // a container
	}
	if p.TextStatus == "" {
		return fmt.Errorf("no text status")
	}
	h := sha256.New()
	n, err := io.Copy(h, parser.PartReader(bytes.NewReader(b), p))
	if err != nil || n != p.Size || mail.Digest(h.Sum(nil)) != p.Digest {
		return fmt.Errorf("%s: PartReader gives %d octets (%v), the part has %d; or the digest differs", p.Encoding, n, err, p.Size)
	}
	return nil
}

// timeBound is the processor time that a message of the corpus or a mutant of one
// may take, tens of times what any of them does.
const timeBound = 2 * slowdown * time.Second

// checkTimed is check with a bound on time.
func checkTimed(b []byte, lim parser.Limits) error {
	took, err := processorTime(func() error { return check(b, lim) })
	if err == nil && took > timeBound {
		err = fmt.Errorf("%v of processor time for %d octets", took, len(b))
	}
	return err
}

// raceSample: under the race detector one mail of so many is read. The parser
// starts no goroutine, so that more of them show nothing more.
const raceSample = 8

// corpus returns the messages of the folder that holds real mail, beside the
// module. It is not part of the repository; in CI it must be there.
func corpus(tb testing.TB) map[string][]byte {
	tb.Helper()
	root := filepath.Join(moduleRoot(tb), "..", "shared", "corpus")
	if _, err := os.Stat(root); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("the mail corpus is missing in CI: %v", err)
		}
		tb.Logf("no mail corpus at %s: only the fixtures of testdata are tested", root)
		return fixtures(tb)
	}
	mails, seen := fixtures(tb), 0
	err := filepath.WalkDir(root, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !isMail(name) {
			return err
		}
		if seen++; raceEnabled && seen%raceSample != 0 {
			return nil
		}
		b, err := os.ReadFile(name)
		mails[name] = b
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return mails
}

func isMail(name string) bool {
	if strings.Contains(name, "/documents/") {
		return false
	}
	switch filepath.Ext(name) {
	case ".json", ".xml", ".out", ".md", ".py", ".pdf", ".tnef":
		return false
	}
	return !strings.HasPrefix(filepath.Base(name), "LICENSE")
}

func moduleRoot(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			tb.Fatal("no go.mod above the package")
		}
		dir = up
	}
}

func fixtures(tb testing.TB) map[string][]byte {
	tb.Helper()
	names, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(names) == 0 {
		tb.Fatalf("no fixtures: %v", err)
	}
	mails := make(map[string][]byte)
	for _, name := range names {
		if mails[name], err = os.ReadFile(name); err != nil {
			tb.Fatal(err)
		}
	}
	return mails
}

func TestInvariantsOnCorpus(t *testing.T) {
	t.Parallel()
	for name, b := range corpus(t) {
		if err := checkTimed(b, parser.Limits{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDeterministic parses each mail twice, and through windows of a file, and
// wants the same.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	for name, b := range corpus(t) {
		first := parser.Parse(b)
		if again := parser.Parse(b); !reflect.DeepEqual(first, again) {
			t.Errorf("%s: two results", name)
		}
		at, err := parser.ParseAt(bytes.NewReader(b), int64(len(b)), parser.DefaultLimits())
		if err != nil || !reflect.DeepEqual(first, at) {
			t.Errorf("%s: ParseAt differs from Parse (%v)", name, err)
		}
		if len(b) > 256<<10 {
			continue // thousands of windows say no more than hundreds
		}
		windowed, err := parser.ParseWindow(b, 512)
		if err != nil || !reflect.DeepEqual(first, windowed) {
			t.Errorf("%s: a window of 512 octets differs (%v): %s", name, err, cmp.Diff(first, windowed))
		}
	}
}
