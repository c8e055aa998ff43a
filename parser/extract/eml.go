package extract

import (
	"bytes"
	"errors"

	"github.com/mailkeep/mailkeep/mail"
)

// mail reads a message that is a document: attached as a file, in an archive,
// or a page that a browser saved (MHTML).
func (r *reading) mail() error {
	if r.parse == nil || r.part == nil {
		return errUnsupported
	}
	m := r.parse(r.doc.Data)
	if m == nil {
		return errors.New("the parser gave no message")
	}
	r.out.line(m.Subject)
	for _, list := range [][]mail.Address{m.From, m.To, m.Cc, m.Bcc} {
		for _, a := range list {
			r.out.line(a.String())
		}
	}
	r.out.owe(paraGap)
	r.out.write(m.Text)
	r.out.owe(paraGap)
	r.out.write(m.HTMLText)
	for _, p := range m.Parts {
		if err := r.mailPart(p); err != nil {
			return err
		}
	}
	return r.full()
}

// mailPart adds a part beside the body: its text where the parser has read it,
// else the document that it is.
func (r *reading) mailPart(p mail.Part) error {
	if n := p.Message; n != nil {
		r.out.line(n.Subject)
		for _, list := range [][]mail.Address{n.From, n.To, n.Cc} {
			for _, a := range list {
				r.out.line(a.String())
			}
		}
	}
	switch {
	case p.Text != "":
		r.out.owe(paraGap)
		r.out.line(p.FileName)
		r.out.write(p.Text)
		r.mark(p.FileName, p.TextStatus, "")
	case p.TextStatus == mail.TextUnsupported && !p.Digest.IsZero():
		src := r.part(bytes.NewReader(r.doc.Data), p)
		b, err := r.container().meter(src, nil).all()
		if err != nil {
			r.mark(p.FileName, statusOf(err), err.Error())
		}
		return r.embed(Document{Name: p.FileName, Type: p.Type, Data: b})
	case p.TextStatus != "":
		r.mark(p.FileName, p.TextStatus, string(p.TextStatus))
	}
	return r.full()
}
