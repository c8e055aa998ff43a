package catalog

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
)

// event is a record with an event of the archive's own.
func event(seq uint64, e mail.Event) mail.Record {
	r := message(seq, mail.Delivery{})
	r.Kind, r.Event = mail.KindEvent, &e
	return r
}

func erased(seq uint64, ids ...mail.ID) mail.Record {
	return event(seq, mail.Event{Type: mail.EventErase, Erase: &mail.Erase{Records: ids, Done: true}})
}

// without is what a ledger tells of the records once those were erased.
func without(records []mail.Record, ids []mail.ID) []mail.Record {
	out := slices.Clone(records)
	for i, r := range out {
		if slices.Contains(ids, r.ID) {
			out[i] = mail.Record{ID: r.ID, Kind: r.Kind, Time: r.Time, Segment: r.Segment, Next: r.Next, Erased: true}
		}
	}
	return out
}

// TestEraseIsPure: a catalog that learns of an erasure is the one that is built
// after it, whatever was erased, or asks to be built anew.
func TestEraseIsPure(t *testing.T) {
	t.Parallel()
	kept := 0
	for seed := range uint64(24) {
		rng := rand.New(rand.NewPCG(seed, 1))
		records := history(rng, 120)
		end := records[len(records)-1].Next
		live := open(t, filepath.Join(t.TempDir(), "live"))
		apply(t, live, records...)
		var ids []mail.ID
		for range 1 + rng.IntN(3) {
			r := records[rng.IntN(len(records))]
			if r.Kind == mail.KindEvent {
				continue
			}
			copies, err := live.Copies(r.ID)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, copies...)
		}
		order := event(end, mail.Event{Type: mail.EventErase, Erase: &mail.Erase{Records: ids}})
		tail := []mail.Record{order, erased(end+1, ids...), message(end+2, delivery("after", "u", "later"))}
		after := open(t, filepath.Join(t.TempDir(), "after"))
		apply(t, after, slices.Concat(without(records, ids), tail)...)
		err := live.Apply(tail)
		if mail.KindOf(err) == mail.Corrupt {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		kept++
		if got, want := summary(t, live), summary(t, after); got != want {
			a, _ := live.Mailboxes()
			b, _ := after.Mailboxes()
			t.Fatalf("seed %d, erased %v: %+v, want %+v\n%s", seed, ids, got, want, cmp.Diff(a, b))
		}
	}
	if kept < 8 {
		t.Errorf("%d of 24 catalogs took the erasure in", kept)
	}
}

// TestEraseLeadsElsewhere: what an erased delivery hid is found again, and nothing
// leads to what is erased.
func TestEraseLeadsElsewhere(t *testing.T) {
	t.Parallel()
	c := open(t, filepath.Join(t.TempDir(), "c"))
	one, two := delivery("a", "u", "one"), delivery("a", "u", "two") // one UIDL, one size
	apply(t, c, message(0, delivery("a", "z", "zero")), message(1, one), message(2, two), reference(3, 1, false, delivery("b", "v", "one")),
		event(4, mail.Event{Type: mail.EventErase, Erase: &mail.Erase{Records: []mail.ID{{Seq: 2}}}})) // an order alone
	row := []mail.Listing{{UIDL: "u", Size: one.ListSize}}
	lookup := func() mail.Receipt {
		got, err := c.Lookup("a", row)
		if err != nil {
			t.Fatal(err)
		}
		return got[0]
	}
	if got := lookup(); !got.SealedAt.IsZero() {
		t.Fatalf("what is to be erased is known by %v", got.ID)
	}
	apply(t, c, erased(5, mail.ID{Seq: 2}))
	if got := lookup(); got.ID.Seq != 1 || got.Digest != one.Digest {
		t.Errorf("the delivery before leads to %v", got.ID)
	}
	if _, known, err := c.Message(two.Digest); known || err != nil {
		t.Errorf("the erased message is known: %v, %v", known, err)
	}
	copies, err := c.Copies(mail.ID{Seq: 1})
	if d := cmp.Diff([]mail.ID{{Seq: 1}, {Seq: 3}}, copies); d != "" || err != nil {
		t.Error(d, err)
	}
	if copies, err = c.Copies(mail.ID{Seq: 3}); len(copies) != 1 || err != nil {
		t.Errorf("a reference has the copies %v, %v", copies, err)
	}
	for _, none := range []mail.ID{{Seq: 2}, {Seq: 4}, {Seq: 99}, {Partition: 1, Seq: 1}} {
		if _, err := c.Copies(none); mail.KindOf(err) != mail.NotFound {
			t.Errorf("copies of %s: %v", none, err)
		}
	}
	all, err := c.Mailboxes()
	if err != nil || len(all) != 2 || all[0].Messages != 2 || all[0].Octets != one.Size+4 || !all[0].LastSealed.Equal(epoch.Add(1e9)) {
		t.Errorf("counted %+v, %v", all, err)
	}
	// The first record of the mailbox b: its number would be another.
	if err := c.Apply([]mail.Record{erased(6, mail.ID{Seq: 3})}); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("a mailbox that is gone: %v", err)
	}
}

