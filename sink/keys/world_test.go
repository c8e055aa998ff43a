package keys_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// A world is an archive of two partitions with some segments, whose keys are
// known, and a key source, on one file system.
type world struct {
	fsys *durabletest.FS
	w    keys.Wrapper
	dirs []*keys.Dir
	segs []segment
	gone map[place]bool
}

type segment struct {
	partition uint16
	first     uint64
	number    uint32
	group     keys.Group
	root      byte // seed of its secret
}

type place struct {
	partition uint16
	first     uint64
	key       uint32
}

var archive = [16]byte{0xa, 0xb, 0xc}

// probes are the keys that are compared.
var probes = []uint32{0, 1, 2, 3, 77, 4095, 4096, 65535}

func segments() []segment {
	other := keys.Group{Class: 3, Year: 2040}
	return []segment{
		{0, 0, 1, group, 10}, {0, 500, 2, group, 11}, {0, 900, 3, other, 12},
		{1, 0, 1, group, 13}, {1, 700, 2, group, 14},
	}
}

// newWorld makes a world; w nil means a file of KEKs on the same file system.
func newWorld(t testing.TB, w keys.Wrapper) *world {
	t.Helper()
	fsys := durabletest.New()
	if err := errors.Join(fsys.MkdirAll("0000"), fsys.MkdirAll("0001"), fsys.MkdirAll("secret"), fsys.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	if w == nil {
		kekFile(t, sub(t, fsys, "secret"))
	}
	world := &world{segs: segments(), gone: map[place]bool{}}
	world.mount(t, fsys, w)
	for _, s := range world.segs {
		if err := world.dir(s.partition).CreateOf(t.Context(), s.first, s.number, s.group, keys.TreeOf(rootSecret(s.root))); err != nil {
			t.Fatal(err)
		}
	}
	return world
}

func sub(t testing.TB, fsys *durabletest.FS, dir string) *durabletest.FS {
	t.Helper()
	s, err := fsys.Sub(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*durabletest.FS)
}

// mount opens the world in another file system, as a process that starts.
func (w *world) mount(t testing.TB, fsys *durabletest.FS, source keys.Wrapper) {
	t.Helper()
	w.fsys, w.w = fsys, source
	if source == nil {
		w.w = keys.NewKEKFile(sub(t, fsys, "secret"), "keks", nil)
	}
	w.dirs = nil
	for p := range uint16(2) {
		w.dirs = append(w.dirs, &keys.Dir{FS: sub(t, fsys, fmt.Sprintf("%04d", p)), Archive: archive, Partition: p, Wrapper: w.w})
	}
}

// after returns the world on what a crash has left.
func (w *world) after(t testing.TB, fsys *durabletest.FS) *world {
	t.Helper()
	var source keys.Wrapper
	if _, ok := w.w.(*keys.KEKFile); !ok {
		source = w.w
	}
	next := &world{segs: w.segs, gone: w.gone}
	next.mount(t, fsys, source)
	return next
}

func (w *world) dir(partition uint16) *keys.Dir { return w.dirs[partition] }

// check compares the keys of all segments. A key in maybe may be erased or not.
func (w *world) check(t testing.TB, what string, maybe map[place]bool) {
	t.Helper()
	for _, s := range w.segs {
		tree, err := w.dir(s.partition).Load(t.Context(), s.first, s.number)
		if err != nil {
			t.Fatalf("%s: partition %d, segment %d: %v", what, s.partition, s.number, err)
		}
		for _, i := range probes {
			at := place{s.partition, s.first, i}
			k, err := tree.Key(i)
			switch erased := errors.Is(err, keys.ErrErased); {
			case erased && (w.gone[at] || maybe[at]):
			case err != nil:
				t.Fatalf("%s: %+v: %v", what, at, err)
			case w.gone[at]:
				t.Fatalf("%s: %+v is still there", what, at)
			case k != reference(t, rootSecret(s.root), i):
				t.Fatalf("%s: %+v changed", what, at)
			}
		}
	}
}

// files returns all key files on the file system, and what looks like one, by
// name.
func (w *world) files(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, dir := range []string{"0000", "0001"} {
		entries, err := w.fsys.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.Contains(e.Name(), ".keys") {
				continue
			}
			name := path.Join(dir, e.Name())
			b, err := durable.ReadFile(w.fsys, name)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = b
		}
	}
	return all
}

// copies are key files that somebody kept.
type copies []map[string][]byte

// cannotBeUsed proves that no copy of a key file gives an erased key.
func (w *world) cannotBeUsed(t testing.TB, what string, old copies) {
	t.Helper()
	for _, files := range old {
		for name, b := range files {
			tree, err := keys.OpenFile(t.Context(), w.w, b)
			if err != nil {
				continue
			}
			for at := range w.gone {
				if strings.HasPrefix(name, fmt.Sprintf("%04d/%016x", at.partition, at.first)) && !tree.Erased(at.key) {
					t.Fatalf("%s: a copy of %s still gives key %d", what, name, at.key)
				}
			}
		}
	}
}

// epochs returns the versions of the group's key files.
func (w *world) epochs(t testing.TB, g keys.Group) []uint32 {
	t.Helper()
	var all []uint32
	for _, d := range w.dirs {
		files, err := d.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if f.Epoch.Group == g {
				all = append(all, f.Epoch.Version)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// everywhere runs op, lets it die at each of its operations, with and without
// the effect of the last one, and calls judge with what is left each time.
func everywhere(t *testing.T, start *world, op func(*world) error, judge func(what string, died bool, after *world, died1 *world)) {
	t.Helper()
	whole := start.after(t, start.fsys.Crash(0, 1))
	if err := op(whole); err != nil {
		t.Fatal(err)
	}
	n := len(whole.fsys.Ops())
	if n == 0 {
		t.Fatal("nothing was written")
	}
	for k := range n + 1 {
		for _, persist := range []bool{false, true} {
			for seed, keep := range []float64{0, 0.5, 1} {
				run := start.after(t, start.fsys.Crash(0, 1))
				run.fsys.StopAt(k, persist)
				err := op(run)
				if k < n && err == nil {
					t.Fatalf("stopped at %d of %d: no error", k, n)
				}
				if errors.Is(err, fs.ErrClosed) {
					t.Fatal(err)
				}
				what := fmt.Sprintf("stopped at %d of %d, with its effect %v, kept %v", k, n, persist, keep)
				judge(what, err != nil, run.after(t, run.fsys.Crash(uint64(seed), keep)), run)
				if open := run.fsys.OpenFiles(); open != 0 {
					t.Fatalf("%s: %d files are open", what, open)
				}
			}
		}
	}
	t.Logf("%d operations", n)
}
