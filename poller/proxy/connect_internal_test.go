package proxy

import (
	"strings"
	"testing"
)

// FuzzAnswer: whatever a proxy says, what is handed on is the end of it and
// nothing else, and an error is one clean line.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\n\r\n+OK ready\r\n", "HTTP/1.0 200\r\nContent-Length: 5\r\n\r\nhello+OK\r\n",
		"HTTP/1.1 407 no\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "+OK ready\r\n", "HTTP/1.1 200 OK\n\n", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		leftover, err := readAnswer(strings.NewReader(answer))
		if err != nil {
			if len(err.Error()) > 4*maxReason || strings.ContainsAny(err.Error(), "\r\n\x00\x1b") {
				t.Errorf("error %q", err)
			}
			return
		}
		if !strings.Contains(answer, string(leftover)) || !strings.HasPrefix(answer, "HTTP/") {
			t.Errorf("%q is left over of %q", leftover, answer)
		}
	})
}
