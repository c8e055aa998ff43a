package sink

import (
	"context"
	"errors"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// TestTurn: nothing is sealed while a turn has the ledger, and what it appends is in
// the catalog when it is over.
func TestTurn(t *testing.T) {
	r := memRig(t, Options{})
	l := newLetter("a@example.org", "u1", "one")
	r.deliver(l)
	size := r.log.Size()
	answered := make(chan error, 1)
	err := r.sink.Turn(t.Context(), func(ctx context.Context) error {
		in := Inbound{Delivery: newLetter("a@example.org", "u2", "one").Delivery, Raw: l.open, Ack: func(_ mail.Receipt, err error) { answered <- err }}
		if err := r.sink.Accept(ctx, in); err != nil {
			return err
		}
		e, err := r.log.Maker().Event(mail.Event{Type: mail.EventHold, Hold: &mail.Hold{Matter: "M", Reason: "r", Mailboxes: []string{"a@example.org"}}})
		if err != nil {
			return err
		}
		_, err = r.log.Append(ctx, []*ledger.Entry{e})
		if len(answered) > 0 || r.log.Size() != size+1 {
			t.Errorf("the ledger was at %d and is at %d", size, r.log.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := r.cat.HeldBy(mail.ID{Seq: 1}); len(m) != 1 || err != nil {
		t.Errorf("held by %v, %v", m, err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	failed := errors.New("failed")
	if err := r.sink.Turn(t.Context(), func(context.Context) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("the error of the work: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r.stop()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	r.done <- nil // for halt
	if err := r.sink.Turn(t.Context(), func(context.Context) error { panic("it ran") }); mail.KindOf(err) != mail.Temporary {
		t.Errorf("after the end: %v", err)
	}
	unstarted, err := New(Options{Log: r.gate, Catalog: r.cat})
	if err != nil {
		t.Fatal(err)
	}
	if err := unstarted.Turn(ended, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("before the start: %v", err)
	}
}
