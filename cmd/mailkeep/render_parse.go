package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// renderSearched prints what can be searched of a message.
func renderSearched(out io.Writer, m *mail.Message, s style) error {
	w := bufio.NewWriter(out)
	renderHeader(w, m, s)
	renderEnvelope(w, m.Envelope, s)
	fmt.Fprintln(w)
	renderText(w, m)
	section := func(title, text string) {
		if text = strings.TrimSpace(printableText(text)); text != "" {
			fmt.Fprintf(w, "\n%s\n%s\n", paint(s.strong, "--- "+printable(title)), text)
		}
	}
	section("HTML", m.HTMLText)
	for _, p := range m.Parts {
		section(strings.TrimSpace("part "+p.Path+" "+p.Type+" "+p.FileName), p.Text)
	}
	return w.Flush()
}

// renderTree prints the parts of a message, its envelope and its defects.
func renderTree(out io.Writer, m *mail.Message, s style) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "%s, %s, parser %d\n", count(m.Size, "octet"), count(len(m.Fields), "field"), m.Parser)
	for _, p := range m.Parts {
		fmt.Fprintln(w, printable(treeLine(p)))
	}
	if m.Envelope != nil {
		fmt.Fprintln(w)
		renderEnvelope(w, m.Envelope, s)
	}
	renderDefects(w, m, s)
	return w.Flush()
}

// treeLine tells of one part: its place, what it is, and what was read of it.
func treeLine(p mail.Part) string {
	words := []string{strings.Repeat("  ", strings.Count(p.Path, ".")) + p.Path, p.Type}
	for _, word := range []string{p.Charset, p.Encoding, string(p.Role)} {
		if word != "" {
			words = append(words, word)
		}
	}
	words = append(words, fmt.Sprintf("at %d, %s", p.OffBody, octets(p.Size)))
	if p.FileName != "" {
		words = append(words, fmt.Sprintf("%q", p.FileName))
	}
	if p.TextStatus != "" && p.TextStatus != mail.TextOK && p.TextStatus != mail.TextNone {
		words = append(words, string(p.TextStatus))
	}
	if p.Extractor != nil {
		words = append(words, fmt.Sprintf("by %s/%d", p.Extractor.Name, p.Extractor.Version))
	}
	return strings.Join(words, "  ")
}

// envelopeTitles are the roles of recipients as they are shown, in order.
var envelopeTitles = []struct{ role, title string }{
	{"to", "To"}, {"cc", "Cc"}, {"bcc", "Bcc"}, {"recipient", "Recipient"},
}

// renderEnvelope prints whom a message was for, by what told it.
func renderEnvelope(w io.Writer, e *mail.Envelope, s style) {
	if e == nil {
		return
	}
	fmt.Fprintf(w, "%s\n", paint(s.strong, printable("Envelope, by "+e.Source+":")))
	line := func(title, value string) {
		if value != "" {
			fmt.Fprintf(w, "      %s: %s\n", title, printable(value))
		}
	}
	line("Sender", e.Sender)
	line("On behalf of", e.OnBehalfOf)
	for _, t := range envelopeTitles {
		var list []string
		for _, r := range e.Recipients {
			if r.Role == t.role {
				list = append(list, recipientText(r))
			}
		}
		line(t.title, strings.Join(list, ", "))
	}
}

// renderCopies prints what the deliveries of a message tell together.
func renderCopies(w io.Writer, c app.Copies, s style) {
	renderEnvelope(w, c.Envelope, s)
	if len(c.IDs) < 2 {
		return
	}
	list := make([]string, len(c.IDs))
	for i, id := range c.IDs {
		list[i] = id.String()
	}
	text := strings.Join(list, ", ")
	if c.More {
		text += " and others"
	}
	fmt.Fprintf(w, "      Told by: %s\n", text)
}

func recipientText(r mail.Recipient) string {
	text := r.Addr
	if r.ExpandedFrom != "" {
		text += " (by the list " + r.ExpandedFrom + ")"
	}
	if r.ForwardedFrom != "" {
		text += " (forwarded by " + r.ForwardedFrom + ")"
	}
	return text
}
