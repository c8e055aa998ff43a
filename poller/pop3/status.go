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
	ok   bool
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
		return status{code: code, text: text}, true
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

// announced reads n of "+OK n octets"; -1 if it is not there.
func (s status) announced() int64 {
	word, _, _ := strings.Cut(s.text, " ")
	return parseSize([]byte(word))
}

// parseSize reads a decimal number of octets; -1 if it is none or too large.
func parseSize(b []byte) int64 {
	if len(b) == 0 || b[0] < '0' || b[0] > '9' {
		return -1
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// cleanText bounds what a server said and removes what could disturb a
// terminal or a log: controls, and octets that are not UTF-8.
func cleanText(b []byte) string {
	cut := len(b) > maxText
	s := string(b[:min(len(b), maxText)])
	if cut {
		for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
	}
	s = strings.ToValidUTF8(s, "?")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s))
}

// codeClass grades a response code (RFC 2449 section 8.1, RFC 3206); unknown
// codes by their first component. ok is false if the code says nothing.
func codeClass(code string) (class Class, ok bool) {
	switch first, _, _ := strings.Cut(code, "/"); {
	case code == "SYS/PERM":
		return Perm, true
	case first == "SYS":
		return Temp, true
	case first == "AUTH":
		return Credentials, true
	case first == "IN-USE":
		return Busy, true
	case first == "LOGIN-DELAY":
		return Rate, true
	}
	return None, false
}

// sessionClass grades a -ERR to USER, PASS or the connection itself. Without a
// code the text decides: servers older than RFC 2449 lock mailboxes too.
func sessionClass(st status, fallback Class) Class {
	if class, ok := codeClass(st.code); ok {
		return class
	}
	text := strings.ToLower(st.text)
	switch {
	case has(text, "lock") && has(text, "account", "locked out", "lockout", "user"):
		return fallback // the account is locked, not the mailbox: trying on would make it worse
	case has(text, "lock", "in use", "already open", "busy"):
		return Busy
	case has(text, "too many", "too often", "too frequent", "quota", "throttl", "rate limit", "login delay", "exceed"):
		return Rate
	}
	return fallback
}

// messageClass grades a -ERR to a command about a message.
func messageClass(st status) Class {
	if class, ok := codeClass(st.code); ok {
		return class
	}
	if text := strings.ToLower(st.text); has(text, "quota", "exceed", "throttl", "too many") {
		return Rate
	}
	return Message
}

func has(text string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}
