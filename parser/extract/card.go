package extract

import (
	"bytes"
	"io"
	"mime/quotedprintable"
	"strings"

	"github.com/mailkeep/mailkeep/parser/readable"
)

// card reads iCalendar (RFC 5545), vCard (RFC 6350) and their elders vCalendar
// 1.0 and vCard 2.1: what people say in them, and when.
func (r *reading) card() error {
	text, cut := r.decode(r.label())
	lines := cardLines(text)
	for {
		line, ok := lines.next()
		if !ok {
			r.out.cut = r.out.cut || cut
			return nil
		}
		name, params, value := splitCardLine(line)
		r.cardField(name, params, value, lines)
		if err := r.full(); err != nil {
			return err
		}
	}
}

// A cardReader gives the content lines, unfolded (RFC 5545 section 3.1).
type cardReader struct{ rest string }

func cardLines(s string) *cardReader { return &cardReader{s} }

func (c *cardReader) raw() (line string, ok bool) {
	if c.rest == "" {
		return "", false
	}
	line, c.rest, _ = strings.Cut(c.rest, "\n")
	return strings.TrimSuffix(line, "\r"), true
}

func (c *cardReader) next() (string, bool) {
	line, ok := c.raw()
	if !ok || c.rest == "" || c.rest[0] != ' ' && c.rest[0] != '\t' {
		return line, ok
	}
	var sb strings.Builder
	sb.WriteString(line)
	for c.rest != "" && (c.rest[0] == ' ' || c.rest[0] == '\t') {
		more, _ := c.raw()
		sb.WriteString(more[1:])
	}
	return sb.String(), true
}

// splitCardLine parts a content line at the first colon outside of quotes. The
// name is in upper case, without its group; so are the parameters' names.
func splitCardLine(line string) (name, params, value string) {
	quoted, end := false, -1
	for i := 0; i < len(line) && end < 0; i++ {
		switch line[i] {
		case '"':
			quoted = !quoted
		case ':':
			if !quoted {
				end = i
			}
		}
	}
	if end < 0 {
		return "", "", line
	}
	name, params, _ = strings.Cut(line[:end], ";")
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[i+1:]
	}
	return strings.ToUpper(name), params, line[end+1:]
}

// cardParam returns the value of a parameter, without quotes, or "".
func cardParam(params, name string) string {
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(k, name) {
			return strings.Trim(v, `"`)
		}
	}
	return ""
}

// cardField writes the field if it is one that is read.
func (r *reading) cardField(name, params, value string, lines *cardReader) {
	upper := strings.ToUpper(params)
	if strings.Contains(upper, "QUOTED-PRINTABLE") {
		value = quotedCardValue(value, cardParam(params, "CHARSET"), lines)
	}
	switch name {
	case "SUMMARY", "DESCRIPTION", "LOCATION", "COMMENT", "CONTACT", "CATEGORIES", "RESOURCES", "URL", "STATUS",
		"FN", "ORG", "TITLE", "ROLE", "NOTE", "NICKNAME", "EMAIL", "TEL", "IMPP", "LABEL", "AGENT":
		r.out.line(strings.TrimPrefix(unescapeCard(value), "tel:"))
	case "N", "ADR":
		r.out.line(strings.Join(strings.FieldsFunc(unescapeCard(strings.ReplaceAll(value, ";", "\n")), func(c rune) bool { return c == '\n' }), " "))
	case "ATTENDEE", "ORGANIZER":
		r.out.line(strings.TrimSpace(cardParam(params, "CN") + " " + cutMailto(value)))
	case "DTSTART", "DTEND", "DUE", "BDAY":
		r.out.line(cardDate(value))
	case "X-ALT-DESC":
		text, _ := readable.HTML([]byte(unescapeCard(value)), r.out.room())
		r.out.line(text)
	}
}

func cutMailto(s string) string {
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		return s[7:]
	}
	return s
}

// quotedCardValue decodes a value of the old formats, in which a line that ends
// with = goes on in the next.
func quotedCardValue(value, label string, lines *cardReader) string {
	var sb strings.Builder
	for strings.HasSuffix(value, "=") {
		sb.WriteString(strings.TrimSuffix(value, "="))
		next, ok := lines.raw()
		if !ok {
			next = ""
		}
		value = next
	}
	sb.WriteString(value)
	b, _ := io.ReadAll(quotedprintable.NewReader(strings.NewReader(sb.String())))
	return decodeLabel(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), label)
}

// unescapeCard resolves the escapes of RFC 5545 section 3.3.11.
func unescapeCard(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var sb strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			sb.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n', 'N':
			sb.WriteByte('\n')
		default:
			sb.WriteByte(s[i])
		}
	}
	return sb.String()
}

// cardDate shows a date of the basic form of ISO 8601 in the extended one.
func cardDate(v string) string {
	if len(v) < 8 || strings.Trim(v[:8], "0123456789") != "" {
		return v
	}
	out := v[:4] + "-" + v[4:6] + "-" + v[6:8]
	if len(v) >= 15 && v[8] == 'T' {
		out += " " + v[9:11] + ":" + v[11:13] + ":" + v[13:15] + v[15:]
	}
	return out
}
