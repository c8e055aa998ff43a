package bus_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/bus"
	"github.com/mailkeep/mailkeep/internal/bus/bustest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go/jetstream"
)

func TestLeaseIsExclusive(t *testing.T) {
	onEach(t, func(t *testing.T, o bus.Options) {
		b := start(t, o)
		var held atomic.Int32
		leases := make(chan *bus.Lease, 20)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				l, err := b.Lease(within(t), "m")
				if err == nil {
					held.Add(1)
					leases <- l
				} else {
					wantKind(t, err, mail.InUse)
				}
			})
		}
		wg.Wait()
		if held.Load() != 1 {
			t.Fatalf("%d hold the lease", held.Load())
		}
		l := <-leases
		if _, err := b.Lease(within(t), "n"); err != nil {
			t.Errorf("another mailbox: %v", err)
		}
		if err := l.Check(within(t)); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := l.Release(within(t)); err != nil {
				t.Error(err)
			}
		}
		wantKind(t, l.Check(within(t)), mail.InUse)
		next, err := b.Lease(within(t), "m")
		if err != nil {
			t.Fatal(err)
		}
		if next.Token() <= l.Token() {
			t.Errorf("token %d after %d", next.Token(), l.Token())
		}
	})
}

// A lease is renewed for longer than its life; when its holder dies without a
// word, another one takes it after that life and not before.
func TestLeaseExpiryAndTakeover(t *testing.T) {
	t.Parallel()
	o := small(t)
	o.URL, o.LeaseTTL = bustest.SpawnServer(t).URL, 2*time.Second
	living, dying := start(t, o), start(t, o)
	l, err := living.Lease(within(t), "kept")
	if err != nil {
		t.Fatal(err)
	}
	// The dead holder is a key that nobody renews.
	js, err := jetstream.New(rawConn(t, o.URL))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(within(t), "MB_LEASE")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := kv.Create(within(t), "bQ", []byte("{}"), jetstream.KeyTTL(o.LeaseTTL)); err != nil { // "m"
		t.Fatal(err)
	}
	_, err = dying.Lease(within(t), "m")
	wantKind(t, err, mail.InUse)
	eventually(t, "the lease of the dead is free", func() bool {
		_, err := dying.Lease(within(t), "m")
		return err == nil
	})
	if d := time.Since(began); d < o.LeaseTTL-100*time.Millisecond {
		t.Errorf("taken over after %s", d)
	}
	<-time.After(time.Until(began.Add(2 * o.LeaseTTL))) // the server's clock is real
	_, err = dying.Lease(within(t), "kept")
	wantKind(t, err, mail.InUse)
	if err := l.Check(within(t)); err != nil {
		t.Error(err)
	}
}

// A holder whose lease was given away is told so by Check and by Lost, and its
// Release does not touch the new holder's.
func TestLeaseFencing(t *testing.T) {
	o := small(t)
	o.URL, o.LeaseTTL = bustest.SpawnServer(t).URL, 2*time.Second
	b := start(t, o)
	l, err := b.Lease(within(t), "m")
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(rawConn(t, o.URL))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(within(t), "MB_LEASE")
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Purge(within(t), "bQ"); err != nil {
		t.Fatal(err)
	}
	next, err := b.Lease(within(t), "m")
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, l.Check(within(t)), mail.InUse)
	select {
	case <-l.Lost():
	case <-within(t).Done():
		t.Error("the loss is not told")
	}
	if err := l.Release(within(t)); err != nil {
		t.Error(err)
	}
	if err := next.Check(within(t)); err != nil {
		t.Errorf("the next holder: %v", err)
	}
}

// Without a server a lease ends by itself, before the server may give it away.
func TestLeaseEndsWithoutServer(t *testing.T) {
	t.Parallel()
	o := small(t)
	s := bustest.SpawnServer(t)
	o.URL, o.LeaseTTL = s.URL, 2*time.Second
	b := start(t, o)
	l, err := b.Lease(within(t), "m")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := l.Check(ctx); err == nil {
		t.Error("checked without a server")
	}
	select {
	case <-l.Lost():
	case <-within(t).Done():
		t.Fatal("the lease is not lost")
	}
	if d := time.Since(began); d > 2*o.LeaseTTL {
		t.Errorf("lost after %s", d)
	}
}

func TestState(t *testing.T) {
	onEach(t, func(t *testing.T, o bus.Options) {
		b := start(t, o)
		if data, rev, err := b.LoadState(within(t), "m"); data != nil || rev != 0 || err != nil {
			t.Errorf("at first: %q, %d, %v", data, rev, err)
		}
		rev, err := b.SaveState(within(t), "m", []byte("one"), 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.SaveState(within(t), "m", []byte("x"), 0)
		wantKind(t, err, mail.InUse)
		rev2, err := b.SaveState(within(t), "m", []byte("two"), rev)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.SaveState(within(t), "m", []byte("x"), rev)
		wantKind(t, err, mail.InUse)
		if data, rev, err := b.LoadState(within(t), "m"); string(data) != "two" || rev != rev2 || err != nil {
			t.Errorf("%q, %d, %v", data, rev, err)
		}
		for range b.States(within(t)) {
			break // the sequence may be left early
		}
		n := 0
		for s, err := range b.States(within(t)) {
			if n++; err != nil || s.Mailbox != "m" || string(s.Data) != "two" || s.Revision != rev2 {
				t.Errorf("%+v, %v", s, err)
			}
		}
		if n != 1 {
			t.Errorf("%d states", n)
		}
	})
}
