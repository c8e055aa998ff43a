package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

var archive = [16]byte{0x5e, 0xa1, 0xed}

// options are those of a ledger whose clock advances a second per look.
func options(t testing.TB) ledger.Options {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return ledger.Options{
		Archive: archive, SegmentSize: 64 << 10, Software: "mailkeep test", Host: "archive.example.org",
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Now: func() time.Time {
			now = now.Add(time.Second)
			return now
		},
	}
}

func open(t testing.TB, fsys durable.FS, opts ledger.Options) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// text is a message of n octets that compresses about as mail does.
func text(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := fmt.Appendf(nil, "From: clerk-%d@example.org\r\nSubject: offer %d\r\n\r\n", seed, seed)
	for len(b) < n {
		b = fmt.Appendf(b, "Item %x costs %d and ships from %x.\r\n", rng.Uint32()&0xfff, rng.IntN(1000), rng.Uint64())
	}
	return b[:n]
}

func delivery(mailbox string, raw []byte) mail.Delivery {
	return mail.Delivery{
		Capture: mail.Capture{
			Mailbox: mailbox, UIDL: mail.Octets(fmt.Sprintf("uid-%x\xff", mail.DigestOf(raw).String()[:8])),
			ListSize: int64(len(raw)), Session: "s1", Host: "pop.example.org",
			Fetched: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		},
		Fingerprint: mail.FingerprintOf(raw),
	}
}

func message(t testing.TB, raw []byte) *ledger.Entry {
	t.Helper()
	e, err := ledger.Message(delivery("sales", raw), raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func event(t testing.TB, session string) *ledger.Entry {
	t.Helper()
	e, err := ledger.Event(mail.Event{Type: mail.EventDrain, Drain: &mail.Drain{Session: session, Mailbox: "sales"}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func appendOK(t testing.TB, l *ledger.Ledger, batch ...*ledger.Entry) []ledger.Sealed {
	t.Helper()
	out, err := l.Append(context.Background(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range out {
		if s.Err != nil {
			t.Fatal(s.Err)
		}
	}
	return out
}

type rawer interface {
	Raw(context.Context, mail.ID) (mail.Raw, error)
}

func content(l rawer, id mail.ID) ([]byte, error) {
	r, err := l.Raw(context.Background(), id)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	return b, errors.Join(err, r.Close())
}

func wantRaw(t testing.TB, l rawer, id mail.ID, want []byte) {
	t.Helper()
	got, err := content(l, id)
	if err != nil {
		t.Fatalf("raw %s: %v", id, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("raw %s: %d octets, not the %d that were appended", id, len(got), len(want))
	}
}

func closeOK(t testing.TB, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// verify returns the findings that are damage.
func verify(t testing.TB, fsys durable.FS) []ledger.Finding {
	t.Helper()
	var damage []ledger.Finding
	rep, err := ledger.Verify(context.Background(), fsys, ledger.VerifyOptions{Archive: archive, Found: func(f ledger.Finding) {
		if !f.Note() {
			damage = append(damage, f)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Damaged != len(damage) {
		t.Fatalf("report counts %d damages, %d were found", rep.Damaged, len(damage))
	}
	return damage
}

func wantClean(t testing.TB, fsys durable.FS) {
	t.Helper()
	for _, f := range verify(t, fsys) {
		t.Errorf("verify: %+v", f)
	}
}

func TestRoundTrip(t *testing.T) {
	fsys := durabletest.New()
	opts := options(t)
	l := open(t, fsys, opts)
	sizes := []int{0, 1, 2, 4000, ledger.ChunkSize - 1, ledger.ChunkSize, ledger.ChunkSize + 1, 20 << 20}
	var raws [][]byte
	var ids []mail.ID
	for i, n := range sizes {
		raw := text(uint64(i), n)
		e := ledger.LargeMessage(delivery("sales", raw), bytes.NewReader(raw))
		if n <= ledger.ChunkSize && i%2 == 0 {
			e = message(t, raw)
		}
		s := appendOK(t, l, e, event(t, fmt.Sprint(n)))
		raws, ids = append(raws, raw), append(ids, s[0].ID)
	}
	ref, err := ledger.Reference(delivery("accounts", raws[7]), ids[7], false)
	if err != nil {
		t.Fatal(err)
	}
	refID := appendOK(t, l, ref)[0].ID
	check := func(l interface {
		rawer
		Size() uint64
		Records(context.Context, uint64) func(func(mail.Record, error) bool)
	}) {
	}
	_ = check
	for i, id := range ids {
		wantRaw(t, l, id, raws[i])
	}
	wantRaw(t, l, refID, raws[7])
	closeOK(t, l)

	r, err := ledger.OpenReader(fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		wantRaw(t, r, id, raws[i])
	}
	wantRaw(t, r, refID, raws[7])
	closeOK(t, r)
	wantClean(t, fsys)
	if n := fsys.OpenFiles(); n != 0 {
		t.Errorf("%d files are still open", n)
	}
}

var _ = syscall.ENOSPC
var _ = synctest.Test
var _ = cmp.Diff
