package bus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/bus"
	"github.com/mailkeep/mailkeep/internal/bus/bustest"
	"github.com/mailkeep/mailkeep/mail"
)

// onEach runs a test on the embedded and on an external server.
func onEach(t *testing.T, f func(t *testing.T, o bus.Options)) {
	t.Run("embedded", func(t *testing.T) { f(t, embedded(t)) })
	t.Run("external", func(t *testing.T) {
		o := small(t)
		o.URL = bustest.SpawnServer(t).URL
		f(t, o)
	})
}

func TestRoundTrip(t *testing.T) {
	onEach(t, func(t *testing.T, o bus.Options) {
		o.Inline = 100_000
		b, a := start(t, o), newArchive()
		consume(t, b, a.accept)
		for i, size := range []int{40, 99_999, 100_000, 100_001, 512 << 10, 3 << 19, 3<<19 + 1} {
			raw := message(size)
			d := delivery("office", uidl(i), raw)
			d.TLS = "TLS 1.3 \u2028 é"
			r, err := mustSend(t, b, d, raw).Receipt(within(t))
			if err != nil || r.Covers("office", d.Fingerprint) != nil || r.Delivery != d {
				t.Errorf("%d octets: receipt %+v, %v", size, r, err)
			}
			a.holds(t, "office", uidl(i), raw)
		}
		eventually(t, "the streams are empty", func() bool {
			depth, err := b.Depth(within(t))
			return err == nil && depth.Messages == 0 && depth.BigBytes == 0
		})
	})
}

func TestEmptyMessage(t *testing.T) {
	b, a := start(t, embedded(t)), newArchive()
	consume(t, b, a.accept)
	if _, err := mustSend(t, b, delivery("m", "u", nil), nil).Receipt(within(t)); err != nil {
		t.Error(err)
	}
}

