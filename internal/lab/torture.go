package lab

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Torture returns count messages that POP3 clients and servers have stumbled
// over: everything in them that looks like the protocol, breaks lines in other
// ways, or has no right to be in mail. Lines end in LF as a delivery agent on
// Unix writes them, except where that is the torture. Two messages are of 1 MB
// and one of 10 MB; every twentieth repeats an earlier one, octet by octet. The
// same seed gives the same messages.
func Torture(seed uint64, count int) [][]byte {
	all := make([][]byte, 0, count)
	for n := range count {
		w := &torturer{r: rand.New(rand.NewPCG(seed, uint64(n))), n: n}
		switch {
		case n > 20 && n%20 == 19:
			all = append(all, all[w.r.IntN(n)])
		case n == 100, n == 200:
			all = append(all, w.large(1<<20))
		case n == 300:
			all = append(all, w.large(10<<20))
		default:
			all = append(all, tortures[n%len(tortures)].make(w))
		}
	}
	return all
}

// A torturer makes one message.
type torturer struct {
	r *rand.Rand
	n int
}

// header returns a plain header, without the empty line behind it.
func (w *torturer) header() string {
	return fmt.Sprintf("Return-Path: <sender%d@example.org>\nDate: Mon, 01 Jan 2024 10:%02d:%02d +0000\nFrom: sender%d@example.org\nTo: lab@example.org\nSubject: torture %d\nMessage-ID: <torture.%d@example.org>\n",
		w.n%7, w.n/60%60, w.n%60, w.n%7, w.n, w.n)
}

// with returns a message with the body.
func (w *torturer) with(body string) []byte { return []byte(w.header() + "\n" + body) }

// line returns text of the length, without a line end.
func (w *torturer) line(length int) string {
	b := make([]byte, length)
	for i := range b {
		b[i] = byte('a' + w.r.IntN(26))
	}
	return string(b)
}

// large returns a message with an attachment of about so many octets.
func (w *torturer) large(octets int) []byte {
	raw := make([]byte, octets/4*3)
	for i := range raw {
		raw[i] = byte(w.r.Uint32())
	}
	var b bytes.Buffer
	b.WriteString(w.header() + "MIME-Version: 1.0\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n")
	for s := base64.StdEncoding.EncodeToString(raw); s != ""; {
		n := min(76, len(s))
		b.WriteString(s[:n] + "\n")
		s = s[n:]
	}
	return b.Bytes()
}

// soup returns a body of the octets that matter to POP3, at random.
func (w *torturer) soup(length int) []byte {
	const bits = "\r\n..+-\x00\xff \tOKERFrom>"
	var b bytes.Buffer
	for b.Len() < length {
		if w.r.IntN(3) == 0 {
			b.WriteString("\r\n")
		}
		b.WriteByte(bits[w.r.IntN(len(bits))])
	}
	return b.Bytes()
}

