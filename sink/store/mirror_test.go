package store_test

import (
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/sink/store"
)

// TestMirror: a file that changes replaces its copy, and nothing else is written.
func TestMirror(t *testing.T) {
	fsys, files := durabletest.New(), durabletest.New()
	s := newDir(t, files)
	mirror := func() *store.Mirror {
		return &store.Mirror{FS: fsys, Store: s, Prefix: "keys/", Wanted: func(n string) bool { return strings.HasSuffix(n, ".keys") }}
	}
	write := func(name, text string) {
		t.Helper()
		if err := durable.WriteFile(fsys, name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	m := mirror()
	for _, text := range []string{"one", "two"} {
		write("a.keys", text)
		write("keys.lock", text)
		if err := m.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s, store.Ref{Name: "keys/a.keys"}, 0, -1); string(got) != text {
			t.Errorf("the copy of %q is %q", text, got)
		}
	}
	before := len(files.Ops())
	if err := m.Pass(t.Context()); err != nil || len(files.Ops()) != before {
		t.Errorf("without a change there were %d operations, %v", len(files.Ops())-before, err)
	}
	if here(files, "keys/keys.lock") {
		t.Error("a file was copied that is not wanted")
	}
}
