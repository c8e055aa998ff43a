package parser

import (
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

// Addresses reads the addresses in text that is decoded already, such as a line
// of a report: an address list where it is one (RFC 5322 section 3.4), else what
// can be found in it. Entries without an address have Raw alone. It keeps at
// most lim.Addresses of them.
func Addresses(text string, lim Limits) []mail.Address {
	lim = lim.orDefault()
	d := decoder{lim: &lim, bad: &defects{}}
	list := d.addresses(strings.TrimSpace(text))
	return list[:min(len(list), lim.Addresses)]
}

// Words decodes the encoded words (RFC 2047) of text and drops its controls.
func Words(text string, lim Limits) string {
	lim = lim.orDefault()
	d := decoder{lim: &lim, bad: &defects{}}
	return clean(d.words(d.utf8(text)))
}

// MessageIDs returns the ids in a value such as that of Message-ID, without
// their brackets.
func MessageIDs(value string) []string {
	ids, _ := messageIDs(value)
	return ids
}
