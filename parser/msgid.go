package parser

import (
	"slices"
	"strings"
)

const (
	maxMessageID = 998 // octets
	firstRefs    = 10  // references kept from the beginning of a thread
	lastRefs     = 190 // and from its end
)

// messageIDs returns the ids of a Message-ID, References or In-Reply-To value
// (RFC 5322 section 3.6.4): what stands between < and >, else every word. ok
// says that all of it was in brackets and had an @. It is linear.
func messageIDs(v string) (ids []string, ok bool) {
	ok = true
	v = skipComments(v)
	if !strings.Contains(v, "<") {
		for word := range strings.FieldsSeq(v) {
			ids = appendID(ids, strings.Trim(word, "<>"))
		}
		return ids, false
	}
	for {
		_, rest, found := strings.Cut(v, "<")
		if !found {
			return ids, ok
		}
		id, more, closed := strings.Cut(rest, ">")
		if i := strings.LastIndexByte(id, '<'); i >= 0 {
			id = id[i+1:]
		}
		ok = ok && closed && strings.Contains(id, "@")
		ids = appendID(ids, id)
		v = more
	}
}

// referenceIDs returns the ids of a References value. Without brackets only
// what has an @ is one.
func referenceIDs(v string) []string {
	ids, ok := messageIDs(v)
	if ok || strings.Contains(v, "<") {
		return ids
	}
	return slices.DeleteFunc(ids, func(id string) bool { return !strings.Contains(id, "@") })
}

// replyIDs returns the ids of an In-Reply-To value. Without brackets it is one
// only if it is a single word: old mail software writes sentences there, with
// addresses in them.
func replyIDs(v string) []string {
	ids := referenceIDs(v)
	if len(strings.Fields(v)) > 1 && !strings.Contains(v, "<") {
		return nil
	}
	return ids
}

// plainWord reports whether s is printable ASCII without space.
func plainWord(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func appendID(ids []string, id string) []string {
	if !plainWord(id) {
		id = strings.Join(strings.Fields(clean(id)), "")
	}
	if len(id) > maxMessageID {
		id = strings.ToValidUTF8(id[:maxMessageID], "")
	}
	if id == "" {
		return ids
	}
	return append(ids, id)
}

// skipComments removes comments that stand outside of angle brackets. A comment
// that is not closed stays.
func skipComments(v string) string {
	if !strings.Contains(v, "(") {
		return v
	}
	var sb strings.Builder
	depth, start := 0, 0
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '<' && depth == 0:
			if end := strings.IndexByte(v[i:], '>'); end >= 0 {
				i += end
			} else {
				i = len(v)
			}
		case c == '\\' && depth > 0:
			i++
		case c == '(':
			if depth++; depth == 1 {
				sb.WriteString(v[start:i])
				start = i
			}
		case c == ')' && depth > 0:
			if depth--; depth == 0 {
				start = i + 1
				sb.WriteByte(' ')
			}
		}
	}
	sb.WriteString(v[start:])
	return sb.String()
}

// thread joins References and In-Reply-To: no repeats, the last mention of an
// id does not move it, and of a long thread both ends are kept.
func thread(references, inReplyTo []string) []string {
	all := slices.Concat(references, inReplyTo)
	seen := make(map[string]bool, len(all))
	all = slices.DeleteFunc(all, func(id string) bool {
		repeat := seen[id]
		seen[id] = true
		return repeat
	})
	if len(all) > firstRefs+lastRefs {
		all = append(all[:firstRefs:firstRefs], all[len(all)-lastRefs:]...)
	}
	return all
}
