package keys_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// TestReplacedOnlyByAnother: a key file whose source is lost stays as it is until there
// is one from escrow to take its place, wherever that stops.
func TestReplacedOnlyByAnother(t *testing.T) {
	w := newWorld(t, nil)
	d := w.dirs[0]
	recipients, ids := escrowPair(t)
	_, stranger := escrowPair(t)
	d.Escrow = recipients
	if err := d.CreateOf(t.Context(), 4000, 9, group, keys.TreeOf(rootSecret(21))); err != nil {
		t.Fatal(err)
	}
	before, err := durable.ReadFile(d.FS, keys.FileName(4000))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.fsys.MkdirAll("other"), w.fsys.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	lost := *d // its files are of a source that nobody has
	lost.Wrapper = kekFile(t, sub(t, w.fsys, "other"))
	if done, err := lost.RestoreAll(t.Context(), stranger, true); mail.KindOf(err) != mail.Denied || done.Restored > 0 {
		t.Errorf("a stranger restores: %+v, %v", done, err)
	}
	if got, err := durable.ReadFile(d.FS, keys.FileName(4000)); err != nil || !bytes.Equal(got, before) {
		t.Fatalf("a refused copy took the key file away: %v", err)
	}
	if done, err := lost.RestoreAll(t.Context(), ids, true); err != nil || done.Restored != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	tree, err := lost.Load(t.Context(), 4000, 9)
	if err != nil {
		t.Fatal(err)
	}
	tree.Wipe()
}
