package app

import (
	"bytes"
	"testing"

	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// Rows of the test plan that are about what the archive makes of mail that comes
// again: the whole product, from a scripted server to the ledger's files.

// again drains with a first session whose deletions the server loses, changes the
// mailbox, and drains the rest: each message is in the archive once (O4).
func again(t *testing.T, first, later pop3test.Hooks, change func(k *victim)) {
	t.Helper()
	t.Parallel()
	k := newVictim(t, &vault{dir: t.TempDir()}, t.Name(), "plain")
	k.hooks(first)
	k.run("")
	if n := len(k.box.Left()); n != len(k.originals) {
		t.Fatalf("%d messages are left of %d", n, len(k.originals))
	}
	if n := len(k.vault.sealed(t, k.mailbox)); n != len(k.originals) {
		t.Fatalf("%d messages are sealed of %d", n, len(k.originals))
	}
	change(k)
	k.after = later
	k.settle()
	verifyClean(t, k.config())
}

func TestRow34NoUidlTwice(t *testing.T) {
	again(t, pop3test.Hooks{NoUIDL: true, Quit: pop3test.QuitDropBefore}, pop3test.Hooks{NoUIDL: true}, func(*victim) {})
}

func TestRow38AllUidlsChange(t *testing.T) {
	again(t, pop3test.Hooks{Quit: pop3test.QuitDropBefore}, pop3test.Hooks{}, func(k *victim) {
		k.box.Rename(func(uidl string) string { return "new-" + uidl })
	})
}

// TestRow39UidlReused: another message of the same size has the unique-id of one
// that is sealed. Its header tells.
func TestRow39UidlReused(t *testing.T) {
	again(t, pop3test.Hooks{Quit: pop3test.QuitDropBefore}, pop3test.Hooks{}, func(k *victim) {
		old := k.box.Take(func(m pop3test.Message) bool { return m.UIDL == "u3" })[0]
		raw := bytes.Replace(old.Raw, []byte("Subject: three"), []byte("Subject: tree3"), 1)
		k.box.Add(pop3test.Message{UIDL: "u3", Raw: raw})
		k.originals = append(k.originals, raw)
	})
}
