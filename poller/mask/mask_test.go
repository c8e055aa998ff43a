package mask

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestRepeats(t *testing.T) {
	const long = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9"
	for _, c := range []struct {
		text    string
		secrets []string
		want    bool
	}{
		{"wrong password hunter2 of ann", []string{"hunter2"}, true},
		{"wrong password HUNTER2 of ann", []string{"hunter2"}, true},
		{"wrong password hunter of ann", []string{"hunter2"}, false},
		{"bad token ..." + long[8:20] + "...", []string{"x", long}, true},
		{"bad token ..." + long[8:19] + "...", []string{"!", long}, false},
		{"bad token " + long, []string{long}, true},
		{"bad line " + base64.StdEncoding.EncodeToString([]byte("\x00ann\x00hunter2")), []string{"hunter2"}, true},
		{"bad line " + base64.StdEncoding.EncodeToString([]byte("\x00anna\x00hunter2")), []string{"hunter2"}, true},
		{"bad line " + base64.RawURLEncoding.EncodeToString([]byte("hunter2, says anton")), []string{"hunter2"}, true},
		{"bad line " + base64.StdEncoding.EncodeToString([]byte("\x00ann\x00another")), []string{"hunter2"}, false},
		{"bad form p=a%26b%3D+c", []string{"a&b= c"}, true},
		{"bad path /a&b=%20c", []string{"a&b= c"}, true},
		{"any text", []string{"abc"}, false}, // what base64 makes of it says nothing
		{"anything", []string{""}, false},
		{"anything", nil, false},
		{"", []string{"a"}, false},
		{strings.Repeat("a", 11), []string{strings.Repeat("a", 13)}, false},
	} {
		if got := Repeats(c.text, c.secrets...); got != c.want {
			t.Errorf("%q in %q: %v", c.secrets, c.text, got)
		}
	}
}
