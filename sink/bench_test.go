package sink

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// BenchmarkHalfLoad measures how fast messages of 20 KB are sealed with 256 in
// flight, then sends them half as fast, whatever comes back, and measures how long
// each waits for its receipt from the time at which it was due. It does so in
// rounds, since a machine that others use is at times slower than half.
func BenchmarkHalfLoad(b *testing.B) {
	r := newRig(b, diskFS(b), filepath.Join(b.TempDir(), "c.db"), Options{})
	text, made := sampleText(20_000), 0
	letters := func() (all []letter) {
		for range 4000 {
			made++
			all = append(all, newLetter("a@example.org", fmt.Sprint(made), fmt.Sprintf("Subject: %d\r\n\r\n%s", made, text)))
		}
		return all
	}
	var rates, p50, p99 []float64
	for b.Loop() {
		full := saturate(b, r, letters())
		waits := paced(b, r, letters(), full/2)
		slices.Sort(waits)
		rates = append(rates, full)
		p50 = append(p50, waits[len(waits)/2].Seconds()*1e3)
		p99 = append(p99, waits[len(waits)*99/100].Seconds()*1e3)
	}
	for what, all := range map[string][]float64{"full-msg/s": rates, "p50-ms": p50, "p99-ms": p99} {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2], what)
	}
	b.ReportMetric(p99[0], "best-p99-ms")
}

// saturate seals the letters, 256 in flight, and returns how many a second.
func saturate(b *testing.B, r *rig, all []letter) float64 {
	slots := make(chan struct{}, 256)
	var open sync.WaitGroup
	start := time.Now()
	for _, l := range all {
		slots <- struct{}{}
		open.Add(1)
		accept(b, r, l, func() { <-slots; open.Done() })
	}
	open.Wait()
	return float64(len(all)) / time.Since(start).Seconds()
}

// paced sends so many letters a second and returns how long each waited.
func paced(b *testing.B, r *rig, all []letter, rate float64) []time.Duration {
	waits := make([]time.Duration, len(all))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var open sync.WaitGroup
	start := time.Now()
	for i, l := range all {
		due := time.Duration(float64(i) / rate * float64(time.Second))
		for time.Since(start) < due {
			<-tick.C
		}
		open.Add(1)
		accept(b, r, l, func() { waits[i] = time.Since(start) - due; open.Done() })
	}
	open.Wait()
	return waits
}

func accept(b *testing.B, r *rig, l letter, done func()) {
	err := r.sink.Accept(b.Context(), Inbound{Delivery: l.Delivery, Raw: l.open, Ack: func(_ mail.Receipt, err error) {
		if err != nil {
			b.Error(err)
		}
		done()
	}})
	if err != nil {
		b.Fatal(err)
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
