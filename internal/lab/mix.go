package lab

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// A Mix generates a stream of mail with the sizes and shapes of business mail:
// 70 % plain text of 2-8 KB, 20 % HTML with a text alternative of 10-40 KB, 9 %
// with an attachment of 50-500 KB, 1 % of 2-10 MB; some 100 KB in the mean.
// Words follow Zipf's law over an invented vocabulary. The same seed gives the
// same mail.
type Mix struct {
	seed  uint64
	words []string
	zipf  []uint16
}

const mixWords = 30_000

// NewMix returns the generator of a seed.
func NewMix(seed uint64) *Mix {
	m := &Mix{seed: seed, words: inventWords(mixWords), zipf: make([]uint16, 1<<16)}
	var sum, acc float64
	for i := range m.words {
		sum += math.Pow(float64(i+1), -0.9)
	}
	j := 0
	for i := range m.words {
		acc += math.Pow(float64(i+1), -0.9) / sum
		for ; j < int(acc*float64(len(m.zipf))) && j < len(m.zipf); j++ {
			m.zipf[j] = uint16(i)
		}
	}
	return m
}

func inventWords(n int) []string {
	r := rand.New(rand.NewPCG(42, 4242))
	words := strings.Fields("the of and to in a is that for it as was with be by on not he this are or his from at which but have an had they you were there one all we can her has their been if more when will would who so no")
	onset := strings.Fields("b br c ch d dr f fl g gr h j k l m n p pl pr qu r s sh sp st t tr v w z")
	nucleus := strings.Fields("a a a e e e i i i o o o u u ai ea ou io ä ö ü")
	coda := []string{"", "", "", "n", "r", "s", "t", "l", "m", "ng", "ck", "nd", "st"}
	seen := make(map[string]bool, n)
	for len(words) < n {
		var b strings.Builder
		for range 1 + r.IntN(4) {
			b.WriteString(onset[r.IntN(len(onset))] + nucleus[r.IntN(len(nucleus))] + coda[r.IntN(len(coda))])
		}
		if w := b.String(); !seen[w] {
			seen[w] = true
			words = append(words, w)
		}
	}
	return words
}

// Message returns message n of a mailbox, with LF line ends as a Maildir holds
// it.
func (m *Mix) Message(mailbox, n int) []byte {
	w := mixWriter{m: m, r: rand.New(rand.NewPCG(m.seed+uint64(mailbox)<<32, uint64(n)))}
	w.header(mailbox, n)
	switch x := w.r.IntN(100); {
	case x < 70:
		w.buf.WriteString("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n")
		w.text(w.between(1500, 7000))
	case x < 90:
		w.alternative(w.between(10_000, 40_000))
	case x < 99:
		w.attached(w.between(50_000, 500_000))
	default:
		w.attached(w.between(2_000_000, 10_000_000))
	}
	return w.buf.Bytes()
}

type mixWriter struct {
	m   *Mix
	r   *rand.Rand
	buf bytes.Buffer
}

func (w *mixWriter) between(a, b int) int { return a + w.r.IntN(b-a+1) }

// word follows Zipf's law, with now and then a rare word so that there is a
// tail.
func (w *mixWriter) word() string {
	x := w.r.Uint64()
	if x>>60 == 0 {
		return w.m.words[int(x&0xffffffff)%len(w.m.words)]
	}
	return w.m.words[w.m.zipf[x&0xffff]]
}

func (w *mixWriter) text(n int) {
	end, col := w.buf.Len()+n, 0
	for w.buf.Len() < end {
		word := w.word()
		if col+len(word) > 71 {
			w.buf.WriteByte('\n')
			col = 0
		} else if col > 0 {
			w.buf.WriteByte(' ')
			col++
		}
		w.buf.WriteString(word)
		col += len(word)
	}
	w.buf.WriteByte('\n')
}

func (w *mixWriter) header(mailbox, n int) {
	date := time.Date(2024, 1, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(n) * 7 * time.Minute).Format(time.RFC1123Z)
	p, q := w.r.IntN(500), w.r.IntN(500)
	fmt.Fprintf(&w.buf, "Return-Path: <person%d@corp%d.example>\n", p, p%17)
	fmt.Fprintf(&w.buf, "Received: from mx%d.corp%d.example (mx.example [192.0.2.%d])\n\tby mail.example with ESMTPS id %010X; %s\n", p%3, p%17, p%250+1, w.r.Uint64()&0xffffffffff, date)
	fmt.Fprintf(&w.buf, "Date: %s\nFrom: Person %d <person%d@corp%d.example>\nTo: box%d@lab.example\n", date, p, p, p%17, mailbox)
	if w.r.IntN(3) == 0 {
		fmt.Fprintf(&w.buf, "Cc: Person %d <person%d@corp%d.example>\n", q, q, q%17)
	}
	fmt.Fprintf(&w.buf, "Subject: %s %s %s %s\n", w.m.words[w.r.IntN(60)], w.m.words[20+w.r.IntN(40)], w.m.words[w.r.IntN(60)], w.m.words[20+w.r.IntN(40)])
	fmt.Fprintf(&w.buf, "Message-ID: <lab.%d.%d.%d@corp%d.example>\nMIME-Version: 1.0\n", w.m.seed, mailbox, n, p%17)
}

func (w *mixWriter) alternative(n int) {
	w.buf.WriteString("Content-Type: multipart/alternative; boundary=lab-alt\n\n--lab-alt\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n")
	w.text(n / 4)
	w.buf.WriteString("--lab-alt\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n<html><head><style>.b { color: #0366d6; padding: 4px }</style></head><body>\n")
	for end := w.buf.Len() + n*3/4; w.buf.Len() < end; {
		fmt.Fprintf(&w.buf, "<table width=\"600\"><tr><td class=\"b\" style=\"font-family:Arial\"><a href=\"https://corp%d.example/%d\">%s</a></td></tr></table>\n<p>", w.r.IntN(17), w.r.IntN(1e6), w.word())
		w.text(w.between(300, 800))
		w.buf.WriteString("</p>\n")
	}
	w.buf.WriteString("</body></html>\n--lab-alt--\n")
}

func (w *mixWriter) attached(n int) {
	ext := [...]string{"pdf", "jpeg", "zip"}[w.r.IntN(3)]
	w.buf.WriteString("Content-Type: multipart/mixed; boundary=lab-mix\n\n--lab-mix\nContent-Type: text/plain; charset=us-ascii\n\n")
	w.text(w.between(500, 2000))
	fmt.Fprintf(&w.buf, "--lab-mix\nContent-Type: application/%s; name=\"report.%s\"\nContent-Disposition: attachment; filename=\"report.%s\"\nContent-Transfer-Encoding: base64\n\n", ext, ext, ext)
	var raw [64]byte
	for end := w.buf.Len() + n; w.buf.Len() < end; {
		for i := 0; i < len(raw); i += 8 {
			binary.LittleEndian.PutUint64(raw[i:], w.r.Uint64())
		}
		w.buf.WriteString(base64.StdEncoding.EncodeToString(raw[:57]))
		w.buf.WriteByte('\n')
	}
	w.buf.WriteString("--lab-mix--\n")
}
