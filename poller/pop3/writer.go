package pop3

import (
	"sync"
)

// A writer sends commands in a goroutine of its own. What waits is bounded by
// its callers: the window of commands without an answer.
type writer struct {
	c    *conn
	wake chan struct{}
	done chan struct{}
	quit chan struct{}
	once sync.Once

	mu      sync.Mutex
	pending []byte
	err     error
}

func newWriter(c *conn) *writer {
	w := &writer{c: c, wake: make(chan struct{}, 1), done: make(chan struct{}), quit: make(chan struct{})}
	go w.run()
	return w
}

// send queues whole commands.
func (w *writer) send(commands []byte) {
	w.mu.Lock()
	w.pending = append(w.pending, commands...)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *writer) run() {
	defer close(w.done)
	for {
		select {
		case <-w.quit:
			return
		case <-w.wake:
		}
		w.mu.Lock()
		b := w.pending
		w.pending = nil
		w.mu.Unlock()
		if len(b) == 0 {
			continue
		}
		err := w.c.arm(w.c.nc.SetWriteDeadline, w.c.t.Idle)
		if err == nil {
			_, err = w.c.nc.Write(b)
		}
		if err != nil {
			// The reading side meets the end of the connection by itself,
			// behind answers that may still be in the buffers.
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
			return
		}
	}
}

func (w *writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// stop ends the goroutine; the connection is closed, or nothing waits.
func (w *writer) stop() {
	w.once.Do(func() { close(w.quit) })
	<-w.done
}
