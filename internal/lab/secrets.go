package lab

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Secrets returns the passwords that the tests of this repository give their
// mailboxes, those left out that are words of their own.
func Secrets() []string {
	return []string{Password, "open-sesame-7391", "hunter2-Q9", "secret-of-the-plant"}
}

// Forms returns what a secret may look like where it is not to be: as it is, in
// base64 and in URLs, in hexadecimal, in JSON and in quotes. Base64 stands for
// the secret inside of something longer too, so it is cut at both ends to what
// does not depend on the neighbours.
func Forms(secret string) []string {
	quoted, _ := json.Marshal(secret) //nolint:errcheck // a string can be marshalled
	forms := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString([]byte(secret)),
		strings.Trim(string(quoted), `"`), strings.Trim(strconv.Quote(secret), `"`),
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := enc.EncodeToString([]byte(strings.Repeat("\x00", before) + secret))
			first := (before*8 + 5) / 6            // the first digit that is the secret's alone
			last := (before + len(secret)) * 8 / 6 // the first one that is not any more
			forms = append(forms, text[first:last])
		}
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// A Leak is a secret where it is not to be.
type Leak struct {
	Secret int // which of those that were searched for
	Form   string
	Line   int // from 1
}

// String tells where, and not what.
func (l Leak) String() string {
	return fmt.Sprintf("line %d: secret %d, in a form of %d octets", l.Line, l.Secret, len(l.Form))
}

// Leaks searches a text for the secrets in all their forms.
func Leaks(text []byte, secrets ...string) []Leak {
	var found []Leak
	for i, s := range secrets {
		for _, f := range Forms(s) {
			if before, _, ok := bytes.Cut(text, []byte(f)); ok {
				found = append(found, Leak{i, f, 1 + bytes.Count(before, []byte("\n"))})
			}
		}
	}
	return found
}
