package worker

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// standIn writes a program that is called as tesseract is, and says the first
// octets of the picture.
func standIn(t *testing.T, script string) *OCR {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ocr")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return &OCR{Program: file, Languages: []string{"eng", "deu"}}
}

func picture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Pictures, and pages of PDF that are pictures, are read by another program.
func TestOCR(t *testing.T) {
	p := newPool(t, Options{Workers: 1, OCR: standIn(t, `head -c 2; cat >/dev/null; echo " seen as $*"`)})
	a := ask(t, p, document("scan.png", "image/png", picture(t)))
	if a.Status != mail.TextOK || !strings.HasSuffix(a.Text, "P seen as stdin stdout -l eng+deu") {
		t.Errorf("a picture: %+v", a)
	}
	a = ask(t, p, document("scan.pdf", "application/pdf", drawnPDF()))
	if a.Status != mail.TextOK || a.Text != "P5 seen as stdin stdout -l eng+deu" || a.Extractor.Name != "pdf" {
		t.Errorf("a page that is a picture: %+v", a)
	}
}

// Without OCR a document of pictures is not claimed to be read.
func TestNoOCR(t *testing.T) {
	p := newPool(t, Options{Workers: 1})
	if a := ask(t, p, document("scan.pdf", "application/pdf", drawnPDF())); a.Status != mail.TextUnsupported || a.Detail == "" {
		t.Errorf("%+v", a)
	}
	if a := ask(t, p, document("scan.png", "image/png", picture(t))); a.Status != mail.TextNone {
		t.Errorf("%+v", a)
	}
}

// A program that fails, or says too much, costs the text of the picture.
func TestOCRFails(t *testing.T) {
	if raceEnabled {
		t.Log("run without the race detector, under which processes start slowly")
		return
	}
	for script, want := range map[string]mail.TextStatus{
		"exit 3":            mail.TextFailed,
		"exec yes":          mail.TextTruncated,
		"cat >/dev/null":    mail.TextOK,
		"head -c 1; exit 0": mail.TextOK, // it need not read all
	} {
		p := newPool(t, Options{Workers: 1, OCR: standIn(t, script)})
		if a := ask(t, p, document("scan.png", "image/png", picture(t))); a.Status != want {
			t.Errorf("%s: %+v", script, a.Status)
		}
	}
}

// A program that hangs costs the text of its picture, and no more time than the
// document has, also where what hangs is a program that it started. Pictures
// that come later are skipped, and the document keeps its other text.
func TestOCRHangs(t *testing.T) {
	if raceEnabled {
		t.Log("run without the race detector, under which processes start slowly")
		return
	}
	// Half of six times this is for pictures.
	p := newPool(t, Options{Workers: 1, Timeout: 200 * time.Millisecond, OCR: standIn(t, "sleep 3600; echo never")})
	read := p.pictures(t.Context(), wallFactor*p.o.Timeout)
	if r := read(picture(t)); r.Status != mail.TextTimeout || r.Text != "" {
		t.Errorf("a picture that takes for ever: %+v", r)
	}
	if r := read(picture(t)); r.Status != mail.TextSkipped || r.Detail == "" {
		t.Errorf("the next one: %+v", r)
	}
}

// What the program may do is bounded: it writes no file.
func TestOCRIsBound(t *testing.T) {
	if raceEnabled {
		t.Log("run without the race detector, under which processes start slowly")
		return
	}
	dir := t.TempDir()
	p := newPool(t, Options{Workers: 1, OCR: standIn(t, fmt.Sprintf("cat >/dev/null; echo x >%s/written; cat %s/secret; echo done", dir, dir))})
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := ask(t, p, document("scan.png", "image/png", picture(t)))
	if b, err := os.ReadFile(filepath.Join(dir, "written")); err == nil && len(b) > 0 {
		t.Error("the program wrote a file")
	}
	for _, g := range p.State().Guards {
		if g.Name == GuardLandlock && g.Missing == "" && strings.Contains(a.Text, "secret") {
			t.Error("the program read a file")
		}
	}
}

// letters are pictures of letters, five by seven.
var letters = map[rune]string{
	'H': "#...# #...# #...# ##### #...# #...# #...#",
	'E': "##### #.... #.... ####. #.... #.... #####",
	'L': "#.... #.... #.... #.... #.... #.... #####",
	'O': ".###. #...# #...# #...# #...# #...# .###.",
	'T': "##### ..#.. ..#.. ..#.. ..#.. ..#.. ..#..",
}

// lettering is a picture of a word.
func lettering(t *testing.T, word string) []byte {
	t.Helper()
	const dot = 10
	m := image.NewGray(image.Rect(0, 0, dot*(8*len(word)+8), dot*23))
	for i := range m.Pix {
		m.Pix[i] = 255
	}
	for at, letter := range word {
		for y, row := range strings.Fields(letters[letter]) {
			for x, c := range row {
				if c == '#' {
					draw.Draw(m, image.Rect(0, 0, dot, dot).Add(image.Pt(dot*(8+8*at+x), dot*(8+y))), image.Black, image.Point{}, draw.Src)
				}
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The program itself, where it is installed: in its bounds it finds its data
// and reads.
func TestTesseract(t *testing.T) {
	if raceEnabled {
		t.Log("run without the race detector, under which processes start slowly")
		return
	}
	program, err := FindOCR()
	if err != nil {
		t.Log("tesseract is not installed; stand-ins are tested")
		return
	}
	p := newPool(t, Options{Workers: 1, OCR: &OCR{Program: program, Languages: []string{"eng"}}})
	if a := ask(t, p, document("word.png", "image/png", lettering(t, "HOTEL"))); a.Status != mail.TextOK || a.Text != "HOTEL" {
		t.Errorf("%+v", a)
	}
	p = newPool(t, Options{Workers: 1, OCR: &OCR{Program: program, Languages: []string{"none"}}})
	if a := ask(t, p, document("word.png", "image/png", lettering(t, "HOTEL"))); a.Status != mail.TextFailed {
		t.Errorf("a language that is not there: %+v", a)
	}
}

// drawnPDF is a document of one page that shows a square.
func drawnPDF() []byte {
	const content = "0 0 1 rg 100 100 200 200 re f"
	return fmt.Appendf(nil, "%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>endobj "+
		"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>endobj 4 0 obj<</Length %d>>stream\n%s\nendstream endobj\ntrailer<</Root 1 0 R>>\n", len(content), content)
}
