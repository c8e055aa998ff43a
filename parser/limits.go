package parser

// Limits bound what one message may cost. A limit that is reached leaves a LIM_
// defect and what was read until then. A zero field takes its default.
type Limits struct {
	Header    int // octets of one header block; the rest of it is read as body
	Fields    int // fields of one header block that are looked at
	Kept      int // fields of the message kept in Message.Fields
	Value     int // octets of a field value handed to a library; a longer one meets own linear code only
	Addresses int // addresses kept per kind (From, To, ...)
	Words     int // encoded words (RFC 2047) decoded per field
	Params    int // parameters (RFC 2045 section 5.1) read per field
	Boundary  int // octets of a boundary
	Depth     int // nesting of multipart and message/rfc822; deeper ones are read as text
	Parts     int // entities; what follows the last of them is read as text
	PartText  int // octets of UTF-8 text kept of one part, and of text read from one part
	MailText  int // octets of UTF-8 text kept of one message
	HTML      int // octets of one HTML part that are read
}

// DefaultLimits returns the limits that Parse applies.
func DefaultLimits() Limits {
	return Limits{
		Header:    1 << 20,
		Fields:    10_000,
		Kept:      2_000,
		Value:     64 << 10,
		Addresses: 5_000,
		Words:     5_000,
		Params:    256,
		Boundary:  1_024,
		Depth:     64,
		Parts:     10_000,
		PartText:  16 << 20,
		MailText:  32 << 20,
		HTML:      32 << 20,
	}
}

// orDefault returns l with its zero and negative fields replaced.
func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ v, def *int }{
		{&l.Header, &d.Header}, {&l.Fields, &d.Fields}, {&l.Kept, &d.Kept}, {&l.Value, &d.Value},
		{&l.Addresses, &d.Addresses}, {&l.Words, &d.Words}, {&l.Params, &d.Params},
		{&l.Boundary, &d.Boundary}, {&l.Depth, &d.Depth}, {&l.Parts, &d.Parts},
		{&l.PartText, &d.PartText}, {&l.MailText, &d.MailText}, {&l.HTML, &d.HTML},
	} {
		if *f.v <= 0 {
			*f.v = *f.def
		}
	}
	return l
}
