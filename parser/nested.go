package parser

import (
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

const maxHeadValue = 2_000 // octets kept of a header value of a message in the message

// nestedViews makes the text of each message that n carries: who wrote what
// to whom, so that a search for it finds the mail around it.
func (p *parse) nestedViews(n *node) {
	for _, kid := range n.kids {
		switch n.kind {
		case container:
			p.nestedViews(kid)
		case nested:
			n.role, n.status = mail.RoleNested, mail.TextOK
			text, htmlText, _ := p.view(kid)
			n.message = p.head(kid)
			lines := strings.Join(headLines(n.message), "\n")
			if len(lines) > p.left {
				lines = ""
				p.bad.add("LIM_TEXT", n.path, n.offBody, "")
			}
			p.left -= len(lines)
			n.text = strings.TrimSpace(strings.Join([]string{lines, text, htmlText}, "\n\n"))
			if kid.kind == leaf && kid.status != mail.TextNone {
				n.status = kid.status
			}
		}
	}
}

// head reads the header of a message in the message.
func (p *parse) head(n *node) *mail.Nested {
	h := &mail.Nested{}
	seen := map[string]bool{}
	for _, f := range n.fields {
		d := p.decoderAt(n, f)
		v := d.utf8(unfold(p.w.bytes(f.val, int(f.end-f.val))))
		first := !seen[f.name]
		seen[f.name] = true
		switch {
		case f.name == "from":
			h.From = append(h.From, d.addresses(v)...)
		case f.name == "to":
			h.To = append(h.To, d.addresses(v)...)
		case f.name == "cc":
			h.Cc = append(h.Cc, d.addresses(v)...)
		case !first:
		case f.name == "subject":
			h.Subject = clean(d.words(v))
		case f.name == "date":
			h.Date, _, _ = parseDate(clean(d.words(v)))
		case f.name == "message-id":
			if ids, _ := messageIDs(v); len(ids) > 0 {
				h.MessageID = ids[0]
			}
		}
	}
	return p.limitHead(h)
}

// nestedOf returns the head of a message that was parsed on its own.
func nestedOf(m *mail.Message) *mail.Nested {
	return &mail.Nested{Subject: m.Subject, From: m.From, To: m.To, Cc: m.Cc, Date: m.DateHeader, MessageID: m.MessageID}
}

// limitHead bounds what is kept of the heads of all messages in the message.
func (p *parse) limitHead(h *mail.Nested) *mail.Nested {
	if len(h.Subject) > maxHeadValue {
		h.Subject = strings.ToValidUTF8(h.Subject[:maxHeadValue], "")
	}
	for _, list := range []*[]mail.Address{&h.From, &h.To, &h.Cc} {
		if len(*list) > p.heads {
			p.bad.add("LIM_ADDRESSES", "", 0, "")
			*list = (*list)[:p.heads:p.heads]
		}
		p.heads -= len(*list)
		for i := range *list {
			if a := &(*list)[i]; len(a.Name) > maxHeadValue {
				a.Name = strings.ToValidUTF8(a.Name[:maxHeadValue], "")
			}
		}
	}
	return h
}

// headLines returns the lines of a header that a reader sees.
func headLines(h *mail.Nested) []string {
	var lines []string
	add := func(name, value string) {
		if value != "" {
			lines = append(lines, name+": "+value)
		}
	}
	add("Subject", h.Subject)
	add("From", addressLine(h.From))
	add("To", addressLine(h.To))
	add("Cc", addressLine(h.Cc))
	if !h.Date.IsZero() {
		add("Date", h.Date.Format(time.RFC1123Z))
	}
	return lines
}

func addressLine(list []mail.Address) string {
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
