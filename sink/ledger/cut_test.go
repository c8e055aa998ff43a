package ledger_test

import (
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// TestCut: a segment is sealed once, and not without records.
func TestCut(t *testing.T) {
	fsys := durabletest.New()
	l, err := ledger.Open(fsys, ledger.Options{Archive: [16]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	segments := func() int {
		t.Helper()
		n, _, err := l.Usage()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for round := range 3 {
		e, err := ledger.Event(mail.Event{Type: mail.EventStored, Stored: &mail.Stored{Segment: "x"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(t.Context(), []*ledger.Entry{e}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := l.Cut(); err != nil {
				t.Fatal(err)
			}
		}
		if got := segments(); got != round+1 {
			t.Errorf("after %d cuts there are %d segments", round+1, got)
		}
	}
	fsys.FailAt(len(fsys.Ops()), false, durabletest.ErrStopped)
	e, _ := ledger.Event(mail.Event{Type: mail.EventStored, Stored: &mail.Stored{Segment: "x"}})
	if _, err := l.Append(t.Context(), []*ledger.Entry{e}); err == nil {
		t.Error("an append that fails gives no error")
	}
	fsys.Inject(nil)
	if err := l.Cut(); err != nil || l.Healthy() != nil {
		t.Errorf("cut after a failure: %v, %v", err, l.Healthy())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), nil); err == nil || l.Cut() == nil {
		t.Error("a closed ledger is cut")
	}
}
