package app

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
	"github.com/mailkeep/mailkeep/parser/extract"
	"github.com/mailkeep/mailkeep/parser/extract/worker"
)

// readingTexts returns what reads documents by a section "extract", with a cache
// that all test runs of a user share.
func readingTexts(t *testing.T, section string) *texts {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "mailkeep.yaml")
	text := fmt.Sprintf("archive: {dir: %q}\nextract: {cache_dir: %q%s}\n", t.TempDir(), filepath.Join(cache, "mailkeep"), section)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := configs.Load(configs.Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	x := newTexts(c, slog.New(slog.NewTextHandler(t.Output(), nil)), nil)
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// mailWith is a mail with attachments, each a type, a name and octets.
func mailWith(parts ...[3]string) []byte {
	var b bytes.Buffer
	b.WriteString("From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nbody\r\n")
	for _, p := range parts {
		fmt.Fprintf(&b, "--x\r\nContent-Type: %s\r\nContent-Disposition: attachment; filename=%q\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n",
			p[0], p[1], base64.StdEncoding.EncodeToString([]byte(p[2])))
	}
	b.WriteString("--x--\r\n")
	return b.Bytes()
}

func read(t *testing.T, x *texts, raw []byte) *mail.Message {
	t.Helper()
	m := parser.Parse(raw)
	if err := x.add(t.Context(), m, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	return m
}

// Each attachment gets its text and its status, and the defects of the message
// say what the statuses say.
func TestTexts(t *testing.T) {
	x := readingTexts(t, ", workers: 1")
	page := string(demoPDF("The harbour crane"))
	raw := mailWith(
		[3]string{"application/pdf", "a.pdf", page},
		[3]string{"application/octet-stream", "b.pdf", page},
		[3]string{"application/pdf", "broken.pdf", "%PDF-1.4 and nothing"},
		[3]string{"application/octet-stream", "odd.bin", "\x00\x01\x02\x03"},
		[3]string{"application/x-msdownload", "p.exe", "MZ\x90\x00"},
	)
	m := read(t, x, raw)
	want := []struct {
		status mail.TextStatus
		text   string
	}{{mail.TextOK, "The harbour crane"}, {mail.TextOK, "The harbour crane"}, {mail.TextFailed, ""}, {mail.TextUnsupported, ""}, {mail.TextNone, ""}}
	for i, w := range want {
		p := m.Parts[i+2]
		if p.TextStatus != w.status || p.Text != w.text {
			t.Errorf("%s: %s, %q", p.FileName, p.TextStatus, p.Text)
		}
	}
	if e := m.Parts[2].Extractor; e == nil || e.Name != string(extract.PDF) || e.Version < 1 {
		t.Errorf("made by %+v", e)
	}
	var codes []string
	for _, d := range m.Defects {
		if strings.HasPrefix(d.Code, "EXT_") {
			codes = append(codes, d.Code)
		}
	}
	if got := strings.Join(codes, " "); got != "EXT_FAILED EXT_UNSUPPORTED" {
		t.Errorf("defects: %s", got)
	}
	started := x.pool.State().Started
	if again := read(t, x, raw); again.Parts[2].Text != "The harbour crane" || x.pool.State().Started != started {
		t.Errorf("read again: %+v", again.Parts[2])
	}
}

// What is switched off is skipped, and nothing is started.
func TestTextsOff(t *testing.T) {
	x := readingTexts(t, ", enabled: false")
	m := read(t, x, mailWith([3]string{"application/pdf", "a.pdf", string(demoPDF("text"))}, [3]string{"image/png", "a.png", "\x89PNG\r\n"}))
	if got := m.Parts[2].TextStatus; got != mail.TextSkipped {
		t.Errorf("a document: %s", got)
	}
	if got := m.Parts[3].TextStatus; got != mail.TextNone {
		t.Errorf("a picture: %s", got)
	}
}

// A mail without documents starts nothing.
func TestTextsOfPlainMail(t *testing.T) {
	x := readingTexts(t, "")
	read(t, x, []byte("From: a@example.org\r\n\r\nbody\r\n"))
	read(t, x, mailWith([3]string{"text/csv", "a.csv", "a,b"}, [3]string{"image/png", "a.png", "\x89PNG\r\n"}))
	if s := x.pool.State(); s.Started != 0 {
		t.Errorf("%+v", s)
	}
}

// The same octets in another charset are another text.
func TestTextsByCharset(t *testing.T) {
	x := readingTexts(t, "")
	m := read(t, x, mailWith([3]string{"application/csv; charset=koi8-r", "a.csv", "one,\xd4\xc5\xd3\xd4"}, [3]string{"application/csv; charset=iso-8859-1", "b.csv", "one,\xd4\xc5\xd3\xd4"}))
	got := []string{m.Parts[2].Text, m.Parts[3].Text}
	if !strings.Contains(got[0], "тест") || !strings.Contains(got[1], "ÔÅÓÔ") {
		t.Errorf("%q", got)
	}
}

// A message that has spent its budget gets no more texts.
func TestTextsBudget(t *testing.T) {
	x := readingTexts(t, "")
	raw := mailWith([3]string{"application/pdf", "a.pdf", string(demoPDF("text"))})
	m := parser.Parse(raw)
	for name, b := range map[string]budget{"time": {0, 1, 1}, "unpacked": {time.Second, 0, 1}, "text": {time.Second, 1, 0}} {
		a, err := x.read(t.Context(), bytes.NewReader(raw), &m.Parts[2], b)
		if err != nil || a.Status != mail.TextSkipped {
			t.Errorf("%s: %+v, %v", name, a.Status, err)
		}
	}
	a, err := x.read(t.Context(), bytes.NewReader(raw), &m.Parts[2], budget{time.Minute, 1 << 20, 2})
	if err != nil || a.Status != mail.TextTruncated || a.Text != "te" {
		t.Errorf("%+v, %v", a, err)
	}
	a, err = x.read(t.Context(), bytes.NewReader(raw), &m.Parts[2], budget{time.Minute, 1 << 20, 100})
	if err != nil || a.Status != mail.TextOK || a.Text != "text" {
		t.Errorf("what a small budget cut was kept: %+v, %v", a, err)
	}
}

// The texts that are kept stay within their number and size, those used last.
func TestRecent(t *testing.T) {
	r := newRecent(3, 100)
	key := func(i int) recentKey { return recentKey{extension: fmt.Sprint(i)} }
	answer := func(n int) worker.Answer { return worker.Answer{Result: extract.Result{Text: strings.Repeat("x", n)}} }
	kept := func() (all string) {
		for i := range 9 {
			if _, ok := r.byKey[key(i)]; ok {
				all += fmt.Sprint(i)
			}
		}
		return all
	}
	for i := range 3 {
		r.put(key(i), answer(10))
	}
	if _, ok := r.get(key(0)); !ok || kept() != "012" {
		t.Errorf("kept: %s", kept())
	}
	r.put(key(3), answer(10))
	if kept() != "023" {
		t.Errorf("the number is not kept: %s", kept())
	}
	r.put(key(4), answer(26))
	if kept() != "023" {
		t.Errorf("a large text drives out others: %s", kept())
	}
	r = newRecent(9, 100)
	for i := range 6 {
		r.put(key(i), answer(25))
	}
	if kept() != "2345" || r.held != 100 {
		t.Errorf("the size is not kept: %s, %d", kept(), r.held)
	}
}
