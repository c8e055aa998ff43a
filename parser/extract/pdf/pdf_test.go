package pdf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// open returns an engine. What it compiles is kept for all test runs of a user
// on the machine.
func open(t testing.TB) *Engine {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = t.TempDir()
	}
	dir = filepath.Join(dir, "mailkeep")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	e, err := Open(t.Context(), Options{CacheDir: dir, Memory: 256 << 20, Compilers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return e
}

// write makes a PDF document whose pages have the content streams.
func write(pages ...string) []byte {
	var b bytes.Buffer
	var offsets []int
	object := func(format string, args ...any) {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", len(offsets), fmt.Sprintf(format, args...))
	}
	b.WriteString("%PDF-1.4\n")
	object("<</Type/Catalog/Pages 2 0 R>>")
	var kids strings.Builder
	for i := range pages {
		fmt.Fprintf(&kids, "%d 0 R ", 4+2*i)
	}
	object("<</Type/Pages/Count %d/Kids[%s]>>", len(pages), kids.String())
	object("<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>")
	for i, p := range pages {
		object("<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 3 0 R>>>>/Contents %d 0 R>>", 5+2*i)
		object("<</Length %d>>stream\n%s\nendstream", len(p), p)
	}
	table := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, at := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&b, "trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, table)
	return b.Bytes()
}

// line is a content stream that shows a line of text.
func line(text string) string { return "BT /F 14 Tf 60 700 Td (" + text + ") Tj ET" }

const drawing = "0 0 1 rg 100 100 200 200 re f"

func TestText(t *testing.T) {
	e := open(t)
	r, err := e.Text(t.Context(), write(line("The harbour crane"), "", drawing, line("caf\\351 in M\\374nchen")), 1000, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := "The harbour crane\fcafé in München"; r.Text != want || r.Pages != 4 || r.Scans != 1 || r.Damaged != 0 || r.Cut {
		t.Errorf("%+v", r)
	}
}

// A limit is kept, whether it ends in a page or between two.
func TestTextLimit(t *testing.T) {
	e := open(t)
	doc := write(line("one two three"), line("four"), line("five"))
	for limit, want := range map[int]string{0: "", 3: "one", 13: "one two three", 16: "one two three\ffo", 18: "one two three\ffour"} {
		r, err := e.Text(t.Context(), doc, limit, nil)
		if err != nil || r.Text != want || !r.Cut {
			t.Errorf("%d: %+v, %v", limit, r, err)
		}
	}
	if r, err := e.Text(t.Context(), doc, 23, nil); err != nil || r.Cut || len(r.Text) != 23 {
		t.Errorf("a limit that is not reached: %+v, %v", r, err)
	}
}

// What is not PDF, or only half of one, is damaged or read as far as it goes,
// and the engine goes on.
func TestDamaged(t *testing.T) {
	e := open(t)
	whole := write(line("The harbour crane"))
	for _, doc := range [][]byte{nil, []byte("%PDF-1.4"), []byte("no document"), whole[:40]} {
		if r, err := e.Text(t.Context(), doc, 1000, nil); !errors.Is(err, ErrDamaged) || r.Text != "" {
			t.Errorf("%.20q: %+v, %v", doc, r, err)
		}
	}
	for i := range whole {
		doc := bytes.Clone(whole)
		doc[i] ^= 0x55
		if i%7 == 0 {
			_, _ = e.Text(t.Context(), doc[:len(doc)-i/7], 1000, nil) // that it returns is what is tested
		}
	}
	if r, err := e.Text(t.Context(), whole, 1000, nil); err != nil || r.Text != "The harbour crane" {
		t.Errorf("after damaged ones: %+v, %v", r, err)
	}
}

// A page without text that shows something is shown to OCR.
func TestScan(t *testing.T) {
	e := open(t)
	var pages []int
	r, err := e.Text(t.Context(), write(line("text"), drawing), 1000, func(page int, picture []byte) string {
		pages = append(pages, page)
		var w, h int
		if _, err := fmt.Sscanf(string(picture), "P5\n%d %d\n255\n", &w, &h); err != nil || w < 1000 || h < 1400 || w*h > scanPixels {
			t.Errorf("a picture of %d x %d, %v", w, h, err)
		}
		dark := 0
		for _, shade := range picture[len(picture)-w*h:] {
			if shade < 200 {
				dark++
			}
		}
		if share := float64(dark) / float64(w*h); share < 0.05 || share > 0.12 {
			t.Errorf("%.3f of the picture has the shade of the drawing", share)
		}
		return "seen"
	})
	if err != nil || r.Text != "text\fseen" || len(pages) != 1 || pages[0] != 1 {
		t.Errorf("%+v, %v, %v", r, pages, err)
	}
}

func TestPixels(t *testing.T) {
	for _, size := range [][2]float64{{595, 842}, {14400, 14400}, {1e9, 1}, {0, 0}} {
		if w, h := pixels(size[0], size[1]); w < 1 || h < 1 || w*h > scanPixels {
			t.Errorf("%v: %d x %d", size, w, h)
		}
	}
}

func BenchmarkText(b *testing.B) {
	e := open(b)
	doc := write(line("The harbour crane"), line("was inspected"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Text(b.Context(), doc, 1000, nil); err != nil {
			b.Fatal(err)
		}
	}
}