// crlf gives a message the line ends of the wire.
func crlf(raw []byte) []byte { return bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n")) }

// wire puts octets into a message whose lines end in CR LF otherwise, so that
// servers store and serve them as they are.
func (w *torturer) wire(octets string) []byte {
	return append(crlf(w.with("before\n")), octets+"\r\nafter\r\n"...)
}

// tortures are the kinds of messages, in turn.
var tortures = []struct {
	name string
	make func(*torturer) []byte
}{
	{"plain", func(w *torturer) []byte { return w.with(w.line(70) + "\n" + w.line(w.r.IntN(900)) + "\n") }},
	{"dot lines", func(w *torturer) []byte { return w.with(".\n..\n...\n.x\n. \n.\n" + w.line(10) + "\n.\n") }},
	{"only a dot", func(w *torturer) []byte { return w.with(".\n") }},
	{"dot first in the header", func(w *torturer) []byte { return []byte(".X-First: dot\n" + string(w.with("body\n"))) }},
	{"dot last without line end", func(w *torturer) []byte { return w.with("ends with a dot\n.") }},
	{"bare LF dot LF", func(w *torturer) []byte { return w.wire("x\n.\ny") }},
	{"bare LF", func(w *torturer) []byte { return w.wire("one\ntwo\n\nthree") }},
	{"CR dot CR LF", func(w *torturer) []byte { return w.wire("x\r.\r\ny") }},
	{"LF dot CR LF", func(w *torturer) []byte { return w.wire("x\n.\r\ny") }},
	{"bare CR", func(w *torturer) []byte { return w.with("a\rb\r\rc\n\rd\n") }},
	{"CR CR LF", func(w *torturer) []byte { return w.with("a\r\r\nb\r\r\n.\r\r\n") }},
	{"CR LF line ends", func(w *torturer) []byte { return crlf(w.with("one\n.two\n\n")) }},
	{"mixed line ends", func(w *torturer) []byte { return w.with("lf\ncrlf\r\nlf\n.\r\n.\n") }},
	{"NUL", func(w *torturer) []byte {
		return w.with("before\x00after\n\x00\n" + strings.Repeat("\x00", 1+w.r.IntN(50)) + "\n")
	}},
	{"NUL within a line", func(w *torturer) []byte { return w.with("before\x00after\nlast\n") }},
	{"8 bit", func(w *torturer) []byte { return w.with("Gr\xfc\xdfe \xe9\xe8 Grüße \u20ac\n") }},
	{"8 bit in the header", func(w *torturer) []byte {
		return []byte("X-Raw: gr\xfc\xdfe\nX-Utf8: Grüße\n" + string(w.with("body\n")))
	}},
	{"0xFF", func(w *torturer) []byte {
		return w.with(strings.Repeat("\xff", 1+w.r.IntN(300)) + "\n\xff\xfb\x01\n.\xff\n")
	}},
	{"UTF-16", func(w *torturer) []byte { return w.with("\xff\xfeH\x00i\x00\n\x00.\x00\n\x00") }},
	{"line of a buffer and a dot", func(w *torturer) []byte { return w.with(w.line(4096) + ".\n" + w.line(8192) + ".\n.") }},
	{"very long line", func(w *torturer) []byte { return w.with(w.line(1000+w.r.IntN(60_000)) + "\n.after\n") }},
	{"long header", func(w *torturer) []byte {
		return []byte("X-Long: " + w.line(5000) + "\nReferences:" + strings.Repeat("\n\t<ref@example.org>", 300) + "\n" + string(w.with("body\n")))
	}},
	{"empty body", func(w *torturer) []byte { return w.with("") }},
	{"empty lines", func(w *torturer) []byte { return w.with(strings.Repeat("\n", 1+w.r.IntN(20))) }},
	{"header alone", func(w *torturer) []byte { return []byte(w.header()) }},
	{"nothing", func(*torturer) []byte { return nil }},
	{"no header", func(w *torturer) []byte { return []byte("\nbody alone " + w.line(20) + "\n") }},
	{"one octet", func(w *torturer) []byte { return []byte("x") }},
	{"no line end at the end", func(w *torturer) []byte { return w.with(w.line(20) + "\nlast") }},
	{"status lines", func(w *torturer) []byte { return w.with("+OK\n-ERR no\n+OK 12 octets\n-ERR [IN-USE] x\n+ \n") }},
	{"From_ lines", func(w *torturer) []byte {
		return w.with("From here\n\nFrom lab@example.org Mon Jan  1 10:00:00 2024\n>From there\n")
	}},
	{"From_ first", func(w *torturer) []byte {
		return append([]byte("From lab@example.org Mon Jan  1 10:00:00 2024\n"), w.with("body\n")...)
	}},
	{"duplicate message-id", func(w *torturer) []byte {
		return fmt.Appendf(nil, "From: a@example.org\nMessage-ID: <same@example.org>\n\ndiffers: %d\n", w.n)
	}},
	{"commands", func(w *torturer) []byte { return w.with("QUIT\nDELE 1\nRSET\n.\nQUIT\n") }},
	{"soup", func(w *torturer) []byte { return append(crlf(w.with("")), w.soup(1+w.r.IntN(3000))...) }},
	{"soup alone", func(w *torturer) []byte { return append([]byte{'x'}, w.soup(1+w.r.IntN(300))...) }},
}
