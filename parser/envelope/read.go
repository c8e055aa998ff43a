package envelope

import (
	"io"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

// Journal is the Source of envelopes that come from journal reports.
const Journal = "exchange-journal"

// Received is the Source of envelopes that come from a Received field.
const Received = "Received"

// roleUnknown is the role of recipients of whom it is not known how they were
// addressed.
const roleUnknown = "recipient"

// Rules say how the mail of one mailbox tells whom it was for. The zero Rules
// ask for nothing.
type Rules struct {
	// Journal says that the mailbox receives journal reports.
	Journal bool
	// Header names the field that the delivering host adds, such as X-Original-To;
	// empty for none.
	Header string
	// Occurrence says which of the fields of that name counts, from the top; 0
	// means 1, the topmost.
	Occurrence int
	// StripPrefix is taken off the local part of the address, where it is there.
	StripPrefix string
	// Encoded says that the local part, behind the prefix, is an address with = in
	// place of @.
	Encoded bool
	// ReceivedBy names the hosts whose Received fields are trusted; one that
	// begins with a dot stands for all hosts below it.
	ReceivedBy []string
}

// Ask reports whether an envelope is to be looked for.
func (r Rules) Ask() bool { return r.Journal || r.Header != "" || len(r.ReceivedBy) > 0 }

// Read parses the first size octets of r and finds the envelope of the message
// by the rules. As with parser.ParseAt, the error is only ever r's own. Of a
// message that a journal report carries encoded as a whole, against RFC 2046
// section 5.2.1, at most lim.PartText octets are read.
func Read(r io.ReaderAt, size int64, lim parser.Limits, rules Rules) (*mail.Message, error) {
	m, err := parser.ParseAt(r, size, lim)
	if err != nil || !rules.Ask() {
		return m, err
	}
	unparsed := false
	if rules.Journal && claims(m.Fields) {
		j := journal{r: r, lim: lim, outer: m}
		found, err := j.read()
		if err != nil {
			return nil, err
		}
		if found != nil {
			return found, nil
		}
		unparsed = true
		addDefect(m, "JOURNAL_UNPARSED", "", "")
	}
	if m.Envelope = rules.fromFields(m.Fields, lim); m.Envelope == nil && !unparsed {
		addDefect(m, "ENVELOPE_UNKNOWN", "", "")
	}
	return m, nil
}

// addDefect adds a defect of this package, which each message has once at most.
func addDefect(m *mail.Message, code, part, detail string) {
	m.Defects = append(m.Defects, mail.Defect{Code: code, Severity: parser.Severity(code), Part: part, Count: 1, Detail: detail})
}
