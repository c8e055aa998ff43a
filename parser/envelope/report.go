package envelope

import (
	"slices"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

const (
	// maxRecipients bounds the recipients of one envelope; a server splits reports
	// on much shorter lists.
	maxRecipients = 50_000
	maxValue      = 998 // octets kept of an address that is none, and of an id
	maxSubject    = 4 << 10
	maxLabel      = 40 // octets of the name of a line
)

// A report is what the lines of a journal report say. The form is that of
// Exchange 2007 and later and of Microsoft 365, one line each:
//
//	Sender: <address>
//	Subject: <any text>
//	Message-ID: <id>
//	On-Behalf-Of: <address>
//	To|Cc|Bcc|Recipient: <address>[, Expanded|Forwarded: <address>]
//
// and that of Exchange 2003, whose line "Recipients:" is followed by one address
// a line. Names are read in any case, lines that begin with space go on the line
// before, and lines of other names (Label, SentUtc, ...) are left alone.
type report struct {
	envelope mail.Envelope
	seen     map[string]bool // names of lines
	known    map[mail.Recipient]bool
	block    bool // the lines of "Recipients:" go on
	odd      int  // lines and addresses that are not understood
	cut      bool // there were more than maxRecipients
	lim      parser.Limits
}

// readReport reads the text of a report, and says whether it is one: it names
// the sender or the message, as no other text does at its beginning.
func readReport(text string, lim parser.Limits) (*report, bool) {
	r := &report{envelope: mail.Envelope{Source: Journal}, seen: map[string]bool{}, known: map[mail.Recipient]bool{}, lim: lim}
	for line := range unfolded(text) {
		if !r.line(line) {
			r.odd++
		}
	}
	return r, r.seen["sender"] || r.seen["message-id"]
}

// unfolded yields the lines that are not blank, continuations joined.
func unfolded(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		var line strings.Builder
		for next := range strings.Lines(text) {
			folded := next[0] == ' ' || next[0] == '\t'
			next = strings.TrimSpace(next)
			if next == "" {
				continue
			}
			if !folded && line.Len() > 0 {
				if !yield(line.String()) {
					return
				}
				line.Reset()
			}
			if line.Len() > 0 {
				line.WriteByte(' ')
			}
			line.WriteString(next)
		}
		if line.Len() > 0 {
			yield(line.String())
		}
	}
}

// line reads one line and reports whether it is understood.
func (r *report) line(line string) bool {
	name, value, labelled := strings.Cut(line, ":")
	name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
	labelled = labelled && isLabel(name)
	switch {
	case labelled && name == "recipients":
		r.block = true
		return value == "" || r.recipient(roleUnknown, value)
	case labelled && isRole(name):
		r.block = false
		return r.recipient(name, value)
	case labelled && (name == "sender" || name == "on-behalf-of" || name == "subject" || name == "message-id"):
		r.block = false
		return r.single(name, value)
	case r.block:
		return r.blockLine(line)
	}
	return labelled
}

func isRole(name string) bool {
	return name == "to" || name == "cc" || name == "bcc" || name == roleUnknown
}

// isLabel reports whether name may be that of a line, now or in a later form.
func isLabel(name string) bool {
	return name != "" && len(name) <= maxLabel && strings.IndexFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != ' '
	}) < 0
}

// single reads a line of which the first counts.
func (r *report) single(name, value string) bool {
	if r.seen[name] {
		return false
	}
	r.seen[name] = true
	switch name {
	case "sender":
		r.envelope.Sender = firstAddress(value, r.lim)
		return r.envelope.Sender != "" || strings.Trim(value, "<> ") == ""
	case "on-behalf-of":
		r.envelope.OnBehalfOf = firstAddress(value, r.lim)
		return r.envelope.OnBehalfOf != "" || strings.Trim(value, "<> ") == ""
	case "subject":
		r.envelope.Subject = clip(parser.Words(value, r.lim), maxSubject)
		return true
	}
	ids := parser.MessageIDs(value)
	if len(ids) > 0 {
		r.envelope.MessageID = clip(ids[0], maxValue)
	}
	return len(ids) == 1
}

// blockLine reads an address below "Recipients:". What holds none is not taken
// for one: it may be the footer of a gateway.
func (r *report) blockLine(line string) bool {
	if firstAddress(withoutScheme(line), r.lim) == "" && !strings.HasPrefix(withoutScheme(line), "/") {
		return false
	}
	return r.recipient(roleUnknown, line)
}

// recipient reads an address, or several, and how the message came to them.
func (r *report) recipient(role, value string) bool {
	head, rest := cutNote(value)
	one := mail.Recipient{Role: role}
	sound := true
	for rest != "" {
		note := rest
		note, rest = cutNote(note)
		name, addr, _ := strings.Cut(note, ":")
		addr, ok := r.address(addr)
		sound = sound && ok
		if strings.EqualFold(strings.TrimSpace(name), "expanded") {
			one.ExpandedFrom = addr
		} else {
			one.ForwardedFrom = addr
		}
	}
	found := false
	for _, a := range parser.Addresses(withoutScheme(head), r.lim) {
		one.Addr = a.Addr
		if a.Addr == "" {
			one.Addr, _ = r.address(a.String())
			sound = false
		}
		if one.Addr != "" {
			r.add(one)
			found = true
		}
	}
	return found && sound
}

func (r *report) add(one mail.Recipient) {
	switch {
	case r.known[one]:
	case len(r.envelope.Recipients) >= maxRecipients:
		r.cut = true
	default:
		r.known[one] = true
		r.envelope.Recipients = append(r.envelope.Recipients, one)
	}
}

// address returns the canonical form of an address, and whether it is one. What
// is none, such as a name of the directory of Exchange (/O=...), is kept in
// lower case as it stands: it is all that is known.
func (r *report) address(text string) (string, bool) {
	text = withoutScheme(strings.TrimSpace(text))
	if addr := firstAddress(text, r.lim); addr != "" {
		return addr, true
	}
	return clip(strings.ToLower(strings.Trim(text, "<> ")), maxValue), false
}

// withoutScheme drops the kind of an address: "SMTP:ann@example.org".
func withoutScheme(s string) string {
	for _, scheme := range [...]string{"smtp:", "ex:"} {
		if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			return strings.TrimSpace(s[len(scheme):])
		}
	}
	return s
}

// cutNote cuts value before the first comma that "Expanded:" or "Forwarded:"
// follows. rest begins with that word.
func cutNote(value string) (head, rest string) {
	for i := 0; i < len(value); i++ {
		if value[i] != ',' {
			continue
		}
		after := strings.TrimLeft(value[i+1:], " \t")
		if slices.ContainsFunc([]string{"expanded:", "forwarded:"}, func(word string) bool {
			return len(after) >= len(word) && strings.EqualFold(after[:len(word)], word)
		}) {
			return value[:i], after
		}
		i += len(value[i+1:]) - len(after)
	}
	return value, ""
}

// clip returns at most n octets of s, as valid UTF-8.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}
