package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/sink/backup"
)

// TestBackupInStore backs an encrypted archive up into a bucket, loses it, and
// restores it: without its keys that is refused, with those of the source, or from
// escrow, all is there.
func TestBackupInStore(t *testing.T) {
	t.Parallel()
	g := lab.StartGateway(t)
	if err := os.Mkdir(filepath.Join(g.Buckets, "second"), 0o700); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	access, secret, officer := filepath.Join(dir, "access"), filepath.Join(dir, "secret"), filepath.Join(dir, "officer")
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{access: g.Access, secret: g.Secret, officer: id.String()} {
		if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	encryption := encryptedWith(t, ", escrow_recipients: "+id.Recipient().String())
	s := servedSite(t, encryption+fmt.Sprintf("backup: {s3: {endpoint: %q, region: us-east-1, path_style: true, allow_plain: true, access_key_file: %q, secret_key_file: %q}}\n",
		g.URL, access, secret), map[string][]string{"anna": {"apricot", "banana"}})
	s.run(0, "drain", "--once")
	where := "s3://second/one"
	s.refused(2, "no place", "backup", "s3://second")
	if made := unmarshal[backup.Report](s, 0, "backup", where); made.Number != 1 || made.Copied == 0 {
		t.Errorf("made %+v", made)
	}
	s.run(0, "drain", "--once")
	made := unmarshal[backup.Report](s, 0, "backup", "--keep", "1", where)
	if made.Number != 2 || made.Copied == made.Files {
		t.Errorf("made %+v", made)
	}
	if r := unmarshal[backup.CheckReport](s, 0, "backup", "--check", where); r.Manifests != 1 || len(r.Findings) > 0 {
		t.Errorf("checked %+v", r)
	}

	// A segment is lost, and repaired from there.
	segment := filepath.Join(s.archive(), "ledger/0000/0000000000000000.seg")
	if err := os.Remove(segment); err != nil {
		t.Fatal(err)
	}
	s.run(4, "verify")
	s.run(0, "repair", "--from", where)
	s.sound()

	if err := os.RemoveAll(s.archive()); err != nil {
		t.Fatal(err)
	}
	s.reconfigure("encryption:", encryptedWith(t, ", escrow_recipients: "+id.Recipient().String()))
	// The wrong keys: the files are there, and nothing opens them.
	s.refused(1, "does not open this archive", "restore", where, "--to", s.archive())
	s.refused(1, "does not open this archive", "search", "apricot")
	s.run(0, "keys", "restore", "--identity", officer, "--replace-source")
	s.run(0, "reindex")
	s.only("body:apricot")
	if err := os.RemoveAll(s.archive()); err != nil {
		t.Fatal(err)
	}
	s.reconfigure("encryption:", encryption)
	if r := unmarshal[app.RestoreReport](s, 0, "restore", where, "--to", s.archive()); r.Backup != 2 {
		t.Errorf("restored %+v", r)
	}
	s.sound()
	s.only("body:banana")
}
