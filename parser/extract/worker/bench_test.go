package worker

import (
	"bytes"
	"testing"
)

// BenchmarkStart measures a process from its start until it has read a small
// document.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		p := newPool(b, Options{Workers: 1})
		ask(b, p, document("a.txt", "text/plain", []byte("text")))
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkText measures documents in a process that runs, by their size.
func BenchmarkText(b *testing.B) {
	for name, size := range map[string]int{"1k": 1 << 10, "1M": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			p := newPool(b, Options{Workers: 1})
			text := bytes.Repeat([]byte("words of a text "), size/16)
			b.SetBytes(int64(size))
			for b.Loop() {
				ask(b, p, document("a.txt", "text/plain", text))
			}
		})
	}
}

// BenchmarkPDF measures a document of one page in a process that runs.
func BenchmarkPDF(b *testing.B) {
	p := newPool(b, Options{Workers: 1})
	for b.Loop() {
		ask(b, p, document("scan.pdf", "application/pdf", drawnPDF()))
	}
}
