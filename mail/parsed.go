package mail

import "time"

// What a message says beyond its main fields. All of it is derived from the
// raw bytes by the parser and can be made again.

// A List is what the fields of RFC 2369 and RFC 2919 and the like say of the
// way a message was sent.
type List struct {
	ID            string `json:"id,omitempty"`             // List-Id, without < and >, lower case
	AutoSubmitted string `json:"auto_submitted,omitempty"` // RFC 3834, lower case
	Importance    string `json:"importance,omitempty"`     // high or low; empty for normal
	Mailer        string `json:"mailer,omitempty"`         // X-Mailer or User-Agent
	ThreadIndex   string `json:"thread_index,omitempty"`   // Microsoft's, base64 of its first 22 octets
}

// A Report is a delivery status (RFC 3464), a disposition notification (RFC
// 8098) or a feedback report (RFC 5965).
type Report struct {
	Kind       string            `json:"kind"` // dsn, mdn or arf
	Recipients []ReportRecipient `json:"recipients,omitempty"`
	// OriginalID is the Message-ID of the message that is reported on.
	OriginalID string `json:"original_id,omitempty"`
	// Feedback is the Feedback-Type of an arf, such as abuse.
	Feedback string `json:"feedback,omitempty"`
}

// A ReportRecipient is what a report says of one recipient.
type ReportRecipient struct {
	Final      string `json:"final,omitempty"`      // canonical address
	Original   string `json:"original,omitempty"`   // canonical address
	Action     string `json:"action,omitempty"`     // dsn: failed, delayed, delivered, ...; mdn: displayed, deleted, ...
	Status     string `json:"status,omitempty"`     // RFC 3463, such as 5.1.1
	Diagnostic string `json:"diagnostic,omitempty"` // text of Diagnostic-Code
}

// Crypto says that a message is signed or encrypted, as its MIME types claim;
// nothing is verified.
type Crypto struct {
	Kind      string `json:"kind"` // smime or pgp
	Signed    bool   `json:"signed,omitempty"`
	Encrypted bool   `json:"encrypted,omitempty"`
}

// A Nested is the head of a message within a message.
type Nested struct {
	Subject   string    `json:"subject,omitempty"`
	From      []Address `json:"from,omitempty"`
	To        []Address `json:"to,omitempty"`
	Cc        []Address `json:"cc,omitempty"`
	Date      time.Time `json:"date,omitzero"`
	MessageID string    `json:"message_id,omitempty"`
}

// An Envelope is what is known of how a message was addressed, beside its own
// fields: from a journal report, or from fields that a trusted host added. It
// is never guessed: Source names where it comes from.
type Envelope struct {
	// Source is "exchange-journal" or the name of the field that a rule of the
	// mailbox names, such as "Delivered-To".
	Source     string      `json:"source"`
	Sender     string      `json:"sender,omitempty"`       // canonical address
	OnBehalfOf string      `json:"on_behalf_of,omitempty"` // canonical address
	Subject    string      `json:"subject,omitempty"`      // as the report gives it
	MessageID  string      `json:"message_id,omitempty"`   // of the message reported on
	Recipients []Recipient `json:"recipients,omitempty"`
	// Part is the path of the part that holds the journaled message; empty
	// where the message itself is meant or the report holds none.
	Part string `json:"part,omitempty"`
}

// A Recipient is one of an envelope.
type Recipient struct {
	Role          string `json:"role"`                     // to, cc, bcc, or recipient where the role is not known
	Addr          string `json:"addr"`                     // canonical address
	ExpandedFrom  string `json:"expanded_from,omitempty"`  // the distribution list
	ForwardedFrom string `json:"forwarded_from,omitempty"` // the mailbox that forwarded
}

// An Extractor names what made the text of an attachment, and its version, so
// that the texts of an old one can be made again.
type Extractor struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
}
