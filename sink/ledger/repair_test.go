package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

func repairFrom(fsys, from durable.FS) ([]ledger.Repaired, error) {
	return ledger.Repair(context.Background(), fsys, ledger.RepairOptions{Archive: archive, Source: from.Open})
}

// damage is done to a copy of a ledger of many segments.
type damage struct {
	name   string
	do     func(t *testing.T, fsys *durabletest.FS, segs []string) error
	refuse string // why it cannot be repaired; empty: it can
}

func damages() []damage {
	last := func(segs []string) string { return segs[len(segs)-1] }
	return []damage{
		{"body", func(_ *testing.T, f *durabletest.FS, s []string) error { return f.Flip(s[1], 400, 3) }, ""},
		{"header", func(_ *testing.T, f *durabletest.FS, s []string) error { return f.Flip(s[2], 20, 3) }, ""},
		{"first segment", func(_ *testing.T, f *durabletest.FS, s []string) error { return f.Flip(s[0], 100, 3) }, ""},
		{"tail", func(t *testing.T, f *durabletest.FS, s []string) error { return f.Flip(s[1], size(t, f, s[1])-3, 3) }, ""},
		{"cut", func(_ *testing.T, f *durabletest.FS, s []string) error { return f.Truncate(s[1], 700) }, ""},
		{"gone", func(_ *testing.T, f *durabletest.FS, s []string) error { return f.Remove(s[1]) }, ""},
		{"two gone", func(_ *testing.T, f *durabletest.FS, s []string) error {
			return errors.Join(f.Remove(s[0]), f.Remove(s[1]))
		}, "nothing shows"},
		{"two in a row", func(t *testing.T, f *durabletest.FS, s []string) error {
			if err := f.Flip(s[1], size(t, f, s[1])-60, 3); err != nil {
				return err
			}
			return f.Flip(s[2], 20, 3)
		}, "nothing shows"},
		{"body of the last", func(_ *testing.T, f *durabletest.FS, s []string) error { return f.Flip(last(s), 400, 3) }, ""},
		{"seal of the last", func(t *testing.T, f *durabletest.FS, s []string) error {
			return f.Flip(last(s), size(t, f, last(s))-60, 3)
		}, "nothing shows"},
	}
}

// Whatever is damaged comes back, octet for octet, and what was there stays aside;
// or it is refused with a reason, and nothing is changed.
func TestRepair(t *testing.T) {
	good, _ := lay(t)
	segs := segments(t, good)
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			fsys := good.Crash(0, 1)
			if err := d.do(t, fsys, segs); err != nil {
				t.Fatal(err)
			}
			harmed := fsys.Crash(0, 1)
			done, err := repairFrom(fsys, good)
			if err != nil || len(done) == 0 {
				t.Fatalf("%+v, %v", done, err)
			}
			if d.refuse != "" {
				if r := done[0]; mail.KindOf(r.Err) != mail.Corrupt || !strings.Contains(r.Err.Error(), d.refuse) {
					t.Errorf("%+v", r)
				}
				return
			}
			wantSame(t, fsys, good, segs)
			for _, r := range done {
				if r.Err != nil || r.By == "" || r.Digest != mail.DigestOf(slurp(t, good, r.File)) {
					t.Errorf("%+v", r)
				}
				if r.Aside != "" && !bytes.Equal(slurp(t, fsys, r.Aside), slurp(t, harmed, r.File)) {
					t.Errorf("%s is not the damaged file", r.Aside)
				}
			}
			wantClean(t, fsys.Crash(0, 0))
			if again, err := repairFrom(fsys, good); err != nil || len(again) > 0 {
				t.Errorf("a second repair: %+v, %v", again, err)
			}
		})
	}
}

func wantSame(t *testing.T, got, want durable.FS, segs []string) {
	t.Helper()
	for _, name := range segs {
		if !bytes.Equal(slurp(t, got, name), slurp(t, want, name)) {
			t.Errorf("%s is not what it was", name)
		}
	}
}

// A signed checkpoint vouches where nothing else does, and refuses a forgery.
func TestRepairVouched(t *testing.T) {
	good, _ := lay(t)
	segs := segments(t, good)
	last := segs[len(segs)-1]
	leaves := map[uint64][]byte{}
	r, err := ledger.OpenReader(good, ledger.Options{Archive: archive})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n, _, err := r.Root()
	if err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	for leaf, err := range r.Leaves(t.Context(), 0, n) {
		if err != nil {
			t.Fatal(err)
		}
		leaves[seq] = bytes.Clone(leaf)
		seq++
	}
	for _, forged := range []bool{false, true} {
		fsys := good.Crash(0, 1)
		if err := fsys.Flip(last, size(t, fsys, last)-60, 3); err != nil {
			t.Fatal(err)
		}
		vouch := func(seq uint64) ([]byte, error) {
			leaf, ok := leaves[seq]
			if !ok {
				return nil, mail.Errorf(mail.NotFound, "no leaf %d", seq)
			}
			if forged {
				leaf = bytes.Clone(leaf)
				leaf[30] ^= 1
			}
			return leaf, nil
		}
		done, err := ledger.Repair(t.Context(), fsys, ledger.RepairOptions{Archive: archive, Source: good.Open, Vouch: vouch})
		if err != nil || len(done) != 1 || (done[0].Err != nil) != forged {
			t.Errorf("forged %v: %+v, %v", forged, done, err)
		}
	}
}

