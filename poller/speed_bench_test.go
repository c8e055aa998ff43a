package poller

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"hash"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

// BenchmarkSpeed compares the poller, into an archive that only hashes, with a
// client that pipelines the same commands and throws every octet away
// (lab.Ceiling), on the same mailboxes of one Dovecot: one mailbox, fifty
// mailboxes in four sessions, over TLS, and 20 ms away. One iteration is one
// round; each of the two goes first in turn. Set -benchtime 3x for three.
func BenchmarkSpeed(b *testing.B) {
	for _, c := range []struct {
		name  string
		boxes int
		each  int
		tls   bool
		rtt   time.Duration
	}{
		{name: "one mailbox", boxes: 1, each: 2000},
		{name: "50 mailboxes in 4 sessions", boxes: 50, each: 40},
		{name: "over TLS", boxes: 1, each: 2000, tls: true},
		{name: "20 ms away", boxes: 1, each: 1000, rtt: 20 * time.Millisecond},
	} {
		b.Run(strings.ReplaceAll(c.name, " ", "_"), func(b *testing.B) {
			r := newRace(b, c.boxes, c.each, c.tls, c.rtt)
			for round := 0; b.Loop(); round++ {
				runners := []func(*testing.B){r.bare, r.poller}
				runners[round%2](b)
				runners[(round+1)%2](b)
			}
			r.report(b)
		})
	}
}

// A race is one scenario and what it has measured.
type race struct {
	server    *lab.Dovecot
	master    *lab.Master
	addr      string
	tls       *tls.Config // nil: in the clear
	walls     [2][]time.Duration
	cpu       time.Duration // of the poller
	mailboxes []Mailbox
}

// sessionsAtOnce is how many mailboxes either contender drains at a time.
const sessionsAtOnce = 4

func newRace(b *testing.B, boxes, each int, secure bool, rtt time.Duration) *race {
	names := make([]string, boxes)
	for i := range names {
		names[i] = fmt.Sprintf("box%02d", i)
	}
	r := &race{server: lab.StartDovecot(b, names...)}
	r.master = r.server.NewMaster(b, 17, each, names...)
	r.addr = r.server.POP3
	if secure {
		r.addr = r.server.POP3S
		pem, err := os.ReadFile(r.server.CAFile)
		if err != nil {
			b.Fatal(err)
		}
		r.tls = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
		r.tls.RootCAs.AppendCertsFromPEM(pem)
	}
	if rtt > 0 {
		r.addr = lab.Delay(b, r.addr, rtt)
	}
	for _, name := range names {
		m := Mailbox{
			Name: name, Host: r.addr, User: name, Security: pop3.Plain, TLS: r.tls, BatchTime: time.Hour,
			Password: func(context.Context) (string, error) { return lab.Password, nil },
		}
		if secure {
			m.Security = pop3.TLS
		}
		r.mailboxes = append(r.mailboxes, m)
	}
	return r
}

func (r *race) prepare(b *testing.B) {
	b.StopTimer()
	defer b.StartTimer()
	r.server.Refill(b, r.master)
	syscall.Sync()
}

func (r *race) mustBeEmpty(b *testing.B) {
	b.StopTimer()
	defer b.StartTimer()
	for _, box := range r.master.Boxes {
		if n := r.server.Count(b, box); n != 0 {
			b.Fatalf("%d messages are left in %s", n, box)
		}
	}
}

// bare is the client that throws everything away.
func (r *race) bare(b *testing.B) {
	r.prepare(b)
	began := time.Now()
	boxes := make(chan string)
	var sessions sync.WaitGroup
	for range sessionsAtOnce {
		sessions.Go(func() {
			for box := range boxes {
				c, err := r.dial()
				if err == nil {
					_, _, err = lab.CeilingOver(c, box)
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	for _, box := range r.master.Boxes {
		boxes <- box
	}
	close(boxes)
	sessions.Wait()
	r.walls[0] = append(r.walls[0], time.Since(began))
	r.mustBeEmpty(b)
}

func (r *race) dial() (net.Conn, error) {
	if r.tls != nil {
		return tls.Dial("tcp", r.addr, r.tls)
	}
	return net.Dial("tcp", r.addr)
}

// poller is what is measured.
func (r *race) poller(b *testing.B) {
	r.prepare(b)
	p, err := New(Options{
		Mailboxes: r.mailboxes, Archive: hasher{new(sealer)}, Leaser: new(leases), Store: new(store),
		MaxSessions: sessionsAtOnce, PerHost: sessionsAtOnce, LoginsPerMinute: 60_000,
	})
	if err != nil {
		b.Fatal(err)
	}
	before, began := processorTime(b), time.Now()
	results, err := p.Once(b.Context())
	r.walls[1] = append(r.walls[1], time.Since(began))
	r.cpu += processorTime(b) - before
	if err != nil {
		b.Fatal(err)
	}
	for _, res := range results {
		if res.Err != nil {
			b.Fatal(res.Err)
		}
	}
	r.mustBeEmpty(b)
}

// processorTime is that of this process so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (r *race) report(b *testing.B) {
	var rates [2]float64
	for i, walls := range r.walls {
		slices.Sort(walls)
		rates[i] = float64(r.master.Count) / walls[(len(walls)-1)/2].Seconds()
	}
	b.ReportMetric(rates[0], "bare-msg/s")
	b.ReportMetric(rates[1], "poller-msg/s")
	b.ReportMetric(rates[1]/rates[0], "poller/bare")
	b.ReportMetric(float64(r.cpu.Microseconds())/float64(r.master.Count*len(r.walls[1]))/1000, "cpu-ms/msg")
}

// A hasher is an Archive that only hashes, and seals at once.
type hasher struct{ *sealer }

func (h hasher) Begin(context.Context, string, int64) (Transfer, error) {
	return &hashing{passing: passing{h.sealer}, sum: sha256.New()}, nil
}

type hashing struct {
	passing
	sum hash.Hash
}

func (h *hashing) Write(p []byte) (int, error) { return h.sum.Write(p) }

func (h *hashing) Commit(_ context.Context, d mail.Delivery) (Pending, error) {
	if mail.Digest(h.sum.Sum(nil)) != d.Digest {
		return nil, mail.Errorf(mail.Corrupt, "other bytes were written than delivered")
	}
	return h.to.seal(d), nil
}
