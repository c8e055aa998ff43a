// Package charset turns octets of any declared, misdeclared or undeclared
// character set into UTF-8. It never fails: where a label is unknown or the
// octets do not fit it, a best reading is given and the Result says so.
//
// The order of trust is: a known label; for none, for us-ascii and for labels
// that mean nothing ("unknown-8bit", "x-user-defined"), UTF-8 if the octets are
// valid UTF-8, ISO-2022-JP or -KR if they carry its escapes, a charset of East
// Asia or of an alphabet that is not Latin if they are like a text in it (see
// guess), else windows-1252.
// iso-8859-1 means windows-1252, as it does in the mail that exists and in the
// WHATWG Encoding standard. An octet that is not valid in declared UTF-8 is read
// as the windows-1252 character of that octet, so no octet is dropped.
//
// All decoders are linear and keep no state between calls.
package charset

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
)

// The names that Decode gives besides those of the WHATWG and IANA tables.
const (
	UTF8     = "utf-8"
	ASCII    = "us-ascii"
	UTF7     = "utf-7"
	Windows  = "windows-1252"
	ISO2022J = "iso-2022-jp"
	ISO2022K = "iso-2022-kr"
	VISCII   = "viscii"
)

// A Result is decoded text with how it was come by.
type Result struct {
	Text string // valid UTF-8; may hold any character, controls included
	Used string // charset that was applied, lower case
	// Unknown says that there was a label and nothing is known by it.
	Unknown bool
	// Undeclared says that octets above 127 came without a label or as us-ascii.
	Undeclared bool
	// Detected says that the octets chose the charset, against or without a label.
	Detected bool
	// Invalid says that some octets were not valid in the charset used.
	Invalid bool
}

// Decode reads b in the charset of the label, which may be empty.
func Decode(b []byte, label string) Result {
	if r, ok := AsItStands(b, label); ok {
		r.Text = string(b)
		return r
	}
	label = Label(label)
	switch {
	case label == UTF8:
		return decodeUTF8(b)
	case label == UTF7:
		text, bad := decodeUTF7(b)
		return Result{Text: text, Used: UTF7, Invalid: bad}
	case label == VISCII:
		return Result{Text: decodeVISCII(b), Used: VISCII}
	case label == ISO2022K:
		return decodeISO2022KR(b)
	case label == ASCII || meaningless(label):
		return detected(b)
	}
	enc, name := lookup(label)
	if enc == nil {
		r := detected(b)
		r.Unknown = true
		return r
	}
	return decodeWith(enc, name, b)
}

// AsItStands reports whether b is, octet for octet, the text that Decode would
// give, as ASCII and sound UTF-8 are, and returns that Result without its Text.
func AsItStands(b []byte, label string) (Result, bool) {
	label = Label(label)
	switch {
	case label == UTF8 && !bytes.HasPrefix(b, []byte("\uFEFF")) && utf8.Valid(b):
		return Result{Used: UTF8}, true
	case stateless(label) && isASCII(b) && bytes.IndexByte(b, 0x1b) < 0:
		return Result{Used: orASCII(label), Unknown: !meaningless(label) && !known(label)}, true
	}
	return Result{}, false
}

// NewReader returns the UTF-8 reading of r in the charset of the label, in the
// shape that go-message wants for its CharsetReader. It reads r whole before it
// gives anything, so it is for header words, not for bodies; the error is only
// ever r's own.
func NewReader(label string, r io.Reader) (io.Reader, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return strings.NewReader(Decode(b, label).Text), nil
}

// Detect names the charset that octets without a label are read in.
func Detect(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}), bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		return "utf-16"
	case bytes.Contains(b, []byte("\x1b$)C")):
		return ISO2022K
	case isISO2022JP(b) && isASCII(b):
		return ISO2022J
	case isASCII(b):
		return ASCII
	case utf8.Valid(b):
		return UTF8
	}
	return guess(b)
}

