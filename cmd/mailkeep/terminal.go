package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/vbauerster/cupwriter"
)

// A style is how text is marked on its way to a person.
type style struct {
	match, strong, faint [2]string // before and after
	zone                 *time.Location
}

// plainStyle marks matches in a way that survives a pipe.
var plainStyle = style{match: [2]string{"«", "»"}}

// ansiStyle is for terminals.
var ansiStyle = style{
	match:  [2]string{"\x1b[1;33m", "\x1b[0m"},
	strong: [2]string{"\x1b[1m", "\x1b[0m"},
	faint:  [2]string{"\x1b[2m", "\x1b[0m"},
}

// style returns the style for standard output. NO_COLOR (no-color.org) and
// TERM=dumb turn colours off.
func (p *program) style() style {
	s := plainStyle
	if isTerminal(p.stdout) && p.getenv("NO_COLOR") == "" && p.getenv("TERM") != "dumb" {
		s = ansiStyle
	}
	s.zone = time.Local
	return s
}

func paint(mark [2]string, s string) string { return mark[0] + s + mark[1] }

// isTerminal reports whether w is a terminal, and not merely a device.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && cupwriter.New(f, false).IsTerminal()
}

// printable makes text from outside fit for one line of a terminal: no control
// character, no escape sequence, nothing that reorders what is read.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case isHarmful(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// printableText is printable for text of many lines: line ends and tabs stay.
func printableText(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return r
		case isHarmful(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// isHarmful reports whether a terminal may act on r instead of showing it: the
// C0 and C1 controls, and the characters that change the direction of text
// (Unicode standard annex 9), with which a file name can lie about its end.
func isHarmful(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// printLine writes one line of outside text.
func printLine(w io.Writer, s string) { fmt.Fprintln(w, printable(s)) }

// printJSON writes v as one document. Control characters are escaped by JSON
// itself; it leaves C1 and direction controls, which are escaped here.
func printJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	var out strings.Builder
	for _, r := range string(b) {
		if r != '\n' && isHarmful(r) {
			fmt.Fprintf(&out, "\\u%04x", r)
			continue
		}
		out.WriteRune(r)
	}
	out.WriteByte('\n')
	_, err = io.WriteString(w, out.String())
	return err
}

// octets prints a size for a person: "17 B", "12.3 kB", "1.2 GB".
func octets(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), 0
	for v >= 999.95 && unit < 5 {
		v /= 1000
		unit++
	}
	return fmt.Sprintf("%.1f %cB", v, " kMGTP"[unit])
}

// count prints a number with its noun: "1 message", "1,234 messages".
func count[T int | int64 | uint64](n T, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return grouped(n) + " " + noun
}

// grouped prints a number with commas between thousands.
func grouped[T int | int64 | uint64](n T) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
