package configs

import "strings"

// A ResolvedEnvelope is what a mailbox is told about envelopes.
type ResolvedEnvelope struct {
	Header      string
	Occurrence  int // from 1
	StripPrefix string
	Encoded     bool
	ReceivedBy  []string
}

func (e Envelope) resolve() ResolvedEnvelope {
	return ResolvedEnvelope{Header: e.Header, Occurrence: max(e.Occurrence, 1), StripPrefix: e.StripPrefix, Encoded: e.Encoded, ReceivedBy: e.hosts()}
}

const (
	maxOccurrence = 100
	maxFieldName  = 77 // octets; RFC 5322 section 2.1.1 leaves no more for a line
)

// envelope checks the rules of one mailbox.
func (k *checking) envelope(m *Mailbox) {
	e, key := m.Envelope, join(m.key, "envelope")
	if e.Occurrence != 0 {
		within(k, join(key, "occurrence"), e.Occurrence, 1, maxOccurrence)
	}
	switch {
	case e.Header != "" && !isFieldName(e.Header):
		k.fault(join(key, "header"), quote(e.Header)+" is not the name of a header field", "write it without a colon, such as X-Original-To")
	case isClaim(e.Header):
		k.fault(join(key, "header"), e.Header+" is written by the sender, and says nothing of the envelope", "name the field that the delivering host adds, such as X-Original-To")
	case strings.EqualFold(e.Header, "received"):
		k.fault(join(key, "header"), "Received is read by received_by", "remove it and name the trusted hosts in received_by")
	case e.Header == "" && e.Occurrence != 0:
		k.fault(join(key, "occurrence"), "there is no header that it is for", "set header or remove it")
	case e.Header == "" && e.ReceivedBy == "" && (e.StripPrefix != "" || e.Encoded):
		k.fault(key, "says nothing of where the address stands", "set header or received_by")
	}
	for _, host := range e.hosts() {
		if strings.ContainsAny(host, " \t@/:()<>\"") || strings.Trim(host, ".") == "" {
			k.fault(join(key, "received_by"), quote(host)+" is not the name of a host", "write names as the Received fields have them, separated by commas")
		}
	}
}

// isFieldName reports whether name may be that of a field (RFC 5322 section
// 3.6.8).
func isFieldName(name string) bool {
	return len(name) <= maxFieldName && strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) < 0
}

// isClaim reports whether the field is one in which senders say whom a message
// is for.
func isClaim(name string) bool {
	switch strings.ToLower(name) {
	case "to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc", "reply-to", "apparently-to":
		return true
	}
	return false
}