func detected(b []byte) Result {
	name := Detect(b)
	high := !isASCII(b)
	var r Result
	switch name {
	case ASCII:
		return Result{Text: string(b), Used: ASCII}
	case UTF8:
		r = Result{Text: string(trimBOM(b)), Used: UTF8}
	case ISO2022K:
		r = decodeISO2022KR(b)
	default:
		enc, _ := lookup(name)
		r = decodeWith(enc, name, b)
	}
	r.Undeclared, r.Detected = high, true
	return r
}

func isISO2022JP(b []byte) bool {
	for _, esc := range [...]string{"\x1b$B", "\x1b$@", "\x1b(J", "\x1b$(D", "\x1b(I"} {
		if bytes.Contains(b, []byte(esc)) {
			return true
		}
	}
	return false
}

// decodeWith applies a decoder of x/text. Octets that it cannot read and that
// are valid UTF-8 are a mislabelled UTF-8 text.
func decodeWith(enc encoding.Encoding, name string, b []byte) Result {
	if strings.HasPrefix(name, "utf-16") || name == "utf-32" {
		enc = endian(enc, name, b)
	}
	out, err := enc.NewDecoder().Bytes(b)
	bad := err != nil || bytes.Contains(out, []byte(string(utf8.RuneError)))
	if bad && utf8.Valid(b) && !isASCII(b) {
		return Result{Text: string(trimBOM(b)), Used: UTF8, Detected: true}
	}
	if err != nil {
		r := decodeUTF8(b)
		r.Detected, r.Invalid = true, true
		return r
	}
	return Result{Text: strings.ToValidUTF8(string(trimBOM(out)), "\uFFFD"), Used: name, Invalid: bad}
}

// decodeUTF8 reads each octet that is not part of valid UTF-8 as windows-1252.
func decodeUTF8(b []byte) Result {
	b = trimBOM(b)
	if utf8.Valid(b) {
		return Result{Text: string(b), Used: UTF8}
	}
	var sb strings.Builder
	sb.Grow(len(b) + len(b)/8)
	valid, bad := 0, 0 // characters above 127, and octets that are none
	for rest := b; len(rest) > 0; {
		n, high := validRun(rest)
		valid += high
		sb.Write(rest[:n])
		if rest = rest[n:]; len(rest) > 0 {
			sb.WriteRune(charmap.Windows1252.DecodeByte(rest[0]))
			rest = rest[1:]
			bad++
		}
	}
	if bad > valid {
		if r, ok := guessed(b); ok {
			return r
		}
	}
	used := UTF8
	if valid == 0 {
		used = Windows
	}
	return Result{Text: sb.String(), Used: used, Invalid: true, Detected: used != UTF8}
}

// guessed reads octets that are no UTF-8, against their label, where something
// better than windows-1252 can be told of them.
func guessed(b []byte) (Result, bool) {
	name := guess(b)
	enc, _ := lookup(name)
	if enc == nil || name == Windows {
		return Result{}, false
	}
	out, err := enc.NewDecoder().Bytes(b)
	return Result{Text: strings.ToValidUTF8(string(out), "\uFFFD"), Used: name, Invalid: true, Detected: true}, err == nil
}

// validRun returns how many octets at the start of b are valid UTF-8, and how
// many characters above 127 they hold.
func validRun(b []byte) (n, high int) {
	for n < len(b) {
		if b[n] < utf8.RuneSelf {
			n++
			continue
		}
		_, size := utf8.DecodeRune(b[n:])
		if size == 1 {
			break
		}
		high++
		n += size
	}
	return n, high
}

func trimBOM(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\uFEFF")) }

func isASCII(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if (b[0]|b[1]|b[2]|b[3]|b[4]|b[5]|b[6]|b[7])&0x80 != 0 {
			return false
		}
	}
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

func orASCII(label string) string {
	if meaningless(label) || !known(label) {
		return ASCII
	}
	if _, name := lookup(label); name != "" {
		return name
	}
	return label
}
