package parser

import (
	"strconv"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

// reportKinds maps the type of the part that a program reads to the kind of
// report (RFC 3464, RFC 8098, RFC 5965; RFC 6533 for the global forms).
var reportKinds = map[string]string{
	"message/delivery-status": "dsn", "message/global-delivery-status": "dsn",
	"message/disposition-notification": "mdn", "message/global-disposition-notification": "mdn",
	"message/feedback-report": "arf",
}

const (
	maxReportFields = 5_000 // fields of a report that are read
	maxDiagnostic   = 998   // octets kept of a Diagnostic-Code
)

// report reads what a delivery status, disposition notification or feedback
// report says; nil if the message is none. A message in the message, which may
// be a report of its own, is not searched.
func (p *parse) report(root *node) *mail.Report {
	var r *mail.Report
	var original string
	walkOwn(root, func(n *node) {
		kind := reportKinds[n.ctype]
		switch {
		case kind != "" && n.kind == leaf && r == nil:
			r = &mail.Report{Kind: kind}
			p.reportFields(n, r)
		case original != "":
		case n.ctype == "text/rfc822-headers" || n.ctype == "message/rfc822-headers" || n.ctype == "message/global-headers":
			original = headerID(n.text)
		case n.message != nil:
			original = n.message.MessageID
		}
	})
	if r != nil && r.OriginalID == "" {
		r.OriginalID = original
	}
	return r
}

// walkOwn calls f for n and what lies below it, but not for messages in it.
func walkOwn(n *node, f func(*node)) {
	f(n)
	if n.kind != container {
		return
	}
	for _, kid := range n.kids {
		walkOwn(kid, f)
	}
}

// headerID returns the Message-ID of a header block that came as text.
func headerID(text string) string {
	for name, value := range textFields(text) {
		if name == "message-id" {
			if ids, _ := messageIDs(value); len(ids) > 0 {
				return ids[0]
			}
		}
	}
	return ""
}

// reportFields reads the blocks of a report: in a delivery status the first is
// of the message and each further one of a recipient; in the others all is one.
func (p *parse) reportFields(n *node, r *mail.Report) {
	d := p.decoderAt(n, field{off: n.offBody})
	var at mail.ReportRecipient
	left := maxReportFields
	done := func() {
		if at != (mail.ReportRecipient{}) && len(r.Recipients) < p.lim.Addresses {
			r.Recipients = append(r.Recipients, at)
		}
		at = mail.ReportRecipient{}
	}
	for name, value := range textFields(n.text) {
		if left--; left < 0 {
			d.add("LIM_FIELDS")
			break
		}
		if name == "" {
			if r.Kind == "dsn" {
				done()
			}
			continue
		}
		reportField(r, &at, name, clean(d.words(value)))
	}
	done()
}

func reportField(r *mail.Report, at *mail.ReportRecipient, name, value string) {
	switch name {
	case "final-recipient":
		at.Final = typedAddress(value)
	case "original-recipient":
		at.Original = typedAddress(value)
	case "original-rcpt-to": // a field of each recipient
		if at.Original != "" {
			r.Recipients = append(r.Recipients, *at)
		}
		*at = mail.ReportRecipient{Original: canonical(bareAddress(value))}
	case "action":
		at.Action = strings.ToLower(firstWord(value))
	case "disposition":
		_, what, _ := strings.Cut(value, ";")
		what, _, _ = strings.Cut(what, "/")
		at.Action = strings.ToLower(strings.TrimSpace(what))
	case "status":
		at.Status = firstWord(value)
	case "diagnostic-code", "failure", "error":
		at.Diagnostic = diagnostic(name, value)
	case "original-message-id", "x-original-message-id":
		if ids, _ := messageIDs(value); len(ids) > 0 && r.OriginalID == "" {
			r.OriginalID = ids[0]
		}
	case "feedback-type":
		r.Feedback = strings.ToLower(firstWord(value))
	}
}

// diagnostic drops the type before a Diagnostic-Code ("smtp; 550 ...").
func diagnostic(name, value string) string {
	if kind, text, ok := strings.Cut(value, ";"); ok && name == "diagnostic-code" && !strings.Contains(strings.TrimSpace(kind), " ") {
		value = strings.TrimSpace(text)
	}
	if len(value) > maxDiagnostic {
		value = strings.ToValidUTF8(value[:maxDiagnostic], "")
	}
	return value
}

func firstWord(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), " ")
	return strings.TrimRight(s, ";,")
}

// typedAddress returns the address of "rfc822; ann@example.org". Of the other
// types only "utf-8" is of mail (RFC 6533 section 3), with its own escapes.
func typedAddress(value string) string {
	kind, addr, ok := strings.Cut(value, ";")
	if !ok {
		return canonical(bareAddress(value))
	}
	if strings.EqualFold(strings.TrimSpace(kind), "utf-8") {
		addr = unescapeUTF8(addr)
	}
	return canonical(bareAddress(addr))
}

// unescapeUTF8 reads the \x{HEX} of RFC 6533 section 3.
func unescapeUTF8(s string) string {
	var sb strings.Builder
	for {
		before, after, ok := strings.Cut(s, `\x{`)
		sb.WriteString(before)
		if !ok {
			return sb.String()
		}
		end := strings.IndexByte(after[:min(len(after), 8)], '}')
		code, err := strconv.ParseUint(after[:max(end, 0)], 16, 32)
		if err != nil {
			sb.WriteString(`\x{`)
			s = after
			continue
		}
		sb.WriteRune(rune(code))
		s = after[end+1:]
	}
}
