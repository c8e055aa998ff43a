package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// renderMessage prints a message for reading: header, what all copies tell of
// whom it was for, text, attachments, defects, and the chain of custody.
func renderMessage(out io.Writer, rec mail.Record, m *mail.Message, copies *app.Copies, all bool, s style) error {
	w := bufio.NewWriter(out)
	if all {
		for _, f := range m.Fields {
			fmt.Fprintf(w, "%s %s\n", paint(s.strong, printable(f.Name)+":"), printable(f.Value))
		}
	} else {
		renderHeader(w, m, s)
	}
	if copies != nil {
		renderCopies(w, *copies, s)
	}
	fmt.Fprintln(w)
	renderText(w, m)
	renderAttachments(w, m, s)
	renderDefects(w, m, s)
	renderCustody(w, rec, s)
	return w.Flush()
}

func renderHeader(w io.Writer, m *mail.Message, s style) {
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s %s\n", paint(s.strong, name+":"), printable(value))
		}
	}
	field("From", addresses(m.From))
	field("Sender", addresses(m.Sender))
	field("To", addresses(m.To))
	field("Cc", addresses(m.Cc))
	field("Bcc", addresses(m.Bcc))
	field("Reply-To", addresses(m.ReplyTo))
	if !m.DateHeader.IsZero() {
		field("Date", m.DateHeader.Format("Mon, 2 Jan 2006 15:04:05 -0700"))
	}
	field("Subject", m.Subject)
	field("Message-ID", m.MessageID)
}

func addresses(list []mail.Address) string {
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}

func renderText(w io.Writer, m *mail.Message) {
	text := strings.TrimRight(printableText(m.Text), " \t\n")
	if text == "" {
		text = "(no text)"
	}
	fmt.Fprintln(w, text)
}

func renderAttachments(w io.Writer, m *mail.Message, s style) {
	parts := attachments(m)
	if len(parts) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", paint(s.strong, count(len(parts), "attachment")+":"))
	for i, part := range parts {
		name := part.FileName
		if name == "" {
			name = "(no name)"
		}
		fmt.Fprintf(w, "%4d  %s  %s  %s%s\n", i+1, printable(name), printable(part.Type), octets(part.Size), textNote(part.TextStatus))
	}
}

// textNote says why the text of an attachment is not, or not all, searched.
func textNote(s mail.TextStatus) string {
	if reason, ok := textReasons[s]; ok {
		return "  (" + reason + ")"
	}
	return ""
}

func renderDefects(w io.Writer, m *mail.Message, s style) {
	if len(m.Defects) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", paint(s.strong, count(len(m.Defects), "defect")+":"))
	for _, d := range m.Defects {
		line := fmt.Sprintf("      %s: %s at octet %d", d.Severity, d.Code, d.Off)
		if d.Part != "" {
			line += " in part " + d.Part
		}
		if d.Count > 1 {
			line += fmt.Sprintf(", %d times", d.Count)
		}
		if d.Detail != "" {
			line += ": " + d.Detail
		}
		printLine(w, line)
	}
}

// renderCustody prints how the message came into the archive and what it is
// named by.
func renderCustody(w io.Writer, rec mail.Record, s style) {
	d := rec.Delivery
	line := func(format string, args ...any) {
		fmt.Fprintln(w, paint(s.faint, printable(fmt.Sprintf(format, args...))))
	}
	fmt.Fprintln(w)
	line("%s %s, sealed %s in segment %d", rec.Kind, rec.ID, rec.Time.UTC().Format("2006-01-02 15:04:05 MST"), rec.Segment)
	if rec.Kind == mail.KindReference {
		line("same bytes as %s", rec.Of)
	}
	transport := d.TLS
	if transport == "" {
		transport = "without TLS"
	}
	line("mailbox %s, fetched %s from %s (%s), session %s", d.Mailbox, d.Fetched.UTC().Format("2006-01-02 15:04:05 MST"), d.Host, transport, d.Session)
	line("sha256 %s, %s, UIDL %q", d.Digest, count(d.Size, "octet"), string(d.UIDL))
	if c := d.Class; !c.IsZero() {
		line("class %s, which keeps it until %s at least", c.Name, c.Until(rec.Time).Format(time.DateOnly))
	}
	if d.Suspect != "" {
		line("SUSPECT: %s", d.Suspect)
	}
}
