package app

import (
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/catalog"
	"github.com/mailkeep/mailkeep/sink/store"
)

// TestHeldSegments: a segment is held for its own records, and for references in
// others to them; what was seen is remembered until the matters change.
func TestHeldSegments(t *testing.T) {
	t.Parallel()
	k, err := catalog.Open(filepath.Join(t.TempDir(), "c"), catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeOK(t, k)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	next := uint64(0)
	add := func(r mail.Record) {
		t.Helper()
		r.ID, r.Next, r.Time = mail.ID{Seq: next}, next+1, at
		next++
		if err := k.Apply([]mail.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	message := func(box, raw string) {
		add(mail.Record{Kind: mail.KindMessage, Delivery: mail.Delivery{Capture: mail.Capture{Mailbox: box, UIDL: mail.Octets(raw)}, Fingerprint: mail.FingerprintOf([]byte(raw))}})
	}
	hold := func(h mail.Hold) {
		h.Reason = "r"
		add(mail.Record{Kind: mail.KindEvent, Event: &mail.Event{Type: mail.EventHold, Hold: &h}})
	}
	h := &heldSegments{size: func() uint64 { return next }, catalog: k}
	want := func(end uint64, want map[uint64][]string, firsts ...uint64) {
		t.Helper()
		got, err := h.of(t.Context(), firsts, end)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Error(d, err)
		}
	}
	message("a", "0")
	message("a", "1")
	message("b", "2")
	add(mail.Record{Kind: mail.KindReference, Of: mail.ID{Seq: 0}, Delivery: mail.Delivery{Capture: mail.Capture{Mailbox: "b", UIDL: "r"}, Fingerprint: mail.FingerprintOf([]byte("0"))}})
	want(4, map[uint64][]string{}, 0, 1, 2)
	hold(mail.Hold{Matter: "M", Mailboxes: []string{"b"}})
	want(4, map[uint64][]string{0: {"M"}, 2: {"M"}}, 0, 1, 2)
	hold(mail.Hold{Matter: "N", Records: []mail.ID{{Seq: 1}}})
	want(4, map[uint64][]string{0: {"M"}, 1: {"N"}, 2: {"M"}}, 0, 1, 2)
	message("b", "6")
	// A segment is begun after the directory was read: its records are not those of
	// the last one, and are found when it is sealed.
	want(math.MaxUint64, map[uint64][]string{0: {"M"}, 1: {"N"}, 2: {"M"}}, 0, 1, 2)
	want(7, map[uint64][]string{0: {"M"}, 1: {"N"}, 2: {"M"}, 6: {"M"}}, 0, 1, 2, 6)
	next++ // a record that the catalog has not
	if _, err := h.of(t.Context(), []uint64{0}, 8); mail.KindOf(err) != mail.Temporary {
		t.Errorf("with a catalog that is behind: %v", err)
	}
	next--
	hold(mail.Hold{Matter: "M", Released: true})
	want(7, map[uint64][]string{1: {"N"}}, 0, 1, 2, 6)
}

// TestStoreHolds: a hold reaches the bucket, and its release too.
func TestStoreHolds(t *testing.T) {
	p := newPlant(t, 3, storeSection(t, lab.StartGateway(t), "compliance"), "alice")
	p.drain(t)
	m, err := Hold(t.Context(), p.config, mail.Hold{Matter: "M", Reason: "r", Mailboxes: []string{"alice"}}, console(t))
	if err != nil || !m.Holds() {
		t.Fatal(m, err)
	}
	held := p.runUntil(t, func(s store.SpoolStatus) bool { return s.Held >= 1 && s.Waiting == 0 })
	if held.Partitions[0].Stored.Away != 0 {
		t.Error("a held segment left the disk")
	}
	if _, err := Erase(t.Context(), p.config, mail.EraseOrder{Records: []mail.ID{{Seq: 1}}, Reason: "r"}, console(t)); mail.KindOf(err) != mail.Denied {
		t.Errorf("erased: %v", err)
	}
	if _, err := Hold(t.Context(), p.config, mail.Hold{Matter: "M", Reason: "r", Released: true}, console(t)); err != nil {
		t.Fatal(err)
	}
	// What is retained is not erased either.
	_, err = Erase(t.Context(), p.config, mail.EraseOrder{Records: []mail.ID{{Seq: 1}}, Reason: "r"}, console(t))
	if mail.KindOf(err) != mail.Denied {
		t.Errorf("erased: %v", err)
	}
	p.runUntil(t, func(s store.SpoolStatus) bool { return s.Held == 0 && s.Waiting == 0 && s.Away >= 1 })
}
