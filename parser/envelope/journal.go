package envelope

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
	"github.com/mailkeep/mailkeep/parser/charset"
	"github.com/mailkeep/mailkeep/parser/readable"
)

// maxReport bounds the octets that are read of the text of a report: some
// hundred for each of maxRecipients.
const maxReport = 8 << 20

// claims reports whether the header says that the message is a journal report.
// Senders can write that too: it takes a mailbox that is marked, and the form of
// a report.
func claims(fields []mail.Field) bool {
	return slices.ContainsFunc(fields, func(f mail.Field) bool {
		switch strings.ToLower(f.Name) {
		case "x-ms-journal-report":
			return true
		case "x-wm-journal-report":
			return strings.EqualFold(f.Value, "journal")
		case "content-identifier": // Exchange 2003
			return strings.EqualFold(f.Value, "exjournalreport")
		}
		return false
	})
}

// A journal is the reading of one report.
type journal struct {
	r     io.ReaderAt
	lim   parser.Limits
	outer *mail.Message // as the parser reads it
}

// read returns the message that the report carries with its envelope, or the
// report itself where it carries none; nil if it is not understood. The error is
// that of j.r.
func (j *journal) read() (*mail.Message, error) {
	text, message := j.structure()
	if text == nil {
		return nil, nil
	}
	body, err := j.text(*text)
	if err != nil {
		return nil, err
	}
	report, ok := readReport(body, j.lim)
	if !ok || len(report.envelope.Recipients) == 0 && message == nil {
		return nil, nil
	}
	m := j.outer
	if message != nil {
		if m, err = j.unwrap(*text, *message); err != nil {
			return nil, err
		}
		report.envelope.Part = message.Path
	} else {
		addDefect(m, "JOURNAL_NO_MESSAGE", "", "")
	}
	m.Envelope = &report.envelope
	j.defects(m, report, text.Path)
	return m, nil
}

func (j *journal) defects(m *mail.Message, r *report, part string) {
	switch {
	case len(r.envelope.Recipients) == 0:
		addDefect(m, "JOURNAL_PARTLY", part, "no recipient")
	case r.odd > 0:
		addDefect(m, "JOURNAL_PARTLY", part, fmt.Sprintf("lines: %d", r.odd))
	}
	if r.cut {
		addDefect(m, "LIM_ADDRESSES", part, fmt.Sprintf("more than %d recipients", maxRecipients))
	}
}

// structure finds the text of the report, which is the first part of a
// multipart or the first text below it, and the message behind it.
func (j *journal) structure() (text, message *mail.Part) {
	parts := j.outer.Parts
	if len(parts) == 0 || !strings.HasPrefix(parts[0].Type, "multipart/") {
		return nil, nil
	}
	for i := range parts {
		p := &parts[i]
		switch top := strings.Count(p.Path, ".") == 1; {
		case text == nil && (p.Path == "1.1" || strings.HasPrefix(p.Path, "1.1.")) && strings.HasPrefix(p.Type, "text/"):
			text = p
		case top && message == nil && p.Path != "1.1" && isMessage(p.Type):
			message = p
		}
	}
	return text, message
}

func isMessage(ctype string) bool {
	return ctype == "message/rfc822" || ctype == "message/global" || ctype == "message/news"
}

// text returns the decoded text of the report.
func (j *journal) text(p mail.Part) (string, error) {
	b, err := io.ReadAll(io.LimitReader(parser.PartReader(j.r, p), maxReport))
	if err != nil {
		return "", err
	}
	s := charset.Decode(b, p.Charset).Text
	if p.Type == "text/html" {
		s, _ = readable.HTML([]byte(s), maxReport)
	}
	return strings.ReplaceAll(s, "\r", "\n"), nil
}

// unwrap makes the message of the part p the main one. What the report is
// remains around it.
func (j *journal) unwrap(text, p mail.Part) (*mail.Message, error) {
	in, listed, err := j.inner(p)
	if err != nil {
		return nil, err
	}
	m := *in
	m.Parser, m.Size, m.EOL = j.outer.Parser, j.outer.Size, j.outer.EOL
	m.DateReceived = j.outer.DateReceived // by our own provider
	if m.DateReceived.IsZero() {
		m.DateReceived = in.DateReceived
	}
	m.Fields = slices.Clone(j.outer.Fields)
	m.Defects = slices.DeleteFunc(slices.Clone(j.outer.Defects), ofReport)
	if listed {
		place{p.OffBody, p.Path}.move(&m, in)
	} else {
		m.Defects = merged(m.Defects, in.Defects)
	}
	m.Parts = j.parts(text, p, m.Parts, listed)
	return &m, nil
}

