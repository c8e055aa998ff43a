package extract

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mailkeep/mailkeep/mail"
)

// A Document is the octets of one with what was said of it.
type Document struct {
	Name string // file name, as a hint and as text; never a path
	Type string // media type; a charset parameter is heeded; may be empty
	Data []byte

	// inside is set, in place of Data, for a document that is a storage of a
	// compound file.
	inside *storage
}

// A Result is the text of a document, or why there is none.
type Result struct {
	Text string // at most Limits.Text octets of UTF-8; also set where the status is not ok
	// Status is that of the document. Where its own text is whole it is the
	// status of the embedded document whose text misses most, so ok means that
	// everything in it was read.
	Status    mail.TextStatus
	Extractor mail.Extractor
	Detail    string // for people: what went wrong and in which embedded document; one line
	Embedded  int    // documents found inside, at all depths
	Unread    int    // those of them whose own text is missing or incomplete
	Unpacked  int64  // octets that came out of decompression, for a budget over many documents
}

// Tools read what this package does not. A nil PDF, Signed, Mail or Part leaves these
// documents unsupported; a nil Image says that pictures have no text.
type Tools struct {
	// PDF makes text of a PDF document, of at most limit octets. It sets Text,
	// Status, Extractor and Detail, and returns soon after ctx ends.
	PDF func(ctx context.Context, b []byte, limit int) Result
	// Image does the same for a picture, by OCR.
	Image func(ctx context.Context, b []byte, limit int) Result
	// Signed opens a signed CMS object, or says that it is an encrypted one
	// (parser.OpenSigned).
	Signed func(b []byte) (content []byte, encrypted bool)
	// Mail parses a message (parser.Parse), and Part reads the decoded octets of
	// one of its leaves (parser.PartReader).
	Mail func(raw []byte) *mail.Message
	Part func(r io.ReaderAt, p mail.Part) io.Reader
}

// Text makes text of a document within the limits. It never fails otherwise
// than by its status: encrypted, truncated by a limit or a fault behind some
// text, failed without any, timeout when ctx ends first, unsupported, or none
// for what has no text by nature.
func Text(ctx context.Context, doc Document, lim Limits, tools Tools) Result {
	lim = lim.orDefault()
	w := &work{
		ended: ctx.Err, lim: lim, entries: lim.Entries, unpacked: lim.Unpacked,
		pdf: bind(ctx, tools.PDF), image: bind(ctx, tools.Image), open: tools.Signed, parse: tools.Mail, part: tools.Part,
	}
	res := w.read(doc, lim.Text, 0)
	res.Unpacked = lim.Unpacked - w.unpacked
	return res
}

// A work is one call of Text: what is left of its budgets.
type work struct {
	ended    func() error // of the call's context
	lim      Limits
	entries  int
	unpacked int64

	pdf, image func(b []byte, limit int) Result // nil where there is none
	open       func(b []byte) (content []byte, encrypted bool)
	parse      func(raw []byte) *mail.Message
	part       func(io.ReaderAt, mail.Part) io.Reader
}

// bind gives the call's context to a tool.
func bind(ctx context.Context, f func(context.Context, []byte, int) Result) func([]byte, int) Result {
	if f == nil {
		return nil
	}
	return func(b []byte, limit int) Result { return f(ctx, b, limit) }
}

// A reading is the work on one document, at one depth.
type reading struct {
	*work
	doc   Document
	kind  Kind // as known so far; a reader makes it more exact
	depth int
	out   sheet

	res Result // what children and tools add
}

// The reasons why a text is not whole. A reader returns one of them, or any
// other error for a document that is broken.
var (
	errEncrypted   = errors.New("encrypted")
	errLimit       = errors.New("over a limit")
	errUnsupported = errors.New("no reader for this format")
	errNoText      = errors.New("has no text by nature")
)

