package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/extract/pdf"
)

// document returns one for a pool.
func document(name, ctype string, b []byte) Document {
	return Document{Name: name, Type: ctype, Size: int64(len(b)), Open: func() io.Reader { return bytes.NewReader(b) }}
}

func ask(t testing.TB, p *Pool, d Document) Answer {
	t.Helper()
	a, err := p.Text(t.Context(), d)
	if err != nil {
		t.Fatalf("%s: %v", d.Name, err)
	}
	return a
}

// A pool reads documents, in one process after another, and in the same one.
func TestPoolReads(t *testing.T) {
	p := newPool(t, Options{Workers: 1})
	a := ask(t, p, document("note.txt", "text/plain", []byte("the crane was inspected")))
	if a.Status != mail.TextOK || a.Text != "the crane was inspected" || a.Extractor.Name == "" {
		t.Errorf("plain text: %+v", a)
	}
	first := ask(t, p, document("test:pid", "", nil)).Text
	if second := ask(t, p, document("test:pid", "", nil)).Text; second != first {
		t.Errorf("a process that works was replaced: %s, %s", first, second)
	}
	if s := p.State(); s.Started != 1 || s.Lost != 0 || s.Running != 0 || s.Waiting != 0 {
		t.Errorf("state: %+v", s)
	}
}

// What applies holds: a process can do nothing but compute.
func TestJail(t *testing.T) {
	p := newPool(t, Options{Workers: 1})
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	a := ask(t, p, document("test:escape", "", []byte(victim)))
	if a.Status != mail.TextOK {
		t.Fatalf("%+v", a)
	}
	var done []string
	if err := json.Unmarshal([]byte(a.Text), &done); err != nil {
		t.Fatal(err)
	}
	for _, what := range done {
		t.Errorf("a process could %s", what)
	}
	for _, g := range p.State().Guards {
		t.Logf("guard %s: missing %q", g.Name, g.Missing)
		if g.Name == GuardSeccomp && g.Missing != "" && runtime.GOOS == "linux" {
			t.Errorf("no system call is refused: %s", g.Missing)
		}
	}
}

// A reader that dies costs its document and no other. It is tried in two
// processes.
func TestPoolSurvives(t *testing.T) {
	if raceEnabled {
		t.Log("run without the race detector, under which processes start slowly")
		return
	}
	p := newPool(t, Options{Workers: 1, Memory: 256 << 20})
	for _, tc := range []struct {
		name   string
		status mail.TextStatus
		lost   int
	}{
		{"exit", mail.TextFailed, 2},
		{"spin", mail.TextTimeout, 2},
		{"stdout", mail.TextFailed, 2},
		{"status", mail.TextFailed, 2},
		{"panic", mail.TextFailed, 0},
	} {
		before := p.State()
		d := document("test:"+tc.name, "application/x-test", []byte("abc"))
		if tc.name == "spin" { // the others have time, on a busy machine too
			d.CPU = 100 * time.Millisecond
		}
		a := ask(t, p, d)
		if a.Status != tc.status || a.Text != "" || a.Detail == "" {
			t.Errorf("%s: %+v", tc.name, a)
		}
		if got := p.State().Lost - before.Lost; got != tc.lost {
			t.Errorf("%s: %d processes lost, not %d", tc.name, got, tc.lost)
		}
		if a := ask(t, p, document("a.txt", "text/plain", []byte("fine"))); a.Text != "fine" {
			t.Errorf("after %s: %+v", tc.name, a)
		}
	}
}

// The runtime starts threads when it needs them, also after the jail is closed.
func TestThreadsInJail(t *testing.T) {
	p := newPool(t, Options{Workers: 1})
	if a := ask(t, p, document("test:threads", "", nil)); a.Text != "24 threads" {
		t.Errorf("%+v", a)
	}
}

// A document that eats memory ends at the limit.
func TestMemoryLimit(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector needs memory without a limit")
		return
	}
	p := newPool(t, Options{Workers: 1, Memory: 256 << 20})
	a := ask(t, p, document("test:memory", "", nil))
	if a.Status != mail.TextFailed || !strings.Contains(a.Detail, "memory") {
		t.Errorf("%+v", a)
	}
}

// A process is retired when a reader panicked in it, and replaced when somebody
// killed it.
func TestPoolReplaces(t *testing.T) {
	if raceEnabled {
		t.Log("run without the race detector, under which processes start slowly")
		return
	}
	p := newPool(t, Options{Workers: 1})
	pid := func() string { return ask(t, p, document("test:pid", "", nil)).Text }
	first := pid()
	ask(t, p, document("test:panic", "", nil))
	second := pid()
	if first == second {
		t.Error("a process lives on after a panic")
	}
	w := p.pop()
	w.kill()
	<-w.exited
	p.put(w)
	if third := pid(); third == second {
		t.Error("a dead process answered")
	}
	w = p.pop()
	w.documents = maxDocuments
	p.put(w)
	if p.pop() != nil {
		t.Error("a process that has done enough is kept")
	}
}

