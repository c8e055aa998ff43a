package poller

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// BenchmarkDrain drains 500 messages of 20 KB over loopback into an archive in
// memory, which seals at once.
func BenchmarkDrain(b *testing.B) {
	raw := []byte(letter("bench", 20_000))
	b.SetBytes(int64(500 * len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		box := &pop3test.Mailbox{Password: secret}
		for i := range 500 {
			box.Add(pop3test.Message{UIDL: fmt.Sprint(i), Raw: raw})
		}
		srv := &pop3test.Server{Mailboxes: map[string]*pop3test.Mailbox{"ann": box}}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		var serving sync.WaitGroup
		serving.Go(func() { srv.Serve(ctx, l) })
		d := &Drainer{Archive: new(sealer), Leaser: new(leases), Store: new(store)}
		m := Mailbox{
			Name: "ann@example.org", Host: l.Addr().String(), User: "ann", Security: pop3.Plain,
			Password: func(context.Context) (string, error) { return secret, nil },
		}
		b.StartTimer()
		res, err := d.Drain(b.Context(), m)
		b.StopTimer()
		if err != nil || res.Deleted != 500 {
			b.Fatalf("%d deleted: %v", res.Deleted, err)
		}
		cancel()
		serving.Wait()
		b.StartTimer()
	}
}

// A sealer is an Archive that seals at once and remembers its receipts.
type sealer struct{ rows sync.Map } // sealedRow to mail.Receipt

func (s *sealer) Lookup(_ context.Context, mailbox string, rows []mail.Listing) ([]mail.Receipt, error) {
	receipts := make([]mail.Receipt, len(rows))
	for i, row := range rows {
		if r, ok := s.rows.Load(sealedRow{mailbox, row}); ok {
			receipts[i] = r.(mail.Receipt)
		}
	}
	return receipts, nil
}
func (*sealer) Report(context.Context, string, mail.Event) error         { return nil }
func (s *sealer) Begin(context.Context, string, int64) (Transfer, error) { return passing{s}, nil }

type passing struct{ to *sealer }

func (passing) Write(p []byte) (int, error) { return len(p), nil }
func (passing) Abort()                      {}
func (p passing) Commit(_ context.Context, d mail.Delivery) (Pending, error) {
	return p.to.seal(d), nil
}

func (s *sealer) seal(d mail.Delivery) Pending {
	r := mail.Receipt{Delivery: d, SealedAt: d.Fetched}
	s.rows.Store(sealedRow{d.Mailbox, mail.Listing{UIDL: d.UIDL, Size: d.ListSize}}, r)
	return sealedNow{r}
}

type sealedNow struct{ r mail.Receipt }

func (s sealedNow) Receipt(context.Context) (mail.Receipt, error) { return s.r, nil }
