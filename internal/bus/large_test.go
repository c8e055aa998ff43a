package bus_test

import (
	"testing"
)

// TestRow97OverMaxPayload sends a message that no single payload of NATS holds: its
// chunks go ahead, and only Commit publishes the claim, so that nothing but whole
// messages is ever in the queue.
func TestRow97OverMaxPayload(t *testing.T) {
	b, a := start(t, embedded(t)), newArchive()
	raw := message(5 << 20)
	d := delivery("office", "big", raw)
	tr, err := b.Begin(within(t), d.Mailbox, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Write(raw); err != nil {
		t.Fatal(err)
	}
	eventually(t, "chunks are stored", func() bool {
		depth, err := b.Depth(within(t))
		return err == nil && depth.BigBytes > 1<<20
	})
	if depth, err := b.Depth(within(t)); err != nil || depth.Messages != 0 {
		t.Fatalf("before Commit the queue holds %d messages, %v", depth.Messages, err)
	}
	tr.Abort()

	p := mustSend(t, b, d, raw)
	if depth, err := b.Depth(within(t)); err != nil || depth.Messages != 1 {
		t.Errorf("after Commit the queue holds %d messages, %v", depth.Messages, err)
	}
	consume(t, b, a.accept)
	r, err := p.Receipt(within(t))
	if err != nil || r.Covers("office", d.Fingerprint) != nil {
		t.Errorf("receipt %+v, %v", r, err)
	}
	a.holds(t, "office", "big", raw)
}
