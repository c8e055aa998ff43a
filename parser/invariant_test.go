package parser_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
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

// timeBound is what a message of the corpus or a mutant of one may take. It is
// far above the norm, because the machine may be busy with other tests.
const timeBound = 10 * slowdown * time.Second

func checkTimed(b []byte, lim parser.Limits) error {
	start := time.Now()
	if err := check(b, lim); err != nil {
		return err
	}
	if d := time.Since(start); d > timeBound {
		return fmt.Errorf("took %v for %d octets", d, len(b))
	}
	return nil
}

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
	mails := fixtures(tb)
	err := filepath.WalkDir(root, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !isMail(name) {
			return err
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

const (
	mutants    = 20_000
	mutantSize = 12 << 10 // mails above it are mutated by their beginning
)

// TestInvariantsOnMutants damages mails in the ways that transports, mail
// software and attackers do. The seed is fixed, so a failure can be repeated.
func TestInvariantsOnMutants(t *testing.T) {
	t.Parallel()
	var seeds [][]byte
	mails := corpus(t)
	for _, name := range sortedKeys(mails) {
		if b := mails[name]; len(b) > 0 {
			seeds = append(seeds, b[:min(len(b), mutantSize)])
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	failures := 0
	for i := range mutants {
		b := mutate(rng, seeds)
		if err := checkTimed(b, parser.Limits{}); err != nil {
			t.Errorf("mutant %d (%d octets): %v", i, len(b), err)
			if failures++; failures > 5 {
				t.Fatal("too many failures")
			}
		}
	}
}

// mutate returns a damaged copy of one of the seeds.
func mutate(rng *rand.Rand, seeds [][]byte) []byte {
	b := bytes.Clone(seeds[rng.IntN(len(seeds))])
	for range 1 + rng.IntN(4) {
		if len(b) == 0 {
			return b
		}
		at := rng.IntN(len(b))
		end := min(len(b), at+1+rng.IntN(200))
		switch rng.IntN(10) {
		case 0: // flip
			b[at] ^= 1 << rng.IntN(8)
		case 1: // cut
			b = b[:at]
		case 2: // remove a run
			b = append(b[:at:at], b[end:]...)
		case 3: // repeat a run
			b = append(b[:end:end], b[at:]...)
		case 4: // splice another mail in
			other := seeds[rng.IntN(len(seeds))]
			b = append(b[:at:at], other[rng.IntN(len(other)):]...)
		case 5: // move a line
			line := b[at:end]
			b = append(append(b[:at:at], b[end:]...), line...)
		case 6: // change line ends
			b = bytes.ReplaceAll(b, []byte("\r\n"), []byte([]string{"\n", "\r", "\r\r\n", "\n\r"}[rng.IntN(4)]))
		case 7: // put something special in
			word := special[rng.IntN(len(special))]
			b = append(b[:at:at], append([]byte(word), b[at:]...)...)
		case 8: // lose a fold or a blank line
			b = bytes.Replace(b, []byte("\n\n"), []byte("\n"), 1+rng.IntN(3))
		case 9: // double boundaries
			b = bytes.ReplaceAll(b, []byte("\n--"), []byte("\n\n--"))
		}
		b = b[:min(len(b), 2*mutantSize)]
	}
	return b
}

var special = []string{
	"\r\n\r\n", "\n--", "--\n", "\x00", "\xff\xfe", "=?utf-8?B?", "?=", "\n\n--b\n", "\r", "=", "=\n", ";\n", "\"", "<", ">", "(", ")",
	"Content-Type: multipart/mixed; boundary=b\n\n--b\n", "Content-Transfer-Encoding: base64\n", "Content-Type: message/rfc822\n\n",
	"Content-Transfer-Encoding: quoted-printable\n", "\xef\xbb\xbf", "\nFrom x Mon Jan 1\n", "*0*=", "%zz", ":;", "\x1b$B", "charset=utf-7;",
}
