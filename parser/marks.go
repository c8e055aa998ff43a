package parser

import (
	"slices"
	"strings"
	"unicode"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	maxMarks = 1000 // those behind are left out
	maxRuler = 200  // octets of a ruler
	maxLabel = 34   // octets of the name of a field and what decorates it
)

// marksOf finds the marks of the text that join makes of nodes.
func marksOf(nodes []*node) (found []mail.Mark) {
	at := 0
	for _, n := range nodes {
		if n.text == "" {
			continue
		}
		for _, m := range marks(n) {
			found = append(found, mail.Mark{Kind: m.Kind, From: at + m.From, To: at + m.To})
		}
		at += len(n.text) + len(between)
	}
	return found[:min(len(found), maxMarks)]
}

// marks finds the stretches of a body that quote and the signature: what HTML
// says is a quote, lines that begin with ">" (RFC 3676 section 4.5), all from the
// header of a message that is answered or forwarded below, and all below "-- ".
func marks(n *node) []mail.Mark {
	var found []mail.Mark
	for _, q := range n.quotes {
		found = append(found, mail.Mark{Kind: mail.MarkQuote, From: q.From, To: q.To})
	}
	return settle(append(found, written(n.text, n.html)...))
}

// written finds marks by the lines of a text; one more than are kept at most.
func written(text string, html bool) []mail.Mark {
	m := marker{html: html}
	for at := 0; at < len(text) && !m.tail && len(m.found) <= maxMarks; {
		end := len(text)
		if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if unremarkable(text[at:end]) {
			m.quote = false
		} else {
			m.line(text, at, end)
		}
		at = end
	}
	return m.found
}

// unremarkable tells at a glance of most lines that they are nothing but text of
// the author: they begin with a letter, and no name of a field.
func unremarkable(line string) bool {
	return line[0]|0x20 >= 'a' && line[0]|0x20 <= 'z' && strings.IndexByte(line[:min(len(line), maxLabel)], ':') < 0
}

// A marker goes through the lines of a text.
type marker struct {
	html  bool // the spaces at the ends of its lines are lost
	found []mail.Mark
	quote bool // the last line with words was quoted
	tail  bool // the last mark runs to the end
}

func (m *marker) line(text string, at, end int) {
	line := strings.TrimRight(text[at:end], "\r\n")
	switch {
	case strings.HasPrefix(strings.TrimLeft(line, " "), ">"):
		if m.quote {
			m.found[len(m.found)-1].To = at + len(line)
		} else {
			m.endSignature(at)
			m.found = append(m.found, mail.Mark{Kind: mail.MarkQuote, From: at, To: at + len(line)})
		}
		m.quote = true
	case line == "":
	case line == "-- " || line == "--" && m.html:
		m.found = append(m.found, mail.Mark{Kind: mail.MarkSignature, From: at, To: len(text)})
		m.quote = false
	case quotedHeader(text[at:]):
		m.endSignature(at)
		m.found = append(m.found, mail.Mark{Kind: mail.MarkQuote, From: at, To: len(text)})
		m.tail = true
	default:
		m.quote = false
	}
}

// endSignature ends the signature above a quote.
func (m *marker) endSignature(at int) {
	if n := len(m.found); n > 0 && m.found[n-1].To > at {
		m.found[n-1].To = at
	}
}

// quotedHeader reports whether text begins with what mail software puts above a
// message that it quotes without marking the lines: a ruler with words in it, or
// none, and then a field of the sender and at least two others.
func quotedHeader(text string) bool {
	line, rest, _ := strings.Cut(text, "\n")
	if ruler(line) {
		rest = strings.TrimLeft(rest, "\n")
		line, rest, _ = strings.Cut(rest, "\n")
	}
	label, ok := fieldLabel(line)
	if !ok || !slices.Contains(senderLabels[:], label) {
		return false
	}
	for range 2 {
		line, rest, _ = strings.Cut(rest, "\n")
		if _, ok := fieldLabel(line); !ok {
			return false
		}
	}
	return true
}

// senderLabels are what From is called in the languages of much mail.
var senderLabels = [...]string{"from", "von", "de", "da", "van", "från", "fra", "od", "lähettäjä", "gönderen", "feladó", "от", "发件人", "寄件者", "差出人", "보낸 사람"}

// fieldLabel returns the name before the colon of a line that looks like a
// header field, in lower case.
func fieldLabel(line string) (string, bool) {
	line = line[:min(len(line), maxLabel)]
	i := strings.IndexByte(line, ':')
	if i < 0 {
		i = strings.Index(line, "\uff1a") // of full width, in East Asia
	}
	if i < 2 {
		return "", false
	}
	label := strings.Trim(line[:i], " *\u00a0")
	if strings.IndexFunc(label, func(r rune) bool { return !unicode.IsLetter(r) && r != ' ' && r != '-' }) >= 0 {
		return "", false
	}
	return strings.ToLower(label), true
}

// ruler reports whether a line is words between rows of dashes, or a row of
// underscores.
func ruler(line string) bool {
	line = strings.TrimSpace(line)
	if len(line) < 8 || len(line) > maxRuler || line[0] != '-' && line[0] != '_' {
		return false
	}
	if strings.Trim(line, "_") == "" {
		return true
	}
	words := strings.Trim(line, "-")
	return words != "" && strings.HasPrefix(line, "---") && strings.HasSuffix(line, "---")
}

// settle sorts marks and takes away what lies in another.
func settle(found []mail.Mark) []mail.Mark {
	slices.SortStableFunc(found, func(a, b mail.Mark) int { return a.From - b.From })
	var out []mail.Mark
	for _, m := range found {
		if n := len(out); n > 0 && m.From < out[n-1].To {
			if m.From = out[n-1].To; m.From >= m.To {
				continue
			}
		}
		if m.From < m.To && len(out) < maxMarks {
			out = append(out, m)
		}
	}
	return out
}
