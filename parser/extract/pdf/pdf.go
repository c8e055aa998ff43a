// Package pdf reads the text of PDF documents (ISO 32000) with PDFium, the
// engine of Chromium, as WebAssembly: its memory errors stay inside a linear
// memory that has a limit, and it sees neither files nor network.
//
// # Model
//
// An Engine is the compiled program. Compiling takes seconds of CPU, so what it
// gives is kept in a directory, where the next process finds it. Each document
// gets an instance of its own, which costs a millisecond or two: nothing that
// one document does to the engine's memory is there for the next.
//
// # What is not bounded here
//
// The engine cannot be interrupted: to have it watch a context makes it four
// times slower. A document may keep it busy for ever. Whoever calls it with
// documents of strangers does so in a process that can be killed (package
// worker).
package pdf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/klippa-app/go-pdfium"
	pdferrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Version is raised whenever the same document may give another text.
const Version = 1

// Errors that tell why a document has no text.
var (
	ErrEncrypted = errors.New("pdf: a password is needed")
	ErrDamaged   = errors.New("pdf: not readable as PDF")
)

// Options configure an engine.
type Options struct {
	// CacheDir is where the compiled engine is kept, 21 MB; empty: nowhere.
	CacheDir string
	// Memory is the most octets of linear memory that one document gets; rounded
	// down to pages of 64 KiB.
	Memory int64
	// Compilers is how many goroutines compile; 0: one.
	Compilers int
}

// An Engine reads documents, one at a time.
type Engine struct {
	pool  pdfium.Pool
	cache wazero.CompilationCache // nil: none
}

// Open compiles the engine, or takes it from the cache. A cache that cannot be
// used is an error only where there is no other way to go on.
func Open(ctx context.Context, o Options) (e *Engine, err error) {
	defer func() {
		if v := recover(); v != nil { // such as memory that must not be made executable
			e, err = nil, fmt.Errorf("compile the engine for PDF: %.200v", v)
		}
	}()
	e = &Engine{}
	config := wazero.NewRuntimeConfigCompiler().
		WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling). // else no document opens
		WithMemoryLimitPages(uint32(min(max(o.Memory>>16, 1), 1<<16)))
	if o.CacheDir != "" {
		if cache, err := wazero.NewCompilationCacheWithDir(o.CacheDir); err == nil {
			e.cache, config = cache, config.WithCompilationCache(cache)
		}
	}
	pool, err := webassembly.Init(webassembly.Config{
		Context: experimental.WithCompilationWorkers(ctx, max(o.Compilers, 1)),
		MaxIdle: 1, MaxTotal: 1, RuntimeConfig: config,
		FSConfig: wazero.NewFSConfig(), // an empty one: the default is the whole disk
		Stdout:   io.Discard, Stderr: io.Discard,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("compile the engine for PDF: %w", err), e.closeCache(ctx))
	}
	e.pool = pool
	return e, nil
}

// Close releases the engine.
func (e *Engine) Close(ctx context.Context) error {
	return errors.Join(e.pool.Close(), e.closeCache(ctx))
}

func (e *Engine) closeCache(ctx context.Context) error {
	if e.cache == nil {
		return nil
	}
	return e.cache.Close(ctx)
}

// instanceWait is generous: an instance is made in milliseconds, or not at all.
const instanceWait = time.Minute

// A Result is what was read of a document.
type Result struct {
	Text    string // its pages, with form feeds between
	Pages   int
	Scans   int  // pages that show something and have no text of their own
	Damaged int  // pages that could not be read
	Cut     bool // the limit cut something off
}

// Text returns the text of a document, at most limit octets of UTF-8. Pages
// that cannot be read are counted and left out. Where scan is not nil it is
// called for each page that has no text but shows something, with a picture of
// it (PGM, netpbm.sourceforge.net), and returns the text that it found there.
// The error is ErrEncrypted, ErrDamaged or the engine's own; the result holds
// what was read before it.
func (e *Engine) Text(ctx context.Context, doc []byte, limit int, scan func(page int, picture []byte) string) (r Result, err error) {
	err = e.with(ctx, doc, func(d *document) error { return d.text(&r, limit, scan) })
	return r, err
}

