package keys_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// escrowPair returns an X25519 recipient and its identity.
func escrowPair(t testing.TB) (*keys.Recipients, *keys.Identities) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return recipientsOf(t, id.Recipient().String()), identitiesOf(t, "# a comment\n"+id.String()+"\n")
}

func recipientsOf(t testing.TB, texts ...string) *keys.Recipients {
	t.Helper()
	r, err := keys.ParseRecipients(texts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func identitiesOf(t testing.TB, text string) *keys.Identities {
	t.Helper()
	ids, err := keys.ParseIdentities([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// sshPair returns an SSH key pair as texts.
func sshPair(t *testing.T) (public, private string) {
	t.Helper()
	pub, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(secret, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(wrapped)), string(pem.EncodeToMemory(block))
}

// checkEscrow compares a copy in escrow with its tree.
func checkEscrow(t *testing.T, d *keys.Dir, first uint64, ids *keys.Identities, want *keys.Tree) {
	t.Helper()
	b, err := durable.ReadFile(d.FS, keys.EscrowName(first))
	if err != nil {
		t.Fatal(err)
	}
	got, s, _, err := keys.ReadEscrow(bytes.NewReader(b), ids)
	if err != nil || s.Partition != d.Partition || s.Archive != d.Archive {
		t.Fatalf("%+v, %v", s, err)
	}
	if !bytes.Equal(got.Encode(), want.Encode()) {
		t.Fatal("what is in escrow is something else")
	}
}

func TestEscrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	d := w.dirs[0]
	if _, err := d.WriteEscrow(t.Context()); mail.KindOf(err) != mail.Invalid {
		t.Errorf("without recipients: %v", err)
	}
	public, private := sshPair(t)
	x, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	d.Escrow = recipientsOf(t, x.Recipient().String(), strings.TrimSpace(public)+" officer@example.org")
	// Erased keys are not given away.
	w.gone[place{0, 500, 77}] = true
	if _, err := keys.Erase(t.Context(), w.dirs, []keys.Erasure{{0, 500, []uint32{77}}}); err != nil {
		t.Fatal(err)
	}
	if n, err := d.WriteEscrow(t.Context()); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	for _, ids := range []*keys.Identities{identitiesOf(t, x.String()), identitiesOf(t, private)} {
		lost := w.after(t, w.fsys.Crash(0, 1))
		d := lost.dirs[0]
		for _, first := range []uint64{0, 500, 900} {
			if err := d.RestoreEscrow(t.Context(), first, ids); !errors.Is(err, fs.ErrExist) {
				t.Fatalf("over a key file: %v", err)
			}
			if err := d.FS.Remove(keys.FileName(first)); err != nil {
				t.Fatal(err)
			}
			if err := d.RestoreEscrow(t.Context(), first, ids); err != nil {
				t.Fatal(err)
			}
		}
		lost.check(t, "restored", nil)
	}
	restoreRefuses(t, w, identitiesOf(t, x.String()))
}

func restoreRefuses(t *testing.T, w *world, ids *keys.Identities) {
	t.Helper()
	d := w.dirs[0]
	_, stranger := escrowPair(t)
	for _, name := range []string{keys.FileName(0), keys.FileName(500)} {
		if err := d.FS.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.RestoreEscrow(t.Context(), 0, stranger); mail.KindOf(err) != mail.Denied {
		t.Errorf("a stranger: %v", err)
	}
	if err := d.RestoreEscrow(t.Context(), 4711, ids); mail.KindOf(err) != mail.NotFound {
		t.Errorf("nothing in escrow: %v", err)
	}
	other := &keys.Dir{FS: d.FS, Archive: archive, Partition: 9, Wrapper: d.Wrapper}
	if err := other.RestoreEscrow(t.Context(), 0, ids); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("another partition: %v", err)
	}
	if err := w.fsys.Flip("0000/"+keys.EscrowName(500), 400, 0); err != nil {
		t.Fatal(err)
	}
	if err := d.RestoreEscrow(t.Context(), 500, ids); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("damaged: %v", err)
	}
	if _, err := d.FS.Stat(keys.FileName(0)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a refused copy was restored")
	}
}

func TestEscrowCrashes(t *testing.T) {
	t.Parallel()
	start := newWorld(t, nil)
	recipients, ids := escrowPair(t)
	give := func(w *world) error {
		w.dirs[1].Escrow = recipients
		_, err := w.dirs[1].WriteEscrow(t.Context())
		return err
	}
	everywhere(t, start, give, func(what string, _ bool, after, _ *world) {
		if err := give(after); err != nil {
			t.Fatalf("%s: again: %v", what, err)
		}
		after.check(t, what, nil)
		for _, s := range after.segs[3:] {
			checkEscrow(t, after.dirs[1], s.first, ids, keys.TreeOf(rootSecret(s.root)))
		}
	})
}

func TestRecipientsRefused(t *testing.T) {
	t.Parallel()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	good := id.Recipient().String()
	for what, texts := range map[string][]string{
		"empty": {good, ""}, "nonsense": {"age1nonsense"}, "a secret key": {id.String()}, "ssh": {"ssh-ed25519 AAAA"},
		"ssh of another kind": {"ssh-dss AAAAB3NzaC1kc3MAAACBAP"}, "two lines": {good + "\n" + good}, "plugin": {"age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t"},
		"a mixture": {good, hybrid.Recipient().String()},
	} {
		_, err := keys.ParseRecipients(texts)
		if mail.KindOf(err) != mail.Invalid || strings.Contains(err.Error(), "AGE-SECRET") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if r, err := keys.ParseRecipients(nil); r != nil || err != nil {
		t.Error("no recipients are not nothing")
	}
	recipientsOf(t, hybrid.Recipient().String())
	for _, text := range []string{"", "AGE-SECRET-KEY-1NONSENSE", "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n"} {
		if _, err := keys.ParseIdentities([]byte(text)); mail.KindOf(err) != mail.Invalid || strings.Contains(err.Error(), "NONSENSE") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
