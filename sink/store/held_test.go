package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/store"
)

// TestSpoolHolds: what a matter holds is held in the store, ever anew, and stays on
// the disk until it is released.
func TestSpoolHolds(t *testing.T) {
	for name, s := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			fsys := durabletest.New()
			putSegments(t, fsys, [][]byte{randomBytes(1000), randomBytes(1000), randomBytes(1000)})
			o := options(fsys, s, &journal{})
			o.Policy = store.Policy{Mode: store.Governance, Period: store.Period{Days: 1}}
			now := time.Now()
			o.Now = func() time.Time { return now }
			held := map[uint64][]string{16: {"M"}}
			var failure error
			o.Held = func(_ context.Context, firsts []uint64, end uint64) (map[uint64][]string, error) {
				if d := cmp.Diff([]uint64{0, 16, 32}, firsts); d != "" || end != 48 {
					t.Errorf("asked up to %d: %s", end, d)
				}
				return held, failure
			}
			spool := store.NewSpool(o)
			pass := func() {
				t.Helper()
				if err := spool.Pass(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			object := func(n int) store.Object {
				t.Helper()
				got, err := s.Stat(t.Context(), store.Ref{Name: prefix + segmentName(n)})
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			pass()
			if got := object(1); !got.Hold || got.Retention.Until.Before(now.Add(80*24*time.Hour)) {
				t.Errorf("what is held is %+v", got)
			}
			if got := object(0); got.Hold || got.Retention.Until.After(now.Add(80*24*time.Hour)) {
				t.Errorf("what is not held is %+v", got)
			}
			if got := spool.Status(); got.Held != 1 {
				t.Errorf("it is told as %+v", got)
			}
			// Somebody lifts the hold; and its end comes near.
			if err := s.SetHold(t.Context(), store.Ref{Name: prefix + segmentName(1)}, false); err != nil {
				t.Fatal(err)
			}
			now = now.Add(25 * time.Hour)
			pass()
			if got := object(1); !got.Hold {
				t.Error("the hold was not set again")
			}
			now = now.Add(50 * 24 * time.Hour)
			pass()
			if got := object(1); got.Retention.Until.Before(now.Add(80 * 24 * time.Hour)) {
				t.Errorf("the retention ends on %v", got.Retention.Until)
			}
			if here(fsys, segmentName(0)) || !here(fsys, segmentName(1)) {
				t.Error("what is held must stay on the disk, and nothing else")
			}
			// While nobody knows, nothing is released.
			held, failure = nil, errors.New("the catalog is being built")
			if err := spool.Pass(t.Context()); !errors.Is(err, failure) {
				t.Error(err)
			}
			if got := object(1); !got.Hold || !here(fsys, segmentName(1)) {
				t.Error("it was released")
			}
			failure = nil
			again := store.NewSpool(o) // another process
			if err := again.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := object(1); got.Hold || again.Status().Held != 0 || here(fsys, segmentName(1)) {
				t.Errorf("what was released is %+v, %+v", got, again.Status())
			}
		})
	}
}

// TestSpoolHoldFails: a store that cannot hold says so, and still gets what is sealed.
func TestSpoolHoldFails(t *testing.T) {
	fsys := durabletest.New()
	putSegments(t, fsys, [][]byte{randomBytes(1000), randomBytes(1000)})
	o := options(fsys, noHolds{newDir(t, durabletest.New())}, &journal{})
	o.Held = func(context.Context, []uint64, uint64) (map[uint64][]string, error) {
		return map[uint64][]string{0: {"M"}, 16: {"M"}}, nil
	}
	spool := store.NewSpool(o)
	wantKind(t, "a pass", spool.Pass(t.Context()), mail.Invalid)
	if got := spool.Status(); got.Stored != 2 || got.Held != 0 || got.Problem == "" {
		t.Errorf("it is told as %+v", got)
	}
}

type noHolds struct{ store.Store }

func (noHolds) SetHold(context.Context, store.Ref, bool) error {
	return mail.Errorf(mail.Invalid, "the bucket has no Object Lock")
}

// TestSpoolHeldIsLost: an object that is held and gone is stored and held again from
// the segment that stayed on the disk.
func TestSpoolHeldIsLost(t *testing.T) {
	fsys, disk := durabletest.New(), durabletest.New()
	s := newDir(t, disk)
	putSegments(t, fsys, [][]byte{randomBytes(1000), randomBytes(1000)})
	o := options(fsys, s, &journal{})
	o.Policy = store.Policy{Mode: store.None}
	now := time.Now()
	o.Now = func() time.Time { return now }
	o.Held = func(context.Context, []uint64, uint64) (map[uint64][]string, error) {
		return map[uint64][]string{0: {"M"}}, nil
	}
	spool := store.NewSpool(o)
	ref := store.Ref{Name: prefix + segmentName(0)}
	if err := spool.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(disk.Remove(ref.Name), disk.Remove(ref.Name+".meta")); err != nil {
		t.Fatal(err)
	}
	now = now.Add(25 * time.Hour)
	for range 2 {
		if err := spool.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Stat(t.Context(), ref); err != nil || !got.Hold || !here(fsys, segmentName(0)) {
		t.Errorf("what is held is %+v, %v", got, err)
	}
}

// TestSpoolUnknownHolds: while nobody knows what is held, everything stays on the disk.
func TestSpoolUnknownHolds(t *testing.T) {
	fsys := durabletest.New()
	putSegments(t, fsys, [][]byte{randomBytes(1000), randomBytes(1000)})
	o := options(fsys, newDir(t, durabletest.New()), &journal{})
	now := time.Now()
	o.Now = func() time.Time { return now }
	failure := errors.New("the catalog is being built")
	o.Held = func(context.Context, []uint64, uint64) (map[uint64][]string, error) { return nil, failure }
	spool := store.NewSpool(o)
	for range 2 {
		if err := spool.Pass(t.Context()); !errors.Is(err, failure) {
			t.Fatal(err)
		}
		if !here(fsys, segmentName(0)) {
			t.Fatal("a segment left the disk that may be held")
		}
		now = now.Add(25 * time.Hour)
	}
	if failure = nil; spool.Pass(t.Context()) != nil || here(fsys, segmentName(0)) {
		t.Error("what is not held did not leave the disk")
	}
}
