package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/mailkeep/mailkeep/parser/extract"
	"github.com/mailkeep/mailkeep/parser/extract/pdf"
)

// Command is the first argument of a process that is one of a pool's.
const Command = "extract-worker"

// A task tells a process what to do; it is its second argument.
type task struct {
	Do       string `json:"do"`
	Memory   int64  `json:"memory"`    // most octets
	CPU      int    `json:"cpu"`       // most seconds, in its whole life
	CacheDir string `json:"cache_dir"` // of the compiled engine for PDF; empty: none
	// Bound are the guards that the first step applied.
	Bound []Guard `json:"bound,omitempty"`
	// Program and Args are what to run, for doRead.
	Program string   `json:"program,omitempty"`
	Args    []string `json:"args,omitempty"`
}

// What a process may do.
const (
	doBind    = "bind"    // the first step of a server
	doServe   = "serve"   // the second
	doCompile = "compile" // fill the cache and end
	doRead    = "read"    // bind itself and become the program for OCR
)

// Main does the work of a process if the command line is that of one, and
// reports whether it was, with the exit status. The program must call it before
// it does anything else, and so must the TestMain of packages whose tests use a
// Pool: what a pool starts is the program that it is part of.
func Main(args []string) (status int, ours bool) { return dispatch(args, extract.Text) }

// A readFunc reads a document; it is extract.Text, but for tests.
type readFunc func(context.Context, extract.Document, extract.Limits, extract.Tools) extract.Result

func dispatch(args []string, read readFunc) (status int, ours bool) {
	if len(args) != 3 || args[1] != Command {
		return 0, false
	}
	var t task
	err := json.Unmarshal([]byte(args[2]), &t)
	if err == nil {
		err = t.run(context.Background(), args[0], read)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

func (t task) run(ctx context.Context, name string, read readFunc) error {
	switch t.Do {
	case doBind:
		return t.bind(name, read)
	case doServe:
		return t.serve(ctx, read)
	case doCompile:
		return t.compile(ctx)
	case doRead:
		return t.become()
	}
	return errors.New("the arguments are those of another version")
}

// args returns the command line of a process for the task.
func (t task) args(name string) []string {
	b, _ := json.Marshal(t) // strings and numbers alone
	return []string{name, Command, string(b)}
}

// heapShare of a process's memory is for the heap of Go before its collector
// works as hard as it can; the rest is for what it does not count.
const heapShare = 0.8

// serve opens the engine, which takes files, and then closes the jail.
func (t task) serve(ctx context.Context, read readFunc) error {
	debug.SetMemoryLimit(int64(float64(t.Memory) * heapShare))
	h := hello{}
	if t.CacheDir != "" {
		if _, err := os.ReadDir(t.CacheDir); err != nil {
			h.Blind, t.CacheDir = clean(err.Error(), maxDetail), ""
		}
	}
	engine, err := pdf.Open(ctx, pdf.Options{CacheDir: t.CacheDir, Memory: t.Memory / 2})
	if err != nil {
		h.PDF = clean(err.Error(), maxDetail)
	}
	debug.FreeOSMemory() // what compiling took is not needed again
	h.Guards = append(t.Bound, closeJail()...)
	s := server{conn: conn{r: os.Stdin, w: os.Stdout}, read: read, pdf: engine}
	return s.serve(ctx, h)
}

// compile leaves the compiled engine in the cache.
func (t task) compile(ctx context.Context) error {
	e, err := pdf.Open(ctx, pdf.Options{CacheDir: t.CacheDir, Memory: t.Memory, Compilers: runtime.GOMAXPROCS(0)})
	if err != nil {
		return err
	}
	return errors.Join(e.Close(ctx), pdf.MarkCompiled(t.CacheDir))
}

// reader reads a string that may be long without copying it.
func reader(s string) io.Reader { return strings.NewReader(s) }
