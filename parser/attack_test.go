package parser_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/parser"
)

// attackBound is the processor time that any of the attacks may take; they take a
// small part of it. go-message and others need more than 15 s for most.
const attackBound = 10 * slowdown * time.Second

func repeatf(n int, format string) string {
	var sb strings.Builder
	for i := range n {
		fmt.Fprintf(&sb, format, i)
	}
	return sb.String()
}

const mb = 1 << 20

// attacks are inputs that are quadratic or worse for some reader of mail.
func attacks() map[string]string {
	return map[string]string{
		"message-id comment":        "Message-ID: (" + strings.Repeat("c", 900<<10) + ") <a@b>\n\nx",
		"message-id nested comment": "Message-ID: " + strings.Repeat("(", 900<<10) + "\n\nx",
		"message-id angles":         "References: " + strings.Repeat("<", 900<<10) + "\n\nx",
		"references":                "References: " + repeatf(60_000, "<%d@b> ") + "\n\nx",
		"address comments":          "To: " + strings.Repeat("(", 500<<10) + "\n\nx",
		"address quotes":            "To: " + strings.Repeat("\"\\", 300<<10) + "\n\nx",
		"address angles":            "To: " + strings.Repeat("<", 500<<10) + "\n\nx",
		"address colons":            "To: " + strings.Repeat("a:", 400<<10) + "\n\nx",
		"addresses":                 "To: " + repeatf(40_000, "u%d@example.org, ") + "\n\nx",
		"address words":             "To: " + strings.Repeat("=?utf-8?Q?", 80<<10) + "\n\nx",
		"small address list":        "To: " + strings.Repeat("(((((", 12<<10) + "\n\nx",
		"unfinished words":          "Subject: " + strings.Repeat("=?utf-8?Q?", 90<<10) + "?=\n\nx",
		"question marks":            "Subject: =?a?Q?" + strings.Repeat("?", 900<<10) + "\n\nx",
		"words":                     "Subject: " + strings.Repeat("=?utf-8?Q?a?= ", 60<<10) + "\n\nx",
		"parameters":                "Content-Type: text/plain" + repeatf(50_000, "; a*%d*=%%41") + "\n\nx",
		"fields":                    strings.Repeat("a:\n", 300<<10) + "\nx",
		"continuations":             "Subject: a\n" + strings.Repeat(" \n", 400<<10) + "\nx",
		"junk lines":                "Subject: a\n" + strings.Repeat("junk\njunk\njunk\na:b\n", 50<<10) + "\nx",
		"lost folds":                "Subject: a;\n" + strings.Repeat("junk;\n", 150<<10) + "\nx",
		"nested multiparts 1,000":   nestedMultiparts(1_000),
		"nested multiparts 10,000":  nestedMultiparts(10_000),
		"nested messages":           strings.Repeat("Content-Type: message/rfc822\n\n", 30_000) + "x",
		"empty parts":               "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\n", mb) + "--b--\n",
		"missing boundaries":        nestedWithoutBoundary(2_000),
		"candidate lines":           "Content-Type: multipart/mixed\n\n" + repeatf(200_000, "--t%d\n"),
		"dashes":                    "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("-", 8*mb),
		"dashed lines":              nestedMultiparts(60) + strings.Repeat("--\n--x\n", mb/2),
		"one line":                  "Subject: s\n\n" + strings.Repeat("a", 8*mb),
		"line feeds":                "Subject: s\n\n" + strings.Repeat("\n", 4*mb),
		"html tags":                 "Content-Type: text/html\n\n" + strings.Repeat("<b>", mb),
		"html open brackets":        "Content-Type: text/html\n\n" + strings.Repeat("<", 2*mb),
		"html styles":               "Content-Type: text/html\n\n" + strings.Repeat("<style>", mb/2),
		"html attributes":           "Content-Type: text/html\n\n<a " + repeatf(100_000, "a%d=b ") + ">x",
		"html entities":             "Content-Type: text/html\n\n" + strings.Repeat("&amp", mb),
		"html comments":             "Content-Type: text/html\n\n" + strings.Repeat("<!--", mb),
		"qp":                        "Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("=", 4*mb),
		"qp spaces":                 "Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat(" ", 8*mb),
		"base64 padding":            "Content-Transfer-Encoding: base64\n\n" + strings.Repeat("A===\n", mb),
		"uu":                        "Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n" + strings.Repeat("M", 4*mb),
		"utf-7":                     "Content-Type: text/plain; charset=utf-7\n\n" + strings.Repeat("+", 2*mb),
		"date":                      "Date: " + strings.Repeat("1 ", 400<<10) + "\n\nx",
		"NUL":                       strings.Repeat("\x00", 2*mb),
		"CR":                        strings.Repeat("\r", 2*mb),
		"doubled boundaries":        "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n", mb),
		"subject prefixes":          "Subject: " + strings.Repeat("Re: [a] ", 100<<10) + "\n\nx",
		"subject brackets":          "Subject: " + strings.Repeat("[", 900<<10) + "\n\nx",
		"report":                    "Content-Type: message/delivery-status\n\n" + strings.Repeat("Final-Recipient: rfc822;a@b\n\n", mb/30),
		"report continuations":      "Content-Type: message/delivery-status\n\nStatus: a\n" + strings.Repeat(" b\n", mb/3),
		"signed object":             "Content-Type: application/pkcs7-mime\n\n" + strings.Repeat("\x30\x80", mb/2),
		"signed pieces":             "Content-Type: application/pkcs7-mime\n\n" + signedObject(open, strings.Repeat("\x24\x80", mb/2)),
		"armour lines":              "Subject: s\n\n" + strings.Repeat("-----BEGIN PGP -----BEGIN PGP ", mb/30),
		"html end tags":             "Content-Type: text/html\n\n<title>" + strings.Repeat("</titl", mb/6),
		"html dashes":               "Content-Type: text/html\n\n<!--" + strings.Repeat("-", mb),
		"html quotes":               "Content-Type: text/html\n\n" + strings.Repeat("<a b='", mb/6),
		"html references":           "Content-Type: text/html\n\n" + strings.Repeat("&#", mb/2),
		"address brackets":          "To: " + strings.Repeat("<a@b> ", 100<<10) + "\n\nx",
		"address dots":              "To: a@b" + strings.Repeat(" . ", 200<<10) + "\n\nx",
		"boundary parameter":        "Content-Type: multipart/mixed" + repeatf(20_000, "; boundary*%d=x") + "\n\nx",
	}
}

