package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const someKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// loadIn loads a configuration beside files of the mode 0600.
func loadIn(t *testing.T, text string, files ...string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(Sources{File: file, Env: []string{"MASTER=" + someKey, "SHORT=" + someKey[4:], "TOKEN=s.x"}})
}

func TestEncryption(t *testing.T) {
	c, err := loadIn(t, "archive: {dir: a}")
	if err != nil {
		t.Fatal(err)
	}
	if r, on := c.ResolveEncryption(); on || r.KeyFile != "" || len(r.EscrowRecipients) != 0 {
		t.Errorf("it is on without being asked for: %+v", r)
	}
	c, err = loadIn(t, "encryption: {key_file: keks, escrow_recipients: 'age1qq, ssh-ed25519 AAAA officer@example.org'}", "keks")
	if err != nil {
		t.Fatal(err)
	}
	r, on := c.ResolveEncryption()
	if d := cmp.Diff([]string{"age1qq", "ssh-ed25519 AAAA officer@example.org"}, r.EscrowRecipients); !on || d != "" || filepath.Base(r.KeyFile) != "keks" || len(c.Warnings) != 0 {
		t.Errorf("%v %+v %s", on, r, d)
	}
	c, err = loadIn(t, "encryption: {key_env: MASTER}")
	if err != nil {
		t.Fatal(err)
	}
	if r, on = c.ResolveEncryption(); !on || reveal(t, r.Key) != someKey {
		t.Errorf("%v %+v", on, r)
	}
	c, err = loadIn(t, "encryption: {vault: {address: 'https://vault.example.org:8200', token_env: TOKEN}}")
	if err != nil {
		t.Fatal(err)
	}
	if r, on = c.ResolveEncryption(); !on || r.Vault.Mount != "transit" || r.Vault.Key != "mailkeep" || reveal(t, r.Vault.Token) != "s.x" {
		t.Errorf("%v %+v", on, r)
	}
}

func TestEncryptionKeysAreGuarded(t *testing.T) {
	for text, want := range map[string]string{
		"encryption: {key_env: SHORT}":   "base64 of 32 octets",
		"encryption: {key_env: MISSING}": "MISSING is not set",
		"encryption: {key_file: .}":      "is not a file",
	} {
		if _, err := loadIn(t, text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), someKey[4:20]) {
			t.Errorf("%s: %v", text, err)
		}
	}
	c, err := loadIn(t, "archive: {dir: .}\nencryption: {key_file: keks}", "keks")
	if err != nil || len(c.Warnings) != 1 || c.Warnings[0].Key != "encryption.key_file" {
		t.Errorf("keys beside the archive: %v, %v", err, c.Warnings)
	}
	if err := os.Chmod(c.Encryption.KeyFile, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Sources{File: c.File}); err == nil || !strings.Contains(err.Error(), "mode 0640") {
		t.Errorf("a key file that others may read: %v", err)
	}
}
