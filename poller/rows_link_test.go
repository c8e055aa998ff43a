package poller

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// A far link delays what a connection carries by half a round trip, and each
// hundredth packet by the time that its loss costs; what is behind a lost packet
// waits for it, as TCP has it.
type far struct {
	net.Conn
	rtt, loss time.Duration

	queue   chan parcel
	pumping sync.WaitGroup

	mu      sync.Mutex // guards what follows, of the writer's side
	packets int
	last    time.Time // when the parcel before arrives
}

type parcel struct {
	p  []byte
	at time.Time
}

const packet = 1460 // octets

func newFar(c net.Conn, rtt, loss time.Duration) *far {
	queue := make(chan parcel, 4096)
	f := &far{Conn: c, rtt: rtt, loss: loss, queue: queue}
	f.pumping.Go(func() {
		for q := range queue {
			elapse(time.Until(q.at))
			f.Conn.Write(q.p) // an error of one is an error of all
		}
	})
	return f
}

func (f *far) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for rest := p; len(rest) > 0; {
		n := min(len(rest), packet)
		at := time.Now().Add(f.rtt / 2)
		if f.packets++; f.packets%100 == 0 {
			at = at.Add(f.loss)
		}
		if at.Before(f.last) {
			at = f.last
		}
		f.last = at
		f.queue <- parcel{append([]byte(nil), rest[:n]...), at}
		rest = rest[n:]
	}
	return len(p), nil
}

// Close lets arrive what is under way.
func (f *far) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.queue != nil {
		close(f.queue)
		f.queue = nil
		f.pumping.Wait()
	}
	return f.Conn.Close()
}

// TestRow83SlowLossyLink: 200 ms of round trip and one lost packet in a hundred.
// The window makes up for the round trips: the target is twenty times the rate of
// one command at a time.
func TestRow83SlowLossyLink(t *testing.T) {
	const messages, rtt, loss = 1000, 200 * time.Millisecond, 300 * time.Millisecond
	took := func(alone bool) (d time.Duration) {
		t.Run(fmt.Sprint("alone ", alone), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				for i := range messages {
					r.deliver(pop3test.Message{UIDL: fmt.Sprint(i), Raw: []byte(letter(fmt.Sprint(i), 4000))})
				}
				r.strict = false // it would look for each of a thousand in a thousand
				r.m.NoPipelining = alone
				r.m.BatchTime = time.Hour
				r.m.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					client, server := net.Pipe()
					there := newFar(server, rtt, loss)
					r.conns.Go(func() {
						defer there.Close()
						r.srv.ServeConn(context.WithoutCancel(ctx), there)
					})
					return newFar(client, rtt, loss), nil
				}
				start := time.Now()
				expect(t, "deleted", r.drainOK().Deleted, messages)
				d = time.Since(start)
				t.Logf("%.0f messages a second", messages/d.Seconds())
			})
		})
		return d
	}
	alone, window := took(true), took(false)
	if window*20 > alone {
		t.Errorf("%s one by one, %s with a window", alone, window)
	}
}
