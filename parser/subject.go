package parser

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

const (
	maxSubjectKey = 1024 // octets of a subject that its base is made of
	maxStrips     = 32   // prefixes, tags and wrappers taken off
)

// subjectBase returns the key under which a subject and the replies to it are
// the same: RFC 5256 section 2.1, with the prefixes of other languages than
// English, the counters of "Re[2]:" and full-width colons, NFKC and lower case.
// Each strip shortens the text, and there are no more than maxStrips of them,
// so it is linear; the algorithm of the RFC is not.
func subjectBase(subject string) string {
	if len(subject) > maxSubjectKey {
		subject = strings.ToValidUTF8(subject[:maxSubjectKey], "")
	}
	s := strings.Join(strings.Fields(norm.NFKC.String(strings.ToLower(subject))), " ")
	for range maxStrips {
		before := len(s)
		s = cutForwardMark(s)
		s = cutReplyPrefix(s)
		if len(s) == before {
			s = cutTag(s)
		}
		if len(s) == before {
			break
		}
	}
	return s
}

// cutForwardMark takes off "(fwd)" behind and "[fwd: ...]" around a subject.
func cutForwardMark(s string) string {
	s = strings.TrimSpace(strings.TrimSuffix(s, "(fwd)"))
	if inner, ok := strings.CutPrefix(s, "[fwd:"); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			return strings.TrimSpace(inner)
		}
	}
	return s
}

// cutReplyPrefix takes off one "re:", with the counter it may have and the tags
// before it.
func cutReplyPrefix(s string) string {
	rest := s
	for range maxStrips {
		end := prefixEnd(rest)
		if end > 0 {
			return strings.TrimSpace(rest[end:])
		}
		cut := cutTag(rest)
		if len(cut) == len(rest) {
			return s
		}
		rest = cut
	}
	return s
}

// prefixEnd returns the length of the reply prefix that s begins with, its colon
// included; 0 if there is none.
func prefixEnd(s string) int {
	i := strings.IndexAny(s, ":[(^ 0123456789")
	if i <= 0 || !replyPrefixes[s[:i]] {
		return 0
	}
	counter := strings.TrimLeft(s[i:], " ^")
	if open := strings.IndexAny(counter, "[("); open == 0 {
		counter = strings.TrimLeft(counter[1:], "0123456789")
		if counter == "" || counter[0] != ']' && counter[0] != ')' {
			return 0
		}
		counter = counter[1:]
	}
	counter = strings.TrimLeft(strings.TrimLeft(counter, "0123456789"), " ")
	if !strings.HasPrefix(counter, ":") {
		return 0
	}
	return len(s) - len(counter) + 1
}

// cutTag takes off a leading "[tag]" if something is left behind it.
func cutTag(s string) string {
	if !strings.HasPrefix(s, "[") {
		return s
	}
	end := strings.IndexAny(s[1:], "[]")
	if end < 0 || s[1+end] != ']' {
		return s
	}
	if rest := strings.TrimSpace(s[2+end:]); rest != "" {
		return rest
	}
	return s
}

// replyPrefixes are the words that mail software of many languages puts before
// the subject of a reply or of a forwarded mail.
var replyPrefixes = map[string]bool{
	"re": true, "aw": true, "antw": true, "sv": true, "vs": true, "ref": true, "rif": true, "r": true,
	"fwd": true, "fw": true, "wg": true, "tr": true, "rv": true, "enc": true, "doorst": true, "odp": true,
	"ynt": true, "ilt": true, "回复": true, "答复": true, "转发": true, "回覆": true, "轉寄": true,
}
