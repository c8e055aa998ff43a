package poller

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

// The rows of the test plan about what is too large to hold: one message that the
// server makes while it sends it, and an archive that only hashes.

// largest is the size of row 61's message: 2 GiB in `make crash`, which sets
// MAILKEEP_LARGE, and an eighth of it else.
func largest() int64 {
	if os.Getenv("MAILKEEP_LARGE") != "" {
		return 2 << 30
	}
	return 256 << 20
}

// A spring is a server with one message of size octets, made of line, over and
// over; the last octets are CR LF.
type spring struct {
	size int64
	line string
}

func (s spring) serve(c net.Conn) {
	defer c.Close()
	in, out := bufio.NewReader(c), bufio.NewWriterSize(c, 256<<10)
	fmt.Fprint(out, "+OK\r\n")
	for out.Flush() == nil {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.TrimSpace(line), " "); verb {
		case "CAPA":
			fmt.Fprint(out, "+OK\r\nUIDL\r\nTOP\r\n.\r\n")
		case "STAT":
			fmt.Fprintf(out, "+OK 1 %d\r\n", s.size)
		case "LIST":
			fmt.Fprintf(out, "+OK\r\n1 %d\r\n.\r\n", s.size)
		case "UIDL":
			fmt.Fprint(out, "+OK\r\n1 large\r\n.\r\n")
		case "RETR":
			fmt.Fprintf(out, "+OK %d octets\r\n", s.size)
			s.pour(out)
			fmt.Fprint(out, ".\r\n")
		default:
			fmt.Fprint(out, "+OK\r\n")
		}
	}
}

// pour writes the message. No line of it begins with a dot.
func (s spring) pour(w io.Writer) {
	block := []byte(strings.Repeat(s.line, 1+(64<<10)/len(s.line)))
	block = block[:len(block)/len(s.line)*len(s.line)]
	left := s.size - 2
	for left > 0 {
		n := min(left, int64(len(block)))
		w.Write(block[:n]) // an error shows when out is flushed
		left -= n
	}
	io.WriteString(w, "\r\n")
}

// A grinder is an archive that hashes, and keeps what it was told last.
type grinder struct {
	t    *testing.T
	got  mail.Delivery
	most int // octets of one write
	peak uint64
}

func (g *grinder) Lookup(_ context.Context, _ string, rows []mail.Listing) ([]mail.Receipt, error) {
	return make([]mail.Receipt, len(rows)), nil
}
func (g *grinder) Report(context.Context, string, mail.Event) error { return nil }
func (g *grinder) Begin(context.Context, string, int64) (Transfer, error) {
	return &grinding{g: g, sum: sha256.New()}, nil
}

type grinding struct {
	g    *grinder
	sum  hash.Hash
	size int64
	n    int
}

func (t *grinding) Write(p []byte) (int, error) {
	t.g.most = max(t.g.most, len(p))
	t.size += int64(len(p))
	if t.n++; t.n%2000 == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		t.g.peak = max(t.g.peak, m.HeapInuse)
	}
	return t.sum.Write(p)
}

func (t *grinding) Abort() {}

func (t *grinding) Commit(_ context.Context, d mail.Delivery) (Pending, error) {
	if d.Size != t.size || string(d.Digest[:]) != string(t.sum.Sum(nil)) {
		t.g.t.Errorf("committed %s, written %d octets", d.Fingerprint, t.size)
	}
	t.g.got = d
	return sealedNow{mail.Receipt{Delivery: d, SealedAt: d.Fetched}}, nil
}

// pourInto drains a spring and returns the archive.
func pourInto(t *testing.T, s spring) *grinder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if c, err := l.Accept(); err == nil {
			s.serve(c)
		}
	})
	g := &grinder{t: t}
	d := &Drainer{Archive: g, Leaser: &leases{t: t}, Store: new(store), Sessions: 1}
	start := time.Now()
	res, err := d.Drain(t.Context(), Mailbox{
		Name: "ann@example.org", Host: l.Addr().String(), User: "ann", Security: pop3.Plain, MaxMessage: 4 << 30, BatchOctets: 4 << 30,
		Password: func(context.Context) (string, error) { return secret, nil },
	})
	took := time.Since(start)
	l.Close()
	serving.Wait()
	if err != nil || res.Deleted != 1 {
		t.Fatalf("%d deleted, %v", res.Deleted, err)
	}
	t.Logf("%d MiB in %s, %.0f MB/s", s.size>>20, took, float64(s.size)/took.Seconds()/1e6)
	want := sha256.New()
	s.pour(want)
	if g.got.Size != s.size || string(g.got.Digest[:]) != string(want.Sum(nil)) {
		t.Errorf("archived %s, served %d octets", g.got.Fingerprint, s.size)
	}
	return g
}

// TestRow61LargeMessage: memory does not grow with the size of a message. What
// bounds the space on the way is tested where it is: the queue's chunks in
// internal/bus (TestChunkStoreFull), the rest of the mailbox in
// TestNoRoomForOneMessage.
func TestRow61LargeMessage(t *testing.T) {
	before := alive()
	g := pourInto(t, spring{size: largest(), line: "The quick brown fox jumps over the lazy dog and on and on.\r\n"})
	if grown := int64(g.peak) - int64(before); grown > 32<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	if g.most > 64<<10 {
		t.Errorf("%d octets in one write", g.most)
	}
}

// TestRow44HundredMegabytesInOneLine: no line of a body is too long.
func TestRow44HundredMegabytesInOneLine(t *testing.T) {
	g := pourInto(t, spring{size: 100 << 20, line: "A"})
	if g.most > 64<<10 {
		t.Errorf("%d octets in one write", g.most)
	}
}
