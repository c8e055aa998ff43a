package parser

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode"

	"github.com/mailkeep/mailkeep/parser/charset"
)

// A decoder turns header octets into clean UTF-8 and notes what was wrong.
type decoder struct {
	lim  *Limits
	bad  *defects
	part string
	off  int64
	// label is the charset that the message declares for its body: the best
	// guess for octets above 127 that its header leaves undeclared.
	label string
}

func (d decoder) add(code string) { d.bad.add(code, d.part, d.off, "") }

// utf8 reads the octets above 127 that RFC 5322 does not allow in a header, and
// the escapes of ISO-2022, which some senders leave bare.
func (d decoder) utf8(raw string) string {
	if isASCII(raw) {
		if strings.IndexByte(raw, 0) >= 0 {
			d.add("HDR_NUL")
		}
		if strings.IndexByte(raw, 0x1b) < 0 {
			return raw
		}
	}
	r := charset.Decode([]byte(raw), "")
	switch {
	case !r.Undeclared:
	case r.Used == charset.UTF8:
		d.add("HDR_UTF8_RAW")
	default:
		d.add("HDR_8BIT_RAW")
		if d.label != "" {
			return charset.Decode([]byte(raw), d.label).Text
		}
	}
	return r.Text
}

// words decodes the encoded words of a value (RFC 2047).
func (d decoder) words(v string) string {
	if !strings.Contains(v, "=?") {
		return v
	}
	w := wordReader{limit: d.lim.Words}
	out := w.read(v)
	if w.bad {
		d.add("HDR_BAD_2047")
	}
	if w.inject {
		d.add("HDR_CRLF_IN_WORD")
	}
	if w.over {
		d.add("LIM_WORDS")
	}
	return out
}

// A wordReader decodes encoded words where they stand, in quotes and inside of
// other words too: that is what the senders who write them so mean. Adjacent
// words of one charset are decoded together, because many senders split a
// character between two of them.
type wordReader struct {
	limit             int
	bad, over, inject bool

	out     strings.Builder
	pending []byte // octets of adjacent words in one charset
	label   string
}

func (w *wordReader) read(v string) string {
	count, afterWord := 0, false
	for {
		at := strings.Index(v, "=?")
		if at < 0 {
			break
		}
		if count == w.limit {
			w.over = true
			break
		}
		label, octets, n := w.word(v[at:])
		if n == 0 {
			w.flush()
			w.out.WriteString(v[:at+2])
			v, afterWord, w.bad = v[at+2:], false, true
			continue
		}
		if !afterWord || strings.Trim(v[:at], " \t") != "" {
			w.flush()
			w.out.WriteString(v[:at])
		} else if label != w.label {
			w.flush()
		}
		w.label, w.pending = label, append(w.pending, octets...)
		v, afterWord = v[at+n:], true
		count++
	}
	w.flush()
	w.out.WriteString(v)
	return w.out.String()
}

func (w *wordReader) flush() {
	if len(w.pending) == 0 {
		return
	}
	r := charset.Decode(w.pending, w.label)
	w.bad = w.bad || r.Invalid || r.Unknown
	w.inject = w.inject || strings.ContainsAny(r.Text, "\r\n\x00")
	w.out.WriteString(r.Text)
	w.pending = w.pending[:0]
}

// word reads the encoded word at the start of v and returns its charset, its
// octets and its length; a length of 0 says that there is none.
func (w *wordReader) word(v string) (label string, octets []byte, n int) {
	q := strings.IndexByte(v[2:min(len(v), 82)], '?')
	if q < 0 || len(v) < 2+q+3 || v[2+q+2] != '?' {
		return "", nil, 0
	}
	label, _, _ = strings.Cut(v[2:2+q], "*") // RFC 2231 section 5: a language may follow
	kind := v[2+q+1] | 0x20
	if strings.ContainsAny(label, " \t") || kind != 'q' && kind != 'b' {
		return "", nil, 0
	}
	start := 2 + q + 3
	end := wordEnd(v, start)
	if end < 0 {
		return "", nil, 0
	}
	if kind == 'b' {
		octets = w.base64(v[start:end])
	} else {
		octets = w.quoted(v[start:end])
	}
	return strings.ToLower(label), octets, end + 2
}

// wordEnd finds the "?=" that ends a word; another "=?" before it says that the
// word is unfinished. So a scan never goes over the beginning of the next word,
// and all scans of a value together are linear.
func wordEnd(v string, start int) int {
	for i := start; ; i++ {
		q := strings.IndexByte(v[i:], '?')
		if q < 0 {
			return -1
		}
		i += q
		if i+1 < len(v) && v[i+1] == '=' {
			return i
		}
		if i > start && v[i-1] == '=' {
			return -1
		}
	}
}

func (w *wordReader) base64(text string) []byte {
	if b, err := base64.StdEncoding.DecodeString(text); err == nil {
		return b
	}
	w.bad = true
	var d base64Filter
	return d.finish(d.append(nil, []byte(text)))
}

func (w *wordReader) quoted(text string) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			out = append(out, unhex(text[i+1])<<4|unhex(text[i+2]))
			i += 2
		default:
			w.bad = w.bad || c == '='
			out = append(out, c)
		}
	}
	return out
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

// clean makes one line of a header value: tabs and line ends, which encoded
// words can hold, become spaces, and other control characters and line
// separators go. What it returns is valid UTF-8 where s is.
func clean(s string) string {
	if plainLine(s) {
		return s
	}
	if isASCII(s) {
		return cleanASCII(s)
	}
	if strings.IndexFunc(s, notOneLine) < 0 {
		return s
	}
	s = strings.ReplaceAll(s, "\r\n", " ")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case notOneLine(r):
			return -1
		}
		return r
	}, s))
}

// cleanASCII is clean for ASCII, of which nearly all headers are.
func cleanASCII(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\r' && i+1 < len(s) && s[i+1] == '\n':
		case c == '\t' || c == '\n' || c == '\r':
			out = append(out, ' ')
		case c >= ' ' && c < 0x7f:
			out = append(out, c)
		}
	}
	return string(bytes.TrimSpace(out))
}

// plainLine reports whether s is printable ASCII.
func plainLine(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func notOneLine(r rune) bool {
	return r < ' ' || r >= 0x7f && (unicode.IsControl(r) || r == '\u2028' || r == '\u2029')
}

func isASCII(s string) bool {
	for ; len(s) >= 8; s = s[8:] {
		if (s[0]|s[1]|s[2]|s[3]|s[4]|s[5]|s[6]|s[7])&0x80 != 0 {
			return false
		}
	}
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
