package pop3_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// BenchmarkRetrieve fetches 1,000 messages of 20 kB over loopback, hashed and
// thrown away. "raw" is the bound: the same octets read from the same server
// without looking at them.
func BenchmarkRetrieve(b *testing.B) {
	const count = 1000
	raw := []byte("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 74)+"\r\n", 20_000/76))
	box := &pop3test.Mailbox{Password: secret}
	wants := make([]pop3.Want, count)
	for i := range wants {
		box.Messages = append(box.Messages, pop3test.Message{UIDL: fmt.Sprint(i), Raw: raw})
		wants[i] = pop3.Want{Number: i + 1, Size: int64(len(raw))}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { (&pop3test.Server{Mailboxes: map[string]*pop3test.Mailbox{"ann": box}}).Serve(ctx, l) })
	b.Cleanup(func() { cancel(); wg.Wait() })

	for _, window := range []int{1, 32} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) {
			a, err := (&pop3.Dialer{Address: l.Addr().String(), Security: pop3.Plain}).Dial(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			tx, err := a.Login(b.Context(), pop3.Password{User: "ann", Password: secret})
			if err != nil {
				b.Fatal(err)
			}
			defer tx.Quit(b.Context())
			b.SetBytes(int64(count * len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				err := tx.Retrieve(b.Context(), wants, pop3.Window{Count: window, Octets: 16 << 20},
					func(int) (io.Writer, error) { return io.Discard, nil }, func(m pop3.Retrieved) error { return m.Err() })
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("raw", func(b *testing.B) { benchmarkRaw(b, l.Addr().String(), count, len(raw)) })
}

func benchmarkRaw(b *testing.B, addr string, count, size int) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReaderSize(c, 64<<10)
	for _, line := range []string{"", "USER ann\r\n", "PASS " + secret + "\r\n"} {
		io.WriteString(c, line)
		if _, err := in.ReadString('\n'); err != nil {
			b.Fatal(err)
		}
	}
	var ask strings.Builder
	for i := range count {
		fmt.Fprintf(&ask, "RETR %d\r\n", i+1)
	}
	whole := int64(count) * int64(size+len(fmt.Sprintf("+OK %d octets\r\n", size))+len(".\r\n"))
	b.SetBytes(int64(count * size))
	for b.Loop() {
		io.WriteString(c, ask.String())
		if n, err := io.CopyN(io.Discard, in, whole); err != nil {
			b.Fatal(n, err)
		}
	}
	io.WriteString(c, "QUIT\r\n")
	in.ReadString('\n')
}
