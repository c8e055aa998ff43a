package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/bus"
	"github.com/mailkeep/mailkeep/internal/bus/bustest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Each kind of refusal reaches the poller as it is; those that may pass are
// delivered again, those that cannot leave the queue.
func TestRefusals(t *testing.T) {
	again := map[mail.Kind]bool{mail.Other: true, mail.Temporary: true, mail.NoSpace: true, mail.Denied: true}
	for _, kind := range []mail.Kind{mail.Other, mail.Temporary, mail.NoSpace, mail.Denied, mail.Invalid, mail.Corrupt} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{100, 2 << 20} {
				refuse(t, kind, again[kind], message(size))
			}
		})
	}
}

func refuse(t *testing.T, kind mail.Kind, again bool, raw []byte) {
	b, a := start(t, embedded(t)), newArchive()
	a.refusal = func(n int, _ mail.Delivery) error {
		if n == 1 {
			return mail.WithHint(mail.Errorf(kind, "not now"), "a hint")
		}
		return nil
	}
	consume(t, b, a.accept)
	_, err := mustSend(t, b, delivery("m", "u", raw), raw).Receipt(within(t))
	wantKind(t, err, kind)
	if mail.HintOf(err) != "a hint" {
		t.Errorf("hint %q", mail.HintOf(err))
	}
	if again {
		eventually(t, "it is delivered again", func() bool { n, _ := a.count(); return n == 1 })
	}
	eventually(t, "the streams are empty", func() bool {
		d, err := b.Depth(within(t))
		return err == nil && d.Messages == 0 && d.BigBytes == 0
	})
	if sealed, seen := a.count(); seen != 1+sealed || (sealed == 1) != again {
		t.Errorf("%d octets: sealed %d of %d deliveries", len(raw), sealed, seen)
	}
}

// An error of accept is a refusal too.
func TestAcceptRefuses(t *testing.T) {
	b := start(t, embedded(t))
	consume(t, b, func(context.Context, bus.Inbound) error { return mail.Errorf(mail.Invalid, "never") })
	raw := message(10)
	_, err := mustSend(t, b, delivery("m", "u", raw), raw).Receipt(within(t))
	wantKind(t, err, mail.Invalid)
}

