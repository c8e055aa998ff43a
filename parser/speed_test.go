package parser_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/quotedprintable"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-message"
	gomail "github.com/emersion/go-message/mail"

	"github.com/mailkeep/mailkeep/parser"
)

// The mails of the benchmarks are made here, so that anyone can repeat them:
// small ones of 5 to 6 KB as people and programs write them, and HTML ones of
// 38 KB as shops send them.

var benchWords = strings.Fields("the invoice for your order is attached please find below our offer of last week we would like to meet on " +
	"thursday to talk about the contract delivery of goods has been delayed until further notice regards grüße müller société naïve 12.50 € 2026")

func sentence(rng *rand.Rand, n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = benchWords[rng.IntN(len(benchWords))]
	}
	return "So " + strings.Join(words, " ") + "."
}

// transport returns the fields that servers add, as mail has today.
func transport(rng *rand.Rand) string {
	var sb strings.Builder
	for i := range 3 {
		fmt.Fprintf(&sb, "Received: from mx%d.example.org (mx%d.example.org [192.0.2.%d])\r\n\tby in.example.net (Postfix) with ESMTPS id %X\r\n\tfor <ann@example.net>; Tue, 24 Nov 2026 09:15:0%d +0100 (CET)\r\n", i, i, rng.IntN(250), rng.Uint32(), 9-i)
	}
	sig := base64.StdEncoding.EncodeToString(octets(rng, 256))
	fmt.Fprintf(&sb, "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=s1;\r\n\th=from:to:subject:date:message-id:mime-version:content-type;\r\n\tbh=%s;\r\n\tb=%s\r\n\t %s\r\n", sig[:44], sig[:170], sig[170:])
	fmt.Fprintf(&sb, "Authentication-Results: in.example.net; dkim=pass header.d=example.org; spf=pass\r\n\tsmtp.mailfrom=example.org\r\nReturn-Path: <bounce-%d@example.org>\r\n", rng.Uint32())
	return sb.String()
}

