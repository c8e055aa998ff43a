package bus_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mailkeep/mailkeep/internal/bus"
	"github.com/mailkeep/mailkeep/mail"
)

func TestLookupWithoutArchive(t *testing.T) {
	onEach(t, func(t *testing.T, o bus.Options) {
		b := start(t, o)
		_, err := b.Lookup(within(t), "m", []mail.Listing{{UIDL: "u", Size: 1}})
		wantKind(t, err, mail.Temporary)
		if mail.HintOf(err) == "" {
			t.Error("no hint")
		}
		if found, err := b.Lookup(within(t), "m", nil); len(found) != 0 || err != nil {
			t.Errorf("nothing asked: %v, %v", found, err)
		}
	})
}

// A listing that exceeds the payload, in questions and in answers, is looked
// up in pages.
func TestLookupPages(t *testing.T) {
	b := start(t, embedded(t))
	var calls atomic.Int32
	long := strings.Repeat("s", 40_000) // makes answers outgrow the payload of 8 MiB
	stop, err := b.ServeLookup(t.Context(), 0, func(_ context.Context, mailbox string, rows []mail.Listing) ([]mail.Receipt, error) {
		calls.Add(1)
		found := make([]mail.Receipt, len(rows))
		for i, r := range rows {
			if r.Size%2 == 0 {
				d := delivery(mailbox, string(r.UIDL), []byte("x"))
				d.Suspect = long
				found[i] = receiptOf(d, int(r.Size))
			}
		}
		return found, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	rows := make([]mail.Listing, 1500)
	for i := range rows {
		rows[i] = mail.Listing{UIDL: mail.Octets(strings.Repeat("\xff", 1000)), Size: int64(i)}
	}
	found, err := b.Lookup(within(t), "Zoë", rows)
	if err != nil || len(found) != len(rows) {
		t.Fatalf("%d receipts, %v", len(found), err)
	}
	for i, r := range found {
		if known := r.ID.Seq == uint64(i) && r.Mailbox == "Zoë"; i > 0 && known != (i%2 == 0) {
			t.Fatalf("row %d: %v", i, r.ID)
		}
	}
	if calls.Load() < 4 {
		t.Errorf("%d calls", calls.Load())
	}
}

func TestServiceErrorsKeepTheirKind(t *testing.T) {
	b := start(t, embedded(t))
	stop, err := b.ServeLookup(t.Context(), 0, func(context.Context, string, []mail.Listing) ([]mail.Receipt, error) {
		return nil, mail.WithHint(mail.Errorf(mail.Corrupt, "line one\r\nline two"), "rebuild")
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Lookup(within(t), "m", make([]mail.Listing, 1))
	wantKind(t, err, mail.Corrupt)
	if err.Error() != "line one\r\nline two" || mail.HintOf(err) != "rebuild" {
		t.Errorf("%q, %q", err, mail.HintOf(err))
	}
	stop()
	stop()
	_, err = b.Lookup(within(t), "m", make([]mail.Listing, 1))
	wantKind(t, err, mail.Temporary)
}

func TestFollowSize(t *testing.T) {
	b := start(t, embedded(t))
	var size atomic.Uint64
	size.Store(5)
	stop, err := b.ServeSize(t.Context(), 0, size.Load)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if n, err := b.LedgerSize(within(t), 0); n != 5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	_, err = b.LedgerSize(within(t), 1)
	wantKind(t, err, mail.Temporary)
	ctx, cancel := context.WithCancel(within(t))
	seen := make(chan uint64, 10)
	done := make(chan error)
	go func() { done <- b.FollowSize(ctx, 0, func(n uint64) { seen <- n }) }()
	if n := <-seen; n != 5 {
		t.Errorf("at first %d", n)
	}
	for _, n := range []uint64{4, 5, 9} {
		b.AnnounceSize(0, n)
	}
	if n := <-seen; n != 9 {
		t.Errorf("then %d", n)
	}
	cancel()
	if err := <-done; err != nil || len(seen) != 0 {
		t.Errorf("%v, %d more", err, len(seen))
	}
}

type memRaw struct {
	*bytes.Reader
	closed *atomic.Int32
}

func (m memRaw) Close() error { m.closed.Add(1); return nil }

func TestRaw(t *testing.T) {
	b := start(t, embedded(t))
	var opened, closed atomic.Int32
	content := message(3<<19 + 7)
	stop, err := b.ServeRaw(t.Context(), 0, func(_ context.Context, id mail.ID) (mail.Raw, error) {
		if id.Seq == 404 {
			return nil, mail.Errorf(mail.NotFound, "no record %s", id)
		}
		opened.Add(1)
		return memRaw{bytes.NewReader(content), &closed}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Raw(within(t), mail.ID{Seq: 404})
	wantKind(t, err, mail.NotFound)
	r, err := b.Raw(within(t), mail.ID{Seq: 1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d octets, %v", len(got), err)
	}
	p := make([]byte, 10)
	if n, err := r.ReadAt(p, r.Size()-3); n != 3 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if n, err := r.ReadAt(p, r.Size()+3); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
	_, err = r.ReadAt(p, -1)
	wantKind(t, err, mail.Invalid)
	if opened.Load() != 1 {
		t.Errorf("opened %d times", opened.Load())
	}
	for i := range 20 { // more than stay open
		if _, err := b.Raw(within(t), mail.ID{Seq: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load() - closed.Load(); n > 8 {
		t.Errorf("%d are open", n)
	}
	stop()
	if opened.Load() != closed.Load() {
		t.Errorf("opened %d, closed %d", opened.Load(), closed.Load())
	}
	_, err = r.ReadAt(p, 0)
	wantKind(t, err, mail.Temporary)
}
