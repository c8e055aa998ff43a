package envelope

import (
	"strings"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

// fromFields makes an envelope of the fields that a trusted host has added; nil
// where there is none.
func (r Rules) fromFields(fields []mail.Field, lim parser.Limits) *mail.Envelope {
	fields = r.trusted(fields)
	if e := r.fromHeader(fields, lim); e != nil {
		return e
	}
	if len(r.ReceivedBy) == 0 {
		return nil
	}
	for _, f := range fields {
		if !strings.EqualFold(f.Name, "received") {
			continue
		}
		if _, recipient := receivedClauses(f.Value); recipient != "" {
			return r.envelope(Received, recipient, lim)
		}
	}
	return nil
}

// trusted returns the fields above the first Received field that no trusted
// host wrote. Everything below it may be the sender's.
func (r Rules) trusted(fields []mail.Field) []mail.Field {
	for i, f := range fields {
		if !strings.EqualFold(f.Name, "received") {
			continue
		}
		if by, _ := receivedClauses(f.Value); !r.trusts(by) {
			return fields[:i]
		}
	}
	return fields
}

func (r Rules) trusts(host string) bool {
	host = "." + strings.ToLower(strings.TrimSuffix(host, "."))
	for _, name := range r.ReceivedBy {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, ".") && strings.HasSuffix(host, name) || host == "."+name {
			return true
		}
	}
	return false
}

func (r Rules) fromHeader(fields []mail.Field, lim parser.Limits) *mail.Envelope {
	if r.Header == "" {
		return nil
	}
	n := 0
	for _, f := range fields {
		if !strings.EqualFold(f.Name, r.Header) {
			continue
		}
		if n++; n == max(r.Occurrence, 1) {
			return r.envelope(r.Header, f.Value, lim)
		}
	}
	return nil
}

// envelope makes an envelope of the addresses in value; nil if there is none.
func (r Rules) envelope(source, value string, lim parser.Limits) *mail.Envelope {
	e := &mail.Envelope{Source: source}
	for _, a := range parser.Addresses(value, lim) {
		if addr := r.plain(a.Addr, lim); addr != "" {
			e.Recipients = append(e.Recipients, mail.Recipient{Role: roleUnknown, Addr: addr})
		}
	}
	if e.Recipients == nil {
		return nil
	}
	return e
}

// plain undoes what the delivering host made of an address.
func (r Rules) plain(addr string, lim parser.Limits) string {
	prefix := strings.ToLower(r.StripPrefix)
	if prefix == "" && !r.Encoded {
		return addr
	}
	at := strings.LastIndexByte(addr, '@')
	if at < 0 {
		return ""
	}
	local := strings.TrimPrefix(addr[:at], prefix)
	if i := strings.LastIndexByte(local, '='); r.Encoded && i >= 0 {
		return firstAddress(local[:i]+"@"+local[i+1:], lim)
	}
	return firstAddress(local+addr[at:], lim)
}

// firstAddress returns the canonical form of the first address in text, or "".
func firstAddress(text string, lim parser.Limits) string {
	for _, a := range parser.Addresses(text, lim) {
		if a.Addr != "" {
			return a.Addr
		}
	}
	return ""
}

// receivedClauses returns the host of the clause "by" of a Received value and
// the path of the clause "for" (RFC 5321 section 4.4). Comments are skipped: the
// sending host chooses words in them, and the name behind "from" too.
func receivedClauses(value string) (by, recipient string) {
	clauses, _, _ := strings.Cut(withoutComments(value), ";")
	words := strings.Fields(clauses)
	if len(words) > 2 && strings.EqualFold(words[0], "from") {
		words = words[2:]
	}
	for i := 0; i+1 < len(words); i++ {
		switch {
		case by == "" && strings.EqualFold(words[i], "by"):
			by = words[i+1]
			i++
		case by != "" && recipient == "" && strings.EqualFold(words[i], "for"):
			recipient = words[i+1]
			i++
		}
	}
	return by, recipient
}

// withoutComments drops what stands in parentheses, quoted pairs in mind (RFC
// 5322 section 3.2.2). A comment that is not closed lasts to the end.
func withoutComments(s string) string {
	var out strings.Builder
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && depth > 0:
			i++
		case c == '(':
			if depth++; depth == 1 {
				out.WriteByte(' ')
			}
		case c == ')' && depth > 0:
			depth--
		case depth == 0:
			out.WriteByte(c)
		}
	}
	return out.String()
}
