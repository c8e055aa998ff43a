package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/extract"
)

// A process is one worker, as the pool has it.
type process struct {
	conn
	cmd    *exec.Cmd
	in     io.Closer
	out    io.Closer // the end of the pool
	said   *tail     // what it wrote to its standard error
	exited chan struct{}
	hello  hello

	documents int
	peak      int64
	retire    bool
	slow      atomic.Bool // it was killed for the time that it took
}

// Reasons why a process did not give an answer.
var (
	errCrashed = errors.New("the process for the document ended")
	errSlow    = errors.New("the document took too long")
)

// startWait is how long a process may take until it is ready. Where there is
// no cache it compiles.
const startWait = 2 * time.Minute

// start runs a process for a task and waits until it is ready.
func (p *Pool) start(ctx context.Context, t task) (*process, error) {
	cmd, bound, err := p.spawn(t)
	if err != nil {
		return nil, err
	}
	w := &process{cmd: cmd.Cmd, in: cmd.in, out: cmd.out, conn: conn{r: cmd.out, w: cmd.in}, said: cmd.said, exited: make(chan struct{})}
	p.processes.Go(func() {
		defer close(w.exited)
		_ = cmd.Wait() // how it ended is in ProcessState
	})
	stop := context.AfterFunc(ctx, w.kill)
	timer := time.AfterFunc(startWait, w.kill)
	err = w.receiveJSON(frameHello, &w.hello)
	timer.Stop()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		w.end()
		return nil, errors.Join(context.Cause(ctx), fmt.Errorf("a process for documents did not start: %w: %s", err, w.how()))
	}
	w.hello.Guards = append(w.hello.Guards, bound)
	return w, nil
}

// kill ends the process now. It may be called at any time.
func (w *process) kill() {
	select {
	case <-w.exited:
	default:
		_ = w.cmd.Process.Kill() // it may have ended meanwhile
	}
}

// end kills the process and waits until it is gone.
func (w *process) end() {
	w.kill()
	w.gone()
}

// gone waits until the process has ended and gives back what it had.
func (w *process) gone() {
	<-w.exited
	_, _ = w.in.Close(), w.out.Close()
}

// quit lets the process end by itself, which it does when its input ends.
func (w *process) quit() {
	_ = w.in.Close()
	timer := time.AfterFunc(time.Second, w.kill)
	w.gone()
	timer.Stop()
}

// how tells how the process ended: by its state, and by the first line of a
// fault of the Go runtime, which says nothing of the document. Other lines are
// not passed on; they might.
func (w *process) how() string {
	state := "running"
	if s := w.cmd.ProcessState; s != nil {
		state = s.String()
	}
	for line := range strings.Lines(w.said.String()) {
		if fault, ok := strings.CutPrefix(line, "fatal error: "); ok {
			return clean(state+": "+fault, maxDetail)
		}
	}
	return state
}

// A limit is what one document may take.
type limit struct {
	cpu, wall time.Duration
}

// ask has the process read one document. Its error is ctx's, that of the
// document's source, errSlow or errCrashed; after any of them the process is
// gone.
func (w *process) ask(ctx context.Context, d Document, most limit, pictures func([]byte) reading) (r extract.Result, cpu time.Duration, err error) {
	before := w.cpu()
	stop := context.AfterFunc(ctx, w.kill)
	watched := w.watch(before, most)
	r, err = w.exchange(d, pictures)
	watched()
	if !stop() && ctx.Err() != nil {
		w.end()
		return r, 0, context.Cause(ctx)
	}
	w.documents++
	if err == nil {
		w.retire = w.retire || w.slow.Load() // it answered, and was killed just then
		return r, max(w.cpu()-before, 0), nil
	}
	w.end()
	cpu = max(w.spent()-before, 0)
	var source sourceError
	switch {
	case errors.As(err, &source):
		return r, cpu, source.error
	case w.slow.Load():
		return r, max(cpu, most.cpu), errSlow
	}
	return r, cpu, fmt.Errorf("%w: %s", errCrashed, w.how())
}

// A sourceError is a failure of what a document is read from.
type sourceError struct{ error }

func (w *process) exchange(d Document, pictures func([]byte) reading) (r extract.Result, err error) {
	q := query{Name: clean(d.Name, maxNameHint), Type: clean(d.Type, maxNameHint), Size: d.Size, Text: d.Text, Unpacked: d.Unpacked, Pictures: pictures != nil}
	if err := w.sendJSON(frameQuery, q); err != nil {
		return r, err
	}
	errRead, err := w.sendAll(frameData, d.Open(), d.Size)
	if errRead != nil {
		return r, sourceError{errRead}
	}
	if err != nil {
		return r, err
	}
	return w.answer(d.Text, pictures)
}

// maxNameHint bounds what is said of a document, so that a query fits its frame.
const maxNameHint = 4 << 10

// answer reads what the process says until it has answered. Text comes before
// the answer, and pictures before the text.
func (w *process) answer(most int, pictures func([]byte) reading) (r extract.Result, err error) {
	kinds := string(rune(frameText))
	if pictures != nil {
		kinds += string(rune(framePicture))
	}
	for {
		kind, body, err := w.receive(kinds)
		switch {
		case err != nil:
			return r, err
		case kind == framePicture:
			if err := w.sendJSON(frameRead, pictures(body)); err != nil {
				return r, err
			}
			continue
		}
		text, err := w.rest(body, most)
		if err != nil {
			return r, err
		}
		var a answer
		if err := w.receiveJSON(frameAnswer, &a); err != nil {
			return r, err
		}
		w.peak, w.retire = max(w.peak, a.Peak), w.retire || a.Retire
		return a.result(text, most)
	}
}

// rest reads the text whose first frame was read.
func (w *process) rest(first []byte, most int) ([]byte, error) {
	if len(first) == 0 {
		return nil, nil
	}
	more, err := w.receiveAll(frameText, int64(most-len(first)))
	return append(first, more...), err
}

// watchEvery is how often the clock of a process is read.
const watchEvery = 50 * time.Millisecond

// watch kills the process when it has taken too long. The function that it
// returns ends the watch and waits for that.
func (w *process) watch(before time.Duration, most limit) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		end := time.NewTimer(most.wall)
		defer end.Stop()
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if w.cpu()-before <= most.cpu {
					continue
				}
			case <-end.C:
			case <-quit:
				return
			}
			w.slow.Store(true)
			w.kill()
			return
		}
	}()
	return func() { close(quit); <-done }
}

// spent returns the CPU time of a process that has ended.
func (w *process) spent() time.Duration {
	if s := w.cmd.ProcessState; s != nil {
		return s.UserTime() + s.SystemTime()
	}
	return 0
}

// failed is the result for a document that no process could read.
func failed(err error) extract.Result {
	if errors.Is(err, errSlow) {
		return extract.Result{Status: mail.TextTimeout, Detail: err.Error()}
	}
	return extract.Result{Status: mail.TextFailed, Detail: clean(err.Error(), maxDetail)}
}
