package store_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/store"
)

// TestShelf: what is renamed is stored, is never replaced, and can be removed.
func TestShelf(t *testing.T) {
	for name, s := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			shelf, err := store.NewShelf(s, "backup")
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := shelf.Close(); err != nil {
					t.Error(err)
				}
			}()
			big := randomBytes(700_000)
			for name, b := range map[string][]byte{"BACKUP": []byte("identity"), "objects/one": big, "manifests/1": []byte("m")} {
				if err := durable.WriteFile(shelf, name, b); err != nil {
					t.Fatal(err)
				}
				if got, err := durable.ReadFile(shelf, name); err != nil || !bytes.Equal(got, b) {
					t.Errorf("%s reads as %d octets, %v", name, len(got), err)
				}
			}
			if info, err := shelf.Stat("objects/one"); err != nil || info.Size() != int64(len(big)) {
				t.Errorf("told as %v, %v", info, err)
			}
			if err := durable.WriteFile(shelf, "objects/one", big); err != nil {
				t.Errorf("the same octets again: %v", err)
			}
			wantKind(t, "other octets", durable.WriteFile(shelf, "objects/one", []byte("other")), mail.InUse)
			if err := shelf.Remove("objects/one.tmp"); err != nil { // what waits goes too
				t.Error(err)
			}
			var names []string
			for _, dir := range []string{".", "objects", "nothing"} {
				entries, err := shelf.ReadDir(dir)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					names = append(names, e.Name())
				}
			}
			if got := strings.Join(names, " "); got != "BACKUP manifests objects one" {
				t.Errorf("listed as %s", got)
			}
			if err := shelf.Remove("objects/one"); err != nil {
				t.Fatal(err)
			}
			for what, err := range map[string]error{"removed again": shelf.Remove("objects/one"), "renamed": shelf.Rename("x", "y")} {
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if _, err := shelf.Open("objects/one"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what was removed opens: %v", err)
			}
			lock, err := shelf.Lock("lock")
			if err != nil {
				t.Fatal(err)
			}
			_, err = shelf.Lock("lock")
			wantKind(t, "a second lock", err, mail.InUse)
			if !strings.Contains(err.Error(), "held by process") {
				t.Errorf("it does not say by whom: %v", err)
			}
			if err := lock.Close(); err != nil {
				t.Fatal(err)
			}
			if lock, err = shelf.Lock("lock"); err != nil || lock.Close() != nil {
				t.Errorf("it cannot be locked again: %v", err)
			}
		})
	}
}

// TestShelfKeepsItsLock: a bucket that lets nobody remove the lock is told as that.
func TestShelfKeepsItsLock(t *testing.T) {
	shelf, err := store.NewShelf(keepsAll{newDir(t, durabletest.New())}, "backup")
	if err != nil {
		t.Fatal(err)
	}
	lock, err := shelf.Lock("lock")
	if err != nil {
		t.Fatal(err)
	}
	err = lock.Close()
	wantKind(t, "the lock", err, mail.Denied)
	if hint := mail.HintOf(err); !strings.Contains(hint, "backup/lock/") {
		t.Errorf("the hint is %q", hint)
	}
	if err := shelf.Close(); err != nil {
		t.Error(err)
	}
}

type keepsAll struct{ store.Store }

func (keepsAll) DeleteVersion(context.Context, store.Ref) error {
	return mail.Errorf(mail.Denied, "it is retained")
}
