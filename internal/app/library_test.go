package app

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
	"github.com/mailkeep/mailkeep/sink/ledger/dictionary"
)

func masterKey(t *testing.T, octet byte) keys.Wrapper {
	t.Helper()
	w, err := keys.NewMaster(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{octet}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// An archive holds the dictionary that its records need, and does without it
// only as long as it is the one that ships with the program.
func TestDictionaryInArchive(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	shut(t, makeDirectory(t, path))
	file := filepath.Join(path, dictDir, "6d6b0001.dict")
	b, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(b, dictionary.Mail()) {
		t.Fatalf("the dictionary in the archive: %v", err)
	}
	shut(t, makeDirectory(t, path)) // again
	if err := os.WriteFile(file, b[:len(b)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"create": errOf(createDirectory(t.Context(), path, 2)), "open": errOf(openDirectory(path))} {
		if mail.KindOf(err) != mail.Corrupt || mail.HintOf(err) == "" {
			t.Errorf("%s with a damaged dictionary: %v", what, err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	d, err := openDirectory(path)
	if err != nil || d.ledgerOptions(0).Dictionary.ID() != dictionary.MailID {
		t.Fatalf("open without the file: %v", err)
	}
	shut(t, d)
	shut(t, makeDirectory(t, path))
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the dictionary was not put back: %v", err)
	}
}

// The first key source is kept to: another, or none, is refused, and nothing is
// changed.
func TestKeySourceOfArchive(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d := makeDirectory(t, path)
	if err := d.unlock(t.Context(), masterKey(t, 1), nil, false); err != nil || d.ledgerOptions(0).Keys != nil {
		t.Errorf("a reader of an archive that is not encrypted: %v", err)
	}
	if err := d.unlock(t.Context(), masterKey(t, 1), nil, true); err != nil {
		t.Fatal(err)
	}
	if o := d.ledgerOptions(1); o.Keys == nil || o.Keys.Partition != 1 || len(o.Others) != 1 || o.Others[0].Partition != 0 {
		t.Errorf("keys of partition 1: %+v", o)
	}
	shut(t, d)
	before, err := os.ReadFile(filepath.Join(path, identityFile))
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		w    keys.Wrapper
		want mail.Kind
	}{"none": {nil, mail.Invalid}, "another": {masterKey(t, 2), mail.Denied}} {
		for _, owner := range []bool{true, false} {
			d := makeDirectory(t, path)
			if err := d.unlock(t.Context(), c.w, nil, owner); mail.KindOf(err) != c.want || mail.HintOf(err) == "" {
				t.Errorf("%s: %v", what, err)
			}
			shut(t, d)
		}
	}
	if after, err := os.ReadFile(filepath.Join(path, identityFile)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the refusal changed the identity: %v", err)
	}
	d = makeDirectory(t, path)
	if err := d.unlock(t.Context(), masterKey(t, 1), nil, false); err != nil || d.ledgerOptions(0).Keys == nil {
		t.Errorf("the same key: %v", err)
	}
	shut(t, d)
}

func makeDirectory(t *testing.T, path string) *directory {
	t.Helper()
	d, err := createDirectory(t.Context(), path, 2)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func shut(t *testing.T, d *directory) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func errOf(d *directory, err error) error {
	if d != nil {
		_ = d.Close() // it should not be there
	}
	return err
}

// What is drained with a key source reads back with it, and only with it. With
// another, or none, nothing starts, and nothing is changed.
func TestEncryptedArchive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, other := filepath.Join(dir, "first.kek"), filepath.Join(dir, "other.kek")
	for _, f := range []string{first, other} {
		if err := keys.GenerateKEKFile(f); err != nil {
			t.Fatal(err)
		}
	}
	p := newPlant(t, 5, fmt.Sprintf("encryption: {key_file: %q}", first), "anna", "bert")
	p.drain(t)
	c := p.open(t)
	if hits := pages(t, c, "everywhere", 10); len(hits) != 10 {
		t.Errorf("%d hits", len(hits))
	}
	closeOK(t, c)
	before := snapshot(t, p.config.Archive.Dir)
	for name, b := range before {
		if strings.HasPrefix(name, "ledger/") && (bytes.Contains(b, []byte("wordanna")) || bytes.Contains(b, []byte("mailbox"))) {
			t.Errorf("%s holds mail in the clear", name)
		}
	}
	for what, file := range map[string]string{"none": "", "another": other} {
		p.config.Encryption.KeyFile = file
		if a, err := New(t.Context(), p.config, nil, console(t)); mail.HintOf(err) == "" {
			t.Errorf("%s: New: %v, %v", what, a, err)
		}
		if err := Reindex(t.Context(), p.config, console(t)); mail.HintOf(err) == "" {
			t.Errorf("%s: Reindex: %v", what, err)
		}
	}
	if diff := cmp.Diff(before, snapshot(t, p.config.Archive.Dir)); diff != "" {
		t.Errorf("the refusals changed the archive: %.500s", diff)
	}
	p.config.Encryption.KeyFile = ""
	r, err := Verify(t.Context(), p.config, VerifyOptions{Level: LevelBodies}, console(t))
	if err != nil || len(r.Findings) > 0 {
		t.Errorf("verify of the bodies without the key: %v, %+v", err, r.Findings)
	}
	p.config.Encryption.KeyFile = first
	r, err = Verify(t.Context(), p.config, VerifyOptions{}, console(t))
	if err != nil || len(r.Findings) > 0 {
		t.Errorf("verify: %v, %+v", err, r.Findings)
	}
	if err := Reindex(t.Context(), p.config, console(t)); err != nil {
		t.Error(err)
	}
}

// snapshot returns the files of the archive that last.
func snapshot(t *testing.T, path string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	root := os.DirFS(path)
	for _, dir := range []string{"ledger", "keys", "dict", "tlog"} {
		err := fs.WalkDir(root, dir, func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			files[name], err = fs.ReadFile(root, name)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}
