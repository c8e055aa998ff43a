package bus_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/internal/bus"
	"github.com/mailkeep/mailkeep/internal/bus/bustest"
)

// The server is killed and started again, several times, while four pollers
// publish small and large messages. Whatever Commit said is stored is sealed in
// the end, as it was sent.
func TestServerKilledWhilePublishing(t *testing.T) {
	t.Parallel()
	o := small(t)
	s := bustest.SpawnServer(t)
	o.URL = s.URL
	b, a := start(t, o), newArchive()
	var stop atomic.Bool
	var mu sync.Mutex
	committed := map[string][]byte{}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w; !stop.Load(); i += 4 {
				raw := message(1000 + i)
				if i%50 == 7 {
					raw = message(1<<20 + i)
				}
				if _, err := send(t.Context(), b, delivery("m", uidl(i), raw), raw); err == nil {
					mu.Lock()
					committed[uidl(i)] = raw
					mu.Unlock()
				}
			}
		})
	}
	more := func(n int) {
		mu.Lock()
		target := len(committed) + n
		mu.Unlock()
		eventually(t, "publishing goes on", func() bool { mu.Lock(); defer mu.Unlock(); return len(committed) >= target })
	}
	for range 3 {
		more(100)
		s.Kill()
		s.Restart()
	}
	more(100)
	stop.Store(true)
	wg.Wait()
	t.Logf("%d messages committed", len(committed))
	consume(t, b, a.accept)
	eventually(t, "the queue is empty", func() bool {
		d, err := b.Depth(within(t))
		return err == nil && d.Messages == 0
	})
	for u, raw := range committed {
		a.holds(t, "m", u, raw)
	}
}

// A consumer survives the death of the server and of everything in it.
func TestServerLosesItsStore(t *testing.T) {
	t.Parallel()
	o := small(t)
	s := bustest.SpawnServer(t)
	o.URL = s.URL
	b, a := start(t, o), newArchive()
	consume(t, b, a.accept)
	raw := message(100)
	if _, err := mustSend(t, b, delivery("m", "before", raw), raw).Receipt(within(t)); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	if err := b.Healthy(); err == nil {
		eventually(t, "the loss is seen", func() bool { return b.Healthy() != nil })
	}
	if err := os.RemoveAll(filepath.Join(s.Dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	eventually(t, "the bus is healthy", func() bool { return b.Healthy() == nil })
	if _, err := mustSend(t, b, delivery("m", "after", raw), raw).Receipt(within(t)); err != nil {
		t.Fatal(err)
	}
}

// A server that cannot write is restarted when it can again, and has kept what
// it acknowledged. The write error is real: the directory of the stream's
// blocks is away for a while.
func TestSupervisorRestartsABrokenServer(t *testing.T) {
	t.Parallel()
	o := embedded(t)
	b, a := start(t, o), newArchive()
	raw := message(900_000)
	kept := mustSend(t, b, delivery("m", "kept", raw), raw)
	blocks := filepath.Join(o.Dir, "jetstream", "$G", "streams", "RAW", "msgs")
	if err := os.Rename(blocks, blocks+".away"); err != nil {
		t.Fatal(err)
	}
	// The open block takes some more before a new one is needed.
	broken := make(chan struct{})
	go func() {
		defer close(broken)
		for i := range 20 {
			if b.Healthy() != nil {
				return
			}
			send(within(t), b, delivery("m", uidl(i), raw), raw) //nolint:errcheck // it is meant to fail in the end
		}
	}()
	eventually(t, "the fault is seen", func() bool { return b.Healthy() != nil })
	if err := os.Rename(blocks+".away", blocks); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Logf("put the blocks back: %v", err)
	}
	<-broken
	eventually(t, "the bus is healthy", func() bool { return b.Healthy() == nil })
	consume(t, b, a.accept)
	if _, err := mustSend(t, b, delivery("m", "after", raw), raw).Receipt(within(t)); err != nil {
		t.Error(err)
	}
	if _, err := kept.Receipt(within(t)); err != nil {
		t.Errorf("what was acknowledged before: %v", err)
	}
}

// A process may be stopped while its server cannot be started again.
func TestStopWhileTheServerIsDown(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // just when the supervisor looks
			defer cancel()
			bus.SuperviseNothing(ctx)
		})
	}
}
