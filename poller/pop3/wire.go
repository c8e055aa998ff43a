package pop3

import (
	"errors"
	"io"
	"net"
	"time"
)

// A wire puts deadlines around the reads of a connection. Outside a stream all
// reads must end at one point in time; within, each must end after a pause, and
// all of them must bring a minimum of octets in each span.
type wire struct {
	conn net.Conn // TCP, or TLS over it

	until time.Time

	streaming bool
	idle      time.Duration
	span      time.Duration
	quota     int64 // octets that a span must bring; 0: none
	spanEnd   time.Time
	spanGot   int64
}

// expect makes all reads end within d from now.
func (w *wire) expect(d time.Duration) {
	w.streaming, w.until = false, time.Now().Add(d)
}

// stream begins a stream of octets.
func (w *wire) stream() {
	w.streaming, w.spanGot, w.spanEnd = true, 0, time.Now().Add(w.span)
}

// Read implements io.Reader for the buffer.
func (w *wire) Read(p []byte) (int, error) {
	deadline := w.until
	if w.streaming {
		deadline = time.Now().Add(w.idle)
		if w.quota > 0 && w.spanEnd.Before(deadline) {
			deadline = w.spanEnd
		}
	}
	// An end of net.Pipe refuses deadlines once the other is closed; what it read
	// last tells more.
	if err := w.conn.SetReadDeadline(deadline); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return 0, err
	}
	n, err := w.conn.Read(p)
	if w.streaming {
		w.spanGot += int64(n)
		if w.spanGot >= w.quota {
			w.spanGot, w.spanEnd = 0, time.Now().Add(w.span)
		}
	}
	return n, err
}

// Write sends b as a whole or fails within the pause.
func (w *wire) Write(b []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.idle)); err != nil {
		return 0, err
	}
	return w.conn.Write(b)
}

// A sender writes command lines from a goroutine of its own, so that a server
// that blocks in writing can never block a client that blocks in writing. Who
// starts it stops it. A failed write is not reported: the reader meets the
// same end, after having read what is there to be read.
type sender struct {
	lines chan []byte
	done  chan struct{}
}

func startSender(w *wire) *sender {
	s := &sender{lines: make(chan []byte, maxOutstanding+1), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		var err error
		for b := range s.lines {
			if err == nil {
				_, err = w.Write(b)
			}
		}
	}()
	return s
}

// send queues whole command lines. It never blocks: no more than maxOutstanding
// RETRs and one NOOP are ever unanswered, and DELEs come many at a time.
func (s *sender) send(lines []byte) { s.lines <- lines }

// stop waits for the goroutine. It is called when all commands are answered or
// the connection is closed.
func (s *sender) stop() {
	close(s.lines)
	<-s.done
}
