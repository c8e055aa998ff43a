package bus_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/bus"
	"github.com/mailkeep/mailkeep/internal/bus/bustest"
	"github.com/mailkeep/mailkeep/mail"
)

func TestMain(m *testing.M) { os.Exit(bustest.Main(m)) }

// small are options whose limits a test can reach.
func small(t testing.TB) bus.Options {
	return bus.Options{MaxStore: 512 << 20, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func embedded(t testing.TB) bus.Options {
	o := small(t)
	o.Dir = t.TempDir()
	return o
}

func start(t testing.TB, o bus.Options) *bus.Bus {
	t.Helper()
	b, err := bus.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, b) })
	return b
}

// shut is Close with a limit; a second one is allowed, for tests that close
// early.
func shut(t testing.TB, b *bus.Bus) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	closes.Lock()
	defer closes.Unlock()
	if closes.done[b] {
		return
	}
	closes.done[b] = true
	if err := b.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

var closes = struct {
	sync.Mutex
	done map[*bus.Bus]bool
}{done: map[*bus.Bus]bool{}}

// within returns a context that ends before the test would hang.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// message returns n octets that look like a mail.
func message(n int) []byte {
	head := []byte("Subject: test\r\nFrom: a@example.org\r\n\r\n")
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte('a' + rng.IntN(26))
	}
	copy(b, head)
	return b
}

func delivery(mailbox, uidl string, raw []byte) mail.Delivery {
	return mail.Delivery{
		Capture: mail.Capture{Mailbox: mailbox, UIDL: mail.Octets(uidl), ListSize: int64(len(raw)), Session: "s1",
			Host: "pop.example.org", Fetched: time.Unix(1700000000, 0).UTC()},
		Fingerprint: mail.FingerprintOf(raw),
	}
}

// send transfers raw in pieces, as a POP3 client would write it.
func send(ctx context.Context, b *bus.Bus, d mail.Delivery, raw []byte) (*bus.Pending, error) {
	tr, err := b.Begin(ctx, d.Mailbox, d.ListSize)
	if err != nil {
		return nil, err
	}
	defer tr.Abort()
	for piece := range chunked(raw, 100_000) {
		if _, err := tr.Write(piece); err != nil {
			return nil, err
		}
	}
	return tr.Commit(ctx, d)
}

func chunked(b []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			k := min(n, len(b))
			if !yield(b[:k]) {
				return
			}
			b = b[k:]
		}
	}
}

func mustSend(t testing.TB, b *bus.Bus, d mail.Delivery, raw []byte) *bus.Pending {
	t.Helper()
	p, err := send(within(t), b, d, raw)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// An archive is a sink that keeps what it is given in memory.
type archive struct {
	mu      sync.Mutex
	sealed  map[string][]byte // by mailbox and UIDL
	events  []mail.Event
	seen    int
	refusal func(n int, d mail.Delivery) error // n counts from 1; nil to seal
}

func newArchive() *archive { return &archive{sealed: map[string][]byte{}} }

func (a *archive) accept(ctx context.Context, in bus.Inbound) error {
	r, err := a.seal(ctx, in)
	in.Ack(r, err)
	return nil
}

func (a *archive) seal(ctx context.Context, in bus.Inbound) (mail.Receipt, error) {
	a.mu.Lock()
	a.seen++
	n := a.seen
	a.mu.Unlock()
	if in.Event != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.events = append(a.events, *in.Event)
		return mail.Receipt{}, nil
	}
	if a.refusal != nil {
		if err := a.refusal(n, in.Delivery); err != nil {
			return mail.Receipt{}, err
		}
	}
	raw, err := readAll(ctx, in)
	if err != nil {
		return mail.Receipt{}, err
	}
	if mail.FingerprintOf(raw) != in.Delivery.Fingerprint {
		return mail.Receipt{}, mail.Errorf(mail.Corrupt, "wrong bytes")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sealed[in.Delivery.Mailbox+"/"+string(in.Delivery.UIDL)] = raw
	return receiptOf(in.Delivery, n), nil
}

func receiptOf(d mail.Delivery, n int) mail.Receipt {
	return mail.Receipt{Delivery: d, ID: mail.ID{Seq: uint64(n)}, SealedAt: time.Unix(1700000001, 0).UTC()}
}

func readAll(ctx context.Context, in bus.Inbound) ([]byte, error) {
	r, err := in.Raw(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (a *archive) count() (sealed, seen int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.sealed), a.seen
}

func (a *archive) has(mailbox, uidl string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sealed[mailbox+"/"+uidl] != nil
}

func (a *archive) holds(t testing.TB, mailbox, uidl string, raw []byte) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !bytes.Equal(a.sealed[mailbox+"/"+uidl], raw) {
		t.Errorf("%s/%s is not sealed as sent", mailbox, uidl)
	}
}

// consume runs a consumer of partition 0 until stop, or the end of the test.
func consume(t testing.TB, b *bus.Bus, accept func(context.Context, bus.Inbound) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.Consume(ctx, 0, accept); err != nil {
			t.Errorf("consume: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// eventually waits for a condition that another process brings about.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ctx := within(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("in vain: %s", what)
		case <-tick.C:
		}
	}
}

func wantKind(t testing.TB, err error, want mail.Kind) {
	t.Helper()
	if err == nil || mail.KindOf(err) != want {
		t.Errorf("error %v of kind %v, want %v", err, mail.KindOf(err), want)
	}
}

func uidl(i int) string { return fmt.Sprintf("uidl-%06d", i) }
