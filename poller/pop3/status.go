package pop3

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxText = 200 // octets of a server's text in an error
	maxCode = 64
)

// A status is a status line (RFC 1939 section 3, RFC 2449 section 8).
type status struct {
	ok   bool   // +OK
	err  bool   // -ERR
	code string // upper case, without brackets; "" on +OK
	text string
}

// parseStatus reads a status line without its end. Only "+OK" and "-ERR",
// alone or followed by a space, are status indicators.
func parseStatus(line []byte) (status, bool) {
	word, text, _ := bytes.Cut(line, []byte(" "))
	switch string(word) {
	case "+OK":
		return status{ok: true, text: string(text)}, true
	case "-ERR":
		code, text := cutCode(string(text))
		return status{err: true, code: code, text: text}, true
	}
	return status{}, false
}

// cutCode takes the response code off a text.
func cutCode(text string) (code, rest string) {
	inside, ok := strings.CutPrefix(text, "[")
	if !ok {
		return "", text
	}
	code, rest, ok = strings.Cut(inside, "]")
	if !ok || len(code) == 0 || len(code) > maxCode || strings.ContainsFunc(code, notCode) {
		return "", text
	}
	return strings.ToUpper(code), strings.TrimPrefix(rest, " ")
}

func notCode(r rune) bool { return r <= ' ' || r > '~' }

// announced reads n of "+OK n octets", which is how most servers answer RETR
// (RFC 1939 section 5); -1 if it is not there.
func (s status) announced() int64 {
	number, rest, _ := strings.Cut(s.text, " ")
	if !strings.HasPrefix(strings.ToLower(rest), "octet") {
		return -1
	}
	return parseSize(number)
}

// parseSize reads a decimal number of octets; -1 if it is none or too large.
func parseSize(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// cleanText bounds what a server said and removes what could disturb a
// terminal or a log: controls, octets that are not UTF-8, and what turns the
// direction of writing.
func cleanText(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
		for i := range utf8.UTFMax { // a character that the cut split goes as a whole
			if cut := len(s) - 1 - i; utf8.RuneStart(s[cut]) {
				if !utf8.FullRuneInString(s[cut:]) {
					s = s[:cut]
				}
				break
			}
		}
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?")))
}

// phrases are what servers without response codes say, in lower case; the first
// that is found counts. An account that is locked is not a mailbox in use:
// trying on would keep it locked.
var phrases = []struct {
	text  string
	class Class
}{
	{"account is locked", Credentials}, {"account locked", Credentials}, {"account has been locked", Credentials}, {"locked out", Credentials},
	{"lock", Busy}, {"in use", Busy}, {"busy", Busy}, {"another session", Busy}, {"already open", Busy},
	{"too many", Rate}, {"too often", Rate}, {"too frequent", Rate}, {"quota", Rate}, {"exceed", Rate}, {"throttl", Rate}, {"login delay", Rate}, {"minimum interval", Rate},
	{"temporar", Temp}, {"try again later", Temp}, {"unavailable", Temp},
}

// classOf returns what a -ERR means: by its response code (RFC 2449 section 8,
// RFC 3206), of which unknown ones count by their first component; else by its
// words; else other. A refusal of one message may only turn out to be a quota.
func classOf(st status, other Class) Class {
	switch first, rest, _ := strings.Cut(st.code, "/"); first {
	case "AUTH":
		return Credentials
	case "IN-USE":
		return Busy
	case "LOGIN-DELAY":
		return Rate
	case "UTF8":
		return Message
	case "SYS":
		if rest == "PERM" || strings.HasPrefix(rest, "PERM/") {
			return Perm
		}
		return Temp
	}
	text := strings.ToLower(st.text)
	for _, p := range phrases {
		if strings.Contains(text, p.text) && (other != Message || p.class == Rate) {
			return p.class
		}
	}
	return other
}
