package charset

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/korean"
)

// decodeUTF7 reads UTF-7 (RFC 2152). Octets above 127, which UTF-7 does not
// have, are read as windows-1252.
func decodeUTF7(b []byte) (text string, bad bool) {
	var sb strings.Builder
	sb.Grow(len(b))
	for i := 0; i < len(b); {
		if c := b[i]; c != '+' {
			bad = bad || c >= utf8.RuneSelf
			sb.WriteRune(charmap.Windows1252.DecodeByte(c))
			i++
			continue
		}
		end := i + 1
		for end < len(b) && sextet(b[end]) >= 0 {
			end++
		}
		closed := end < len(b) && b[end] == '-'
		if end == i+1 {
			bad = bad || !closed
			sb.WriteByte('+')
		} else {
			run, ok := utf7Run(b[i+1 : end])
			bad = bad || !ok
			sb.WriteString(run)
		}
		if i = end; closed {
			i++
		}
	}
	return sb.String(), bad
}

// utf7Run decodes one run of modified base64 into UTF-16 code units.
func utf7Run(b []byte) (string, bool) {
	units := make([]uint16, 0, len(b)*6/16+1)
	acc, bits := uint32(0), 0
	for _, c := range b {
		acc, bits = acc<<6|uint32(sextet(c)), bits+6
		if bits >= 16 {
			bits -= 16
			units = append(units, uint16(acc>>bits))
			acc &= 1<<bits - 1
		}
	}
	s := string(surrogates(units))
	return s, bits < 6 && acc == 0 && !strings.ContainsRune(s, utf8.RuneError)
}

func sextet(c byte) int {
	switch {
	case c >= 'A' && c <= 'Z':
		return int(c - 'A')
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 26
	case c >= '0' && c <= '9':
		return int(c-'0') + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	}
	return -1
}

// decodeISO2022KR reads ISO-2022-KR (RFC 1557): between SO and SI stand pairs of
// KS X 1001, which are EUC-KR without the high bits.
func decodeISO2022KR(b []byte) Result {
	b = bytes.ReplaceAll(b, []byte("\x1b$)C"), nil)
	out := make([]byte, 0, len(b))
	shifted := false
	for _, c := range b {
		switch {
		case c == 0x0e || c == 0x0f:
			shifted = c == 0x0e
		case c == '\n':
			shifted = false
			out = append(out, c)
		case shifted && c > 0x20 && c < 0x7f:
			out = append(out, c|0x80)
		default:
			out = append(out, c)
		}
	}
	r := decodeWith(korean.EUCKR, ISO2022K, out)
	r.Used = ISO2022K
	return r
}
