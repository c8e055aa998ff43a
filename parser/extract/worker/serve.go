package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
	"github.com/mailkeep/mailkeep/parser/extract"
	"github.com/mailkeep/mailkeep/parser/extract/pdf"
)

// A server is the process's side of the protocol.
type server struct {
	conn
	read readFunc
	pdf  *pdf.Engine // nil: there is none
}

// serve answers queries until the input ends.
func (s *server) serve(ctx context.Context, h hello) error {
	if err := s.sendJSON(frameHello, h); err != nil {
		return err
	}
	for {
		var q query
		err := s.receiveJSON(frameQuery, &q)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.answer(ctx, q); err != nil {
			return err
		}
	}
}

func (s *server) answer(ctx context.Context, q query) error {
	data, err := s.receiveAll(frameData, q.Size)
	if err != nil {
		return err
	}
	r := &request{server: s, query: q}
	res := r.text(ctx, data)
	if r.err != nil {
		return r.err
	}
	if _, err := s.sendAll(frameText, reader(res.Text), int64(len(res.Text))); err != nil {
		return err
	}
	return s.sendJSON(frameAnswer, answer{
		Status: res.Status, Extractor: res.Extractor, Detail: clean(res.Detail, maxDetail),
		Embedded: res.Embedded, Unread: res.Unread, Unpacked: res.Unpacked, Peak: peakMemory(), Retire: r.panicked,
	})
}

// A request is the work on one document.
type request struct {
	*server
	query    query
	panicked bool
	err      error // of the connection, met while a picture was read
}

func (r *request) text(ctx context.Context, data []byte) (res extract.Result) {
	defer func() {
		if v := recover(); v != nil {
			r.panicked = true
			res = extract.Result{Status: mail.TextFailed, Detail: fmt.Sprintf("a reader panicked: %.100v", v)}
		}
	}()
	tools := extract.Tools{Signed: parser.OpenSigned, Mail: parser.Parse, Part: parser.PartReader}
	if r.pdf != nil {
		tools.PDF = r.readPDF
	}
	if r.query.Pictures {
		tools.Image = r.readPicture
	}
	lim := extract.DefaultLimits()
	lim.Text, lim.Unpacked = r.query.Text, r.query.Unpacked
	return r.read(ctx, extract.Document{Name: r.query.Name, Type: r.query.Type, Data: data}, lim, tools)
}

// pdfExtractor names the reader of PDF.
var pdfExtractor = mail.Extractor{Name: string(extract.PDF), Version: pdf.Version}

// readPDF reads the text of a PDF document, and of its pages without text by
// OCR, where that is on.
func (r *request) readPDF(ctx context.Context, b []byte, limit int) extract.Result {
	out := extract.Result{Status: mail.TextOK, Extractor: pdfExtractor}
	var pages func(page int, picture []byte) string
	var missed mail.TextStatus
	if r.query.Pictures {
		pages = func(_ int, picture []byte) string {
			got := r.readPicture(ctx, picture, limit)
			if got.Status != mail.TextOK && got.Status != mail.TextNone {
				missed = mail.TextTruncated
			}
			return got.Text
		}
	}
	got, err := r.pdf.Text(ctx, b, limit, pages)
	out.Text = got.Text
	switch {
	case errors.Is(err, pdf.ErrEncrypted):
		out.Status = mail.TextEncrypted
	case err != nil && got.Text == "":
		out.Status, out.Detail = mail.TextFailed, err.Error()
	case err != nil:
		out.Status, out.Detail = mail.TextTruncated, err.Error()
	case got.Damaged == got.Pages && got.Pages > 0:
		out.Status, out.Detail = mail.TextFailed, "no page can be read"
	case got.Damaged > 0:
		out.Status, out.Detail = mail.TextTruncated, fmt.Sprintf("%d of %d pages cannot be read", got.Damaged, got.Pages)
	case got.Cut:
		out.Status = mail.TextTruncated
	case got.Text == "" && got.Scans > 0 && !r.query.Pictures:
		out.Status, out.Detail = mail.TextUnsupported, "pages are pictures, and OCR is off"
	case missed != "":
		out.Status, out.Detail = missed, "not all pages that are pictures were read"
	}
	return out
}

// readPicture asks the pool for the text of a picture: this process can start
// no program.
func (r *request) readPicture(_ context.Context, b []byte, limit int) extract.Result {
	if r.err != nil || len(b) > maxPicture {
		return extract.Result{Status: mail.TextSkipped, Detail: "the picture is too large for OCR"}
	}
	var got reading
	if r.err = r.send(framePicture, b); r.err == nil {
		r.err = r.receiveJSON(frameRead, &got)
	}
	if r.err != nil {
		return extract.Result{Status: mail.TextFailed}
	}
	if len(got.Text) > limit {
		got.Text, got.Status = strings.ToValidUTF8(got.Text[:limit], ""), mail.TextTruncated
	}
	return extract.Result{Text: got.Text, Status: got.Status, Extractor: got.Extractor, Detail: got.Detail}
}
