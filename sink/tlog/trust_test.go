package tlog_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

func newKey(t *testing.T) *tlog.Key {
	t.Helper()
	k, err := tlog.NewKey(archive)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	k := newKey(t)
	if err := tlog.SaveKey(fsys, "key", k); err != nil {
		t.Fatal(err)
	}
	got, err := tlog.LoadKey(fsys, "key", archive)
	if err != nil || got.VKey(3) != k.VKey(3) || string(got.Secret()) != string(k.Secret()) {
		t.Errorf("%v", err)
	}
	if err := tlog.SaveKey(fsys, "key", newKey(t)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a key was replaced: %v", err)
	}
	if _, err := tlog.LoadKey(fsys, "key", strings.Replace(archive, "5", "6", 1)); mail.KindOf(err) != mail.Invalid {
		t.Errorf("the key of another archive: %v", err)
	}
	if err := fsys.Chmod("key", 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := tlog.LoadKey(fsys, "key", archive); mail.KindOf(err) != mail.Denied || mail.HintOf(err) == "" {
		t.Errorf("a key that others may read: %v", err)
	}
	for _, bad := range []string{"", "PRIVATE+KEY", string(k.Secret())[:60], strings.ToLower(string(k.Secret()))} {
		if _, err := tlog.ParseKey([]byte(bad), archive); mail.KindOf(err) != mail.Invalid || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Another key is not published over the one that is.
func TestKeyCannotBeSwapped(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	if _, err := tlog.LoadTrust(fsys, archive, 0); mail.KindOf(err) != mail.NotFound {
		t.Errorf("no key: %v", err)
	}
	if err := tlog.PublishKey(fsys, key(t), 2); err != nil {
		t.Fatal(err)
	}
	before := len(fsys.Ops())
	if err := tlog.PublishKey(fsys, newKey(t), 2); mail.KindOf(err) != mail.Denied || len(fsys.Ops()) != before {
		t.Errorf("swapped: %v", err)
	}
	if err := tlog.PublishKey(fsys, key(t), 2); err != nil || len(fsys.Ops()) != before {
		t.Errorf("again: %v", err)
	}
}

// A change of keys is followed from the first key, dies at any operation without
// harm, and makes checkpoints of the old key behind one of the new key a finding.
func TestKeyChange(t *testing.T) {
	t.Parallel()
	second := newKey(t)
	change := func(fsys durable.FS) error { return tlog.ChangeKey(fsys, key(t), second, 1, epoch) }
	fsys := durabletest.New()
	if err := tlog.PublishKey(fsys, key(t), 1); err != nil {
		t.Fatal(err)
	}
	from := len(fsys.Ops())
	if err := change(fsys); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, fsys, second)
	for k := from; k < len(fsys.Ops()); k++ {
		for _, persist := range []bool{false, true} {
			dying := durabletest.New()
			if err := tlog.PublishKey(dying, key(t), 1); err != nil {
				t.Fatal(err)
			}
			dying.StopAt(k, persist)
			if err := change(dying); !errors.Is(err, durabletest.ErrStopped) {
				t.Fatal(err)
			}
			after := dying.Crash(uint64(k), 0.5)
			if tlog.PublishKey(after, second, 1) == nil { // the change had come to be
				wantKeys(t, after, second)
				continue
			}
			if err := tlog.PublishKey(after, key(t), 1); err != nil {
				t.Fatalf("stopped at %v: neither key is the archive's: %v", fsys.Ops()[k], err)
			}
			if err := change(after); err != nil {
				t.Fatal(err)
			}
			wantKeys(t, after, second)
		}
	}
	if err := tlog.ChangeKey(fsys, key(t), newKey(t), 1, epoch); mail.KindOf(err) != mail.Denied {
		t.Errorf("the old key vouches again: %v", err)
	}
	// Somebody who has neither key cannot vouch for his own.
	note, err := durable.ReadFile(fsys, "keychanges/0001")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(note), "\n")
	for what, forged := range map[string]string{
		"without the new key's signature": strings.Join(lines[:len(lines)-2], ""),
		"without the old key's signature": strings.Join(append(lines[:len(lines)-3:len(lines)-3], lines[len(lines)-2:]...), ""),
		"of another time":                 strings.Replace(string(note), "time 2026", "time 2016", 1),
	} {
		if err := durable.WriteFile(fsys, "keychanges/0001", []byte(forged)); err != nil {
			t.Fatal(err)
		}
		if _, err := tlog.LoadTrust(fsys, archive, 0); mail.KindOf(err) != mail.Corrupt {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func wantKeys(t *testing.T, fsys durable.FS, second *tlog.Key) {
	t.Helper()
	tr, err := tlog.LoadTrust(fsys, archive, 0)
	if err != nil {
		t.Fatal(err)
	}
	if tr.Current() != second.VKey(0) {
		t.Errorf("current key %s", tr.Current())
	}
}

// A log goes on under a new key, and verifiers follow it; the old key, stolen
// later, signs nothing that they take.
func TestLogChangesItsKey(t *testing.T) {
	t.Parallel()
	fsys, _ := golden(t)
	second := newKey(t)
	if err := tlog.ChangeKey(fsys, key(t), second, 1, epoch); err != nil {
		t.Fatal(err)
	}
	both, err := tlog.LoadTrust(fsys, archive, 0)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(k *tlog.Key) {
		t.Helper()
		r, err := startWith(t, fsys, 8<<10, k, both)
		if err != nil {
			t.Fatal(err)
		}
		r.n += 50
		r.grow(t, 5)
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
	}
	sign(second)
	if _, found := checkWith(t, fsys, both); len(found) > 0 {
		t.Errorf("found %q", found)
	}
	dir := onDisk(t, fsys)
	for _, k := range []string{key(t).VKey(0), second.VKey(0)} {
		if status, out := verifyPy(t, "archive", dir, "--vkey", k); status != 0 {
			t.Errorf("verify.py: %d\n%s", status, out)
		}
	}
	if status, _ := verifyPy(t, "archive", dir, "--vkey", newKey(t).VKey(0)); status != 1 {
		t.Errorf("verify.py with another key: %d", status)
	}
	sign(key(t)) // by a thief
	if _, found := checkWith(t, fsys, both); len(found) != 1 || !strings.Contains(found[0], "changed before") {
		t.Errorf("the old key signed: found %q", found)
	}
	if status, out := verifyPy(t, "archive", onDisk(t, fsys), "--vkey", second.VKey(0)); status != 1 || !strings.Contains(out, "changed before") {
		t.Errorf("the old key signed: verify.py: %d\n%s", status, out)
	}
}
