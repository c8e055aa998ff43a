package keys_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

func TestKEKFileOnDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keks")
	if _, err := keys.OpenKEKFile(path); mail.KindOf(err) != mail.NotFound || mail.HintOf(err) == "" {
		t.Errorf("no file: %v", err)
	}
	if _, err := keys.OpenKEKFile(filepath.Join(path, "x")); mail.KindOf(err) != mail.NotFound {
		t.Errorf("no directory: %v", err)
	}
	if err := keys.GenerateKEKFile(path); err != nil {
		t.Fatal(err)
	}
	if err := keys.GenerateKEKFile(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second time: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	f, err := keys.OpenKEKFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newEpoch(t, f, group, 0)
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := f.NewEpoch(t.Context(), group, 0); mail.KindOf(err) != mail.Denied || !strings.Contains(mail.HintOf(err), "chmod 600") {
			t.Errorf("mode %#o: %v", mode, err)
		}
		if _, err := keys.OpenKEKFile(path); mail.KindOf(err) != mail.Denied {
			t.Errorf("mode %#o: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	newEpoch(t, f, group, 0)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := keys.OpenKEKFile(filepath.Dir(path)); mail.KindOf(err) != mail.Invalid && mail.KindOf(err) != mail.Denied {
		t.Errorf("a directory: %v", err)
	}
}

// TestKEKFileFaults: each mistake is found by its line, and no message quotes a
// secret.
func TestKEKFileFaults(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/keks")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	secret := strings.Fields(lines[3])[6]
	replace := func(old, new string) string { return strings.Replace(string(text), old, new, 1) }
	for what, tc := range map[string]struct {
		text string
		kind mail.Kind
	}{
		"empty":                {"", mail.Invalid},
		"another file":         {"-----BEGIN CERTIFICATE-----\n", mail.Invalid},
		"another version":      {replace("mailkeep-keks 1", "mailkeep-keks 2"), mail.Invalid},
		"cut":                  {strings.Join(lines[:len(lines)-2], ""), mail.Corrupt},
		"a line is missing":    {strings.Join(append(append([]string{}, lines[:3]...), lines[4:]...), ""), mail.Corrupt},
		"more behind":          {string(text) + "kek\n", mail.Corrupt},
		"two ends":             {string(text) + "end 4\n", mail.Corrupt},
		"an end without count": {replace("end 4", "end"), mail.Corrupt},
		"an unknown word":      {replace("gone", "lost"), mail.Corrupt},
		"a changed key":        {replace(secret, flipped(secret)), mail.Corrupt},
		"a short key":          {replace(secret, "AAAA"), mail.Corrupt},
		"class":                {replace("kek 0 ", "kek 65536 "), mail.Corrupt},
		"year":                 {replace("kek 3 2031", "kek 3 -1"), mail.Corrupt},
		"version 0":            {replace("kek 3 2031 2", "kek 3 2031 0"), mail.Corrupt},
		"time":                 {replace("2026-03-04T05:06:07Z", "yesterday"), mail.Corrupt},
		"fields":               {replace("kek 0 0 1 ", "kek 0 0 1"), mail.Corrupt},
		"twice":                {strings.Join(lines[:len(lines)-2], "") + lines[3] + "end 5\n", mail.Corrupt},
		"destroyed, and there": {replace("gone 3 2031 1", "gone 3 2031 2"), mail.Corrupt},
		"destroyed twice":      {strings.Join(lines[:len(lines)-2], "") + lines[2] + "end 5\n", mail.Corrupt},
	} {
		fsys := durabletest.New()
		if err := durable.WriteFile(fsys, "keks", []byte(tc.text)); err != nil {
			t.Fatal(err)
		}
		f := keys.NewKEKFile(fsys, "keks", nil)
		_, err := f.NewEpoch(t.Context(), group, 0)
		if mail.KindOf(err) != tc.kind || mail.HintOf(err) == "" {
			t.Errorf("%s: %v (%s)", what, err, mail.KindOf(err))
		}
		if err != nil && strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("%s: the message quotes a key", what)
		}
		if b, _ := durable.ReadFile(fsys, "keks"); string(b) != tc.text {
			t.Errorf("%s: the file was changed", what)
		}
	}
}