// A cache is made anew once after processes did not start, and not each time.
func TestPoolForgetsCacheOnce(t *testing.T) {
	dir := t.TempDir()
	p := New(Options{Workers: 1, CacheDir: dir})
	defer p.Close()
	for i, kept := range []bool{false, true} {
		if err := pdf.MarkCompiled(dir); err != nil {
			t.Fatal(err)
		}
		if err := p.prepareCache(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.forgetCache(t.Context())
		if pdf.Compiled(dir) != kept {
			t.Errorf("after failure %d the cache is kept: %t", i+1, !kept)
		}
	}
}

// A process that is gone leaves no pipes behind.
func TestPoolClosesPipes(t *testing.T) {
	p := newPool(t, Options{Workers: 1})
	for end, f := range map[string]func(*process){
		"killed": (*process).end,
		"ended":  (*process).quit,
		"found dead": func(w *process) {
			w.kill()
			<-w.exited
			p.put(w)
			if p.pop() != nil {
				t.Error("a dead process is given out")
			}
		},
	} {
		ask(t, p, document("a.txt", "text/plain", []byte("x")))
		w := p.pop()
		f(w)
		if _, err := w.r.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: the pipe from it is open: %v", end, err)
		}
	}
}

// The texts that come back are bounded, whatever a process says.
func TestPoolBoundsText(t *testing.T) {
	p := newPool(t, Options{Workers: 1})
	d := document("test:length", "", bytes.Repeat([]byte("y"), 3*maxChunk))
	d.Text = 2 * maxChunk
	if a := ask(t, p, d); a.Status != mail.TextOK || len(a.Text) != 1+3*maxChunk/2 {
		t.Errorf("%d octets, %s", len(a.Text), a.Status)
	}
	d.Text = maxChunk
	if a := ask(t, p, d); a.Status != mail.TextFailed || a.Text != "" {
		t.Errorf("more text than was asked for: %d octets, %s", len(a.Text), a.Status)
	}
	d.Size = MaxDocument + 1
	if a := ask(t, p, d); a.Status != mail.TextSkipped {
		t.Errorf("a document that is too large: %+v", a.Status)
	}
}

// A context that ends, a source that fails and a pool that is closed are errors
// and no statuses.
func TestPoolErrors(t *testing.T) {
	p := newPool(t, Options{Workers: 1, Timeout: time.Minute})
	failure := errors.New("the disk is gone")
	d := document("a.txt", "text/plain", []byte("abc"))
	d.Open = func() io.Reader { return io.MultiReader(strings.NewReader("a"), &brokenReader{failure}) }
	if _, err := p.Text(t.Context(), d); !errors.Is(err, failure) {
		t.Errorf("a source that fails: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	busy.Go(func() {
		if _, err := p.Text(ctx, document("test:spin", "", nil)); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that ends: %v", err)
		}
	})
	untilBusy(t, p)
	waiting, stop := context.WithCancel(t.Context())
	busy.Go(func() {
		if _, err := p.Text(waiting, document("test:pid", "", nil)); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that ends while waiting: %v", err)
		}
	})
	stop()
	cancel()
	busy.Wait()

	busy.Go(func() {
		if _, err := p.Text(t.Context(), document("test:spin", "", nil)); !errors.Is(err, errClosed) {
			t.Errorf("a pool that is closed at work: %v", err)
		}
	})
	untilBusy(t, p)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	busy.Wait()
	if _, err := p.Text(t.Context(), document("test:pid", "", nil)); !errors.Is(err, errClosed) {
		t.Errorf("a pool that was closed: %v", err)
	}
}

// untilBusy waits until a document is being read.
func untilBusy(t *testing.T, p *Pool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for p.State().Running == 0 {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("no document is being read")
		}
	}
}

type brokenReader struct{ err error }

func (r *brokenReader) Read([]byte) (int, error) { return 0, r.err }

// Many callers share few processes.
func TestPoolParallel(t *testing.T) {
	var mu sync.Mutex
	seen := map[mail.TextStatus]int{}
	p := newPool(t, Options{Workers: 2, Observe: func(o Observation) {
		mu.Lock()
		defer mu.Unlock()
		seen[o.Status]++
	}})
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			text := strings.Repeat("word ", i)
			if a := ask(t, p, document("a.txt", "text/plain", []byte(text))); strings.TrimSpace(a.Text) != strings.TrimSpace(text) {
				t.Errorf("document %d got the text of another: %q", i, a.Text)
			}
		})
	}
	all.Wait()
	if s := p.State(); s.Started > 2 || seen[mail.TextOK] != 40 {
		t.Errorf("%+v, %v", s, seen)
	}
}