func (w *work) read(doc Document, limit, depth int) Result {
	r := &reading{work: w, doc: doc, kind: OLE, depth: depth, out: sheet{limit: limit}}
	if doc.inside == nil {
		r.kind = KindOf(doc.Name, doc.Type, doc.Data)
	}
	err := r.run()
	own := r.status(err)
	res := r.res
	res.Text = r.out.String()
	if res.Extractor.Name == "" {
		res.Extractor = Current(r.kind)
	}
	if worse(own, res.Status) {
		res.Status, res.Detail = own, ""
		if err != nil && own != mail.TextNone {
			res.Detail = oneLine(err.Error())
		}
	}
	return res
}

// run reads the document. The recover is a last belt: a reader that panics has
// a fault, and it must not cost the other documents of the mail.
func (r *reading) run() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	if err := r.ended(); err != nil {
		return err
	}
	return r.reader()(r)
}

// status maps what a reader returned, and what it wrote until then, to a status.
func (r *reading) status(err error) mail.TextStatus {
	status := statusOf(err)
	switch {
	case status == mail.TextOK && r.out.cut:
		return mail.TextTruncated
	case status == mail.TextFailed && (r.out.len() > 0 || r.res.Embedded > 0):
		return mail.TextTruncated
	}
	return status
}

func statusOf(err error) mail.TextStatus {
	switch {
	case err == nil:
		return mail.TextOK
	case errors.Is(err, errLimit):
		return mail.TextTruncated
	case errors.Is(err, errEncrypted):
		return mail.TextEncrypted
	case errors.Is(err, errUnsupported):
		return mail.TextUnsupported
	case errors.Is(err, errNoText):
		return mail.TextNone
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return mail.TextTimeout
	}
	return mail.TextFailed
}

// rank orders statuses by how much of a text may be missing.
var rank = map[mail.TextStatus]int{
	"": 0, mail.TextNone: 1, mail.TextOK: 2, mail.TextTruncated: 3, mail.TextSkipped: 4,
	mail.TextUnsupported: 5, mail.TextTimeout: 6, mail.TextFailed: 7, mail.TextEncrypted: 8,
}

func worse(a, b mail.TextStatus) bool { return rank[a] > rank[b] }

// embed reads a document found inside and adds its name and text. It returns an
// error only where reading on is useless: the context ended, or a budget.
func (r *reading) embed(doc Document) error {
	r.out.owe(paraGap)
	r.out.write(doc.Name)
	r.out.owe(lineGap)
	res, err := r.inner(doc)
	if err != nil {
		return err
	}
	r.out.write(res.Text)
	r.out.owe(paraGap)
	return r.ended()
}

// inner reads a document found inside and accounts for it.
func (r *reading) inner(doc Document) (Result, error) {
	if r.entries <= 0 {
		return Result{}, fmt.Errorf("too many entries: %w", errLimit)
	}
	r.entries--
	r.res.Embedded++
	res := Result{Status: mail.TextTruncated, Detail: "nested too deep"}
	if r.depth < r.lim.Depth {
		res = r.read(doc, r.out.room(), r.depth+1)
	}
	r.res.Embedded += res.Embedded
	r.res.Unread += res.Unread
	if res.Status != mail.TextOK && res.Status != mail.TextNone && res.Unread == 0 {
		r.res.Unread++
	}
	r.mark(doc.Name, res.Status, res.Detail)
	return res, nil
}

// mark notes the status of something inside.
func (r *reading) mark(name string, status mail.TextStatus, detail string) {
	if status == mail.TextOK || status == mail.TextNone || !worse(status, r.res.Status) {
		return
	}
	r.res.Status, r.res.Detail = status, ""
	if detail != "" {
		r.res.Detail = oneLine(name + ": " + detail)
	}
}

// tool lets a function of the caller read the document.
func (r *reading) tool(f func([]byte, int) Result, otherwise error) error {
	if f == nil {
		return otherwise
	}
	res := f(r.doc.Data, r.out.room())
	r.out.write(res.Text)
	r.res.Extractor, r.res.Detail, r.res.Status = res.Extractor, oneLine(res.Detail), res.Status
	if res.Status == mail.TextNone {
		return errNoText
	}
	return nil
}
