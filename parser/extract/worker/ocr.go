package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// OCR is a program that reads pictures: tesseract, or one that is called the
// same way. It runs beside the processes for documents, because those can start
// nothing: with limits of its own on memory, CPU and files, without access to
// files but those that it needs, and with one picture on its standard input.
type OCR struct {
	Program   string   // path of the program
	Languages []string // as the program names them, such as eng and deu
}

// FindOCR returns the path of tesseract, or why it cannot be used.
func FindOCR() (string, error) { return exec.LookPath("tesseract") }

const (
	ocrTimeout = 30 * time.Second // CPU time of one picture
	ocrMemory  = 512 << 20

	// ocrShare of a document's wall time is for its pictures, so that time is left
	// to give back what was read when there are too many of them.
	ocrShare = 0.5
)

// ocrExtractor names the reader of pictures; what it finds depends on the
// version and the languages that are installed.
var ocrExtractor = mail.Extractor{Name: "ocr", Version: 1}

// pictures returns what reads the pictures of one document, which may take so
// much wall time, for a process; nil: nothing does. Pictures that come when the
// time is over are skipped.
func (p *Pool) pictures(ctx context.Context, wall time.Duration) func([]byte) reading {
	if p.o.OCR == nil {
		return nil
	}
	left := time.Duration(ocrShare * float64(wall))
	return func(picture []byte) reading {
		if left <= 0 {
			return reading{Status: mail.TextSkipped, Extractor: ocrExtractor, Detail: "the pictures before it took too long"}
		}
		began := time.Now()
		defer func() { left -= time.Since(began) }()
		return p.readPicture(ctx, picture, min(left, wallFactor*ocrTimeout))
	}
}

// readPicture returns the text of one picture, that may take so much wall time.
func (p *Pool) readPicture(ctx context.Context, picture []byte, wall time.Duration) reading {
	o := p.o.OCR
	out := reading{Status: mail.TextOK, Extractor: ocrExtractor}
	ctx, cancel := context.WithTimeout(ctx, wall)
	defer cancel()
	t := task{Do: doRead, Memory: ocrMemory, CPU: int(ocrTimeout / time.Second), Program: o.Program,
		Args: []string{"stdin", "stdout", "-l", strings.Join(o.Languages, "+")}}
	text, err := p.filter(ctx, t, picture)
	switch {
	case ctx.Err() != nil:
		out.Status, out.Detail = mail.TextTimeout, "the picture took too long"
	case err != nil:
		out.Status, out.Detail = mail.TextFailed, clean(err.Error(), maxDetail)
	}
	out.Text = strings.TrimSpace(strings.ToValidUTF8(string(text), ""))
	if len(out.Text) > maxReading {
		out.Text, out.Status = strings.ToValidUTF8(out.Text[:maxReading], ""), mail.TextTruncated
	}
	return out
}

// filter runs a process that reads its input and writes an output, and returns
// the output; never much more than a picture's text may have.
func (p *Pool) filter(ctx context.Context, t task, input []byte) ([]byte, error) {
	c, _, err := p.spawn(t)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, c.killAll)()
	fed := make(chan error, 1)
	go func() {
		_, err := io.Copy(c.in, bytes.NewReader(input))
		fed <- errors.Join(err, c.in.Close())
	}()
	out, errOut := io.ReadAll(io.LimitReader(c.out, maxReading+1))
	if len(out) > maxReading {
		c.killAll()
	}
	errEnd := errors.Join(c.Wait(), c.out.Close())
	<-fed // an input that is not read to its end is no fault
	if len(out) > maxReading || errEnd == nil {
		return out, errOut
	}
	return out, errors.Join(errOut, fmt.Errorf("the program for OCR failed: %w", errEnd))
}
