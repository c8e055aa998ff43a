package store_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/store"
)

// TestConformance holds each driver to the contract of Store.
func TestConformance(t *testing.T) {
	for name, s := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			t.Run("objects", func(t *testing.T) { testObjects(t, s) })
			t.Run("absent", func(t *testing.T) { testAbsent(t, s) })
			t.Run("retention", func(t *testing.T) { testRetention(t, s) })
			t.Run("hold", func(t *testing.T) { testHold(t, s) })
			t.Run("list", func(t *testing.T) { testList(t, s) })
			t.Run("replace", func(t *testing.T) { testReplace(t, s) })
			t.Run("names", func(t *testing.T) { testNames(t, s) })
		})
	}
}

func testObjects(t *testing.T, s store.Store) {
	for _, n := range []int{1, 1000, 3 << 20} {
		b := randomBytes(n)
		name := fmt.Sprintf("objects/%d.seg", n)
		o := put(t, s, name, b, store.Retention{})
		if o.Name != name || o.Size != int64(n) || o.Sum != mail.DigestOf(b) || o.Retention.Mode != store.None || o.Hold {
			t.Errorf("%d octets are told as %+v", n, o)
		}
		if got := read(t, s, o.Ref, 0, -1); !bytes.Equal(got, b) {
			t.Errorf("%d octets read back as %d others", n, len(got))
		}
		if got := read(t, s, o.Ref, int64(n/2), int64(n)); !bytes.Equal(got, b[n/2:]) {
			t.Errorf("the second half of %d octets reads back as %d others", n, len(got))
		}
		if got := read(t, s, o.Ref, int64(n/3), int64(n/3)); !bytes.Equal(got, b[n/3:n/3*2]) {
			t.Errorf("the middle of %d octets reads back as %d others", n, len(got))
		}
	}
	// What does not have the sum that is told must not be stored.
	bad := content([]byte("these bytes"))
	bad.Sum = mail.DigestOf([]byte("others"))
	if _, err := s.PutIfAbsent(t.Context(), "objects/bad.seg", bad, store.Retention{}); err == nil {
		t.Error("bytes with another SHA-256 were stored")
	}
	_, err := s.Stat(t.Context(), store.Ref{Name: "objects/bad.seg"})
	wantKind(t, "stat of what was refused", err, mail.NotFound)
}

func testAbsent(t *testing.T, s store.Store) {
	r := store.Retention{Mode: store.Governance, Until: in(time.Hour)}
	first := put(t, s, "absent/a", []byte("first"), store.Retention{})
	_, err := s.PutIfAbsent(t.Context(), "absent/a", content([]byte("other")), store.Retention{})
	wantKind(t, "other bytes under a name that is taken", err, mail.InUse)
	if mail.HintOf(err) == "" {
		t.Error("there is no hint what to do about it")
	}
	again := put(t, s, "absent/a", []byte("first"), r)
	if again.Ref != first.Ref || !again.Retention.Covers(r) {
		t.Errorf("the same bytes once more are %+v, and were %+v", again, first)
	}
	if got := read(t, s, first.Ref, 0, -1); string(got) != "first" {
		t.Errorf("it reads %q", got)
	}
	_, err = s.Stat(t.Context(), store.Ref{Name: "absent/none"})
	wantKind(t, "stat of nothing", err, mail.NotFound)
	_, err = s.GetRange(t.Context(), store.Ref{Name: "absent/none"}, 0, 10)
	wantKind(t, "get of nothing", err, mail.NotFound)
}