// TestCondemned: while an order to erase is not known to be done, no delivery rests on
// its records: what comes again is sealed again, and leads on when they are gone.
func TestCondemned(t *testing.T) {
	t.Parallel()
	one, other := delivery("a", "u", "one"), delivery("b", "v", "one")
	before := []mail.Record{message(0, delivery("a", "z", "zero")), message(1, delivery("b", "z", "nil")), message(2, one), reference(3, 2, false, other)}
	ids := []mail.ID{{Seq: 2}, {Seq: 3}}
	order := event(4, mail.Event{Type: mail.EventErase, Erase: &mail.Erase{Records: ids}})
	c := open(t, filepath.Join(t.TempDir(), "c"))
	apply(t, c, before...)
	standing := func(d mail.Delivery) Standing {
		s, err := c.Standings([]mail.Delivery{d})
		if err != nil {
			t.Fatal(err)
		}
		return s[0]
	}
	if s := standing(other); !s.Known || s.Sealed.ID.Seq != 3 {
		t.Fatalf("before the order: %+v", s)
	}
	apply(t, c, order)
	for _, d := range []mail.Delivery{one, other, delivery("c", "w", "one")} {
		if s := standing(d); s != (Standing{}) {
			t.Errorf("a delivery rests on what is to be erased: %+v", s)
		}
	}
	if _, err := c.Held(0, nil); err != nil || len(must(c.Copies(ids[0]))) != 2 {
		t.Errorf("the order has no copies any more, or counts as a hold: %v", err)
	}
	if ids := must(c.Orphans(ids[0])); len(ids) != 1 || ids[0].Seq != 3 {
		t.Errorf("the order left the references %v", ids)
	}
	again := []mail.Record{message(5, one), erased(6, ids...)}
	apply(t, c, again[0])
	if s := standing(other); s.Message.Seq != 5 || s.Again {
		t.Errorf("what came again is not known: %+v", s)
	}
	apply(t, c, again[1])
	after := open(t, filepath.Join(t.TempDir(), "after"))
	apply(t, after, slices.Concat(without(before, ids), []mail.Record{order}, again)...)
	if ids := must(c.Orphans(ids[0])); len(ids) > 0 {
		t.Errorf("references %v are left when the order is done", ids)
	}
	if got, want := summary(t, c), summary(t, after); got != want {
		t.Errorf("%+v, and built anew %+v", got, want)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestHolds(t *testing.T) {
	t.Parallel()
	c := open(t, filepath.Join(t.TempDir(), "c"))
	hold := func(h mail.Hold) mail.Event { return mail.Event{Type: mail.EventHold, Hold: &h} }
	apply(t, c, message(0, delivery("a", "1", "one")), message(1, delivery("a", "2", "two")), reference(2, 1, false, delivery("b", "1", "two")),
		event(3, hold(mail.Hold{Matter: "M1", Reason: "r", By: "who", Mailboxes: []string{"b"}, Query: "q"})),
		event(4, hold(mail.Hold{Matter: "M2", Reason: "r2", Records: []mail.ID{{Seq: 1}}})),
		event(5, hold(mail.Hold{Matter: "M1", Reason: "other", Mailboxes: []string{"b", "c"}, Records: []mail.ID{{Seq: 2}}})),
		message(6, delivery("c", "1", "later")))
	for seq, want := range map[uint64][]string{0: nil, 1: {"M1", "M2"}, 2: {"M1"}, 3: nil, 6: {"M1"}} {
		got, err := c.HeldBy(mail.ID{Seq: seq})
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("record %d: %s, %v", seq, d, err)
		}
	}
	type row struct {
		Seq, Of uint64
		Matters []string
	}
	held := func(from uint64) (rows []row) {
		upTo, err := c.Held(from, func(seq, of uint64, m []string) bool { rows = append(rows, row{seq, of, m}); return true })
		if err != nil || upTo != c.Cursor() {
			t.Error(upTo, err)
		}
		return rows
	}
	if d := cmp.Diff([]row{{1, 1, []string{"M2"}}, {2, 1, []string{"M1"}}, {6, 6, []string{"M1"}}}, held(0)); d != "" {
		t.Error(d)
	}
	if got := held(2); len(got) != 2 {
		t.Errorf("from 2 on %+v", got)
	}
	for matter, want := range map[string][]uint64{"M1": {2}, "M2": {1}, "M3": nil} {
		if got, err := c.HeldRecords(matter, 9); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s holds %v (%v), want %v", matter, got, err, want)
		}
	}
	if got, err := c.HeldRecords("M1", 0); err != nil || len(got) != 0 {
		t.Errorf("at most none: %v, %v", got, err)
	}
	apply(t, c, event(7, hold(mail.Hold{Matter: "M1", Released: true, Reason: "over", By: "judge"})),
		event(8, hold(mail.Hold{Matter: "unknown", Released: true, Reason: "over"})))
	if d := cmp.Diff([]row{{1, 1, []string{"M2"}}}, held(0)); d != "" {
		t.Error(d)
	}
	all, err := c.Matters()
	want := []mail.Matter{
		{Matter: "M1", Reason: "r", By: "who", Placed: epoch.Add(3e9), Mailboxes: []string{"b", "c"}, Records: 1, Queries: []string{"q"},
			Released: epoch.Add(7e9), ReleaseReason: "over", ReleasedBy: "judge"},
		{Matter: "M2", Reason: "r2", Placed: epoch.Add(4e9), Records: 1},
	}
	if d := cmp.Diff(want, all); d != "" || err != nil {
		t.Error(d, err)
	}
}