// inner parses the message that p carries. listed says that its parts lie in the
// raw octets as they are, and not inside of an encoding.
func (j *journal) inner(p mail.Part) (m *mail.Message, listed bool, err error) {
	switch p.Encoding {
	case "", "7bit", "8bit", "binary":
		m, err = parser.ParseAt(io.NewSectionReader(j.r, p.OffBody, p.Len), p.Len, j.lim)
		return m, true, err
	}
	limit := j.lim.PartText
	if limit <= 0 {
		limit = parser.DefaultLimits().PartText
	}
	b, err := io.ReadAll(io.LimitReader(parser.PartReader(j.r, p), int64(limit)))
	if err != nil {
		return nil, false, err
	}
	if m, err = parser.ParseAt(bytes.NewReader(b), int64(len(b)), j.lim); err != nil {
		return nil, false, err
	}
	if int64(len(b)) < p.Size {
		addDefect(m, "LIM_TEXT", p.Path, "")
	}
	return m, false, nil
}

// parts returns the parts of the report with those of the message in their
// place. Only what is in the message counts as its attachments.
func (j *journal) parts(text, message mail.Part, inner []mail.Part, listed bool) []mail.Part {
	var all []mail.Part
	below := message.Path + "."
	for _, p := range j.outer.Parts {
		switch {
		case listed && strings.HasPrefix(p.Path, below):
			continue
		case p.Path == text.Path:
			p.Role = mail.RoleInline
			p.Text = strings.TrimSpace(j.outer.Text + "\n\n" + j.outer.HTMLText)
		case p.Path == message.Path && listed:
			p.Role, p.Text, p.TextStatus, p.Message = mail.RoleContainer, "", "", nil
		case p.Role == mail.RoleBody:
			p.Role = mail.RoleInline
		}
		all = append(all, p)
		if listed && p.Path == message.Path {
			all = append(all, inner...)
		}
	}
	return all
}

// ofReport recognises what the header of a report lacks, and nobody misses: the
// fields that count are those of the message inside.
func ofReport(d mail.Defect) bool {
	switch d.Code {
	case "DATE_MISSING", "DATE_BAD", "DATE_LENIENT", "DATE_IMPLAUSIBLE", "MSGID_MISSING", "MSGID_BAD", "ADDR_NONE":
		return d.Part == "" || d.Part == "1"
	}
	return false
}

// A place is where a message lies in another: where its octets begin, and the
// path of the part that carries it.
type place struct {
	off  int64
	path string
}

// move adds fields and defects of in to m, and makes m's parts those of in, all
// of them told by their places in the whole.
func (at place) move(m, in *mail.Message) {
	for _, f := range in.Fields {
		f.Off += at.off
		m.Fields = append(m.Fields, f)
	}
	m.Parts = make([]mail.Part, len(in.Parts))
	for i, p := range in.Parts {
		p.Path, p.OffHeader, p.OffBody = at.of(p.Path), p.OffHeader+at.off, p.OffBody+at.off
		m.Parts[i] = p
	}
	moved := slices.Clone(in.Defects)
	for i := range moved {
		moved[i].Off += at.off
		if moved[i].Part != "" {
			moved[i].Part = at.of(moved[i].Part)
		}
	}
	m.Defects = merged(m.Defects, moved)
}

// of returns the path in the whole of a path in the message, whose root is "1".
func (at place) of(path string) string { return at.path + "." + path }

// merged adds defects to those that are there. A code stands once, with the
// greater count: most of what is wrong inside is seen from outside too.
func merged(list, more []mail.Defect) []mail.Defect {
	for _, d := range more {
		i := slices.IndexFunc(list, func(have mail.Defect) bool { return have.Code == d.Code })
		if i < 0 {
			list = append(list, d)
			continue
		}
		list[i].Count = max(list[i].Count, d.Count)
	}
	return list
}