func testRetention(t *testing.T, s store.Store) {
	r := store.Retention{Mode: store.Compliance, Until: in(time.Hour)}
	o := put(t, s, "retention/a", []byte("kept"), r)
	if o.Retention.Mode != store.Compliance || !o.Retention.Until.Equal(r.Until) {
		t.Errorf("retention is %s, it was told %s", o.Retention, r)
	}
	wantKind(t, "delete before the date", s.DeleteVersion(t.Context(), o.Ref), mail.Denied)
	shorter := store.Retention{Mode: store.Governance, Until: in(time.Minute)}
	if o, err := s.ExtendRetention(t.Context(), o.Ref, shorter); err != nil || !o.Retention.Covers(r) {
		t.Errorf("a shorter retention made %s, %v", o.Retention, err)
	}
	longer := store.Retention{Mode: store.Governance, Until: in(2 * time.Hour)}
	o, err := s.ExtendRetention(t.Context(), o.Ref, longer)
	if err != nil || o.Retention.Mode != store.Compliance || !o.Retention.Until.Equal(longer.Until) {
		t.Errorf("a longer retention of a weaker mode made %s, %v", o.Retention, err)
	}
	if again, err := s.Stat(t.Context(), o.Ref); err != nil || again.Retention != o.Retention {
		t.Errorf("it is then told as %s, %v", again.Retention, err)
	}
	free := put(t, s, "retention/free", []byte("free"), store.Retention{})
	if err := s.DeleteVersion(t.Context(), free.Ref); err != nil {
		t.Errorf("delete of what is not retained: %v", err)
	}
	_, err = s.Stat(t.Context(), free.Ref)
	wantKind(t, "stat of what was deleted", err, mail.NotFound)
}

// testHold: a hold keeps an object whose retention is over, although there are
// stores (the gateway of this test is one) that do not heed it then.
func testHold(t *testing.T, s store.Store) {
	ctx := t.Context()
	o := put(t, s, "hold/a", []byte("evidence"), store.Retention{})
	if err := store.Hold(ctx, s, o.Ref, store.Governance, time.Now()); err != nil {
		t.Fatal(err)
	}
	held, err := s.Stat(ctx, o.Ref)
	if err != nil || !held.Hold || held.Retention.Until.Before(in(89*24*time.Hour)) {
		t.Errorf("under hold it is %+v, %v", held, err)
	}
	wantKind(t, "delete under hold", s.DeleteVersion(ctx, o.Ref), mail.Denied)
	if did, err := store.KeepHeld(ctx, s, o.Ref, time.Now()); did || err != nil {
		t.Errorf("a hold of today was renewed: %v, %v", did, err)
	}
	if did, err := store.KeepHeld(ctx, s, o.Ref, in(40*24*time.Hour)); !did || err != nil {
		t.Errorf("a hold of 40 days ago was not renewed: %v, %v", did, err)
	}
	later, err := s.Stat(ctx, o.Ref)
	if err != nil || later.Retention.Until.Before(in(129*24*time.Hour)) {
		t.Errorf("renewed, it is kept %s, %v", later.Retention, err)
	}
	if err := store.Release(ctx, s, o.Ref); err != nil {
		t.Fatal(err)
	}
	after, err := s.Stat(ctx, o.Ref)
	if err != nil || after.Hold || after.Retention != later.Retention {
		t.Errorf("released, it is %+v, %v", after, err)
	}
	if did, err := store.KeepHeld(ctx, s, o.Ref, in(300*24*time.Hour)); did || err != nil {
		t.Errorf("what is not held was renewed: %v, %v", did, err)
	}
}

func testList(t *testing.T, s store.Store) {
	for _, n := range []string{"list/b", "list/a", "list/sub/c", "listed"} {
		put(t, s, n, []byte(n), store.Retention{})
	}
	var names []string
	for o, err := range s.List(t.Context(), "list/") {
		if err != nil {
			t.Fatal(err)
		}
		if o.Size != int64(len(o.Name)) || time.Since(o.Stored) > time.Minute {
			t.Errorf("listed as %+v", o)
		}
		names = append(names, o.Name)
	}
	if want := []string{"list/a", "list/b", "list/sub/c"}; !slices.Equal(names, want) {
		t.Errorf("listed %q, not %q", names, want)
	}
}

func testReplace(t *testing.T, s store.Store) {
	for _, text := range []string{"one", "another"} {
		if err := s.Replace(t.Context(), "keys/a.keys", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s, store.Ref{Name: "keys/a.keys"}, 0, -1); string(got) != text {
			t.Errorf("%q reads %q", text, got)
		}
	}
}

func testNames(t *testing.T, s store.Store) {
	for _, name := range []string{"", "/a", "a/", "a//b", "../a", "a/../../b", ".", "a b", "a\n", "ä"} {
		_, err := s.PutIfAbsent(t.Context(), name, content([]byte("x")), store.Retention{})
		wantKind(t, fmt.Sprintf("put of %q", name), err, mail.Invalid)
	}
}