func TestAttacks(t *testing.T) {
	t.Parallel()
	for name, in := range attacks() {
		if raceEnabled { // which sees no more in more octets
			in = in[:min(len(in), mb/4)]
		}
		took, err := processorTime(func() error { return check([]byte(in), parser.Limits{}) })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if took > attackBound {
			t.Errorf("%s: %v of processor time for %d octets", name, took, len(in))
		}
	}
}

// TestWorstMegabyte measures the processor time that an attack of a megabyte
// costs. The goal is half a second; the bound leaves room for slow machines and
// is far below what any quadratic reading takes.
func TestWorstMegabyte(t *testing.T) {
	if raceEnabled {
		t.Log("run without the race detector, which changes what things cost")
		return
	}
	const bound = 3 * time.Second
	worst, worstName := time.Duration(0), ""
	for name, in := range attacks() {
		b := []byte(in[:min(len(in), mb)])
		took, _ := processorTime(func() error { parser.Parse(b); return nil })
		if took > worst {
			worst, worstName = took, name
		}
		if took > bound {
			t.Errorf("%s: %v of processor time for %d octets", name, took, len(b))
		}
	}
	t.Logf("the worst is %q: %v of processor time", worstName, worst)
}

// processorTime returns how much processor time f takes, so that it does not
// count what else the machine has to do.
func processorTime(f func() error) (time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadTime()
	err := f()
	return threadTime() - start, err
}

func nestedMultiparts(n int) string {
	var sb strings.Builder
	for i := range n {
		fmt.Fprintf(&sb, "Content-Type: multipart/mixed; boundary=\"b%d\"\n\n--b%d\n", i, i)
	}
	sb.WriteString("\ndeep\n")
	for i := n - 1; i >= 0; i-- {
		fmt.Fprintf(&sb, "--b%d--\n", i)
	}
	return sb.String()
}