func octets(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func head(rng *rand.Rand) string {
	return transport(rng) + fmt.Sprintf("From: =?utf-8?Q?J=C3=B6rg_M=C3=BCller?= <joerg.%d@example.org>\r\nTo: Ann Example <ann@example.net>, \"Doe, Jane\" <jane@example.net>\r\nCc: team@example.net\r\n"+
		"Subject: Re: %s\r\nDate: Tue, %02d Nov 2026 %02d:15:00 +0100\r\nMessage-ID: <%x.%x@example.org>\r\nIn-Reply-To: <%x@example.net>\r\nReferences: <%x@example.net>\r\n <%x@example.org>\r\n"+
		"MIME-Version: 1.0\r\nX-Mailer: Mail 16.0\r\n", rng.IntN(1000), "Your order "+strconv.Itoa(rng.IntN(1e6)), 1+rng.IntN(28), rng.IntN(24), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64())
}

func encoded(cte, body string) string {
	var sb strings.Builder
	switch cte {
	case "quoted-printable":
		w := quotedprintable.NewWriter(&sb)
		io.WriteString(w, body)
		w.Close()
	case "base64":
		text := base64.StdEncoding.EncodeToString([]byte(body))
		for len(text) > 76 {
			sb.WriteString(text[:76] + "\r\n")
			text = text[76:]
		}
		sb.WriteString(text + "\r\n")
	default:
		return body
	}
	return sb.String()
}

var transferEncodings = []string{"quoted-printable", "base64", "8bit"}

func smallMails(n int) [][]byte {
	rng := rand.New(rand.NewPCG(5, 6))
	mails := make([][]byte, n)
	for i := range mails {
		var body strings.Builder
		for body.Len() < 3000 {
			body.WriteString(sentence(rng, 10) + "\r\n")
		}
		cte := transferEncodings[i%3]
		mails[i] = []byte(head(rng) + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: " + cte + "\r\n\r\n" + encoded(cte, body.String()))
	}
	return mails
}

func htmlMails(n int) [][]byte {
	rng := rand.New(rand.NewPCG(7, 8))
	mails := make([][]byte, n)
	for i := range mails {
		var page, plain strings.Builder
		page.WriteString("<!DOCTYPE html><html><head><title>News</title><style>\r\n.a{color:#333;font:14px Arial} td{padding:4px}\r\n</style></head><body><table width=\"600\">\r\n")
		for page.Len() < 25_000 {
			s := sentence(rng, 9)
			fmt.Fprintf(&page, "<tr><td style=\"font-family:Arial,sans-serif;font-size:14px;color:#333333;padding:8px 16px\"><a href=\"https://example.org/c/%x?u=%x&amp;m=1\" target=\"_blank\"\r\n style=\"color:#0066cc;text-decoration:none\">%s</a>&nbsp;<b>%d</b> &euro;<br><img src=\"https://example.org/i/%x.png\" width=\"40\" height=\"40\" alt=\"\"></td></tr>\r\n", rng.Uint64(), rng.Uint64(), s, rng.IntN(900), rng.Uint32())
			plain.WriteString(s + "\r\n")
		}
		page.WriteString("</table></body></html>\r\n")
		cte := transferEncodings[i%3]
		mails[i] = []byte(head(rng) + "Content-Type: multipart/alternative; boundary=\"=_b1\"\r\n\r\n--=_b1\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: " + cte + "\r\n\r\n" +
			encoded(cte, plain.String()) + "\r\n--=_b1\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: " + cte + "\r\n\r\n" + encoded(cte, page.String()) + "\r\n--=_b1--\r\n")
	}
	return mails
}

func BenchmarkSmallMails(b *testing.B) { benchmarkBeside(b, smallMails(300)) }

func BenchmarkHTMLMails(b *testing.B) { benchmarkBeside(b, htmlMails(60)) }

// benchmarkBeside times this parser, go-message, and where they are installed
// GMime and Python's email, on the same mails in one run. The figures that count
// are those of processor time, "cpu-".
func benchmarkBeside(b *testing.B, mails [][]byte) {
	b.Run("mailkeep", func(b *testing.B) { benchmarkCPU(b, mails, func(m []byte) { parser.Parse(m) }) })
	b.Run("go-message", func(b *testing.B) { benchmarkCPU(b, mails, goMessage) })
	b.Run("GMime", func(b *testing.B) {
		if exec.CommandContext(b.Context(), "pkg-config", "--exists", "gmime-3.0").Run() != nil {
			b.Skip("GMime 3 is not installed (Debian: libgmime-3.0-dev)")
		}
		benchmarkDriver(b, mails, 20, gmimeDriver(b))
	})
	b.Run("Python", func(b *testing.B) { benchmarkDriver(b, mails, 2, "python3", "testdata/compare/reference.py") })
}

func benchmarkCPU(b *testing.B, mails [][]byte, parse func([]byte)) {
	size := 0
	for _, m := range mails {
		size += len(m)
	}
	b.SetBytes(int64(size / len(mails)))
	b.ReportAllocs()
	i, start := 0, cpuTime(b)
	for b.Loop() {
		parse(mails[i%len(mails)])
		i++
	}
	report(b, cpuTime(b)-start, i, size/len(mails))
}

func report(b *testing.B, took time.Duration, n, size int) {
	b.ReportMetric(float64(n)/took.Seconds(), "cpu-mails/s")
	b.ReportMetric(float64(n)*float64(size)/1e6/took.Seconds(), "cpu-MB/s")
}

// benchmarkDriver lets another program read the mails and tell its own time.
func benchmarkDriver(b *testing.B, mails [][]byte, rounds int, command ...string) {
	dir, size := b.TempDir(), 0
	for i, m := range mails {
		size += len(m)
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)+".eml"), m, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	args := append(command[1:], "--time", dir, strconv.Itoa(len(mails)), strconv.Itoa(rounds))
	var took time.Duration
	runs := 0
	for b.Loop() {
		out, err := exec.CommandContext(b.Context(), command[0], args...).Output()
		if err != nil {
			b.Fatal(err)
		}
		seconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			b.Fatal(err)
		}
		took += time.Duration(seconds * float64(time.Second))
		runs++
	}
	report(b, took, runs*rounds*len(mails), size/len(mails))
}

// cpuTime is the processor time of this process, the collector's included.
func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// goMessage reads a mail as a program with go-message alone does: the fields of
// the record and every body, without texts and digests.
func goMessage(b []byte) {
	e, err := message.Read(bytes.NewReader(b))
	if err != nil && !message.IsUnknownCharset(err) {
		return
	}
	h := gomail.Header{Header: e.Header}
	for _, field := range []string{"From", "To", "Cc"} {
		h.AddressList(field)
	}
	h.Subject()
	h.Date()
	h.MessageID()
	h.MsgIDList("References")
	e.Walk(func(_ []int, part *message.Entity, err error) error {
		if err == nil && part.MultipartReader() == nil {
			io.Copy(io.Discard, part.Body)
		}
		return nil
	})
}

// gmimeDriver builds the driver of GMime.
func gmimeDriver(tb testing.TB) string {
	tb.Helper()
	flags, err := exec.CommandContext(tb.Context(), "pkg-config", "--cflags", "--libs", "gmime-3.0").Output()
	if err != nil {
		tb.Fatalf("GMime 3 is missing (Debian: libgmime-3.0-dev pkg-config gcc): %v", err)
	}
	bin := filepath.Join(tb.TempDir(), "gmime")
	args := append([]string{"-O2", "-o", bin, "testdata/compare/gmime.c"}, strings.Fields(string(flags))...)
	if out, err := exec.CommandContext(tb.Context(), "cc", args...).CombinedOutput(); err != nil {
		tb.Fatalf("%v: %s", err, fmt.Sprintf("%.2000s", out))
	}
	return bin
}
