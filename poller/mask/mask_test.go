package mask

import (
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
