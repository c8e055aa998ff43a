package retention_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/catalog"
	"github.com/mailkeep/mailkeep/sink/keys"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/retention"
)

// A world is an archive of some partitions, encrypted or not.
type world struct {
	t *testing.T
	retention.Archive
	dirs    []*keys.Dir
	options []ledger.Options
	ledgers []*durabletest.FS
}

func newWorld(t *testing.T, partitions int, encrypted bool) *world {
	t.Helper()
	w := &world{t: t}
	source := keys.NewKEKFile(durabletest.New(), "keys", time.Now)
	if err := source.Generate(); err != nil {
		t.Fatal(err)
	}
	for p := range partitions {
		w.dirs = append(w.dirs, &keys.Dir{FS: durabletest.New(), Archive: [16]byte{1}, Partition: uint16(p), Wrapper: source})
	}
	for p := range partitions {
		o := ledger.Options{Partition: uint16(p), Archive: [16]byte{1}}
		if encrypted {
			o.Keys = w.dirs[p]
			for i, d := range w.dirs {
				if i != p {
					o.Others = append(o.Others, d)
				}
			}
		}
		w.options, w.ledgers = append(w.options, o), append(w.ledgers, durabletest.New())
		l, err := ledger.Open(w.ledgers[p], o)
		if err != nil {
			t.Fatal(err)
		}
		k, err := catalog.Open(filepath.Join(t.TempDir(), "catalog"), catalog.Options{Partition: uint16(p)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := errors.Join(w.Partitions[p].Ledger.Close(), k.Close()); err != nil {
				t.Error(err)
			}
		})
		w.Partitions = append(w.Partitions, retention.Partition{Ledger: l, Catalog: k})
		w.Partitions[p].Turn = func(ctx context.Context, work func(context.Context) error) error {
			if err := w.follow(w.Partitions[p]); err != nil {
				return err
			}
			err := work(ctx)
			return errors.Join(err, w.follow(w.Partitions[p]))
		}
	}
	return w
}

// follow brings the catalog up to the ledger, anew if it asks for it.
func (w *world) follow(p retention.Partition) error {
	for {
		var all []mail.Record
		for r, err := range p.Ledger.Records(w.t.Context(), p.Catalog.Cursor()) {
			if err != nil {
				return err
			}
			all = append(all, r)
		}
		err := p.Catalog.Apply(all)
		if mail.KindOf(err) != mail.Corrupt {
			return err
		}
		if err := p.Catalog.Reset(); err != nil {
			return err
		}
	}
}

// box returns a name for the n-th mailbox of a partition.
func (w *world) box(p, n int) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("box%d-%d", n, i)
		if int(mail.Partition(name, len(w.Partitions))) == p {
			return name
		}
	}
}

func (w *world) seal(p int, e *ledger.Entry, err error) mail.ID {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := w.Partitions[p].Ledger.Append(w.t.Context(), []*ledger.Entry{e})
	if err != nil || out[0].Err != nil {
		w.t.Fatal(err, out)
	}
	if err := w.follow(w.Partitions[p]); err != nil {
		w.t.Fatal(err)
	}
	return out[0].ID
}

func delivery(box, uidl, raw string) mail.Delivery {
	return mail.Delivery{Capture: mail.Capture{Mailbox: box, UIDL: mail.Octets(uidl), ListSize: int64(len(raw))}, Fingerprint: mail.FingerprintOf([]byte(raw))}
}

func (w *world) message(p, box int, uidl, raw string) mail.ID {
	w.t.Helper()
	e, err := w.Partitions[p].Ledger.Maker().Message(delivery(w.box(p, box), uidl, raw), []byte(raw))
	return w.seal(p, e, err)
}

func (w *world) reference(p, box int, uidl, raw string, of mail.ID) mail.ID {
	w.t.Helper()
	e, err := w.Partitions[p].Ledger.Maker().Reference(delivery(w.box(p, box), uidl, raw), of, false)
	return w.seal(p, e, err)
}

