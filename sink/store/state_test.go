package store_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/store"
)

// TestState: a tree that is empty gets what another has saved, no more and no less.
func TestState(t *testing.T) {
	for name, s := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			state := func(fsys durable.FS, exact bool) *store.State {
				return &store.State{FS: fsys, Store: s, Prefix: "x/state/", Names: []string{"key", "log/points", "none"}, Exact: exact}
			}
			write := func(fsys durable.FS, name, text string) {
				t.Helper()
				if err := errors.Join(fsys.MkdirAll("log/points/deep"), durable.WriteFile(fsys, name, []byte(text))); err != nil {
					t.Fatal(err)
				}
			}
			ok := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			one := durabletest.New()
			write(one, "key", "k1")
			write(one, "log/points/1", "first")
			write(one, "log/points/deep/2", "second")
			write(one, "log/other", "not wanted")
			first := state(one, false)
			ok(first.Save(t.Context()))
			write(one, "log/points/1", "first and more")
			ok(one.Remove("log/points/deep/2"))
			ok(first.Save(t.Context()))

			two := durabletest.New()
			write(two, "log/points/3", "left over")
			ok(state(two, false).Load(t.Context()))
			wantFile(t, two, "log/points/3", "left over")
			ok(state(two, true).Load(t.Context()))
			wantFile(t, two, "key", "k1")
			wantFile(t, two, "log/points/1", "first and more")
			for _, gone := range []string{"log/points/3", "log/other"} {
				if _, err := two.Stat(gone); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is there: %v", gone, err)
				}
			}
			second := state(two, true)
			ok(second.Load(t.Context()))
			ok(two.Remove("key"))
			ok(second.Save(t.Context()))
			ok(state(one, true).Load(t.Context()))
			if _, err := one.Stat("key"); name == "dir" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what was removed is there: %v", err)
			}
		})
	}
}

// TestStateOfVanishedTree: who loses its directory takes nothing from the store.
func TestStateOfVanishedTree(t *testing.T) {
	s, tree := newDir(t, durabletest.New()), durabletest.New()
	state := store.State{FS: tree, Store: s, Prefix: "x/", Names: []string{"key", "other"}, Stays: "ARCHIVE"}
	for _, name := range []string{"ARCHIVE", "key", "other"} {
		if err := durable.WriteFile(tree, name, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	after := func(gone ...string) {
		t.Helper()
		for _, name := range gone {
			if err := tree.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		if err := state.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	after()
	after("other")
	after("ARCHIVE", "key")
	if b, err := store.Fetch(t.Context(), s, "x/key"); string(b) != "key" {
		t.Errorf("with its directory the store has lost %q, %v", b, err)
	}
	_, err := store.Fetch(t.Context(), s, "x/other")
	wantKind(t, "what was removed before", err, mail.NotFound)
}
