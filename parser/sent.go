package parser

import (
	"encoding/base64"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

const threadIndexSize = 22 // octets of a Thread-Index that the replies of a thread share

// sentBy collects what the fields say of how a message was sent.
type sentBy struct{ mail.List }

// field takes one field of which only the first counts.
func (s *sentBy) field(name, value string) {
	switch name {
	case "list-id":
		s.ID = listID(value)
	case "auto-submitted":
		s.AutoSubmitted = strings.ToLower(firstWord(cutAny(value, "(;")))
	case "importance":
		s.importance(strings.ToLower(firstWord(value)))
	case "x-priority", "x-msmail-priority", "priority":
		if s.Importance == "" {
			s.importance(strings.ToLower(firstWord(value)))
		}
	case "x-mailer", "user-agent":
		if s.Mailer == "" {
			s.Mailer = value
		}
	case "thread-index":
		s.ThreadIndex = threadIndex(value)
	}
}

// listed returns what was read, or nil.
func (s *sentBy) listed() *mail.List {
	if s.List == (mail.List{}) {
		return nil
	}
	l := s.List
	return &l
}

// importance maps RFC 2156 and the numbers of X-Priority to high and low.
func (s *sentBy) importance(word string) {
	switch word {
	case "high", "urgent", "1", "2":
		s.Importance = "high"
	case "low", "non-urgent", "4", "5":
		s.Importance = "low"
	}
}

// listID returns what stands between the last < and > of a List-Id (RFC 2919
// section 3), or the value itself where senders leave them out.
func listID(value string) string {
	if i := strings.LastIndexByte(value, '<'); i >= 0 {
		value = cutAny(value[i+1:], ">")
	}
	return strings.ToLower(strings.TrimSpace(value))
}

// threadIndex returns the base64 of the first octets of a Thread-Index, which
// replies share; "" if it is shorter.
func threadIndex(value string) string {
	var f base64Filter
	octets := f.append(nil, []byte(value))
	if len(octets) < threadIndexSize {
		return ""
	}
	return base64.StdEncoding.EncodeToString(octets[:threadIndexSize])
}

// cutAny returns s before the first of the octets in cut.
func cutAny(s, cut string) string {
	if i := strings.IndexAny(s, cut); i >= 0 {
		return s[:i]
	}
	return s
}