// readable reports whether the bytes of a record can be read.
func (w *world) readable(id mail.ID) bool {
	raw, err := w.Partitions[id.Partition].Ledger.Raw(w.t.Context(), id)
	if err != nil {
		if !errors.Is(err, keys.ErrErased) {
			w.t.Errorf("read %s: %v", id, err)
		}
		return false
	}
	b, err := io.ReadAll(io.NewSectionReader(raw, 0, raw.Size()))
	return errors.Join(err, raw.Close()) == nil && !bytes.Contains(b, []byte{0})
}

func (w *world) hold(h mail.Hold) mail.Matter {
	w.t.Helper()
	if h.Reason == "" {
		h.Reason = "a reason"
	}
	m, err := w.Hold(w.t.Context(), h)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) sizes() (all []uint64) {
	for _, p := range w.Partitions {
		all = append(all, p.Ledger.Size())
	}
	return all
}

func TestErase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, true)
	a := w.message(0, 0, "1", "kept")
	b := w.message(0, 0, "2", "to go")
	ref := w.reference(0, 1, "1", "to go", b)
	other := w.reference(0, 1, "2", "kept", a)
	c := w.message(1, 0, "1", "far away")
	order := mail.EraseOrder{Records: []mail.ID{c, b, b}, Reason: "order 7", By: "who"}

	dry := order
	dry.DryRun = true
	before := w.sizes()
	got, err := w.Erase(t.Context(), dry)
	if d := cmp.Diff(mail.Erased{Records: []mail.ID{b, ref, c}, DryRun: true}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if d := cmp.Diff(before, w.sizes()); d != "" {
		t.Error("a dry run wrote", d)
	}
	got, err = w.Erase(t.Context(), order)
	if d := cmp.Diff(mail.Erased{Records: []mail.ID{b, ref, c}, Keys: 3}, got); d != "" || err != nil {
		t.Fatal(d, err)
	}
	for id, want := range map[mail.ID]bool{a: true, other: true, b: false, ref: false, c: false} {
		if w.readable(id) != want {
			t.Errorf("%s is readable: %v", id, !want)
		}
	}
	if rows, err := w.Partitions[0].Catalog.Lookup(w.box(0, 1), []mail.Listing{{UIDL: "1", Size: 5}, {UIDL: "2", Size: 4}}); err != nil || !rows[0].SealedAt.IsZero() || rows[1].ID != other {
		t.Errorf("looked up %v, %v", rows, err)
	}
	// Again, with a reference alone beside it.
	got, err = w.Erase(t.Context(), mail.EraseOrder{Records: []mail.ID{b, other}, Reason: "again"})
	if d := cmp.Diff(mail.Erased{Records: []mail.ID{b, other}, Before: 1, Keys: 1}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if !w.readable(a) || w.readable(other) {
		t.Error("a reference did not go alone")
	}
}

func TestEraseRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, true)
	a := w.message(0, 0, "1", "held by mailbox")
	b := w.message(0, 1, "1", "held by a reference")
	w.reference(0, 0, "2", "held by a reference", b)
	c := w.message(1, 0, "1", "held itself")
	free := w.message(0, 1, "2", "free")
	w.hold(mail.Hold{Matter: "Doe v. Roe", Mailboxes: []string{w.box(0, 0)}, Records: []mail.ID{c}})
	w.Until = func(r mail.Record) time.Time { return r.Time.AddDate(6, 0, 0) }
	before := w.sizes()
	order := func(ids ...mail.ID) mail.EraseOrder {
		return mail.EraseOrder{Records: ids, Reason: "r", DespiteRetention: true}
	}
	retained := order(free)
	retained.DespiteRetention = false
	for name, test := range map[string]struct {
		order mail.EraseOrder
		kind  mail.Kind
		says  string
	}{
		"by mailbox":     {order(free, a), mail.Denied, a.String() + " is under legal hold: Doe v. Roe"},
		"by a reference": {order(b), mail.Denied, "Doe v. Roe"},
		"itself":         {order(free, c), mail.Denied, "Doe v. Roe"},
		"retained":       {retained, mail.Denied, free.String() + " is retained until 20"},
		"unknown":        {order(mail.ID{Seq: 99}), mail.NotFound, "0-99"},
		"partition":      {order(mail.ID{Partition: 9}), mail.NotFound, "9-0"},
		"event":          {order(mail.ID{Seq: w.sizes()[0] - 1}), mail.NotFound, "no message"},
		"nothing":        {order(), mail.Invalid, "no message is named"},
		"reason":         {mail.EraseOrder{Records: []mail.ID{free}}, mail.Invalid, "the reason is missing"},
		"by whom":        {mail.EraseOrder{Records: []mail.ID{free}, Reason: "r", By: "root\n"}, mail.Invalid, "who orders"},
		"two lines":      {mail.EraseOrder{Records: []mail.ID{free}, Reason: "a\nb"}, mail.Invalid, "not one line"},
	} {
		_, err := w.Erase(t.Context(), test.order)
		if mail.KindOf(err) != test.kind || !strings.Contains(fmt.Sprint(err), test.says) {
			t.Errorf("%s: %v (%v)", name, err, mail.KindOf(err))
		}
	}
	if d := cmp.Diff(before, w.sizes()); d != "" {
		t.Error("refused orders wrote", d)
	}
	w.hold(mail.Hold{Matter: "Doe v. Roe", Released: true})
	if got, err := w.Erase(t.Context(), order(a, b, c, free)); err != nil || got.Keys != 5 {
		t.Errorf("after the release: %+v, %v", got, err)
	}
}

