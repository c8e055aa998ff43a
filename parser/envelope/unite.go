package envelope

import (
	"slices"

	"github.com/mailkeep/mailkeep/mail"
)

// Unite returns what several envelopes of one message tell together, such as
// those of the reports that a server splits a journal into; nil for none.
// Sender, subject and id are those of the first that has them. A recipient whose
// role is known from one of them is not told again as one of whom it is not.
func Unite(list []*mail.Envelope) *mail.Envelope {
	var out *mail.Envelope
	known := map[mail.Recipient]bool{}
	for _, e := range list {
		if e == nil {
			continue
		}
		if out == nil {
			out = &mail.Envelope{Source: e.Source}
		}
		keep(&out.Sender, e.Sender)
		keep(&out.OnBehalfOf, e.OnBehalfOf)
		keep(&out.Subject, e.Subject)
		keep(&out.MessageID, e.MessageID)
		for _, r := range e.Recipients {
			if !known[r] && len(out.Recipients) < maxRecipients {
				known[r] = true
				out.Recipients = append(out.Recipients, r)
			}
		}
	}
	if out != nil {
		out.Recipients = slices.DeleteFunc(out.Recipients, func(r mail.Recipient) bool { return toldBetter(known, r) })
	}
	return out
}

func keep(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// toldBetter reports whether the same recipient is known with a role.
func toldBetter(known map[mail.Recipient]bool, r mail.Recipient) bool {
	if r.Role != roleUnknown {
		return false
	}
	for _, role := range [...]string{"to", "cc", "bcc"} {
		if r.Role = role; known[r] {
			return true
		}
	}
	return false
}
