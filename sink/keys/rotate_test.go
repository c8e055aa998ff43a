package keys_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

func TestRotate(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]func() keys.Wrapper{
		"file":  func() keys.Wrapper { return nil },
		"vault": func() keys.Wrapper { return vault(t, newTransit(t)) },
	} {
		w := newWorld(t, source())
		before := w.files(t)
		done, err := keys.Rotate(t.Context(), w.dirs, group)
		want := keys.Rotation{Epoch: keys.Epoch{Group: group, Version: 2}, Rewritten: 4}
		if d := cmp.Diff(want, done); err != nil || d != "" {
			t.Fatalf("%s: %v %s", name, err, d)
		}
		w.check(t, name, nil)
		for file, b := range before {
			_, err := keys.OpenFile(t.Context(), w.w, b)
			if inGroup := !strings.Contains(file, "0384"); errors.Is(err, keys.ErrNoKEK) != inGroup {
				t.Errorf("%s: the copy of %s: %v", name, file, err)
			}
		}
		groups, err := keys.Groups(w.dirs)
		if d := cmp.Diff([]keys.Group{group, {Class: 3, Year: 2040}}, groups); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
		// To an epoch that all have is nothing to do; to an older one is refused.
		if done, err = keys.Rewrap(t.Context(), w.dirs, want.Epoch); err != nil || done.Kept != 4 || done.Rewritten != 0 {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
		if _, err = keys.Rewrap(t.Context(), w.dirs, keys.Epoch{Group: group, Version: 1}); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRotateRefuses: nothing is changed by a source that cannot destroy, or
// beside a key file that cannot be read.
func TestRotateRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, master(t, 1))
	before := w.files(t)
	if _, err := keys.Rotate(t.Context(), w.dirs, group); !errors.Is(err, keys.ErrCannotDestroy) {
		t.Error(err)
	}
	if _, err := keys.Erase(t.Context(), w.dirs, []keys.Erasure{{Keys: []uint32{1}}}); !errors.Is(err, keys.ErrCannotDestroy) || mail.HintOf(err) == "" {
		t.Error(err)
	}
	if d := cmp.Diff(before, w.files(t)); d != "" {
		t.Error(d)
	}
	w = newWorld(t, nil)
	if err := w.fsys.Flip("0001/"+keys.FileName(700), 60, 1); err != nil {
		t.Fatal(err)
	}
	before = w.files(t)
	if _, err := keys.Rotate(t.Context(), w.dirs, group); mail.KindOf(err) != mail.Corrupt {
		t.Error(err)
	}
	if d := cmp.Diff(before, w.files(t)); d != "" {
		t.Error(d)
	}
	for what, dirs := range map[string][]*keys.Dir{
		"none": nil, "twice the same": {w.dirs[0], w.dirs[0]},
		"two archives": {w.dirs[0], {FS: w.dirs[1].FS, Partition: 1, Wrapper: w.w}},
	} {
		if _, err := keys.Rotate(t.Context(), dirs, group); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRotateCrashes(t *testing.T) {
	t.Parallel()
	start := newWorld(t, nil)
	rotate := func(w *world) error {
		_, err := keys.Rotate(t.Context(), w.dirs, group)
		return err
	}
	everywhere(t, start, rotate, func(what string, died bool, after, _ *world) {
		after.check(t, what, nil)
		begun := len(after.epochs(t, group)) > 1
		if err := rotate(after); err != nil {
			t.Fatalf("%s: again: %v", what, err)
		}
		if begun && after.epochs(t, group)[0] != 2 {
			t.Fatalf("%s: another rotation was begun, and none finished", what)
		}
		after.check(t, what+", again", nil)
		for name := range after.files(t) {
			if strings.HasSuffix(name, ".tmp") {
				t.Fatalf("%s: %s was left", what, name)
			}
		}
		if v := after.epochs(t, group); len(v) != 1 || v[0] < 2 || v[0] > 3 {
			t.Fatalf("%s: epochs %d", what, v)
		}
		after.cannotOpen(t, what, start.files(t))
	})
}

// cannotOpen proves that copies of the group's key files cannot be opened.
func (w *world) cannotOpen(t *testing.T, what string, files map[string][]byte) {
	t.Helper()
	for name, b := range files {
		if strings.Contains(name, "0384") { // the other group
			continue
		}
		if _, err := keys.OpenFile(t.Context(), w.w, b); !errors.Is(err, keys.ErrNoKEK) {
			t.Fatalf("%s: the old copy of %s: %v", what, name, err)
		}
	}
}

// TestRotateFails: an error of the disk, which the process survives.
func TestRotateFails(t *testing.T) {
	t.Parallel()
	start := newWorld(t, nil)
	for k := range 60 {
		for _, persist := range []bool{false, true} {
			w := start.after(t, start.fsys.Crash(0, 1))
			w.fsys.FailAt(k, persist, errors.New("the medium is broken"))
			_, err := keys.Rotate(t.Context(), w.dirs, group)
			w.fsys.Inject(nil)
			w.check(t, "after a failure", nil)
			if _, again := keys.Rotate(t.Context(), w.dirs, group); again != nil {
				t.Fatalf("operation %d (%v), again: %v", k, err, again)
			}
			w.check(t, "after another try", nil)
			w.cannotOpen(t, "after another try", start.files(t))
		}
	}
}

func TestMove(t *testing.T) {
	t.Parallel()
	start := newWorld(t, nil)
	target := vault(t, newTransit(t))
	move := func(w *world) error {
		_, err := keys.Move(t.Context(), w.dirs, target)
		return err
	}
	everywhere(t, start, move, func(what string, died bool, after, _ *world) {
		if err := move(after); err != nil {
			t.Fatalf("%s: again: %v", what, err)
		}
		for _, d := range after.dirs {
			d.Wrapper = target
		}
		after.check(t, what, nil)
	})
}

func TestCreateCrashes(t *testing.T) {
	t.Parallel()
	start := newWorld(t, nil)
	recipients, ids := escrowPair(t)
	create := func(w *world) error {
		w.dirs[0].Escrow = recipients
		_, err := w.dirs[0].Create(t.Context(), 1000, 9, keys.Group{Class: 4, Year: 2030})
		return err
	}
	everywhere(t, start, create, func(what string, died bool, after, _ *world) {
		after.check(t, what, nil)
		d := after.dirs[0]
		tree, err := d.Load(t.Context(), 1000, 9)
		if mail.KindOf(err) == mail.NotFound {
			if !died {
				t.Fatalf("%s: %v", what, err)
			}
			if err := create(after); err != nil {
				t.Fatalf("%s: again: %v", what, err)
			}
			tree, err = d.Load(t.Context(), 1000, 9)
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		// Whoever has a key file has it in escrow, and it is the same.
		checkEscrow(t, d, 1000, ids, tree)
	})
}

func TestCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	d := w.dirs[0]
	if _, err := d.Create(t.Context(), 500, 2, group); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a key file: %v", err)
	}
	if _, err := d.Create(t.Context(), 1, 8, keys.CheckGroup); mail.KindOf(err) != mail.Invalid {
		t.Errorf("in the reserved group: %v", err)
	}
	w.check(t, "afterwards", nil)
	one, err := d.Create(t.Context(), 2000, 8, group)
	if err != nil {
		t.Fatal(err)
	}
	two, err := d.Load(t.Context(), 2000, 8)
	if err != nil || keyOf(t, one, 5) != keyOf(t, two, 5) {
		t.Error(err)
	}
	for what, tc := range map[string]struct {
		d      *keys.Dir
		first  uint64
		number uint32
		want   mail.Kind
	}{
		"no file":           {d, 3000, 9, mail.NotFound},
		"another number":    {d, 2000, 9, mail.Corrupt},
		"another partition": {&keys.Dir{FS: d.FS, Archive: archive, Partition: 1, Wrapper: d.Wrapper}, 2000, 8, mail.Corrupt},
		"another archive":   {&keys.Dir{FS: d.FS, Wrapper: d.Wrapper}, 2000, 8, mail.Corrupt},
		"another source":    {&keys.Dir{FS: d.FS, Archive: archive, Wrapper: kekFile(t, durabletest.New())}, 2000, 8, mail.NotFound},
		"another master":    {&keys.Dir{FS: d.FS, Archive: archive, Wrapper: master(t, 3)}, 2000, 8, mail.Denied},
	} {
		if _, err := tc.d.Load(t.Context(), tc.first, tc.number); mail.KindOf(err) != tc.want || mail.HintOf(err) == "" {
			t.Errorf("%s: %v (%s), hint %q", what, err, mail.KindOf(err), mail.HintOf(err))
		}
	}
}

// TestLockIsAwaited: who changes key files waits for another, as long as asked.
func TestLockIsAwaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	lock, err := w.dirs[1].FS.Lock("keys.lock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := keys.Rotate(ctx, w.dirs, group); mail.KindOf(err) != mail.InUse || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	done := make(chan error)
	go func() {
		_, err := keys.Rotate(t.Context(), w.dirs, group)
		done <- err
	}()
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.check(t, "afterwards", nil)
}

// A hooked source calls hook before each Wrap, and may change what it opens.
type hooked struct {
	keys.Wrapper
	hook func()
	open func([]byte) []byte
}

func (h *hooked) Wrap(ctx context.Context, e keys.Epoch, plain, aad []byte) ([]byte, error) {
	if h.hook != nil {
		h.hook()
	}
	return h.Wrapper.Wrap(ctx, e, plain, aad)
}

func (h *hooked) Unwrap(ctx context.Context, e keys.Epoch, box, aad []byte) ([]byte, error) {
	b, err := h.Wrapper.Unwrap(ctx, e, box, aad)
	if h.open != nil && err == nil {
		b = h.open(b)
	}
	return b, err
}

// TestLockIsHeld: from the choice of an epoch until the key file is durable,
// nobody can rotate.
func TestLockIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	seen := 0
	hook := func() {
		seen++
		for _, d := range w.dirs[:1] {
			lock, err := d.FS.Lock("keys.lock")
			if mail.KindOf(err) != mail.InUse {
				t.Errorf("the lock is free: %v", err)
			}
			if err == nil {
				_ = lock.Close()
			}
		}
	}
	for _, d := range w.dirs {
		d.Wrapper = &hooked{Wrapper: w.w, hook: hook}
	}
	if _, err := w.dirs[0].Create(t.Context(), 4000, 11, group); err != nil {
		t.Error(err)
	}
	if _, err := keys.Rotate(t.Context(), w.dirs, group); err != nil {
		t.Error(err)
	}
	if _, err := keys.Erase(t.Context(), w.dirs, []keys.Erasure{{0, 0, []uint32{1}}}); err != nil {
		t.Error(err)
	}
	if seen < 6 {
		t.Errorf("the hook ran %d times", seen)
	}
}

