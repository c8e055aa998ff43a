package lab

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Delay puts a distance before a server: what goes through the address that it
// returns arrives half of rtt later, in either direction, at whatever rate it was
// sent. It ends with the test.
func Delay(t testing.TB, server string, rtt time.Duration) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { carry(ctx, near, server, rtt/2) })
		}
	})
	t.Cleanup(func() {
		cancel()
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// carry connects near with the server until either side, or ctx, ends.
func carry(ctx context.Context, near net.Conn, server string, late time.Duration) {
	defer near.Close()
	far, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer far.Close()
	defer context.AfterFunc(ctx, func() { near.Close(); far.Close() })()
	var ways sync.WaitGroup
	ways.Go(func() { drift(far, near, late) })
	ways.Go(func() { drift(near, far, late) })
	ways.Wait()
}

// drift passes on what it reads, each piece late after it came.
func drift(to, from net.Conn, late time.Duration) {
	type piece struct {
		data []byte
		due  time.Time
	}
	under := make(chan piece, 4096) // way: a bandwidth-delay product of up to 256 MiB
	var writer sync.WaitGroup
	writer.Go(func() {
		defer closeWrite(to)
		for p := range under {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				from.Close()
				io.Copy(io.Discard, from) //nolint:errcheck // it is closed
			}
		}
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			under <- piece{bytes.Clone(buf[:n]), time.Now().Add(late)}
		}
		if err != nil {
			break
		}
	}
	close(under)
	writer.Wait()
}

func closeWrite(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.CloseWrite() //nolint:errcheck // the other side may be gone
	}
}
