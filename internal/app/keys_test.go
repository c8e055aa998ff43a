package app

import (
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// TestRotateAndEscrowKeys: of an archive of two partitions with some segments;
// refused for one that is not encrypted, and changing nothing there.
func TestRotateAndEscrowKeys(t *testing.T) {
	t.Parallel()
	where := t.TempDir()
	id, err := age.GenerateX25519Identity()
	if err == nil {
		err = keys.GenerateKEKFile(filepath.Join(where, "keks"))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(where, "c.yaml"), []byte("archive: {dir: a}\npartitions: 2\nencryption: {key_file: keks, escrow_recipients: "+id.Recipient().String()+"}\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := configs.Load(configs.Sources{File: filepath.Join(where, "c.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := createDirectory(t.Context(), c.Archive.Dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RotateKeys(t.Context(), c); mail.KindOf(err) != mail.NotFound || mail.HintOf(err) == "" {
		t.Errorf("not encrypted: %v", err)
	}
	if err := dir.openKeys(t.Context(), c, true); err != nil {
		t.Fatal(err)
	}
	for p, d := range dir.library.keys {
		if _, err := d.Create(t.Context(), uint64(p), 1, keys.Group{}); err != nil {
			t.Fatal(err)
		}
		if err := d.FS.Remove(keys.EscrowName(uint64(p))); err != nil {
			t.Fatal(err)
		}
	}
	done, err := RotateKeys(t.Context(), c)
	if err != nil || len(done) != 1 || done[0].Rewritten != 2 || done[0].Epoch.Version != 2 {
		t.Errorf("%+v, %v", done, err)
	}
	if n, err := EscrowKeys(t.Context(), c); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for p, d := range dir.library.keys {
		if _, err := d.FS.Stat(keys.EscrowName(uint64(p))); err != nil {
			t.Error(err)
		}
		if _, err := d.Load(t.Context(), uint64(p), 1); err != nil {
			t.Error(err)
		}
	}
	if err := dir.Close(); err != nil {
		t.Error(err)
	}
}
