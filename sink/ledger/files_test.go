package ledger

import (
	"errors"
	"io/fs"
	"runtime"
	"sync"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
)

// gated is a file system in which some files open only when they are let.
type gated struct {
	durable.FS
	asked chan string
	let   map[string]chan error
}

func (g *gated) Open(name string) (durable.File, error) {
	if gate := g.let[name]; gate != nil {
		g.asked <- name
		if err := <-gate; err != nil {
			return nil, err
		}
	}
	return g.FS.Open(name)
}

func newGated(t *testing.T, gates ...string) *gated {
	t.Helper()
	g := &gated{FS: durabletest.New(), asked: make(chan string, 16), let: map[string]chan error{}}
	for _, name := range []string{"slow", "fast"} {
		if err := durable.WriteFile(g.FS, name, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range gates {
		g.let[name] = make(chan error)
	}
	return g
}

// A segment that is slow to open keeps nobody from another, and is opened once for all
// who want it.
func TestSlowOpenKeepsNobody(t *testing.T) {
	t.Parallel()
	g := newGated(t, "slow")
	p := newFiles(g, library{})
	var wait sync.WaitGroup
	got := make([]*handle, 4)
	for i := range got {
		wait.Go(func() {
			h, err := p.acquire(1, "slow")
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = h
		})
	}
	<-g.asked
	h, err := p.acquire(2, "fast") // while the other one is being opened
	if err != nil {
		t.Fatal(err)
	}
	h.release()
	g.let["slow"] <- nil
	wait.Wait()
	for _, h := range got {
		if h == nil || h != got[0] {
			t.Fatal("a segment is opened more than once")
		}
	}
	p.close()
	b := make([]byte, 4)
	for _, h := range got { // the file closes behind the last of them
		if _, err := h.f.ReadAt(b, 0); err != nil || string(b) != "slow" {
			t.Errorf("read %q, %v", b, err)
		}
		h.release()
	}
	if _, err := got[0].f.ReadAt(b, 0); err == nil {
		t.Error("the file is open still")
	}
	if _, err := p.acquire(2, "fast"); !errors.Is(err, errClosed) {
		t.Errorf("opened after close: %v", err)
	}
}

// Who waits for an open that fails tries itself: it may know another name.
func TestFailedOpenIsTheOpeners(t *testing.T) {
	t.Parallel()
	g := newGated(t, "slow")
	p := newFiles(g, library{})
	failed, opened := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := p.acquire(1, "slow")
		failed <- err
	}()
	<-g.asked
	go func() {
		h, err := p.acquire(1, "fast")
		if err == nil {
			h.release()
		}
		opened <- err
	}()
	for { // until it waits for the first
		p.mu.Lock()
		refs := p.open[1].refs
		p.mu.Unlock()
		if refs == 2 {
			break
		}
		runtime.Gosched()
	}
	g.let["slow"] <- fs.ErrNotExist
	if err := <-failed; !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the opener is told %v", err)
	}
	if err := <-opened; err != nil {
		t.Errorf("the other is told %v", err)
	}
	p.close()
}

// Files may be closed, forgotten and punctured while one is being opened.
func TestCloseWhileOpening(t *testing.T) {
	t.Parallel()
	for what, fault := range map[string]error{"it opens": nil, "it does not": fs.ErrPermission} {
		g := newGated(t, "slow")
		p := newFiles(g, library{})
		done, held := make(chan error, 2), make(chan *handle, 1)
		go func() {
			h, err := p.acquire(1, "slow")
			if err == nil {
				h.release()
			}
			held <- h
			done <- err
		}()
		<-g.asked
		go func() { done <- p.puncture(1, nil) }()
		for { // until the segment is forgotten
			p.mu.Lock()
			n := len(p.open)
			p.mu.Unlock()
			if n == 0 {
				break
			}
			runtime.Gosched()
		}
		p.close()
		g.let["slow"] <- fault
		if err := errors.Join(<-done, <-done); !errors.Is(err, fault) {
			t.Errorf("%s: %v", what, err)
		}
		if h := <-held; h != nil {
			if _, err := h.f.ReadAt(make([]byte, 1), 0); err == nil {
				t.Errorf("%s: the file is open still", what)
			}
		}
	}
}