// A copy of another history, good in itself, is refused; so is one that is damaged
// where this one is. Where they are damaged in different places, each gives what
// the other lacks.
func TestRepairSources(t *testing.T) {
	good, places := lay(t)
	segs := segments(t, good)
	var in []layout // the records of one segment
	for _, p := range places {
		if p.segment == segs[1] {
			in = append(in, p)
		}
	}
	if len(in) < 2 {
		t.Fatalf("only %d messages in %s", len(in), segs[1])
	}
	flip := func(fsys *durabletest.FS, p layout) *durabletest.FS {
		if err := fsys.Flip(p.segment, p.off+240, 1); err != nil {
			t.Fatal(err)
		}
		return fsys
	}
	copied := func() *durabletest.FS { return good.Crash(0, 1) }
	other := durabletest.New()
	l := open(t, other, options(t))
	for n := range uint64(60) {
		appendOK(t, l, message(t, text(n+500, 700)))
	}
	closeOK(t, l)
	for name, tc := range map[string]struct {
		here, from *durabletest.FS
		ok         bool
	}{
		"another history":  {flip(copied(), in[0]), other, false},
		"damaged likewise": {flip(copied(), in[0]), flip(copied(), in[0]), false},
		"damaged apart":    {flip(copied(), in[0]), flip(copied(), in[1]), true},
		"without it":       {flip(copied(), in[0]), durabletest.New(), false},
	} {
		before := slurp(t, tc.here, segs[1])
		done, err := repairFrom(tc.here, tc.from)
		if err != nil || len(done) != 1 || (done[0].Err == nil) != tc.ok {
			t.Errorf("%s: %+v, %v", name, done, err)
			continue
		}
		if tc.ok {
			wantSame(t, tc.here, good, segs)
		} else if !bytes.Equal(before, slurp(t, tc.here, segs[1])) {
			t.Errorf("%s: the segment was changed", name)
		}
	}
}

// A segment that somebody wrote anew, all of its hashes right, does not fit what
// follows: that one is repaired, and not its neighbour.
func TestRepairForgery(t *testing.T) {
	good, _ := lay(t)
	segs := segments(t, good)
	forged := durabletest.New()
	l := open(t, forged, options(t))
	for n := range uint64(60) {
		appendOK(t, l, message(t, text(n+900, 700)))
	}
	closeOK(t, l)
	fsys := good.Crash(0, 1)
	if err := fsys.Remove(segs[0]); err != nil {
		t.Fatal(err)
	}
	// As many records as the original: the next segment has the right name.
	b := slurp(t, forged, segments(t, forged)[0])
	f, err := fsys.Create(segs[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	closeOK(t, f)
	done, err := repairFrom(fsys, good)
	if err != nil || len(done) != 1 || done[0].Err != nil || done[0].File != segs[0] {
		t.Errorf("%+v, %v", done, err)
	}
	wantSame(t, fsys, good, segs)
}

func TestRepairDryRun(t *testing.T) {
	good, _ := lay(t)
	segs := segments(t, good)
	fsys := good.Crash(0, 1)
	if err := fsys.Flip(segs[1], 400, 3); err != nil {
		t.Fatal(err)
	}
	ops := len(fsys.Ops())
	done, err := ledger.Repair(t.Context(), fsys, ledger.RepairOptions{Archive: archive, Source: good.Open, DryRun: true})
	if err != nil || len(done) != 1 || done[0].Err != nil || done[0].Taken == 0 || done[0].Octets != size(t, good, segs[1]) {
		t.Errorf("%+v, %v", done, err)
	}
	for _, op := range fsys.Ops()[ops:] {
		if !strings.HasSuffix(op.Name, "lock") {
			t.Errorf("a dry run did %+v", op)
		}
	}
	lock, err := fsys.Lock("lock")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := repairFrom(fsys, good); mail.KindOf(err) != mail.InUse {
		t.Errorf("beside a writer: %v", err)
	}
}

// A repair that dies anywhere leaves the damaged file or the good one in place,
// never loses the damaged one, and can be done again.
func TestRepairCrashes(t *testing.T) {
	good, _ := lay(t)
	segs := segments(t, good)
	base := good.Crash(0, 1)
	if err := base.Flip(segs[1], 400, 3); err != nil {
		t.Fatal(err)
	}
	harmed := slurp(t, base, segs[1])
	whole := base.Crash(0, 1)
	if _, err := repairFrom(whole, good); err != nil {
		t.Fatal(err)
	}
	for k := range len(whole.Ops()) {
		for _, persist := range []bool{false, true} {
			for seed := range uint64(4) {
				fsys := base.Crash(0, 1)
				fsys.StopAt(k, persist)
				_, err := repairFrom(fsys, good)
				if n := fsys.OpenFiles(); n > 0 {
					t.Fatalf("operation %d: %d files are open", k, n)
				}
				after := fsys.Crash(seed, 0.5)
				now := slurp(t, after, segs[1])
				repaired := bytes.Equal(now, slurp(t, good, segs[1]))
				if !repaired && (!bytes.Equal(now, harmed) || err == nil) {
					t.Fatalf("operation %d: %s is neither, and the repair returned %v", k, segs[1], err)
				}
				if repaired && !bytes.Equal(slurp(t, after, segs[1]+".damaged"), harmed) {
					t.Fatalf("operation %d: the damaged file is lost", k)
				}
				if _, err := repairFrom(after, good); err != nil {
					t.Fatalf("operation %d: the next repair: %v", k, err)
				}
				wantSame(t, after, good, segs)
				wantClean(t, after.Crash(0, 0))
			}
		}
	}
	if fmt.Sprint(len(whole.Ops())) == "0" {
		t.Error("nothing was done")
	}
}