func TestOnlyTheFirstAckCounts(t *testing.T) {
	b := start(t, embedded(t))
	consume(t, b, func(_ context.Context, in bus.Inbound) error {
		in.Ack(receiptOf(in.Delivery, 7), nil)
		in.Ack(mail.Receipt{}, errors.New("too late"))
		return nil
	})
	raw := message(10)
	p := mustSend(t, b, delivery("m", "u", raw), raw)
	for range 2 {
		if r, err := p.Receipt(within(t)); err != nil || r.ID.Seq != 7 {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// The same mail sent again within the duplicate window is a transfer of its
// own and gets a receipt of its own.
func TestLegitimateResend(t *testing.T) {
	b, a := start(t, embedded(t)), newArchive()
	consume(t, b, a.accept)
	raw := message(100)
	for range 3 {
		if _, err := mustSend(t, b, delivery("m", "u", raw), raw).Receipt(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	if _, seen := a.count(); seen != 3 {
		t.Errorf("the archive saw %d of 3", seen)
	}
}

func TestWaitForReceiptEnds(t *testing.T) {
	b := start(t, embedded(t))
	raw := message(10)
	p := mustSend(t, b, delivery("m", "u", raw), raw)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Receipt(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without an archive: %v", err)
	}
	p = mustSend(t, b, delivery("m", "u", raw), raw)
	failed := make(chan error)
	go func() { _, err := p.Receipt(context.Background()); failed <- err }()
	shut(t, b)
	wantKind(t, <-failed, mail.Temporary)
}

// What a consumer held when it died is delivered to the next one after
// AckWait, and what it still holds is not.
func TestRedeliveryAfterDeath(t *testing.T) {
	o := small(t)
	o.URL = bustest.SpawnServer(t).URL
	o.AckWait = 1500 * time.Millisecond
	sender, a := start(t, o), newArchive()
	raw := message(1000)

	// The first process takes the message and dies with it: its connection is
	// gone before anything is settled.
	dead := rawConn(t, o.URL)
	js, err := jetstream.New(dead)
	if err != nil {
		t.Fatal(err)
	}
	p := mustSend(t, sender, delivery("m", "u", raw), raw)
	cons, err := js.CreateOrUpdateConsumer(within(t), "RAW", jetstream.ConsumerConfig{Durable: "archiver_0",
		FilterSubject: "raw.0.>", AckPolicy: jetstream.AckExplicitPolicy, AckWait: o.AckWait, MaxDeliver: -1, MaxAckPending: 2048})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cons.Next(); err != nil {
		t.Fatal(err)
	}
	dead.Close()

	consume(t, sender, a.accept)
	if _, err := p.Receipt(within(t)); err != nil {
		t.Fatal(err)
	}
	a.holds(t, "m", "u", raw)
}

func rawConn(t testing.TB, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// A message that is held longer than AckWait is not delivered to anybody else.
func TestHeldMessagesAreKept(t *testing.T) {
	o := embedded(t)
	o.AckWait = time.Second
	b := start(t, o)
	var mu sync.Mutex
	seen := map[mail.Octets]int{}
	acks := make(chan func(mail.Receipt, error), 20)
	consume(t, b, func(_ context.Context, in bus.Inbound) error {
		mu.Lock()
		defer mu.Unlock()
		seen[in.Delivery.UIDL]++
		acks <- in.Ack
		return nil
	})
	raw := message(10)
	for i := range 5 {
		mustSend(t, b, delivery("m", uidl(i), raw), raw)
	}
	<-time.After(2500 * time.Millisecond) // the server's timer is real
	mu.Lock()
	for u, n := range seen {
		if n != 1 {
			t.Errorf("%s was delivered %d times", u, n)
		}
	}
	mu.Unlock()
	for range 5 {
		(<-acks)(mail.Receipt{}, nil)
	}
}

// While accept blocks only a bounded number is taken from the queue, and the
// end of Consume gives it back at once.
func TestBackPressure(t *testing.T) {
	b := start(t, embedded(t))
	raw := message(100_000)
	for i := range 200 {
		mustSend(t, b, delivery("m", uidl(i), raw), raw)
	}
	entered := make(chan struct{}, 1)
	stop := consume(t, b, func(ctx context.Context, _ bus.Inbound) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	<-entered
	began := time.Now()
	stop()
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("stopping took %s", d)
	}
	a := newArchive()
	consume(t, b, a.accept)
	eventually(t, "everything is sealed", func() bool { n, _ := a.count(); return n == 200 })
}

// Consume waits for what it accepted.
func TestConsumeWaitsForAcks(t *testing.T) {
	b := start(t, embedded(t))
	acks := make(chan func(mail.Receipt, error), 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- b.Consume(ctx, 0, func(_ context.Context, in bus.Inbound) error { acks <- in.Ack; return nil })
	}()
	raw := message(10)
	p := mustSend(t, b, delivery("m", "u", raw), raw)
	ack := <-acks
	cancel()
	select {
	case <-ended:
		t.Error("Consume returned with a message unsettled")
	case <-time.After(50 * time.Millisecond):
	}
	ack(receiptOf(delivery("m", "u", raw), 1), nil)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := p.Receipt(within(t)); err != nil {
		t.Error(err)
	}
}

// Chunks that are gone make the poller fetch again and do not stop the queue.
func TestMissingChunks(t *testing.T) {
	o := small(t)
	o.URL = bustest.SpawnServer(t).URL
	b, a := start(t, o), newArchive()
	raw := message(2 << 20)
	broken := mustSend(t, b, delivery("m", "broken", raw), raw)
	js, err := jetstream.New(rawConn(t, o.URL))
	if err != nil {
		t.Fatal(err)
	}
	big, err := js.Stream(within(t), "BIG")
	if err != nil {
		t.Fatal(err)
	}
	if err := big.DeleteMsg(within(t), 3); err != nil {
		t.Fatal(err)
	}
	intact := mustSend(t, b, delivery("m", "intact", raw), raw)
	consume(t, b, a.accept)
	_, err = broken.Receipt(within(t))
	wantKind(t, err, mail.Corrupt)
	if _, err := intact.Receipt(within(t)); err != nil {
		t.Error(err)
	}
	eventually(t, "the streams are empty", func() bool {
		d, err := b.Depth(within(t))
		return err == nil && d.Messages == 0 && d.BigBytes == 0
	})
}

// What others publish into the queue is thrown out.
func TestForeignMessages(t *testing.T) {
	o := small(t)
	o.URL = bustest.SpawnServer(t).URL
	b, a := start(t, o), newArchive()
	js, err := jetstream.New(rawConn(t, o.URL))
	if err != nil {
		t.Fatal(err)
	}
	m := nats.NewMsg("raw.0.x")
	m.Header.Set("Mailkeep-Transfer", "*")
	m.Header.Set("Mailkeep-Size", "1")
	for _, m := range []*nats.Msg{{Subject: "raw.0.x", Data: []byte("garbage")}, m} {
		if _, err := js.PublishMsg(within(t), m); err != nil {
			t.Fatal(err)
		}
	}
	consume(t, b, a.accept)
	raw := message(10)
	if _, err := mustSend(t, b, delivery("m", "u", raw), raw).Receipt(within(t)); err != nil {
		t.Error(err)
	}
	eventually(t, "the queue is empty", func() bool {
		d, err := b.Depth(within(t))
		return err == nil && d.Messages == 0
	})
}

// A receipt that is lost on its way is found in the catalog.
func TestLostReceiptIsRepaired(t *testing.T) {
	b := start(t, embedded(t))
	b.SetRepair(20 * time.Millisecond)
	raw := message(10)
	d := delivery("m", "u", raw)
	stop, err := b.ServeLookup(t.Context(), 0, func(_ context.Context, _ string, rows []mail.Listing) ([]mail.Receipt, error) {
		return []mail.Receipt{receiptOf(d, 5)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if r, err := mustSend(t, b, d, raw).Receipt(within(t)); err != nil || r.ID.Seq != 5 {
		t.Errorf("%+v, %v", r, err)
	}
}

func BenchmarkRoundTrip20KB(b *testing.B) {
	x, a := start(b, embedded(b)), newArchive()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- x.Consume(ctx, 0, a.accept) }()
	raw := message(20_000)
	b.SetBytes(int64(len(raw)))
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			p, err := send(ctx, x, delivery(fmt.Sprint("m", i%16), "u", raw), raw)
			if err == nil {
				_, err = p.Receipt(ctx)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
	cancel()
	<-done
}
