package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
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
	for len(b) < min(n, 256<<10) {
		b = fmt.Appendf(b, "Item %x costs %d and ships from %x.\r\n", rng.Uint32()&0xfff, rng.IntN(1000), rng.Uint64())
	}
	for len(b) < n { // the rest repeats
		b = append(b, b[:min(len(b), n-len(b))]...)
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
	t.Parallel()
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

func TestRecords(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	opts := options(t)
	l := open(t, fsys, opts)
	if l.Size() != 0 {
		t.Fatalf("an empty ledger has the size %d", l.Size())
	}
	raw := text(1, 3000)
	big := text(2, ledger.ChunkSize+10)
	m := appendOK(t, l, message(t, raw))[0]
	bad := ledger.LargeMessage(delivery("sales", append(big, 'x')), bytes.NewReader(big))
	out, err := l.Append(t.Context(), []*ledger.Entry{bad, event(t, "a")})
	if err != nil || mail.KindOf(out[0].Err) != mail.Corrupt || out[1].Err != nil {
		t.Fatalf("append with a mismatch: %v, %+v", err, out)
	}
	g := appendOK(t, l, ledger.LargeMessage(delivery("sales", big), bytes.NewReader(big)))[0]
	ref, err := ledger.Reference(delivery("sales", raw), m.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	r := appendOK(t, l, ref)[0]

	want := []mail.Record{
		{ID: m.ID, Kind: mail.KindMessage, Time: m.At, Segment: m.Segment, Next: m.ID.Seq + 1, Delivery: delivery("sales", raw)},
		{ID: out[1].ID, Kind: mail.KindEvent, Time: out[1].At, Segment: out[1].Segment, Next: out[1].ID.Seq + 1,
			Event: &mail.Event{Type: mail.EventDrain, Drain: &mail.Drain{Session: "a", Mailbox: "sales"}}},
		{ID: g.ID, Kind: mail.KindMessage, Time: g.At, Segment: g.Segment, Next: g.ID.Seq + 2, Delivery: delivery("sales", big)},
		{ID: r.ID, Kind: mail.KindReference, Time: r.At, Segment: r.Segment, Next: r.ID.Seq + 1, Delivery: delivery("sales", raw), Of: m.ID, Again: true},
	}
	check := func(what string, l reads) {
		t.Helper()
		for from := uint64(0); from <= l.Size(); from++ {
			var due []mail.Record
			for _, rec := range want {
				if rec.ID.Seq >= from {
					due = append(due, rec)
				}
			}
			got := collect(t, l, from)
			for i := range got { // of a group it is the time of its first chunk
				if got[i].ID == g.ID {
					got[i].Time = g.At
				}
			}
			if diff := cmp.Diff(due, got); diff != "" {
				t.Errorf("%s from %d: %s", what, from, diff)
			}
		}
		if last := want[len(want)-1].Next; l.Size() != last {
			t.Errorf("%s: size %d, the cursor of who has read all is %d", what, l.Size(), last)
		}
		if _, err := l.Raw(t.Context(), mail.ID{Seq: out[1].ID.Seq - 1}); mail.KindOf(err) != mail.NotFound {
			t.Errorf("%s: raw of an abandoned chunk: %v", what, err)
		}
	}
	check("writer", l)
	reader, err := ledger.OpenReader(fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	check("reader", reader)
	closeOK(t, l)
	check("reader after the seal", reader) // its files went away meanwhile
	closeOK(t, reader)
	l = open(t, fsys, opts)
	check("opened again", l)
	closeOK(t, l)
	wantClean(t, fsys)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	l := open(t, fsys, options(t))
	defer closeOK(t, l)
	raw := text(1, 100)
	d := delivery("sales", raw)
	for what, change := range map[string]func(*mail.Delivery){
		"digest": func(d *mail.Delivery) { d.Digest[3]++ },
		"size":   func(d *mail.Delivery) { d.Size++ },
		"header": func(d *mail.Delivery) { d.Header[0]++ },
	} {
		bad := d
		change(&bad)
		if _, err := ledger.Message(bad, raw); mail.KindOf(err) != mail.Corrupt {
			t.Errorf("message with another %s: %v", what, err)
		}
		out, err := l.Append(t.Context(), []*ledger.Entry{ledger.LargeMessage(bad, bytes.NewReader(raw))})
		if err != nil || mail.KindOf(out[0].Err) != mail.Corrupt {
			t.Errorf("large message with another %s: %v, %+v", what, err, out)
		}
	}
	if _, err := ledger.Message(d, make([]byte, ledger.ChunkSize+1)); mail.KindOf(err) != mail.Invalid {
		t.Errorf("message over the limit: %v", err)
	}
	m := appendOK(t, l, message(t, raw))[0]
	other := delivery("sales", text(2, 50))
	for what, of := range map[string]mail.ID{
		"other bytes": m.ID, "nothing": {Seq: 99}, "bookkeeping": {Seq: 0}, "another partition": {Partition: 1, Seq: m.ID.Seq},
	} {
		e, err := ledger.Reference(other, of, false)
		if err != nil {
			t.Fatal(err)
		}
		out, err := l.Append(t.Context(), []*ledger.Entry{e})
		if err != nil || out[0].Err == nil {
			t.Errorf("reference to %s was sealed (%v)", what, err)
		}
		if _, err := l.Raw(t.Context(), of); what != "other bytes" && mail.KindOf(err) != mail.NotFound {
			t.Errorf("raw of %s: %v", what, err)
		}
	}
	wantClean(t, fsys)
}

func TestOneWriter(t *testing.T) {
	t.Parallel()
	dir, err := durable.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, fsys := range []durable.FS{dir, durabletest.New()} {
		l := open(t, fsys, options(t))
		if _, err := ledger.Open(fsys, options(t)); mail.KindOf(err) != mail.InUse || mail.HintOf(err) == "" {
			t.Errorf("second writer: %v", err)
		}
		closeOK(t, l)
		closeOK(t, open(t, fsys, options(t)))
		closeOK(t, fsys)
	}
}

func TestAnotherArchive(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	l := open(t, fsys, options(t))
	appendOK(t, l, event(t, "a"))
	closeOK(t, l)
	opts := options(t)
	opts.Partition = 1
	if _, err := ledger.Open(fsys, opts); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("open as another partition: %v", err)
	}
	if _, err := ledger.OpenReader(fsys, opts); err == nil {
		r, _ := ledger.OpenReader(fsys, opts)
		for _, err := range r.Records(t.Context(), 0) {
			if err == nil {
				t.Error("a reader of another partition got a record")
			}
		}
	}
}

func TestClockGoesBack(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	opts := options(t)
	opts.Now = func() time.Time { return time.Unix(2000, 0) }
	l := open(t, fsys, opts)
	first := appendOK(t, l, event(t, "a"))[0]
	closeOK(t, l)
	opts.Now = func() time.Time { return time.Unix(1000, 0) }
	l = open(t, fsys, opts)
	if second := appendOK(t, l, event(t, "b"))[0]; second.At.Before(first.At) {
		t.Errorf("sealed at %v behind %v", second.At, first.At)
	}
	closeOK(t, l)
	wantClean(t, fsys)
}

func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fsys := durabletest.New()
		opts := options(t)
		l := open(t, fsys, opts)
		r, err := ledger.OpenReader(fsys, opts)
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan error, 3)
		go func() { got <- l.Wait(t.Context(), 0) }()
		go func() { got <- r.Wait(t.Context(), 0) }()
		synctest.Wait()
		appendOK(t, l, event(t, "a"))
		for range 2 {
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
		few, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, w := range []interface {
			Wait(context.Context, uint64) error
			Size() uint64
		}{l, r} {
			if err := w.Wait(few, w.Size()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("wait for what does not come: %v", err)
			}
		}
		go func() { got <- l.Wait(t.Context(), l.Size()) }()
		synctest.Wait()
		closeOK(t, l)
		if err := <-got; mail.KindOf(err) != mail.Temporary {
			t.Errorf("wait on a closed ledger: %v", err)
		}
		closeOK(t, r)
	})
}

