package durable_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
)

// Both file systems pass the same tests.
func each(t *testing.T, test func(*testing.T, durable.FS)) {
	t.Run("Dir", func(t *testing.T) {
		dir, err := durable.MakeDir(filepath.Join(t.TempDir(), "a", "b"))
		if err != nil {
			t.Fatal(err)
		}
		test(t, dir)
		if err := dir.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("durabletest", func(t *testing.T) { test(t, durabletest.New()) })
}

func create(t *testing.T, fsys durable.FS, name, content string) {
	t.Helper()
	f, err := fsys.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	_, werr := io.WriteString(f, content)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	each(t, func(t *testing.T, fsys durable.FS) {
		if err := fsys.MkdirAll("x/y"); err != nil {
			t.Fatal(err)
		}
		sub, err := fsys.Sub("x/y")
		if err != nil {
			t.Fatal(err)
		}
		create(t, sub, "f", "hello")
		if _, err := sub.Create("f"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("create over a file: %v", err)
		}
		if _, err := sub.Open("none"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open nothing: %v", err)
		}
		create(t, sub, "g", "other")
		if err := sub.Link("f", "g"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a link replaced a file: %v", err)
		}
		if err := errors.Join(sub.Link("f", "h"), sub.Chmod("h", 0o444), sub.Rename("h", "g"), sub.Remove("f"), sub.SyncDir(".")); err != nil {
			t.Fatal(err)
		}
		b, err := durable.ReadFile(fsys, "x/y/g")
		if err != nil || string(b) != "hello" {
			t.Errorf("%q, %v", b, err)
		}
		info, err := sub.Stat("g")
		if err != nil || info.Mode().Perm() != 0o444 || info.Size() != 5 {
			t.Errorf("%v, %v", info, err)
		}
		names, err := fsys.ReadDir("x/y")
		if err != nil || len(names) != 1 || names[0].Name() != "g" {
			t.Errorf("%v, %v", names, err)
		}
		if _, err := sub.Open("../../../etc/passwd"); err == nil {
			t.Error("a name led out of the root")
		}
		if err := sub.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestLock(t *testing.T) {
	each(t, func(t *testing.T, fsys durable.FS) {
		l, err := fsys.Lock("lock")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fsys.Lock("lock"); mail.KindOf(err) != mail.InUse {
			t.Errorf("second lock: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if l, err = fsys.Lock("lock"); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// WriteFile leaves the old or the new content, and the new one if it said so.
func TestWriteFileCrashes(t *testing.T) {
	for k := range 12 {
		for _, persist := range []bool{false, true} {
			for seed := range uint64(8) {
				fsys := durabletest.New()
				if err := durable.WriteFile(fsys, "f", []byte("old")); err != nil {
					t.Fatal(err)
				}
				fsys.StopAt(len(fsys.Ops())+k, persist)
				done := durable.WriteFile(fsys, "f", []byte("new one")) == nil
				after := fsys.Crash(seed, 0.5)
				b, err := durable.ReadFile(after, "f")
				if s := string(b); err != nil || s != "new one" && (done || s != "old") {
					t.Fatalf("stopped at %d: %q, %v, done %v", k, s, err, done)
				}
				if err := durable.WriteFile(after, "f", []byte("again")); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// A sync that fails loses the bytes for good, although they can be read.
func TestFailedSyncLies(t *testing.T) {
	fsys := durabletest.New()
	f, err := fsys.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, "bytes"); err != nil {
		t.Fatal(err)
	}
	fsys.FailAt(len(fsys.Ops()), false, syscall.EIO)
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	if err := errors.Join(f.Sync(), fsys.SyncDir("."), f.Close()); err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]struct {
		fsys *durabletest.FS
		want string
	}{"before": {fsys, "bytes"}, "after": {fsys.Crash(0, 1), ""}} {
		if b, err := durable.ReadFile(want.fsys, "f"); err != nil || string(b) != want.want {
			t.Errorf("%s the crash: %q, %v", what, b, err)
		}
	}
}

func TestCapacity(t *testing.T) {
	fsys := durabletest.New()
	fsys.SetCapacity(4)
	if err := durable.WriteFile(fsys, "f", []byte("12345")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write over the capacity: %v", err)
	}
	fsys.SetCapacity(-1)
	if err := durable.WriteFile(fsys, "f", []byte("12345")); err != nil {
		t.Errorf("with space: %v", err)
	}
	if n := fsys.OpenFiles(); n != 0 {
		t.Error(fmt.Sprint(n, " files are open"))
	}
}
