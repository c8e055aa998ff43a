// Package mask tells whether a text repeats a secret.
//
// Servers, proxies and token servers say in their errors what they do not like,
// and some repeat what they were sent, whole or in part. Such a text must reach
// neither an error nor a log. Who made the secret knows it, so the question is
// exact, unlike a search for what looks like one.
package mask

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// telling is how many octets of a secret in a row are too many. A password of
// that length is told by all of itself alone.
const telling = 12

// Repeats reports whether text holds one of the secrets or twelve octets in a
// row of one, in whatever case; or a secret in base64, alone or inside of
// something longer, or as URLs write it: a server in front of another one hands on
// in another form what it was sent. An empty secret is none.
func Repeats(text string, secrets ...string) bool {
	text = strings.ToLower(text)
	for _, s := range secrets {
		if s == "" {
			continue
		}
		if repeats(text, strings.ToLower(s)) {
			return true
		}
		for _, form := range forms(s) {
			if repeats(text, strings.ToLower(form)) {
				return true
			}
		}
	}
	return false
}

// least is how many octets of base64 tell a secret from any other word.
const least = 6

// forms returns the secret as URLs have it, and in base64 behind 0, 1 and 2
// octets of something else, cut at both ends to what the neighbours do not change.
func forms(secret string) []string {
	all := []string{url.QueryEscape(secret), url.PathEscape(secret)}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := enc.EncodeToString([]byte(strings.Repeat("\x00", before) + secret))
			first, end := (before*8+5)/6, (before+len(secret))*8/6
			if end-first >= least {
				all = append(all, text[first:end])
			}
		}
	}
	return all
}

func repeats(text, secret string) bool {
	if len(secret) <= telling {
		return strings.Contains(text, secret)
	}
	for i := 0; i+telling <= len(text); i++ {
		if strings.Contains(secret, text[i:i+telling]) {
			return true
		}
	}
	return false
}
