package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
)

func TestDirectoryIsMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	if _, err := openDirectory(path); mail.KindOf(err) != mail.NotFound || mail.HintOf(err) == "" {
		t.Errorf("missing archive: %v", err)
	}
	d, err := createDirectory(t.Context(), path, 2)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	if u := d.Identity.UUID(); u == [16]byte{} || u[6]>>4 != 4 || u[8]>>6 != 2 {
		t.Errorf("uuid %s is %x", d.Identity.Archive, u)
	}
	again, err := openDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if again.Identity != d.Identity || len(again.partitions()) != 2 {
		t.Errorf("%+v, then %+v", d.Identity, again.Identity)
	}
	if _, err := createDirectory(t.Context(), path, 3); mail.KindOf(err) != mail.Invalid || mail.HintOf(err) == "" {
		t.Errorf("other number of partitions: %v", err)
	}
}

func TestDirectoryIsNotMadeOverALedger(t *testing.T) {
	path := t.TempDir()
	if err := os.MkdirAll(filepath.Join(path, ledgerDir, "0000"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := createDirectory(t.Context(), path, 1); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("lost identity: %v", err)
	}
	for name, content := range map[string]string{"damaged": "{", "short": `{"format":1,"archive":"x","partitions":1}`} {
		if err := os.WriteFile(filepath.Join(path, identityFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := createDirectory(t.Context(), path, 1); mail.KindOf(err) != mail.Corrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
	future := `{"format":9,"archive":"00000000-0000-4000-8000-000000000000","partitions":1}`
	if err := os.WriteFile(filepath.Join(path, identityFile), []byte(future), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDirectory(path); mail.KindOf(err) != mail.Invalid {
		t.Errorf("later format: %v", err)
	}
}

func TestDirectoryIsMadeByOne(t *testing.T) {
	path := t.TempDir()
	ids := make(chan string)
	for range 8 {
		go func() {
			d, err := createDirectory(t.Context(), path, 1)
			if err != nil {
				t.Error(err)
				ids <- ""
				return
			}
			d.Close()
			ids <- d.Identity.Archive
		}()
	}
	first := <-ids
	for range 7 {
		if id := <-ids; id != first {
			t.Errorf("archive %s and archive %s in one directory", first, id)
		}
	}
}
