package sink

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
)

// BenchmarkAccept measures Accept to receipt for messages of 20 KB, on the disk
// of the temporary directory.
func BenchmarkAccept(b *testing.B) {
	for _, inFlight := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			r := newRig(b, diskFS(b), filepath.Join(b.TempDir(), "c.db"), Options{})
			text := sampleText(20_000)
			slots := make(chan struct{}, inFlight)
			var open sync.WaitGroup
			b.SetBytes(int64(len(text)))
			n := 0
			for b.Loop() {
				slots <- struct{}{}
				open.Add(1)
				n++
				l := newLetter("a@example.org", fmt.Sprint(n), fmt.Sprintf("Subject: %d\r\n\r\n%s", n, text))
				err := r.sink.Accept(b.Context(), Inbound{Delivery: l.Delivery, Raw: l.open, Ack: func(_ mail.Receipt, err error) {
					if err != nil {
						b.Error(err)
					}
					<-slots
					open.Done()
				}})
				if err != nil {
					b.Fatal(err)
				}
			}
			open.Wait()
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64(n)/float64(r.gate.appends.Load()), "msg/sync")
		})
	}
}

// sampleText is text that compresses about as mail does, 2:1.
func sampleText(n int) string {
	rng := rand.New(rand.NewPCG(1, 2))
	var sb strings.Builder
	for sb.Len() < n {
		fmt.Fprintf(&sb, "%x word%d ", rng.Uint32(), rng.IntN(300))
		if sb.Len()%70 < 8 {
			sb.WriteString("\r\n")
		}
	}
	return sb.String()[:n]
}
