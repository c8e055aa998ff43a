package worker

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/extract"
	"github.com/mailkeep/mailkeep/parser/extract/pdf"
)

// Options configure a pool. Zero fields take the default that is told.
type Options struct {
	Workers int           // most processes at a time; GOMAXPROCS
	Timeout time.Duration // most CPU time for one document; 10 s
	Memory  int64         // most octets of one process; 512 MiB
	// CacheDir is where the compiled engine for PDF is kept, 21 MB of code that
	// processes execute: nobody else may write there. Empty: each process compiles,
	// for seconds.
	CacheDir string
	// OCR reads pictures; nil: they are not read.
	OCR    *OCR
	Logger *slog.Logger
	// Observe is told of each document; nil: nobody is. It is called by several
	// goroutines and must not block.
	Observe func(Observation)
}

// An Observation is one document that was read.
type Observation struct {
	Kind   extract.Kind // as the document has it
	Status mail.TextStatus
	Took   time.Duration // wall time, waiting for a process left out
	Waited time.Duration // for a process
	Tries  int
}

// A Document is one to be read.
type Document struct {
	Name string       // file name, as a hint
	Type string       // media type, as a hint
	Kind extract.Kind // for whom it may concern: Observation tells it
	Size int64
	// Open returns its octets. It is called again for a second try.
	Open func() io.Reader
	Text int // most octets of text; 0: the default of extract.Limits
	// Unpacked is how many octets may come out of decompression; 0: the default of
	// extract.Limits.
	Unpacked int64
	// CPU is the most CPU time, where that is less than the pool's limit; 0: it is
	// not.
	CPU time.Duration
}

// An Answer is the result for a document and what it took.
type Answer struct {
	extract.Result
	CPU time.Duration
}

// MaxDocument is the size of the largest document that is read.
const MaxDocument = 128 << 20

// maxDocuments is how many documents a process reads before it is retired.
const maxDocuments = 300

// wallFactor is how much more wall time than CPU time a document may take.
const wallFactor = 6

// A Pool reads documents in processes. Its methods may be called by many
// goroutines at once.
type Pool struct {
	o     Options
	slots chan struct{} // one for each process at work

	ctx       context.Context // of the pool's life; ended by Close
	cancel    context.CancelFunc
	calls     sync.WaitGroup // Text
	processes sync.WaitGroup // those who wait for them to end

	mu       sync.Mutex
	closed   bool
	idle     []*process
	started  int
	lost     int      // processes that crashed or were killed
	waiting  int      // documents without a process yet
	guards   []Guard  // of the process that was started last
	plain    error    // why processes are not started in namespaces of their own
	prepared bool     // the cache was looked at
	forgot   bool     // the cache was thrown away
	prepare  chan any // holds one token: the right to prepare
}

// New returns a pool. It starts processes when there is something to read.
func New(o Options) *Pool {
	o.Workers = cmp.Or(max(o.Workers, 0), runtime.GOMAXPROCS(0))
	o.Timeout = cmp.Or(max(o.Timeout, 0), 10*time.Second)
	o.Memory = cmp.Or(max(o.Memory, 0), 512<<20)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Pool{o: o, slots: make(chan struct{}, o.Workers), prepare: make(chan any, 1)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Close ends all processes and the calls that wait for them, and returns when
// they are gone.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.calls.Wait()
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, w := range idle {
		w.quit()
	}
	p.processes.Wait()
	return nil
}

// A State is what a pool does at one time.
type State struct {
	Workers int     `json:"workers"` // most processes
	Running int     `json:"running"` // documents that are being read
	Waiting int     `json:"waiting"` // documents that wait for a process
	Started int     `json:"started"` // processes, ever
	Lost    int     `json:"lost"`    // of them, those that crashed or were killed
	Guards  []Guard `json:"guards"`  // of the last one; empty before the first
}

// State returns the state of the pool.
func (p *Pool) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return State{Workers: p.o.Workers, Running: len(p.slots), Waiting: p.waiting, Started: p.started, Lost: p.lost, Guards: slices.Clone(p.guards)}
}