// TestEraseGoesOn: an order that was cut off between two keys is carried out whole by
// giving it again, also by a catalog that was built anew meanwhile.
func TestEraseGoesOn(t *testing.T) {
	t.Parallel()
	for _, anew := range []bool{false, true} {
		w := newWorld(t, 1, true)
		part := &w.Partitions[0]
		w.message(0, 0, "z", "other")
		w.message(0, 1, "z", "another")
		m := w.message(0, 0, "u", "secret")
		ref := w.reference(0, 1, "v", "secret", m)
		order, err := part.Ledger.Maker().Event(mail.Event{Type: mail.EventErase, Erase: &mail.Erase{Records: []mail.ID{m, ref}, Reason: "r"}})
		w.seal(0, order, err)
		if err := part.Ledger.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Erase(t.Context(), w.dirs, []keys.Erasure{{Keys: []uint32{uint32(m.Seq)}}}); err != nil {
			t.Fatal(err)
		}
		if part.Ledger, err = ledger.Open(w.ledgers[0], w.options[0]); err != nil {
			t.Fatal(err)
		}
		if anew {
			if err := part.Catalog.Reset(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.follow(*part); err != nil {
			t.Fatal(err)
		}
		if w.readable(m) {
			t.Fatal("the crash left the message readable")
		}
		// What was destroyed does not say any more that its class was over.
		w.Until = func(r mail.Record) time.Time {
			if r.Delivery.Mailbox == "" {
				return r.Time.AddDate(6, 0, 0)
			}
			return r.Time
		}
		w.Now = func() time.Time { return time.Now().Add(time.Hour) }
		done, err := w.Erase(t.Context(), mail.EraseOrder{Records: []mail.ID{m}, Reason: "r"})
		if err != nil || done.Keys != 1 || done.Before != 1 || len(done.Records) != 2 {
			t.Fatalf("built anew %v: %+v, %v", anew, done, err)
		}
		for r, err := range part.Ledger.Records(t.Context(), ref.Seq) {
			if err != nil || !r.Erased {
				t.Errorf("built anew %v: the reference is there still: %v", anew, err)
			}
			break
		}
		if _, err := part.Catalog.Copies(ref); mail.KindOf(err) != mail.NotFound {
			t.Errorf("built anew %v: the catalog has the reference: %v", anew, err)
		}
	}
}

// TestEraseNeedsKeys: what is stored in the clear is refused before anything is told.
func TestEraseNeedsKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, false)
	id := w.message(0, 0, "1", "x")
	before := w.sizes()
	_, err := w.Erase(t.Context(), mail.EraseOrder{Records: []mail.ID{id}, Reason: "r"})
	if mail.KindOf(err) != mail.Invalid || !strings.Contains(err.Error(), "not encrypted") || mail.HintOf(err) == "" {
		t.Errorf("erased in the clear: %v", err)
	}
	if d := cmp.Diff(before, w.sizes()); d != "" {
		t.Error("a refused order wrote", d)
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, false)
	a, b := w.message(0, 0, "1", "one"), w.message(1, 0, "1", "two")
	box0, box1 := w.box(0, 0), w.box(1, 0)
	m := w.hold(mail.Hold{Matter: "M", Reason: "first", By: "who", Mailboxes: []string{box1}, Records: []mail.ID{a, a}, Query: "from:x"})
	if m.Records != 1 || len(m.Mailboxes) != 1 || m.By != "who" || len(m.Queries) != 1 || m.Placed.IsZero() || !m.Holds() {
		t.Errorf("placed %+v", m)
	}
	m = w.hold(mail.Hold{Matter: "M", Reason: "more", Mailboxes: []string{box0}, Records: []mail.ID{b}})
	if m.Records != 2 || len(m.Mailboxes) != 2 || m.Reason != "first" {
		t.Errorf("added up to %+v", m)
	}
	for _, p := range w.Partitions { // it has to be built anew
		if err := p.Catalog.Reset(); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := w.Matters(t.Context()); err != nil || len(all) != 1 || all[0].Records != 2 {
		t.Errorf("catalogs that are behind tell of %+v, %v", all, err)
	}
	before := w.sizes()
	for name, h := range map[string]mail.Hold{
		"by whom":    {Matter: "M", Reason: "r", Mailboxes: []string{box0}, By: "a\tb"},
		"query":      {Matter: "M", Reason: "r", Mailboxes: []string{box0}, Query: strings.Repeat("x", 1<<20)},
		"no scope":   {Matter: "M", Reason: "r"},
		"no reason":  {Matter: "M", Mailboxes: []string{box0}},
		"no matter":  {Matter: " ", Reason: "r", Mailboxes: []string{box0}},
		"in part":    {Matter: "M", Reason: "r", Released: true, Mailboxes: []string{box0}},
		"no message": {Matter: "M", Reason: "r", Records: []mail.ID{b, {Seq: 99}}},
		"no matter2": {Matter: "N", Reason: "r", Released: true},
	} {
		if _, err := w.Hold(t.Context(), h); mail.KindOf(err) != mail.Invalid && mail.KindOf(err) != mail.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d := cmp.Diff(before, w.sizes()); d != "" {
		t.Error("refused orders wrote", d)
	}
	if m = w.hold(mail.Hold{Matter: "M", Reason: "over", Released: true, By: "judge"}); m.Holds() || m.ReleaseReason != "over" || m.ReleasedBy != "judge" {
		t.Errorf("released %+v", m)
	}
	if m = w.hold(mail.Hold{Matter: "M", Reason: "anew", Records: []mail.ID{a}}); !m.Holds() || m.Reason != "anew" || m.Records != 1 || len(m.Mailboxes) != 0 {
		t.Errorf("placed anew %+v", m)
	}
}

// TestHoldOfMany: more records than one event names.
func TestHoldOfMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, false)
	var entries []*ledger.Entry
	for i := range 10_001 {
		raw := fmt.Sprint("message ", i)
		e, err := ledger.Message(delivery("box", fmt.Sprint(i), raw), []byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	sealed, err := w.Partitions[0].Ledger.Append(t.Context(), entries)
	if err != nil {
		t.Fatal(err)
	}
	var ids []mail.ID
	for _, s := range sealed {
		ids = append(ids, s.ID)
	}
	if err := w.follow(w.Partitions[0]); err != nil {
		t.Fatal(err)
	}
	if m := w.hold(mail.Hold{Matter: "all", Records: ids}); m.Records != 10_001 {
		t.Errorf("%d records are held", m.Records)
	}
}