// with opens a document in an instance of its own. What panics inside is the
// engine's error.
func (e *Engine) with(ctx context.Context, doc []byte, f func(*document) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("pdf: the engine failed: %.100v", v)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, instanceWait)
	defer cancel()
	in, err := e.pool.GetInstanceWithContext(ctx)
	if err != nil {
		return fmt.Errorf("pdf: start an instance: %w", err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	opened, err := in.OpenDocument(&requests.OpenDocument{File: &doc})
	switch {
	case errors.Is(err, pdferrors.ErrPassword), errors.Is(err, pdferrors.ErrSecurity):
		return ErrEncrypted
	case errors.Is(err, pdferrors.ErrFormat), errors.Is(err, pdferrors.ErrFile), errors.Is(err, pdferrors.ErrPage), errors.Is(err, pdferrors.ErrUnknown):
		return ErrDamaged
	case err != nil:
		return fmt.Errorf("pdf: open the document: %w", err)
	}
	return f(&document{in: in, ref: opened.Document})
}

// A document is one that is open.
type document struct {
	in  pdfium.Pdfium
	ref references.FPDF_DOCUMENT
}

func (d *document) text(r *Result, limit int, scan func(int, []byte) string) error {
	n, err := d.in.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: d.ref})
	if err != nil {
		return fmt.Errorf("pdf: count the pages: %w", err)
	}
	r.Pages = n.PageCount
	var b strings.Builder
	defer func() { r.Text = cut(b.String(), limit) }() // also where the engine panics on the way
	for i := range n.PageCount {
		text, shows, err := d.page(i, limit-b.Len())
		if err != nil {
			r.Damaged++
			continue
		}
		if text == "" && shows {
			r.Scans++
			text = d.scanned(i, scan)
		}
		if text == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\f')
		}
		b.WriteString(text)
		if b.Len() > limit {
			r.Cut = true
			break
		}
	}
	return nil
}

// page returns the text of the page with the index, of which no more characters
// are read than there is room for octets, and whether anything is on it.
func (d *document) page(index, room int) (text string, shows bool, err error) {
	loaded, err := d.in.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: d.ref, Index: index})
	if err != nil {
		return "", false, err
	}
	defer func() {
		_, e := d.in.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: loaded.Page})
		err = errors.Join(err, e)
	}()
	page := requests.Page{ByReference: &loaded.Page}
	if text, err = d.characters(page, room); err != nil || text != "" {
		return text, true, err
	}
	n, err := d.in.FPDFPage_CountObjects(&requests.FPDFPage_CountObjects{Page: page})
	if err != nil {
		return "", false, err
	}
	return "", n.Count > 0, nil
}

func (d *document) characters(page requests.Page, room int) (text string, err error) {
	t, err := d.in.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: page})
	if err != nil {
		return "", err
	}
	defer func() {
		_, e := d.in.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: t.TextPage})
		err = errors.Join(err, e)
	}()
	n, err := d.in.FPDFText_CountChars(&requests.FPDFText_CountChars{TextPage: t.TextPage})
	if err != nil || n.Count <= 0 {
		return "", err
	}
	got, err := d.in.FPDFText_GetText(&requests.FPDFText_GetText{TextPage: t.TextPage, Count: min(n.Count, room+1)})
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(readable(got.Text)), nil
}

// readable takes out what PDF writers leave between characters: NULs, and the
// marks of line ends within words (U+FFFE, and U+0002 from PDFium), which join.
func readable(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	return strings.NewReplacer("\x00", "", "\ufffe", "", "\ufeff", "", "\u0002", "", "\r\n", "\n", "\r", "\n").Replace(s)
}

// cut returns at most n octets of s, not ending inside a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:max(n, 0)], "")
}
