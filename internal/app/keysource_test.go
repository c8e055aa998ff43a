package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// TestKeySource: each source that a configuration can name seals and opens, or
// is refused at once.
func TestKeySource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := keys.GenerateKEKFile(filepath.Join(dir, "keks")); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]struct {
		on   bool
		kind mail.Kind
	}{
		"archive: {dir: a}":                                                                             {false, 0},
		"encryption: {key_file: keks}":                                                                  {true, 0},
		"encryption: {key_env: MASTER}":                                                                 {true, 0},
		"encryption: {key_file: keks, escrow_recipients: age1nonsense}":                                 {false, mail.Invalid},
		"encryption: {vault: {address: 'https://127.0.0.1:1', token_env: TOKEN}}":                       {true, mail.Temporary},
		"encryption: {vault: {address: 'https://127.0.0.1:1', token_env: TOKEN, mount: 'a/b', key: k}}": {true, mail.Temporary},
	} {
		file := filepath.Join(dir, "c.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := configs.Load(configs.Sources{File: file, Env: []string{"TOKEN=x", "MASTER=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := openKeySource(c)
		if on := s.Wrapper != nil; on != want.on {
			t.Errorf("%s: on %v, %v", text, on, err)
		}
		if err == nil && want.on {
			_, err = s.NewEpoch(t.Context(), keys.Group{}, 0)
		}
		if (err == nil) != (want.kind == 0) || mail.KindOf(err) != want.kind {
			t.Errorf("%s: %v (%s)", text, err, mail.KindOf(err))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
