package app

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/telemetry"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
	"github.com/mailkeep/mailkeep/parser/extract"
	"github.com/mailkeep/mailkeep/parser/extract/worker"
)

// ExtractWorker does the work of a process that reads documents, if the command
// line is that of one, and reports whether it was. The program calls it before
// anything else.
func ExtractWorker(args []string) (status int, ours bool) { return worker.Main(args) }

// The budget of one message for all of its documents; that of time is so many
// times that of one document.
const (
	mailTimes    = 3
	mailUnpacked = 256 << 20
)

// Texts that were made a moment ago are kept: whoever shows a page of hits needs
// again what was needed to index them.
const (
	recentTexts  = 512
	recentOctets = 32 << 20
)

// cacheDir is where the archive's directory has what can be made again by
// computing alone.
const cacheDir = "cache"

// texts reads the documents that are attached to messages. It may be used by
// many goroutines at once.
type texts struct {
	pool     *worker.Pool // nil: documents are not read
	pictures bool
	timeout  time.Duration
	recent   *recent
}

// newTexts makes what reads documents as the configuration says. It starts no
// process before there is a document. m may be nil.
func newTexts(c *configs.Config, log *slog.Logger, m *telemetry.Metrics) *texts {
	e := c.Extract
	x := &texts{timeout: time.Duration(e.Timeout), recent: newRecent(recentTexts, recentOctets)}
	if !e.Enabled {
		return x
	}
	o := worker.Options{
		Workers: e.Workers, Timeout: x.timeout, Memory: int64(e.Memory), Logger: log,
		CacheDir: cmp.Or(e.CacheDir, filepath.Join(c.Archive.Dir, cacheDir)),
	}
	if m != nil {
		o.Observe = func(o worker.Observation) { m.Extracted(string(o.Kind), o.Status, o.Took, o.Waited) }
	}
	if e.OCR.Enabled {
		o.OCR = findOCR(e, log)
		x.pictures = o.OCR != nil
	}
	x.pool = worker.New(o)
	if m != nil {
		m.WatchExtraction(func() telemetry.ExtractionState {
			s := x.pool.State()
			return telemetry.ExtractionState{Running: s.Running, Waiting: s.Waiting, Started: s.Started, Lost: s.Lost}
		})
	}
	return x
}

// findOCR finds the program for OCR. Without it mail is read all the same, and
// pictures are not.
func findOCR(e configs.Extract, log *slog.Logger) *worker.OCR {
	program := e.OCR.Program
	if program == "" {
		found, err := worker.FindOCR()
		if err != nil {
			log.Error("pictures are not read: tesseract is not installed", slog.Any("error", err))
			return nil
		}
		program = found
	}
	return &worker.OCR{Program: program, Languages: e.OCRLanguages()}
}

// Close ends the processes.
func (x *texts) Close() error {
	if x.pool == nil {
		return nil
	}
	return x.pool.Close()
}

// add reads the documents of m, whose raw bytes are r, and sets their texts and
// statuses. The error is ctx's or r's own.
func (x *texts) add(ctx context.Context, m *mail.Message, r io.ReaderAt) error {
	docs := parser.Documents(m, x.pictures)
	if len(docs) == 0 {
		return nil
	}
	b := budget{cpu: mailTimes * x.timeout, unpacked: mailUnpacked, text: parser.DefaultLimits().MailText - octetsOfText(m)}
	details := make(map[int]string)
	for _, i := range docs {
		a, err := x.read(ctx, r, &m.Parts[i], b)
		if err != nil {
			return err
		}
		b.cpu, b.unpacked, b.text = b.cpu-a.CPU, b.unpacked-a.Unpacked, b.text-len(a.Text)
		p := &m.Parts[i]
		p.Text, p.TextStatus = a.Text, a.Status
		if a.Extractor.Name != "" {
			p.Extractor = &a.Extractor
		}
		details[i] = a.Detail
	}
	parser.RestateTexts(m, docs, details)
	return nil
}

// A budget is what the documents of a message may still take.
type budget struct {
	cpu      time.Duration
	unpacked int64
	text     int
}

func (b budget) spent() bool { return b.cpu <= 0 || b.unpacked <= 0 || b.text <= 0 }

func octetsOfText(m *mail.Message) int {
	n := len(m.Text) + len(m.HTMLText)
	for _, p := range m.Parts {
		n += len(p.Text)
	}
	return n
}

// headSize is what is looked at to tell the kind of a document.
const headSize = 4 << 10

// read reads one document, or tells why it is not read.
func (x *texts) read(ctx context.Context, r io.ReaderAt, p *mail.Part, b budget) (worker.Answer, error) {
	head := make([]byte, min(headSize, p.Size))
	n, err := io.ReadFull(parser.PartReader(r, *p), head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return worker.Answer{}, err
	}
	kind := extract.KindOf(p.FileName, p.Type, head[:n])
	status := x.unread(kind, b)
	if status != "" {
		return worker.Answer{Result: extract.Result{Status: status, Text: p.Text}}, nil
	}
	key := recentKey{digest: p.Digest, ctype: typeWithCharset(p), extension: strings.ToLower(path.Ext(p.FileName))}
	if a, ok := x.recent.get(key); ok && len(a.Text) <= b.text {
		return a, nil
	}
	d := worker.Document{
		Name: p.FileName, Type: typeWithCharset(p), Kind: kind, Size: p.Size, Open: func() io.Reader { return parser.PartReader(r, *p) },
		Text: min(b.text, parser.DefaultLimits().PartText), Unpacked: b.unpacked, CPU: b.cpu,
	}
	a, err := x.pool.Text(ctx, d)
	if err != nil {
		return a, err
	}
	if a.Status == mail.TextOK || b.whole(x.timeout) {
		x.recent.put(key, a)
	}
	return a, nil
}

// whole reports whether a document gets all that a document may have.
func (b budget) whole(timeout time.Duration) bool {
	return b.cpu >= timeout && b.unpacked == mailUnpacked && b.text >= parser.DefaultLimits().PartText
}

// unread returns the status of a document that no process is asked to read; ""
// for one that is read.
func (x *texts) unread(kind extract.Kind, b budget) mail.TextStatus {
	switch {
	case kind == extract.Binary, kind == extract.Image && !x.pictures:
		return mail.TextNone
	case kind == extract.Unknown:
		return mail.TextUnsupported
	case x.pool == nil || b.spent():
		return mail.TextSkipped
	}
	return ""
}

func typeWithCharset(p *mail.Part) string {
	if charset := cmp.Or(p.CharsetDeclared, p.Charset); charset != "" {
		return p.Type + "; charset=" + charset
	}
	return p.Type
}
