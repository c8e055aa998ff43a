package keys_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

func TestErase(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, source, _ keys.Wrapper) {
		if _, ok := source.(*keys.Master); ok {
			return // TestRotateRefuses
		}
		w := newWorld(t, source)
		old := copies{w.files(t)}
		w.gone = map[place]bool{{0, 0, 1}: true, {0, 0, 77}: true, {1, 700, 65535}: true}
		erasures := []keys.Erasure{{0, 0, []uint32{77, 1, 77}}, {1, 700, []uint32{65535}}, {0, 500, nil}}
		done, err := keys.Erase(t.Context(), w.dirs, erasures)
		want := keys.Rotation{Epoch: keys.Epoch{Group: group, Version: 2}, Rewritten: 4, Erased: 3}
		if d := cmp.Diff(want, done); err != nil || d != "" {
			t.Fatalf("%v %s", err, d)
		}
		w.check(t, "erased", nil)
		w.cannotBeUsed(t, "erased", old)

		// The same again changes nothing; more is added.
		if done, err = keys.Erase(t.Context(), w.dirs, erasures); err != nil || done.Erased != 0 || done.Rewritten != 0 || done.Kept != 4 {
			t.Errorf("%+v, %v", done, err)
		}
		old = append(old, w.files(t))
		w.gone[place{0, 0, 2}] = true
		if done, err = keys.Erase(t.Context(), w.dirs, []keys.Erasure{{0, 0, []uint32{1, 2}}}); err != nil || done.Erased != 1 || done.Epoch.Version != 3 {
			t.Errorf("%+v, %v", done, err)
		}
		w.check(t, "erased more", nil)
		w.cannotBeUsed(t, "erased more", old)
	})
}

// TestEraseRandom: of random batches, exactly those keys are gone.
func TestEraseRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 9))
		w := newWorld(t, nil)
		var old copies
		for range 3 {
			old = append(old, w.files(t))
			batch := map[[2]uint64][]uint32{}
			for range 1 + rng.IntN(12) {
				s := w.segs[rng.IntN(len(w.segs))]
				if s.group != group {
					continue
				}
				i := rng.Uint32N(keys.Leaves)
				if rng.IntN(2) == 0 {
					i = probes[rng.IntN(len(probes))]
				}
				w.gone[place{s.partition, s.first, i}] = true
				at := [2]uint64{uint64(s.partition), s.first}
				batch[at] = append(batch[at], i)
			}
			var erasures []keys.Erasure
			for at, k := range batch {
				erasures = append(erasures, keys.Erasure{Partition: uint16(at[0]), First: at[1], Keys: k})
			}
			if _, err := keys.Erase(t.Context(), w.dirs, erasures); err != nil {
				t.Fatal(err)
			}
			w.check(t, "erased", nil)
			w.cannotBeUsed(t, "erased", old)
		}
	}
}

func TestEraseCrashes(t *testing.T) {
	t.Parallel()
	start := newWorld(t, nil)
	gone := map[place]bool{{0, 0, 3}: true, {1, 700, 0}: true}
	erase := func(w *world) error {
		_, err := keys.Erase(t.Context(), w.dirs, []keys.Erasure{{0, 0, []uint32{3}}, {1, 700, []uint32{0}}})
		return err
	}
	everywhere(t, start, erase, func(what string, died bool, after, dead *world) {
		maybe := gone
		if !died {
			after.gone, maybe = gone, nil
		}
		after.check(t, what, maybe)
		old := copies{start.files(t), dead.files(t), after.files(t)}
		after.gone = gone
		if died {
			if err := erase(after); err != nil {
				t.Fatalf("%s: again: %v", what, err)
			}
		}
		after.check(t, what+", again", nil)
		after.cannotBeUsed(t, what, append(old, after.files(t)))
	})
}

// TestEraseAfterRotationCrashed: nothing that a rotation left half made, under
// the epoch that it was going to, may hold what is erased later.
func TestEraseAfterRotationCrashed(t *testing.T) {
	t.Parallel()
	start := newWorld(t, nil)
	gone := map[place]bool{{0, 0, 3}: true}
	everywhere(t, start, func(w *world) error {
		_, err := keys.Rotate(t.Context(), w.dirs, group)
		return err
	}, func(what string, _ bool, after, dead *world) {
		old := copies{start.files(t), dead.files(t), after.files(t)}
		after.gone = gone
		if _, err := keys.Erase(t.Context(), after.dirs, []keys.Erasure{{0, 0, []uint32{3}}}); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		after.check(t, what, nil)
		after.cannotBeUsed(t, what, old)
	})
}

func TestEraseRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	recipients, _ := escrowPair(t)
	w.dirs[0].Escrow = recipients
	if _, err := w.dirs[0].Create(t.Context(), 1000, 9, group); err != nil {
		t.Fatal(err)
	}
	before := w.files(t)
	keksBefore, err := durable.ReadFile(w.fsys, "secret/keks")
	if err != nil {
		t.Fatal(err)
	}
	for what, tc := range map[string]struct {
		erasures []keys.Erasure
		want     mail.Kind
	}{
		"no such segment":   {[]keys.Erasure{{0, 0, []uint32{1}}, {0, 1, []uint32{1}}}, mail.NotFound},
		"no such partition": {[]keys.Erasure{{7, 0, []uint32{1}}}, mail.Invalid},
		"no such key":       {[]keys.Erasure{{0, 0, []uint32{keys.Leaves}}}, mail.Invalid},
		"two groups":        {[]keys.Erasure{{0, 0, []uint32{1}}, {0, 900, []uint32{1}}}, mail.Invalid},
		"in escrow":         {[]keys.Erasure{{0, 0, []uint32{1}}, {0, 1000, []uint32{1}}}, mail.Invalid},
	} {
		if _, err := keys.Erase(t.Context(), w.dirs, tc.erasures); mail.KindOf(err) != tc.want {
			t.Errorf("%s: %v (%s)", what, err, mail.KindOf(err))
		}
	}
	if done, err := keys.Erase(t.Context(), w.dirs, nil); err != nil || done != (keys.Rotation{}) {
		t.Errorf("nothing: %+v, %v", done, err)
	}
	if d := cmp.Diff(before, w.files(t)); d != "" {
		t.Error("something was changed: " + d)
	}
	if keksAfter, err := durable.ReadFile(w.fsys, "secret/keks"); err != nil || string(keksAfter) != string(keksBefore) {
		t.Error("the keys were changed")
	}
}
