package mail

import "time"

// A Message is what the parser made of raw bytes: derived data that can be made
// again at any time. Offsets count octets from the start of the raw bytes.
type Message struct {
	Parser  int     `json:"parser"` // version of the parser that made it
	Size    int64   `json:"size"`
	Fields  []Field `json:"fields"`
	Subject string  `json:"subject"`
	// SubjectBase is the subject without prefixes such as Re: and list tags, in
	// one case (RFC 5256 section 2.1): a key, not for display.
	SubjectBase string `json:"subject_base,omitempty"`
	// EOL tells how lines end: crlf, lf, cr or mixed.
	EOL string `json:"eol,omitempty"`

	From    []Address `json:"from,omitempty"`
	Sender  []Address `json:"sender,omitempty"`
	ReplyTo []Address `json:"reply_to,omitempty"`
	To      []Address `json:"to,omitempty"`
	Cc      []Address `json:"cc,omitempty"`
	Bcc     []Address `json:"bcc,omitempty"`

	DeliveredTo []Address `json:"delivered_to,omitempty"` // Delivered-To and X-Original-To, topmost first
	ReturnPath  string    `json:"return_path,omitempty"`  // canonical address of the topmost Return-Path

	MessageID  string   `json:"message_id,omitempty"` // without < and >
	References []string `json:"references,omitempty"` // In-Reply-To last; no repeats

	// DateHeader is the Date field; zero if it is missing or unreadable.
	DateHeader time.Time `json:"date_header,omitzero"`
	// DateReceived is the date of the topmost Received field.
	DateReceived time.Time `json:"date_received,omitzero"`

	List     *List     `json:"list,omitempty"`
	Report   *Report   `json:"report,omitempty"`
	Crypto   *Crypto   `json:"crypto,omitempty"`
	Envelope *Envelope `json:"envelope,omitempty"`

	// Copy is K2, or K3 where there is no Message-ID: the same for messages that
	// differ in trace fields alone. It groups for display; nothing is dropped.
	Copy Digest `json:"copy,omitzero"`

	Parts []Part `json:"parts"` // in order of appearance, containers before their children

	// Text is the readable body: text/plain where it has words, else the text
	// of the HTML. HTMLText is set beside it where both exist and differ.
	Text     string `json:"text"`
	HTMLText string `json:"html_text,omitempty"`
	// Marks are the stretches of Text that its author did not write for this
	// message, in order, none within another. They are part of Text.
	Marks []Mark `json:"marks,omitempty"`

	Defects []Defect `json:"defects,omitempty"`
}

// A Mark is a stretch of a text, in octets from its start.
type Mark struct {
	Kind MarkKind `json:"kind"`
	From int      `json:"from"`
	To   int      `json:"to"` // behind the last octet
}

// A MarkKind tells what a stretch is.
type MarkKind string

// The kinds of marks.
const (
	MarkQuote     MarkKind = "quote"     // of the message that is answered or forwarded
	MarkSignature MarkKind = "signature" // below the line "-- " (RFC 3676 section 4.3)
)

// A Field is one header field of the message.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"` // decoded (RFC 2047) and unfolded UTF-8, controls removed
	Off   int64  `json:"off"`
	Len   int64  `json:"len"`
}

// An Address is one mailbox of an address list (RFC 5322 section 3.4).
type Address struct {
	Name string `json:"name,omitempty"` // display name, decoded
	Addr string `json:"addr,omitempty"` // canonical: lower case, IDNA-mapped domain; empty if none was found
	Raw  string `json:"raw,omitempty"`  // as written, where it could not be read strictly
}

// String returns `Name <addr>`, or whichever half exists.
func (a Address) String() string {
	switch {
	case a.Name == "" && a.Addr == "":
		return a.Raw
	case a.Name == "":
		return a.Addr
	case a.Addr == "":
		return a.Name
	}
	return a.Name + " <" + a.Addr + ">"
}

// A Role tells what a part is in its message.
type Role string

// The roles of parts.
const (
	RoleContainer  Role = "container"  // multipart/*
	RoleBody       Role = "body"       // what a reader reads
	RoleInline     Role = "inline"     // shown inside a body, such as an image by Content-ID
	RoleAttachment Role = "attachment" // has a file name or is not text
	RoleNested     Role = "nested"     // message/rfc822
)

// A Part is one MIME entity (RFC 2046), by offsets into the raw bytes.
type Part struct {
	Path      string `json:"path"` // "1.2.1"; the root is "1"
	OffHeader int64  `json:"off_header"`
	OffBody   int64  `json:"off_body"`
	Len       int64  `json:"len"` // octets of the encoded body
	Type      string `json:"type"`
	Charset   string `json:"charset,omitempty"` // as used
	// CharsetDeclared is the label as it stands, where it is another one, and
	// CharsetSource where Charset comes from: label, default or detected.
	CharsetDeclared string `json:"charset_declared,omitempty"`
	CharsetSource   string `json:"charset_source,omitempty"`
	Encoding        string `json:"encoding,omitempty"` // Content-Transfer-Encoding, lower case
	Disposition     string `json:"disposition,omitempty"`
	FileName        string `json:"file_name,omitempty"` // decoded and safe to print; never used as a path
	ContentID       string `json:"content_id,omitempty"`
	Role            Role   `json:"role"`
	Size            int64  `json:"size"`            // octets after transfer decoding
	Digest          Digest `json:"digest,omitzero"` // of the decoded octets; leaves only
	// Text is the text of an attachment or a nested message's body.
	Text       string     `json:"text,omitempty"`
	TextStatus TextStatus `json:"text_status,omitempty"`
	// Extractor made Text or tried to; nil where the parser itself did.
	Extractor *Extractor `json:"extractor,omitempty"`
	// Message is set for nested messages.
	Message *Nested `json:"message,omitempty"`
}

// A TextStatus tells whether a part's text could be read; all but none and ok
// enter the coverage statement of a search.
type TextStatus string

// The text statuses.
const (
	TextNone        TextStatus = "none" // has no text by nature
	TextOK          TextStatus = "ok"
	TextTruncated   TextStatus = "truncated"
	TextEncrypted   TextStatus = "encrypted"
	TextFailed      TextStatus = "failed"
	TextTimeout     TextStatus = "timeout"     // the extractor did not end in time
	TextUnsupported TextStatus = "unsupported" // a document whose format is not extracted
	TextSkipped     TextStatus = "skipped"     // extraction is switched off, or a budget of the message was spent
)

// A Severity grades a defect.
type Severity string

// The severities.
const (
	Info Severity = "info"
	Warn Severity = "warn"
	Loss Severity = "loss" // some content could not be understood; the raw bytes still hold it
)

// A Defect is something wrong with a message. Codes are listed in package
// parser.
type Defect struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Part     string   `json:"part,omitempty"` // path of the part
	Off      int64    `json:"off"`            // of the first occurrence
	Count    int      `json:"count"`
	Detail   string   `json:"detail,omitempty"`
}