// flipped returns the base64 with one bit of the octets changed.
func flipped(text string) string {
	b, _ := base64.StdEncoding.DecodeString(text)
	b[7] ^= 1
	return base64.StdEncoding.EncodeToString(b)
}

// TestKEKFileTolerates: lines that end in CR LF, comments and empty lines
// are read.
func TestKEKFileTolerates(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/keks")
	if err != nil {
		t.Fatal(err)
	}
	again, err := keys.ReencodeKEKs(bytes.ReplaceAll(bytes.Replace(text, []byte("\n"), []byte("\n\n# mine\n"), 1), []byte("\n"), []byte("\r\n")))
	if err != nil || !bytes.Equal(again, text) {
		t.Errorf("%v\n%s", err, again)
	}
}

// TestKEKFileCrashes: whatever happens, no KEK that was handed out is lost, and
// none that was destroyed comes back.
func TestKEKFileCrashes(t *testing.T) {
	t.Parallel()
	start := newWorld(t, nil)
	work := func(w *world) error {
		f := w.w.(*keys.KEKFile)
		e, err := f.NewEpoch(t.Context(), group, 1)
		if err == nil {
			err = f.DestroyEpoch(t.Context(), keys.Epoch{Group: group, Version: e.Version - 1})
		}
		return err
	}
	everywhere(t, start, work, func(what string, died bool, after, _ *world) {
		there, old := keys.Epoch{Group: group, Version: 2}, keys.Epoch{Group: group, Version: 1}
		_, errOld := after.w.Wrap(t.Context(), old, nil, nil)
		_, errNew := after.w.Wrap(t.Context(), there, nil, nil)
		if errOld != nil && errNew != nil || !died && (errOld == nil || errNew != nil) {
			t.Fatalf("%s: %v, %v", what, errOld, errNew)
		}
		if err := work(after); err != nil {
			t.Fatalf("%s: again: %v", what, err)
		}
	})
}

// TestKEKFileReadOnly: existing epochs can be used where the file cannot be
// written; what would write says so.
func TestKEKFileReadOnly(t *testing.T) {
	t.Parallel()
	fsys := golden(t)
	f := keys.NewKEKFile(fsys, "keks", nil)
	fsys.Inject(func(durabletest.Op) durabletest.Outcome { return durabletest.Outcome{Err: syscall.EROFS} })
	if e, err := f.NewEpoch(t.Context(), group, 0); err != nil || e.Version != 2 {
		t.Errorf("%s, %v", e, err)
	}
	if _, err := f.NewEpoch(t.Context(), group, 2); mail.KindOf(err) != mail.Denied || mail.HintOf(err) == "" {
		t.Errorf("%v (%s)", err, mail.KindOf(err))
	}
	fsys.Inject(nil)
	fsys.SetCapacity(10)
	if _, err := f.NewEpoch(t.Context(), group, 2); mail.KindOf(err) != mail.NoSpace {
		t.Errorf("%v (%s)", err, mail.KindOf(err))
	}
	if _, err := f.NewEpoch(t.Context(), group, math.MaxUint32); mail.KindOf(err) != mail.Invalid {
		t.Errorf("%v (%s)", err, mail.KindOf(err))
	}
}

func TestMaster(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a passphrase that a person can remember", "AAAA", strings.Repeat("A", 44)} {
		if _, err := keys.NewMaster(text); mail.KindOf(err) != mail.Invalid || mail.HintOf(err) == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
	// Two processes with the same secret open each other's boxes.
	box, err := master(t, 5).Wrap(t.Context(), keys.Epoch{Group: group, Version: 4}, []byte("x"), []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := master(t, 5).Unwrap(t.Context(), keys.Epoch{Group: group, Version: 4}, box, []byte("a"))
	if d := cmp.Diff([]byte("x"), b); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	if _, err := master(t, 5).NewEpoch(t.Context(), group, math.MaxUint32); mail.KindOf(err) != mail.Invalid {
		t.Error(err)
	}
}

func FuzzKEKFile(f *testing.F) {
	text, err := os.ReadFile("testdata/keks")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("mailkeep-keks 1\nend 0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		once, err := keys.ReencodeKEKs(b)
		if err != nil {
			if k := mail.KindOf(err); k != mail.Corrupt && k != mail.Invalid {
				t.Fatal(err)
			}
			return
		}
		if twice, err := keys.ReencodeKEKs(once); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("what was written is read as something else: %v", err)
		}
	})
}