// TestForgetfulSource: what does not come back as it was given replaces nothing.
func TestForgetfulSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	before := w.files(t)
	sealed := false
	lie := &hooked{Wrapper: w.w, hook: func() { sealed = true }}
	lie.open = func(b []byte) []byte {
		if sealed {
			b[len(b)-1] ^= 1
		}
		return b
	}
	for _, d := range w.dirs {
		d.Wrapper = lie
	}
	if _, err := w.dirs[0].Create(t.Context(), 4000, 11, group); err == nil {
		t.Error("create: believed")
	}
	sealed = false
	if _, err := keys.Rotate(t.Context(), w.dirs, group); err == nil {
		t.Error("rotate: believed")
	}
	sealed = false
	if _, err := keys.Erase(t.Context(), w.dirs, []keys.Erasure{{0, 0, []uint32{1}}}); err == nil {
		t.Error("erase: believed")
	}
	if d := cmp.Diff(before, w.files(t)); d != "" {
		t.Error(d)
	}
}

// TestAtOnce: segments begin, are read and are rotated at the same time.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	done := make(chan error)
	go func() {
		for range 4 {
			if _, err := keys.Rotate(t.Context(), w.dirs, group); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	go func() {
		for i := range uint32(8) {
			if _, err := w.dirs[1].Create(t.Context(), 5000+uint64(i), 100+i, group); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range 20 {
		w.check(t, "while it is rotated", nil)
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for i := range uint32(8) {
		if _, err := w.dirs[1].Load(t.Context(), 5000+uint64(i), 100+i); err != nil {
			t.Error(err)
		}
	}
}

func TestOwns(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		keys.FileName(0x1f): true, keys.EscrowName(3): true, keys.FileName(3) + ".tmp": true, "keys.lock": true,
		"0000000000000000.seg": false, "lock": false, "000000000000001F.keys": false, "1.keys": false, "keys": false, "": false,
	} {
		if keys.Owns(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

// TestOrderOfWrites pins what is synced before what, by the names of the
// operations of a rotation.
func TestOrderOfWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	stray := "0001/" + keys.FileName(8000) + ".tmp" // of a Create that died
	if err := durable.WriteFile(w.fsys, stray, nil); err != nil {
		t.Fatal(err)
	}
	from := len(w.fsys.Ops())
	if _, err := keys.Rotate(t.Context(), w.dirs, group); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, op := range w.fsys.Ops()[from:] {
		got = append(got, op.Kind+" "+op.Name)
	}
	replaced := func(name, dir string) []string {
		return []string{"create " + name + ".tmp", "write " + name + ".tmp", "sync " + name + ".tmp", "rename " + name, "syncdir " + dir}
	}
	want := slices.Concat(
		[]string{"remove " + stray},
		replaced("secret/keks", "secret"),
		replaced("0000/"+keys.FileName(0), "0000"), replaced("0000/"+keys.FileName(500), "0000"),
		replaced("0001/"+keys.FileName(0), "0001"), replaced("0001/"+keys.FileName(700), "0001"),
		replaced("secret/keks", "secret"),
	)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWriteOnceIsNotReplaced(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	kekFile(t, fsys)
	before, err := durable.ReadFile(fsys, "keks")
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.NewKEKFile(fsys, "keks", nil).Generate(); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if after, err := durable.ReadFile(fsys, "keks"); err != nil || string(after) != string(before) {
		t.Errorf("the file was replaced: %v", err)
	}
}
