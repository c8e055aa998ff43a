package parser

import (
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// fields reads the header of the message n into m.
func (p *parse) fields(n *node, m *mail.Message) {
	var refs, replies []string
	seen := make(map[string]bool, len(n.fields))
	m.Fields = make([]mail.Field, 0, min(len(n.fields), p.lim.Kept))
	var sent sentBy
	for _, f := range n.fields {
		d := p.decoderAt(n, f)
		v := d.utf8(unfold(p.w.bytes(f.val, int(f.end-f.val))))
		if seen[f.name] && singletons[f.name] {
			d.add("HDR_DUP_SINGLETON")
		}
		switch f.name {
		case "from", "sender", "reply-to", "to", "cc", "bcc":
			list := addressList(m, f.name)
			*list = p.limitAddresses(append(*list, d.addresses(v)...), d)
		case "delivered-to", "x-original-to":
			m.DeliveredTo = p.limitAddresses(append(m.DeliveredTo, d.addresses(v)...), d)
		case "references":
			refs = append(refs, referenceIDs(v)...)
		case "in-reply-to":
			replies = append(replies, replyIDs(v)...)
		}
		value := p.keep(m, f, d, v)
		if !seen[f.name] {
			p.firstField(m, f, d, v, value)
			sent.field(f.name, value)
		}
		seen[f.name] = true
	}
	m.References = thread(refs, replies)
	m.List = sent.listed()
	p.missing(n, m, seen)
}

// firstField reads the fields of which only the first counts.
func (p *parse) firstField(m *mail.Message, f field, d decoder, v, value string) {
	switch f.name {
	case "subject":
		m.Subject = value
		m.SubjectBase = subjectBase(value)
	case "message-id":
		ids, ok := messageIDs(v)
		if !ok || len(ids) != 1 {
			d.add("MSGID_BAD")
		}
		if len(ids) > 0 {
			m.MessageID = ids[0]
		}
	case "date":
		t, lenient, ok := parseDate(value)
		switch {
		case !ok:
			d.add("DATE_BAD")
		case lenient:
			d.add("DATE_LENIENT")
		}
		m.DateHeader = t
	case "return-path":
		m.ReturnPath = canonical(bareAddress(skipComments(v)))
	case "received":
		m.DateReceived = receivedDate(value)
	}
}

// keep adds the field to m.Fields and returns its decoded value. What is wrong
// with the words of a structured field is noted where its pieces are read.
func (p *parse) keep(m *mail.Message, f field, d decoder, v string) string {
	if structured[f.name] {
		d.bad = &defects{}
	}
	value := clean(d.words(v))
	d.bad = p.bad
	switch {
	case len(m.Fields) < p.lim.Kept:
		m.Fields = append(m.Fields, mail.Field{Name: f.written, Value: value, Off: f.off, Len: f.end - f.off})
	case len(m.Fields) == p.lim.Kept:
		d.add("LIM_FIELDS")
	}
	return value
}

// singletons may stand once in a header (RFC 5322 section 3.6).
var singletons = map[string]bool{
	"date": true, "from": true, "sender": true, "reply-to": true, "to": true, "cc": true, "bcc": true,
	"message-id": true, "in-reply-to": true, "references": true, "subject": true,
	"content-type": true, "content-transfer-encoding": true, "mime-version": true,
}

// structured fields are read piece by piece besides being kept.
var structured = map[string]bool{
	"from": true, "sender": true, "reply-to": true, "to": true, "cc": true, "bcc": true,
	"content-type": true, "content-disposition": true,
}

func addressList(m *mail.Message, name string) *[]mail.Address {
	switch name {
	case "from":
		return &m.From
	case "sender":
		return &m.Sender
	case "reply-to":
		return &m.ReplyTo
	case "to":
		return &m.To
	case "cc":
		return &m.Cc
	}
	return &m.Bcc
}

func (p *parse) limitAddresses(list []mail.Address, d decoder) []mail.Address {
	if len(list) <= p.lim.Addresses {
		return list
	}
	d.add("LIM_ADDRESSES")
	return list[:p.lim.Addresses:p.lim.Addresses]
}

// missing notes what a message should have and has not.
func (p *parse) missing(n *node, m *mail.Message, seen map[string]bool) {
	if !seen["date"] {
		p.bad.add("DATE_MISSING", n.path, n.offHeader, "")
	} else if t := m.DateHeader; !t.IsZero() && !plausible(t, m.DateReceived) {
		p.bad.add("DATE_IMPLAUSIBLE", n.path, n.offHeader, "")
	}
	if !seen["message-id"] {
		p.bad.add("MSGID_MISSING", n.path, n.offHeader, "")
	}
	for _, a := range m.From {
		if a.Addr != "" {
			return
		}
	}
	p.bad.add("ADDR_NONE", n.path, n.offHeader, "")
}

// receivedDate returns the date of a Received value, which stands behind its
// last semicolon (RFC 5321 section 4.4); zero if it cannot be read.
func receivedDate(v string) time.Time {
	i := strings.LastIndexByte(v, ';')
	t, _, ok := parseDate(v[i+1:])
	if i < 0 || !ok {
		return time.Time{}
	}
	return t
}
