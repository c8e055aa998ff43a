package lab

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"testing"
)

// A secret is found however it is written, and in the middle of whatever.
func TestLeaksAreFound(t *testing.T) {
	const secret = `k7+/=&"pass word?`
	texts := map[string]string{
		"plain": "PASS " + secret, "query": url.Values{"p": {secret}}.Encode(), "path": url.PathEscape(secret),
		"hex": hex.EncodeToString([]byte("x" + secret)), "quoted": fmt.Sprintf("%q", "PASS "+secret), "json": `{"p":"k7+/=\u0026\"pass word?"}`,
	}
	for n := range 5 {
		around := "anna@example.org"[:n]
		texts[fmt.Sprintf("base64 %d", n)] = base64.StdEncoding.EncodeToString([]byte("\x00" + around + "\x00" + secret))
		texts[fmt.Sprintf("base64url %d", n)] = base64.RawURLEncoding.EncodeToString([]byte(around + secret + around))
	}
	for name, text := range texts {
		found := Leaks([]byte("a line\nanother "+text+"\nlast\n"), "nothing of the kind", secret)
		if len(found) == 0 || found[0].Secret != 1 || found[0].Line != 2 {
			t.Errorf("%s: %v in %s", name, found, text)
		}
	}
	for _, text := range []string{"", "pass word", "k7+/", base64.StdEncoding.EncodeToString([]byte("\x00anna\x00another secret"))} {
		if found := Leaks([]byte(text), secret); len(found) > 0 {
			t.Errorf("%v found in %q", found, text)
		}
	}
}
