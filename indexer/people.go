package indexer

import (
	"strings"

	"golang.org/x/net/idna"

	"github.com/mailkeep/mailkeep/mail"
)

// maxLabels is how many domains above an address are searchable.
const maxLabels = 8

// peopleFields are the fields of people.
var peopleFields = []string{fieldFrom, fieldTo, fieldCc, fieldBcc, fieldOther}

// peopleOf returns the people of a message by the field that finds them. The
// recipients of an envelope are found by their role.
func peopleOf(m *mail.Message) map[string][]mail.Address {
	out := map[string][]mail.Address{
		fieldFrom: m.From, fieldTo: m.To, fieldCc: m.Cc, fieldBcc: m.Bcc,
	}
	add := func(field string, list ...mail.Address) {
		out[field] = append(out[field][:len(out[field]):len(out[field])], list...)
	}
	add(fieldOther, m.Sender...)
	add(fieldOther, m.ReplyTo...)
	add(fieldOther, m.DeliveredTo...)
	add(fieldOther, mail.Address{Addr: m.ReturnPath})
	if e := m.Envelope; e != nil {
		add(fieldOther, mail.Address{Addr: e.Sender}, mail.Address{Addr: e.OnBehalfOf})
		for _, r := range e.Recipients {
			role := map[string]string{"cc": fieldCc, "bcc": fieldBcc}[r.Role]
			if role == "" {
				role = fieldTo
			}
			add(role, mail.Address{Addr: r.Addr})
			add(fieldOther, mail.Address{Addr: r.ExpandedFrom}, mail.Address{Addr: r.ForwardedFrom})
		}
	}
	if m.Report != nil {
		for _, r := range m.Report.Recipients {
			add(fieldOther, mail.Address{Addr: r.Final}, mail.Address{Addr: r.Original})
		}
	}
	return out
}

func (b *builder) people(by map[string][]mail.Address) {
	for _, name := range peopleFields {
		b.words(name, maxField, addressTexts(by[name])...)
		var addrs []string
		for _, a := range by[name] {
			if a.Addr != "" {
				addrs = append(addrs, addressTerms(a.Addr)...)
			}
		}
		b.keywords(name+addrSuffix, addrs...)
	}
}

// addressTexts returns what is to read in a list of addresses, each address
// once.
func addressTexts(list []mail.Address) []string {
	out := make([]string, 0, 2*len(list))
	seen := make(map[mail.Address]bool, len(list))
	for _, a := range list {
		if seen[a] {
			continue
		}
		seen[a] = true
		out = append(out, a.Name, a.Addr)
		if a.Addr == "" {
			out = append(out, a.Raw)
		}
	}
	return out
}

// addressTerms returns the terms of an address: itself, its local part with the
// @ behind, and with the @ before them its domain and the domains above.
func addressTerms(addr string) []string {
	addr = canonicalAddress(addr)
	out := []string{addr}
	at := strings.LastIndexByte(addr, '@')
	if at > 0 {
		out = append(out, addr[:at+1])
	}
	domain := addr[at+1:]
	for range maxLabels {
		out = append(out, "@"+domain)
		_, above, ok := strings.Cut(domain, ".")
		if !ok {
			break
		}
		domain = above
	}
	return out
}

// canonicalAddress returns the form in which addresses are compared: lower
// case, the domain in ASCII.
func canonicalAddress(addr string) string {
	addr = strings.ToLower(addr)
	at := strings.LastIndexByte(addr, '@')
	if at < 0 || ascii(addr[at+1:]) {
		return addr
	}
	domain, err := idna.Lookup.ToASCII(addr[at+1:])
	if err != nil {
		return addr
	}
	return addr[:at+1] + domain
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
