package poller

import (
	"bytes"
	"mime"
	"net/textproto"
	"strings"
)

// Bounds of what a structure keeps of a message.
const (
	structureHeader = 64 << 10
	structureTail   = 8 << 10
)

// A structure watches a message go by to tell whether its end is missing. It is
// used where the server's sizes are worth nothing, and understands no more than
// that a multipart body ends with its close delimiter (RFC 2046 section 5.1.1).
type structure struct {
	head []byte // as far as structureHeader; of the header and what follows
	tail []byte // the last octets
}

// Write takes the next bytes; it never fails.
func (s *structure) Write(p []byte) (int, error) {
	s.head = append(s.head, p[:min(len(p), structureHeader-len(s.head))]...)
	if len(p) >= structureTail {
		s.tail = append(s.tail[:0], p[len(p)-structureTail:]...)
		return len(p), nil
	}
	if extra := len(s.tail) + len(p) - structureTail; extra > 0 {
		s.tail = s.tail[:copy(s.tail, s.tail[extra:])]
	}
	s.tail = append(s.tail, p...)
	return len(p), nil
}

// broken reports whether the message says it is a multipart and its close
// delimiter is not near its end, or it ends before it has named one.
func (s *structure) broken() bool {
	value, ended := s.contentType()
	if !strings.HasPrefix(strings.ToLower(strings.TrimSpace(value)), "multipart/") {
		return false
	}
	_, params, err := mime.ParseMediaType(value)
	if err != nil || params["boundary"] == "" {
		return !ended
	}
	return !bytes.Contains(s.tail, []byte("--"+params["boundary"]+"--"))
}

// contentType returns the unfolded value of the first Content-Type field, and
// whether anything follows it.
func (s *structure) contentType() (text string, ended bool) {
	var value strings.Builder
	found := false
	for line := range bytes.Lines(s.head) {
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			return value.String(), true
		}
		if found && (text[0] == ' ' || text[0] == '\t') {
			value.WriteString(text)
			continue
		}
		if found {
			return value.String(), true
		}
		if name, rest, ok := strings.Cut(text, ":"); ok && textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)) == "Content-Type" {
			found = true
			value.WriteString(rest)
		}
	}
	return value.String(), false
}