func nestedWithoutBoundary(n int) string {
	var sb strings.Builder
	for i := range n {
		fmt.Fprintf(&sb, "Content-Type: multipart/mixed\n\n--b%d\n", i)
	}
	for i := n - 1; i >= 0; i-- {
		fmt.Fprintf(&sb, "--b%d--\n", i)
	}
	return sb.String()
}

// TestLimits reaches each limit and wants what was read until then.
func TestLimits(t *testing.T) {
	t.Parallel()
	small := parser.Limits{Header: 400, Fields: 6, Kept: 4, Value: 60, Addresses: 3, Words: 2, Params: 2, Boundary: 8, Depth: 2, Parts: 4, PartText: 64, MailText: 96, HTML: 80}
	multi := func(n int) string {
		return "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\npart\n", n) + "--b--\n"
	}
	for _, tc := range []struct{ name, code, in, text string }{
		{"header", "LIM_HEADER", "Subject: " + strings.Repeat("s", 500) + "\n\nbody", "sss"},
		{"fields", "LIM_FIELDS", strings.Repeat("a: b\n", 9) + "\nbody", "body"},
		{"value", "LIM_VALUE", "To: " + strings.Repeat("a@example.org, ", 3) + strings.Repeat("b", 40) + "\n\nbody", "body"},
		{"addresses", "LIM_ADDRESSES", "To: a@b, c@d, e@f, g@h, i@j\n\nbody", "body"},
		{"words", "LIM_WORDS", "Subject: =?utf-8?Q?a?= =?utf-8?Q?b?= =?utf-8?Q?c?=\n\nbody", "body"},
		{"params", "LIM_PARAMS", "Content-Type: text/plain; a=b; c=d; e=f\n\nbody", "body"},
		{"boundary", "MIME_NO_BOUNDARY", "Content-Type: multipart/mixed; boundary=123456789\n\nbody", "body"},
		{"depth", "LIM_DEPTH", nestedMultiparts(4), "deep"},
		{"depth of messages", "LIM_DEPTH", strings.Repeat("Content-Type: message/rfc822\n\n", 4) + "deep", ""},
		{"parts", "LIM_PARTS", multi(9), "part\n\npart\n\npart"},
		{"text", "LIM_TEXT", "Subject: s\n\n" + strings.Repeat("body ", 40), "body"},
		{"html", "LIM_TEXT", "Content-Type: text/html\n\n" + strings.Repeat("<p>body", 40), "body"},
		{"loose text", "LIM_TEXT", "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("pre ", 40) + "\n--b\n\npart\n--b--\n", "part"},
	} {
		m, spans := parser.ParseSpans([]byte(tc.in), small)
		if !hasDefect(m, tc.code) {
			t.Errorf("%s: no %s in %+v", tc.name, tc.code, m.Defects)
		}
		if !strings.Contains(m.Text, tc.text) {
			t.Errorf("%s: text %q", tc.name, m.Text)
		}
		if err := tiled(spans, int64(len(tc.in))); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if len(m.To) > 3 || len(m.Parts) > 4 || len(m.Fields) > 4 || len(m.Text) > 2*96 {
			t.Errorf("%s: over a limit: %d addresses, %d parts, %d fields, %d octets of text", tc.name, len(m.To), len(m.Parts), len(m.Fields), len(m.Text))
		}
	}
}

// TestLimitsOnCorpus holds the invariants where every limit is near.
func TestLimitsOnCorpus(t *testing.T) {
	t.Parallel()
	tiny := parser.Limits{Header: 600, Fields: 20, Kept: 5, Value: 80, Addresses: 2, Words: 2, Params: 2, Boundary: 40, Depth: 2, Parts: 3, PartText: 300, MailText: 500, HTML: 400}
	for name, b := range corpus(t) {
		if err := check(b, tiny); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b = bytes.ReplaceAll(b, []byte("\n"), []byte("\r"))
		if err := check(b, parser.Limits{}); err != nil {
			t.Errorf("%s with CR: %v", name, err)
		}
	}
}