// A message of 50 MB passes through both sides of one process without being
// held by any. The server is another process, so the heap is ours alone.
func TestLargeMessageInBoundedMemory(t *testing.T) {
	o := small(t)
	o.URL = bustest.SpawnServer(t).URL
	b := start(t, o)
	var writing, reading uint64
	consume(t, b, func(ctx context.Context, in bus.Inbound) error {
		go func() { in.Ack(drainRaw(ctx, in, &reading)) }()
		return nil
	})
	piece := message(64 << 10)
	f := mail.NewFingerprinter()
	tr, err := b.Begin(within(t), "m", -1)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Abort()
	before := heap()
	for i := range 50 << 20 / len(piece) {
		f.Write(piece)
		if _, err := tr.Write(piece); err != nil {
			t.Fatal(err)
		}
		if i == 400 {
			writing = heap()
		}
	}
	d := delivery("m", "big", nil)
	d.Fingerprint = f.Sum()
	p, err := tr.Commit(within(t), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Receipt(within(t)); err != nil {
		t.Fatal(err)
	}
	w, r := int64(writing-before)>>10, int64(reading-before)>>10
	t.Logf("live heap grew by %d KiB while writing and %d KiB while reading", w, r)
	if max(w, r) > 16<<10 {
		t.Errorf("live heap grew by %d and %d KiB for a message of 50 MiB", w, r)
	}
}

// heap returns the octets of live heap.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// drainRaw reads a message twice, as the sink does, and notes the live heap
// in the middle.
func drainRaw(ctx context.Context, in bus.Inbound, live *uint64) (mail.Receipt, error) {
	for range 2 {
		r, err := in.Raw(ctx)
		if err != nil {
			return mail.Receipt{}, err
		}
		f, buf := mail.NewFingerprinter(), make([]byte, 32<<10)
		for total := 0; ; {
			n, err := r.Read(buf)
			f.Write(buf[:n])
			if total += n; total > 25<<20 && *live == 0 {
				*live = heap()
			}
			if err != nil {
				break
			}
		}
		r.Close()
		if f.Sum() != in.Delivery.Fingerprint {
			return mail.Receipt{}, mail.Errorf(mail.Corrupt, "wrong bytes")
		}
	}
	return receiptOf(in.Delivery, 1), nil
}

func TestMailboxNames(t *testing.T) {
	b, a := start(t, embedded(t)), newArchive()
	consume(t, b, a.accept)
	for _, name := range []string{"a.b", "with space", "*", ">", "Zoë@example.org", "日本", "a\r\nb", "-", strings.Repeat("x", 1024)} {
		raw := message(100)
		r, err := mustSend(t, b, delivery(name, "u", raw), raw).Receipt(within(t))
		if err != nil || r.Mailbox != name {
			t.Errorf("%q: %q, %v", name, r.Mailbox, err)
		}
		if _, err := b.SaveState(within(t), name, []byte(name), 0); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		l, err := b.Lease(within(t), name)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if err := l.Release(within(t)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for s, err := range b.States(within(t)) {
		if err != nil || s.Mailbox != string(s.Data) {
			t.Errorf("state %q of %q, %v", s.Data, s.Mailbox, err)
		}
	}
	for _, name := range []string{"", "\xff", strings.Repeat("x", 1025)} {
		_, err := b.Begin(within(t), name, -1)
		wantKind(t, err, mail.Invalid)
	}
}

func TestCommitChecksTheDelivery(t *testing.T) {
	b := start(t, embedded(t))
	raw := message(100)
	long, other, huge := delivery("m", "u", raw), delivery("n", "u", raw), delivery("m", "u", raw)
	long.Size++
	huge.Suspect = strings.Repeat("x", 60_000)
	for name, d := range map[string]mail.Delivery{"size": long, "mailbox": other, "metadata": huge} {
		t.Run(name, func(t *testing.T) {
			tr, err := b.Begin(within(t), "m", -1)
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Abort()
			tr.Write(raw)
			_, err = tr.Commit(within(t), d)
			wantKind(t, err, mail.Invalid)
		})
	}
	if d, err := b.Depth(within(t)); err != nil || d.Messages != 0 {
		t.Errorf("depth %+v, %v", d, err)
	}
}

func TestAbortRemovesChunks(t *testing.T) {
	b := start(t, embedded(t))
	for range 10 {
		tr, err := b.Begin(within(t), "m", -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Write(message(3 << 20)); err != nil {
			t.Fatal(err)
		}
		tr.Abort()
		tr.Abort()
		if _, err := tr.Write([]byte("x")); mail.KindOf(err) != mail.Invalid {
			t.Errorf("write after abort: %v", err)
		}
	}
	if d, err := b.Depth(within(t)); err != nil || d.BigBytes != 0 || d.Messages != 0 {
		t.Errorf("depth %+v, %v", d, err)
	}
}

// Large transfers from slow servers do not hold up the others, and share what
// may be in flight.
func TestLargeTransfersDoNotWaitForOneAnother(t *testing.T) {
	b, a := start(t, embedded(t)), newArchive()
	consume(t, b, a.accept)
	for range 40 {
		tr, err := b.Begin(within(t), "slow", -1)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Abort()
		if _, err := tr.Write(message(2 << 20)); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.ChunkWindow(); n != 1 {
		t.Errorf("each of 40 transfers may have %d chunks in flight", n)
	}
	raw := message(5 << 20)
	if _, err := mustSend(t, b, delivery("fast", "u", raw), raw).Receipt(within(t)); err != nil {
		t.Error(err)
	}
	a.holds(t, "fast", "u", raw)
}

func TestQueueFullAndRecovery(t *testing.T) {
	o := embedded(t)
	o.RawBytes = 1 << 20
	b, a := start(t, o), newArchive()
	raw := message(200_000)
	var pending []*bus.Pending
	var err error
	for i := 0; i < 20 && err == nil; i++ {
		var p *bus.Pending
		if p, err = send(within(t), b, delivery("m", uidl(i), raw), raw); err == nil {
			pending = append(pending, p)
		}
	}
	wantKind(t, err, mail.NoSpace)
	if mail.HintOf(err) == "" || !strings.Contains(err.Error(), "queue is full") {
		t.Errorf("error %q, hint %q", err, mail.HintOf(err))
	}
	wantKind(t, b.Report(within(t), event(strings.Repeat("x", 400_000)), "m"), mail.NoSpace)
	consume(t, b, a.accept)
	for i, p := range pending {
		if _, err := p.Receipt(within(t)); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	var late *bus.Pending
	eventually(t, "there is room after the last acknowledgement, which follows its receipt", func() bool {
		late, err = send(within(t), b, delivery("m", "late", raw), raw)
		return err == nil
	})
	if _, err := late.Receipt(within(t)); err != nil {
		t.Error(err)
	}
}

func TestChunkStoreFull(t *testing.T) {
	o := embedded(t)
	o.BigBytes = 8 << 20
	b, a := start(t, o), newArchive()
	raw := message(20 << 20)
	_, err := send(within(t), b, delivery("m", "u", raw), raw)
	wantKind(t, err, mail.NoSpace)
	consume(t, b, a.accept)
	raw = raw[:6<<20]
	if _, err := mustSend(t, b, delivery("m", "v", raw), raw).Receipt(within(t)); err != nil {
		t.Errorf("after the failure: %v", err)
	}
}

func event(session string) mail.Event {
	return mail.Event{Type: mail.EventDrain, Drain: &mail.Drain{Session: session, Mailbox: "m", Outcome: "ok"}}
}

func TestReport(t *testing.T) {
	b, a := start(t, embedded(t)), newArchive()
	consume(t, b, a.accept)
	for _, n := range []int{1, 3 << 20} { // inline and in chunks
		if err := b.Report(within(t), event(strings.Repeat("s", n)), "m"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both events arrive", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.events) == 2 && len(a.events[1].Drain.Session) == 3<<20
	})
	wantKind(t, b.Report(within(t), event(strings.Repeat("s", 17<<20)), "m"), mail.Invalid)
}

func TestSecondProcessIsRefused(t *testing.T) {
	o := embedded(t)
	b := start(t, o)
	_, err := bus.Start(t.Context(), o)
	wantKind(t, err, mail.InUse)
	if mail.HintOf(err) == "" {
		t.Error("no hint")
	}
	shut(t, b)
	start(t, o)
}

func TestRestartKeepsTheQueue(t *testing.T) {
	o := embedded(t)
	b, a := start(t, o), newArchive()
	raw := message(2 << 20)
	mustSend(t, b, delivery("m", "big", raw), raw)
	mustSend(t, b, delivery("m", "small", raw[:100]), raw[:100])
	if _, err := b.Lease(within(t), "m"); err != nil {
		t.Fatal(err)
	}
	shut(t, b)
	o.RawBytes = 64 << 20 // other limits: the stream is updated
	b = start(t, o)
	if d, err := b.Depth(within(t)); err != nil || d.Limit != 64<<20 || d.Messages != 2 || d.Oldest.IsZero() {
		t.Errorf("depth %+v, %v", d, err)
	}
	if _, err := b.Lease(within(t), "m"); err != nil {
		t.Errorf("the lease of the process before: %v", err)
	}
	consume(t, b, a.accept)
	eventually(t, "both are sealed", func() bool { n, _ := a.count(); return n == 2 })
	a.holds(t, "m", "big", raw)
}

func TestStoreDeleted(t *testing.T) {
	o := embedded(t)
	b := start(t, o)
	raw := message(100)
	mustSend(t, b, delivery("m", "u", raw), raw)
	shut(t, b)
	if err := os.RemoveAll(o.Dir); err != nil {
		t.Fatal(err)
	}
	b, a := start(t, o), newArchive()
	if d, err := b.Depth(within(t)); err != nil || d.Messages != 0 {
		t.Errorf("depth %+v, %v", d, err)
	}
	consume(t, b, a.accept)
	if _, err := mustSend(t, b, delivery("m", "u", raw), raw).Receipt(within(t)); err != nil {
		t.Error(err)
	}
}

func TestManifest(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want mail.Kind
		ok   bool
	}{
		"torn":      {`{"form`, 0, true},
		"empty":     {``, 0, true},
		"older":     {`{"format":1,"server_version":"2.14.6"}`, 0, true},
		"newer":     {`{"format":1,"server_version":"3.0.0"}`, mail.Invalid, false},
		"encrypted": {`{"format":1,"encrypted":true}`, mail.Invalid, false},
		"format":    {`{"format":2}`, mail.Invalid, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := embedded(t)
			path := filepath.Join(o.Dir, "store.json")
			if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if tc.ok {
				start(t, o)
				return
			}
			_, err := bus.Start(t.Context(), o)
			wantKind(t, err, tc.want)
			if text, err := os.ReadFile(path); err != nil || string(text) != tc.text {
				t.Errorf("the manifest became %q, %v", text, err)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	dir := t.TempDir()
	for name, o := range map[string]bus.Options{
		"nothing":    {},
		"partitions": {Dir: dir, Partitions: 1 << 16},
		"replicas":   {Dir: dir, Replicas: 3},
		"sum":        {Dir: dir, MaxStore: 1 << 30, RawBytes: 1 << 30},
		"negative":   {Dir: dir, Inline: -1},
		"lease":      {Dir: dir, LeaseTTL: 2500 * time.Millisecond},
		"ack":        {Dir: dir, AckWait: time.Millisecond},
	} {
		if _, err := bus.Start(t.Context(), o); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fakeServer speaks as much of the protocol as a client needs to see a
// version.
func fakeServer(t *testing.T, version string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "INFO {\"server_id\":\"x\",\"version\":%q,\"max_payload\":1048576,\"headers\":true,\"proto\":1}\r\nPONG\r\n", version)
		}
	}()
	return "nats://" + l.Addr().String()
}

func TestVersionGate(t *testing.T) {
	for _, version := range []string{"2.9.25", "2.14.5", "", "devel"} {
		_, err := bus.Start(t.Context(), bus.Options{URL: fakeServer(t, version)})
		wantKind(t, err, mail.Invalid)
		if err != nil && !strings.Contains(err.Error(), "2.14.6") {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestServerUnreachable(t *testing.T) {
	_, err := bus.Start(t.Context(), bus.Options{URL: "nats://127.0.0.1:1"})
	wantKind(t, err, mail.Temporary)
}

func TestPartitions(t *testing.T) {
	o := embedded(t)
	o.Partitions = 3
	b := start(t, o)
	wantKind(t, b.Consume(t.Context(), 3, nil), mail.Invalid)
	name := ""
	for i := 0; mail.Partition(name, 3) != 2 || name == ""; i++ {
		name = fmt.Sprint("mailbox", i)
	}
	raw := message(10)
	p := mustSend(t, b, delivery(name, "u", raw), raw)
	a := newArchive()
	consume(t, b, func(context.Context, bus.Inbound) error {
		t.Error("partition 0 got a message of partition 2")
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Consume(ctx, 2, a.accept) }()
	if _, err := p.Receipt(within(t)); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestNoGoroutineIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	b, err := bus.Start(t.Context(), embedded(t))
	if err != nil {
		t.Fatal(err)
	}
	a := newArchive()
	stop := consume(t, b, a.accept)
	unserve, err := b.ServeSize(t.Context(), 0, func() uint64 { return 1 })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Lease(within(t), "m"); err != nil {
		t.Fatal(err)
	}
	raw := message(3 << 20)
	if _, err := mustSend(t, b, delivery("m", "u", raw), raw).Receipt(within(t)); err != nil {
		t.Fatal(err)
	}
	stop()
	unserve()
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

// A start that is given up says so, and gives no advice.
func TestStartIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := bus.Start(ctx, embedded(t))
	if !errors.Is(err, context.Canceled) || mail.HintOf(err) != "" {
		t.Errorf("%v (hint %q)", err, mail.HintOf(err))
	}
}
