// Package mask tells whether a text repeats a secret.
//
// Servers, proxies and token servers say in their errors what they do not like,
// and some repeat what they were sent, whole or in part. Such a text must reach
// neither an error nor a log. Who made the secret knows it, so the question is
// exact, unlike a search for what looks like one.
package mask

import "strings"

// telling is how many octets of a secret in a row are too many. A password of
// that length is told by all of itself alone.
const telling = 12

// Repeats reports whether text holds one of the secrets or twelve octets in a
// row of one, in whatever case. An empty secret is none.
func Repeats(text string, secrets ...string) bool {
	text = strings.ToLower(text)
	for _, s := range secrets {
		if s != "" && repeats(text, strings.ToLower(s)) {
			return true
		}
	}
	return false
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
