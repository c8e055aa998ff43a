package parser

import (
	"bytes"
	"crypto/sha256"

	"github.com/mailkeep/mailkeep/mail"
)

// Seams for the tests of the package's outside.
var (
	ParseDate     = parseDate
	Canonical     = canonical
	ReadIDs       = messageIDs
	FileName      = safeFileName
	Severities    = severities
	Lenient       = lenient
	SubjectBase   = subjectBase
	SignedContent = signedContent
)

// A Span is a run of octets and what the scanner took it for.
type Span struct {
	Kind     string
	Off, End int64
}

// ParseSpans parses b and returns how its octets are accounted for.
func ParseSpans(b []byte, lim Limits) (*mail.Message, []Span) {
	var spans []Span
	m := run(openBytes(b), lim.orDefault(), func(kind spanKind, off, end int64) {
		spans = append(spans, Span{string(kind), off, end})
	}, 0)
	return m, spans
}

// ParsePanicking parses b with a fault in the scanner.
func ParsePanicking(b []byte) *mail.Message {
	return run(openBytes(b), DefaultLimits(), func(spanKind, int64, int64) { panic("on purpose") }, 0)
}

// ReadWords decodes the encoded words of v and says whether they were sound.
func ReadWords(v string) (text string, bad, inject bool) {
	w := wordReader{limit: 5000}
	return w.read(v), w.bad, w.inject
}

// BothAddresses reads an address list as quickly as may be and by go-message.
func BothAddresses(v string) (quick, strict []mail.Address, quickOK, strictOK bool) {
	lim := DefaultLimits()
	d := decoder{&lim, &defects{}, "", 0, ""}
	quick, quickOK = d.plainAddresses(v)
	strict, strictOK = d.libraryAddresses(v)
	return quick, strict, quickOK, strictOK
}

// BothBodies decodes a body as quickly as may be and by go-message.
func BothBodies(encoding string, body []byte) (quick, strict []byte, quickOK, strictOK bool) {
	n := &node{path: "1", end: int64(len(body)), attrs: attrs{encoding: encoding}}
	p := &parse{scanner: scanner{w: openBytes(body), bad: &defects{}}}
	quick, quickOK = p.quick(n, len(body))
	k := &leafSink{hash: sha256.New(), want: len(body)}
	strictOK = p.strict(n, k)
	return quick, k.head, quickOK, strictOK
}

// ReadAddresses reads an address list with its defects.
func ReadAddresses(v string) ([]mail.Address, []mail.Defect) {
	lim := DefaultLimits()
	d := decoder{&lim, &defects{}, "", 0, ""}
	list := d.addresses(d.utf8(v))
	return list, d.bad.list
}

// Param reads one parameter of a Content-Type or Content-Disposition value.
func Param(v, name string) (head, value string, bad []mail.Defect) {
	lim := DefaultLimits()
	d := decoder{&lim, &defects{}, "", 0, ""}
	head, ps, _ := splitParams(v, lim.Params)
	return head, ps.get(name, d), d.bad.list
}

// ParseWindow parses b through a window of n octets, however small b is.
func ParseWindow(b []byte, n int) (*mail.Message, error) {
	w := &window{r: bytes.NewReader(b), size: int64(len(b)), step: n}
	return run(w, DefaultLimits(), nil, 0), w.err
}

// WrittenMarks returns how many marks are made for the lines of a text.
func WrittenMarks(text string) int { return len(written(text, false)) }

// QPRun is qpRun for tests.
func QPRun(b []byte) int { return qpRun(b) }