// errClosed is what a closed pool says.
var errClosed = errors.New("the extraction of texts has ended")

// Text returns the text of a document. Whatever goes wrong with the document or
// in a process is a status of the result: failed for a crash, timeout for what
// took too long, in two processes each. The error is ctx's, the source's of the
// document, or that of a pool that was closed; the document was not judged then.
func (p *Pool) Text(ctx context.Context, d Document) (Answer, error) {
	if !p.enter() {
		return Answer{}, errClosed
	}
	defer p.calls.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.ctx, func() { cancel(errClosed) })()

	d.Text = cmp.Or(max(d.Text, 0), extract.DefaultLimits().Text)
	d.Unpacked = cmp.Or(max(d.Unpacked, 0), extract.DefaultLimits().Unpacked)
	if d.Size > MaxDocument {
		return Answer{Result: extract.Result{Status: mail.TextSkipped, Detail: "the document is too large"}}, nil
	}
	began := time.Now()
	if err := p.wait(ctx); err != nil {
		return Answer{}, err
	}
	defer func() { <-p.slots }()
	o := Observation{Waited: time.Since(began)}
	began = time.Now()
	a, err := p.read(ctx, d, &o.Tries)
	if err != nil {
		return Answer{}, err
	}
	if p.o.Observe != nil {
		o.Took, o.Kind, o.Status = time.Since(began), d.Kind, a.Status
		p.o.Observe(o)
	}
	return a, nil
}

// enter counts a call, unless the pool is closed.
func (p *Pool) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.calls.Add(1)
	}
	return !p.closed
}

// wait takes a slot.
func (p *Pool) wait(ctx context.Context) error {
	p.count(&p.waiting, 1)
	defer p.count(&p.waiting, -1)
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *Pool) count(n *int, by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*n += by
}

// tries is how often a document is read before it is given up.
const tries = 2

// read tries a document in up to two processes; the second is a fresh one.
func (p *Pool) read(ctx context.Context, d Document, tried *int) (a Answer, err error) {
	most := limit{cpu: p.o.Timeout, wall: wallFactor * p.o.Timeout}
	if d.CPU > 0 {
		most.cpu = min(most.cpu, d.CPU)
	}
	for *tried = 1; ; *tried++ {
		r, cpu, err := p.once(ctx, d, most, *tried > 1)
		a.CPU += cpu
		switch {
		case err == nil:
			a.Result = r
			return a, nil
		case !lost(err):
			return a, err
		}
		p.count(&p.lost, 1)
		p.o.Logger.WarnContext(ctx, "a document could not be read", slog.String("type", clean(d.Type, maxName)), slog.Int64("size", d.Size),
			slog.Int("try", *tried), slog.Any("error", err))
		if *tried == tries {
			a.Result = failed(err)
			return a, nil
		}
	}
}

// lost reports whether an error tells of the process, and not of the caller.
func lost(err error) bool {
	return errors.Is(err, errCrashed) || errors.Is(err, errSlow) || errors.Is(err, errStart)
}

// once reads a document in one process.
func (p *Pool) once(ctx context.Context, d Document, most limit, fresh bool) (extract.Result, time.Duration, error) {
	w, err := p.take(ctx, fresh)
	if err != nil {
		return extract.Result{}, 0, err
	}
	r, cpu, err := w.ask(ctx, d, most, p.pictures(ctx, most.wall))
	if err != nil {
		return r, cpu, err
	}
	p.put(w)
	return r, cpu, nil
}

// take returns an idle process, or a new one.
func (p *Pool) take(ctx context.Context, fresh bool) (*process, error) {
	if w := p.pop(); w != nil {
		if !fresh {
			return w, nil
		}
		w.quit()
	}
	return p.begin(ctx)
}

// pop returns an idle process that lives; nil if there is none.
func (p *Pool) pop() *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		last := len(p.idle) - 1
		w := p.idle[last]
		p.idle = p.idle[:last]
		select {
		case <-w.exited: // somebody else killed it, such as a kernel without memory
			w.gone()
		default:
			return w
		}
	}
	return nil
}

