package bus_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/mailkeep/mailkeep/internal/bus"
	"github.com/mailkeep/mailkeep/mail"
)

// A desk is an archive that holds what it is given until it is told to answer.
type desk struct {
	*archive
	mu   sync.Mutex
	wait []bus.Inbound
	hold bool
}

func (d *desk) accept(ctx context.Context, in bus.Inbound) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hold {
		d.wait = append(d.wait, in)
		return nil
	}
	return d.archive.accept(ctx, in)
}

func (d *desk) waiting() []bus.Inbound {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wait
}

// answer seals what waits and holds nothing any more.
func (d *desk) answer(t *testing.T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hold = false
	for _, in := range d.wait {
		if err := d.archive.accept(within(t), in); err != nil {
			t.Error(err)
		}
	}
	d.wait = nil
}

// handing starts a bus that hands over in memory, and a desk that takes.
func handing(t *testing.T, octets int64, hold bool) (*bus.Bus, *desk, func()) {
	o := embedded(t)
	o.HandOver = octets
	b, d := start(t, o), &desk{archive: newArchive(), hold: hold}
	stop := consume(t, b, d.accept)
	eventually(t, "messages are taken", func() bool { return b.Takes(0) })
	return b, d, stop
}

func mustDepth(t *testing.T, b *bus.Bus) bus.Depth {
	t.Helper()
	d, err := b.Depth(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// In one process a message of any size comes as the bytes that were written, past
// the streams, and is counted until it is sealed.
func TestHandOver(t *testing.T) {
	b, d, _ := handing(t, 32<<20, true)
	var sent []*bus.Pending
	sizes := []int{0, 1, 20_000, 5 << 20}
	for i, n := range sizes {
		raw := message(max(n, 40))[:n]
		sent = append(sent, mustSend(t, b, delivery("m", uidl(i), raw), raw))
	}
	eventually(t, "all are taken", func() bool { return len(d.waiting()) == len(sizes) })
	for i, in := range d.waiting() {
		if raw := message(max(sizes[i], 40))[:sizes[i]]; !bytes.Equal(in.Bytes, raw) {
			t.Errorf("%d octets are not handed over as they are", sizes[i])
		}
	}
	if s := mustDepth(t, b); s.Messages != uint64(len(sizes)) || s.Bytes != 0 || s.BigBytes != 0 || s.Memory < 5<<20 {
		t.Errorf("under way: %+v", s)
	}
	d.answer(t)
	for i, p := range sent {
		if r, err := p.Receipt(within(t)); err != nil || string(r.UIDL) != uidl(i) {
			t.Errorf("receipt %+v, %v", r, err)
		}
	}
	if s := mustDepth(t, b); s.Messages != 0 || s.Memory != 0 {
		t.Errorf("left: %+v", s)
	}
}

// Where nobody takes them, messages wait in the queue; nothing stays in memory.
func TestHandOverToNobody(t *testing.T) {
	o := embedded(t)
	o.HandOver = 32 << 20
	b, a := start(t, o), newArchive()
	for i, n := range []int{20_000, 5 << 20} {
		raw := message(n)
		mustSend(t, b, delivery("m", uidl(i), raw), raw)
	}
	if s := mustDepth(t, b); s.Messages != 2 || s.Bytes == 0 || s.BigBytes == 0 || s.Memory != 0 {
		t.Errorf("under way: %+v", s)
	}
	consume(t, b, a.accept)
	eventually(t, "they are sealed", func() bool { n, _ := a.count(); return n == 2 })
}

// What there is no room for takes the way through the streams, and nothing is
// lost or changed.
func TestHandOverFull(t *testing.T) {
	b, d, _ := handing(t, 2<<20, true)
	var sent []*bus.Pending
	var sizes []int
	for range 8 {
		sizes = append(sizes, 300_000, 1_000_000)
	}
	for i, n := range sizes {
		raw := message(n)
		sent = append(sent, mustSend(t, b, delivery("m", uidl(i), raw), raw))
		if s := mustDepth(t, b); s.Memory > 2<<20 {
			t.Fatalf("%d octets are in memory", s.Memory)
		}
	}
	if s := mustDepth(t, b); s.Bytes == 0 || s.BigBytes == 0 || s.Memory == 0 {
		t.Errorf("under way: %+v", s)
	}
	eventually(t, "all are taken", func() bool { return len(d.waiting()) == len(sizes) })
	d.answer(t)
	for i, p := range sent {
		if _, err := p.Receipt(within(t)); err != nil {
			t.Error(err)
		}
		d.holds(t, "m", uidl(i), message(sizes[i]))
	}
	eventually(t, "nothing is left", func() bool { return mustDepth(t, b) == bus.Depth{Limit: mustDepth(t, b).Limit} })
}

// A listing may lie: more comes than it says, or far less.
func TestHandOverSizes(t *testing.T) {
	b, d, _ := handing(t, 32<<20, false)
	for i, c := range []struct{ listed, came int }{
		{2 << 20, 5 << 20}, {100, 5 << 20}, {5 << 20, 100}, {30_000, 100}, {-1, 5 << 20}, {100, 30_000}, {1 << 40, 2 << 20},
	} {
		raw := message(c.came)
		v := delivery("m", uidl(i), raw)
		v.ListSize = int64(c.listed)
		if _, err := mustSend(t, b, v, raw).Receipt(within(t)); err != nil {
			t.Errorf("listed %d, came %d: %v", c.listed, c.came, err)
		}
		d.holds(t, "m", uidl(i), raw)
	}
	if s := mustDepth(t, b); s.Memory != 0 {
		t.Errorf("left: %+v", s)
	}
}

// A transfer that is broken off, or whose delivery is wrong, leaves no room taken.
func TestHandOverAbort(t *testing.T) {
	b, d, _ := handing(t, 32<<20, false)
	raw := message(5 << 20)
	for _, commit := range []bool{false, true} {
		tr, err := b.Begin(within(t), "m", int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Write(raw); err != nil {
			t.Fatal(err)
		}
		if s := mustDepth(t, b); s.Memory == 0 {
			t.Error("it was not to be handed over: the test tests nothing")
		}
		if commit {
			_, err := tr.Commit(within(t), delivery("other", "u", raw))
			wantKind(t, err, mail.Invalid)
		}
		tr.Abort()
		if s := mustDepth(t, b); s.Memory != 0 {
			t.Errorf("left: %+v", s)
		}
	}
	if _, seen := d.count(); seen != 0 {
		t.Errorf("%d messages came", seen)
	}
}

// A refusal reaches the poller as it is, and the message is let go: the server has
// it, and a later session brings it again.
func TestHandOverRefusals(t *testing.T) {
	b, d, _ := handing(t, 32<<20, false)
	kinds := []mail.Kind{mail.Other, mail.Temporary, mail.NoSpace, mail.Denied, mail.Invalid, mail.Corrupt}
	d.refusal = func(n int, _ mail.Delivery) error {
		return mail.WithHint(mail.Errorf(kinds[n-1], "not now"), "a hint")
	}
	for i, kind := range kinds {
		raw := message(20_000)
		_, err := mustSend(t, b, delivery("m", uidl(i), raw), raw).Receipt(within(t))
		wantKind(t, err, kind)
		if mail.HintOf(err) != "a hint" {
			t.Errorf("hint %q", mail.HintOf(err))
		}
	}
	if s := mustDepth(t, b); s.Messages != 0 || s.Memory != 0 {
		t.Errorf("left: %+v", s)
	}
}

// When the archive stops, what it has taken is sealed, and the pollers of the rest
// are told at once.
func TestHandOverStops(t *testing.T) {
	o := embedded(t)
	o.HandOver = 32 << 20
	b := start(t, o)
	taken, blocked := make(chan bus.Inbound, 1), make(chan struct{})
	stop := consume(t, b, func(ctx context.Context, in bus.Inbound) error {
		if in.Delivery.UIDL == "first" {
			taken <- in
			return nil
		}
		close(blocked)
		<-ctx.Done()
		return context.Cause(ctx)
	})
	eventually(t, "messages are taken", func() bool { return b.Takes(0) })
	raw := message(1000)
	var sent []*bus.Pending
	for _, u := range []string{"first", "second", "third"} {
		sent = append(sent, mustSend(t, b, delivery("m", u, raw), raw))
	}
	<-blocked
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	for _, p := range sent[1:] {
		_, err := p.Receipt(within(t))
		wantKind(t, err, mail.Temporary)
		if err != nil && !strings.Contains(err.Error(), "stopping") {
			t.Error(err)
		}
	}
	select {
	case <-stopped:
		t.Error("it did not wait for what it had taken")
	default:
	}
	in := <-taken
	in.Ack(receiptOf(in.Delivery, 1), nil)
	in.Ack(mail.Receipt{}, mail.Errorf(mail.Temporary, "too late")) // only the first counts
	if _, err := sent[0].Receipt(within(t)); err != nil {
		t.Error(err)
	}
	<-stopped
	mustSend(t, b, delivery("m", "fourth", raw), raw)
	if s := mustDepth(t, b); s.Messages != 1 || s.Bytes == 0 || s.Memory != 0 {
		t.Errorf("after the end it does not wait in the queue: %+v", s)
	}
}
