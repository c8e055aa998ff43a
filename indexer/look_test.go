package indexer

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
)

// TestLook: who only searches drops no index that somebody else must build anew.
func TestLook(t *testing.T) {
	t.Parallel()
	dir, l := t.TempDir(), corpus(30, 1)
	x := openIndex(t, dir)
	catchUp(t, x, l)
	want := summary(t, x)
	reformat := func(format uint64) {
		t.Helper()
		e := x.serving.last().engine
		batch := e.bleve.NewBatch()
		batch.SetInternal(keyFormat, number(format))
		if err := e.bleve.Batch(batch); err != nil {
			t.Fatal(err)
		}
		x.serving.format = format
		if err := x.save(); err != nil {
			t.Fatal(err)
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what string) {
		t.Helper()
		if _, err := Open(Options{Dir: dir, Look: true}); mail.KindOf(err) != mail.Temporary || mail.HintOf(err) == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	manifest := filepath.Join(dir, manifestFile)
	reformat(oldestReadable - 1)
	refused("too old")
	refused("too old, again")
	good, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("garbled")
	if err := os.WriteFile(manifest, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if x, err = Open(Options{Dir: dir}); err != nil || x.Position() != 0 {
		t.Fatalf("who builds it opens it: %v", err)
	}
	catchUp(t, x, l)
	if got := summary(t, x); got != want {
		t.Errorf("built anew %+v, want %+v", got, want)
	}
	reformat(formatVersion + 1)
	refused("of a newer program")
	if x, err = Open(Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	catchUp(t, x, l)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if x, err = Open(Options{Dir: dir, Look: true}); err != nil || x.Position() != l.Size() {
		t.Fatalf("a good one: %v", err)
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
}