// put takes a process back, or ends one that has done enough.
func (p *Pool) put(w *process) {
	if w.retire || w.documents >= maxDocuments || w.peak > p.o.Memory/2 || w.cpu() > p.life()/2 {
		w.quit()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, w)
}

// life is the CPU time of a process in its whole life: a limit that holds also
// when nobody watches. A process is retired long before.
func (p *Pool) life() time.Duration { return time.Minute + 12*p.o.Timeout }

// errStart is a process that could not be started.
var errStart = errors.New("no process for documents can be started")

// begin starts a process.
func (p *Pool) begin(ctx context.Context) (*process, error) {
	if err := p.prepareCache(ctx); err != nil {
		return nil, err
	}
	t := task{Do: doBind, Memory: p.o.Memory, CPU: int(p.life() / time.Second), CacheDir: p.cacheDir()}
	w, err := p.start(ctx, t)
	if ctx.Err() != nil {
		if err == nil {
			w.end()
		}
		return nil, context.Cause(ctx)
	}
	if err == nil && w.hello.Blind != "" {
		w, err = p.again(ctx, w, t)
	}
	if err != nil {
		p.forgetCache(ctx)
		return nil, errors.Join(errStart, err)
	}
	p.welcome(ctx, w)
	return w, nil
}

// again starts a process without namespaces in place of one that could not read
// the cache: who may read it by the rights of root alone may not in a namespace.
func (p *Pool) again(ctx context.Context, w *process, t task) (*process, error) {
	w.quit()
	p.mu.Lock()
	if p.plain == nil {
		p.plain = errors.New("the cache cannot be read from there: " + clean(w.hello.Blind, maxDetail))
	}
	p.mu.Unlock()
	return p.start(ctx, t)
}

// welcome notes what binds a process, and tells once what does not.
func (p *Pool) welcome(ctx context.Context, w *process) {
	p.mu.Lock()
	first := p.started == 0
	p.started++
	p.guards = w.hello.Guards
	p.mu.Unlock()
	if !first {
		return
	}
	for _, g := range w.hello.Guards {
		if g.Missing != "" {
			p.o.Logger.WarnContext(ctx, "documents are read without a guard", slog.String("guard", g.Name), slog.String("why", g.Missing))
		}
	}
	if w.hello.PDF != "" {
		p.o.Logger.ErrorContext(ctx, "PDF documents cannot be read", slog.String("why", w.hello.PDF))
	}
}

// cacheDir is where the cache is, "" if there is none that can be used.
func (p *Pool) cacheDir() string {
	if p.o.CacheDir == "" || !pdf.Compiled(p.o.CacheDir) {
		return ""
	}
	return p.o.CacheDir
}

// prepareCache compiles the engine in a process of its own, which takes more
// memory than reading, unless that was done before: once for all processes.
func (p *Pool) prepareCache(ctx context.Context) error {
	select {
	case p.prepare <- nil:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-p.prepare }()
	if p.prepared || p.o.CacheDir == "" || pdf.Compiled(p.o.CacheDir) {
		p.prepared = true
		return nil
	}
	began := time.Now()
	err := os.MkdirAll(p.o.CacheDir, 0o700)
	if err == nil {
		err = p.compile(ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.prepared = true // a cache that cannot be made is not tried for each document
	if err != nil {
		p.o.Logger.WarnContext(ctx, "the engine for PDF is compiled for each process anew", slog.String("cache", p.o.CacheDir), slog.Any("error", err))
		return nil
	}
	p.o.Logger.InfoContext(ctx, "compiled the engine for PDF", slog.Duration("took", time.Since(began)))
	return nil
}

// forgetCache makes the next process find another cache than this one did,
// which may be the reason why it did not start. It does so once: where that was
// not the reason, compiling for each document would help nobody.
func (p *Pool) forgetCache(ctx context.Context) {
	select {
	case p.prepare <- nil:
	case <-ctx.Done():
		return
	}
	defer func() { <-p.prepare }()
	if p.prepared && !p.forgot && p.o.CacheDir != "" && pdf.Forget(p.o.CacheDir) == nil {
		p.prepared, p.forgot = false, true
	}
}