func TestReaderIsLimited(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	opts := options(t)
	l := open(t, fsys, opts)
	defer closeOK(t, l)
	r, err := ledger.OpenReader(fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer closeOK(t, r)
	first := appendOK(t, l, event(t, "a"))[0]
	if err := r.SetDurable(l.Size()); err != nil {
		t.Fatal(err)
	}
	appendOK(t, l, event(t, "b"))
	if err := r.Refresh(); err != nil || r.Size() != first.ID.Seq+1 {
		t.Errorf("size %d, %v; durable is said to be %d", r.Size(), err, first.ID.Seq+1)
	}
	if err := r.SetDurable(l.Size()); err != nil || r.Size() != l.Size() {
		t.Errorf("size %d, %v; the ledger has %d", r.Size(), err, l.Size())
	}
}

// A reader follows a writer through several segments.
func TestReaderFollows(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	opts := options(t)
	l := open(t, fsys, opts)
	r, err := ledger.OpenReader(fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		raw := text(uint64(i), 8000)
		s := appendOK(t, l, message(t, raw))[0]
		if err := r.Refresh(); err != nil {
			t.Fatal(err)
		}
		if r.Size() != l.Size() {
			t.Fatalf("reader sees %d of %d", r.Size(), l.Size())
		}
		wantRaw(t, r, s.ID, raw)
	}
	if got := collect(t, r, 0); len(got) != 60 || got[59].Segment < 3 {
		t.Fatalf("%d records, the last in segment %d", len(got), got[len(got)-1].Segment)
	}
	size, root := l.Root()
	if size < 60 || root.IsZero() {
		t.Errorf("root %s of %d leaves", root, size)
	}
	closeOK(t, l)
	closeOK(t, r)
	wantClean(t, fsys)
}

type reads interface {
	rawer
	Size() uint64
	Records(context.Context, uint64) iter.Seq2[mail.Record, error]
}

func collect(t testing.TB, l reads, from uint64) []mail.Record {
	t.Helper()
	var out []mail.Record
	for rec, err := range l.Records(context.Background(), from) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, rec)
	}
	return out
}

func slurp(t testing.TB, fsys durable.FS, name string) []byte {
	t.Helper()
	b, err := durable.ReadFile(fsys, name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
