package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/backup"
)

// deliverNumbered delivers messages with the numbers from to until-1 and returns
// their digests.
func deliverNumbered(t testing.TB, d *lab.Dovecot, box string, from, until int) map[[32]byte]int {
	t.Helper()
	all := map[[32]byte]int{}
	for n := from; n < until; n++ {
		raw := fmt.Appendf(nil, "From: a@example.org\r\nSubject: drill %d of %s\r\n\r\n%s\r\n", n, box, noise(n, 3000))
		d.Deliver(t, box, raw)
		all[sha256.Sum256(raw)]++
	}
	return all
}

// unmarshal runs a command with --json and decodes what it prints.
func unmarshal[T any](s *site, status int, args ...string) (out T) {
	s.t.Helper()
	text, _ := s.run(status, append(args, "--json")...)
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		s.t.Fatalf("mailkeep %v: %v\n%s", args, err, tail(text))
	}
	return out
}

// drill is a site with two mailboxes: anna's mail is deleted once it is sealed,
// bert's never is.
func drill(t *testing.T, d *lab.Dovecot) *site {
	t.Helper()
	s := newSite(t, d, []string{"anna"}, "poll: {interval: 1s}\ntransparency: {checkpoint_interval: 1s}")
	b, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), "archive: {", "archive: {segment_size: 1MiB, ", 1) +
		fmt.Sprintf("  - {name: bert, host: pop3s, password_file: %q, delete: never}\n", s.password())
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// signed is how many records the last checkpoint of the archive has.
func (s *site) signed() (size uint64) {
	b, err := os.ReadFile(filepath.Join(s.archive(), "tlog/0000/checkpoint"))
	if err != nil {
		return 0
	}
	fmt.Sscanf(strings.Split(string(b), "\n")[1], "%d", &size) //nolint:errcheck // 0 is told apart
	return size
}

// TestDrill is the drill of docs/operations.md: back up while mail is drained,
// lose the archive, restore it, and go on.
func TestDrill(t *testing.T) {
	d := lab.StartDovecot(t, "anna", "bert")
	s := drill(t, d)
	store := filepath.Join(s.dir, "backup")
	want := map[string]map[[32]byte]int{"anna": deliverNumbered(t, d, "anna", 0, 30), "bert": deliverNumbered(t, d, "bert", 0, 10)}
	m := &mortal{t: t, start: func() *exec.Cmd { return logTo(t, s.command("run"), filepath.Join(s.dir, "run.log")) }}
	m.spawn()
	await(t, "something is sealed", 30*time.Second, func() bool { return s.signed() > 0 })
	s.run(0, "backup", store) // in the middle of it
	await(t, "anna's mailbox is empty", 30*time.Second, func() bool { return d.Count(t, "anna") == 0 })
	await(t, "bert's mail is found", 30*time.Second, func() bool { return s.search("subject:bert", 1).Total == 10 })
	made := unmarshal[backup.Report](s, 0, "backup", store)
	if made.Number != 2 {
		t.Errorf("backup %d", made.Number)
	}

	// What comes now is in no backup. Anna's is deleted from the server.
	late := deliverNumbered(t, d, "anna", 30, 34)
	maps.Copy(want["bert"], deliverNumbered(t, d, "bert", 10, 13))
	await(t, "late mail is drained and signed", 30*time.Second, func() bool {
		return d.Count(t, "anna") == 0 && s.search("subject:bert", 1).Total == 13 && s.signed() > made.Ledgers[0].Records
	})
	outside := s.keepCheckpoint("outside")
	m.kill()
	if err := os.RemoveAll(s.archive()); err != nil {
		t.Fatal(err)
	}

	s.run(0, "backup", "--check", store)
	back := unmarshal[app.RestoreReport](s, 0, "restore", store, "--to", s.archive(), "--checkpoint", outside)
	part := back.Partitions[0]
	if part.Records != made.Ledgers[0].Records || part.Known <= part.Records || part.Missing != part.Known-part.Records || part.Last.IsZero() {
		t.Errorf("restored %+v from %+v", part, made.Ledgers)
	}
	if r := unmarshal[app.VerifyReport](s, 0, "verify"); len(r.Findings) > 0 {
		t.Errorf("the restored archive: %+v", r.Findings)
	}
	s.toldOf(back)
	// It is another history than the one that was signed, and says so to whoever
	// holds the checkpoint.
	s.run(4, "verify", "--level", "evidence", "--checkpoint", outside)

	m.spawn()
	maps.Copy(want["anna"], deliverNumbered(t, d, "anna", 34, 38))
	await(t, "draining goes on", 30*time.Second, func() bool {
		return d.Count(t, "anna") == 0 && s.search("subject:bert", 1).Total == 13
	})
	m.terminate()
	s.judge(want) // nothing that was backed up, or was on a server, is lost or twice
	for digest := range late {
		if s.sealed()["anna"][digest] > 0 {
			t.Error("a message that was lost is there: the test tests nothing")
		}
	}
	s.run(0, "verify")
	if again := unmarshal[backup.Report](s, 0, "backup", store); again.Number != 3 {
		t.Errorf("backup %d after the restoration", again.Number)
	}
}

// keepCheckpoint copies the published checkpoint to a place outside.
func (s *site) keepCheckpoint(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.archive(), "tlog/0000/checkpoint"))
	to := filepath.Join(s.dir, name)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return to
}

// toldOf expects the event of a restoration in the ledger.
func (s *site) toldOf(back app.RestoreReport) {
	s.t.Helper()
	r, closeAll := s.openLedger()
	defer closeAll()
	var told []mail.Restore
	for rec, err := range r.Records(s.t.Context(), 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		if rec.Event != nil && rec.Event.Restore != nil {
			told = append(told, *rec.Event.Restore)
		}
	}
	if len(told) != 1 || told[0].Backup != back.Backup || told[0].Records != back.Partitions[0].Records || told[0].Known != back.Partitions[0].Known {
		s.t.Errorf("events of the restoration: %+v", told)
	}
}

// TestBackupRefuses: directories that are something else, and damage, have their
// exit statuses.
func TestBackupRefuses(t *testing.T) {
	d := lab.StartDovecot(t, "anna", "bert")
	s := drill(t, d)
	deliverNumbered(t, d, "anna", 0, 5)
	s.run(0, "drain", "--once")
	store := filepath.Join(s.dir, "backup")
	s.run(2, "backup", filepath.Join(s.archive(), "inside"))
	s.run(2, "backup", s.dir) // which holds the archive
	s.run(6, "backup", "--check", s.dir)
	s.run(0, "backup", store)
	s.run(2, "restore", store, "--to", s.archive())
	s.run(2, "restore", store)
	s.run(6, "restore", store, "--to", filepath.Join(s.dir, "new"), "--number", "7")
	objects, err := filepath.Glob(filepath.Join(store, "objects", "*"))
	if err != nil || len(objects) == 0 {
		t.Fatal(objects, err)
	}
	if err := errors.Join(os.Chmod(objects[0], 0o600), os.Truncate(objects[0], 3)); err != nil {
		t.Fatal(err)
	}
	s.run(4, "backup", "--check", store)
	_, stderr := s.run(4, "restore", store, "--to", filepath.Join(s.dir, "new"))
	if !strings.Contains(stderr, "hint") {
		t.Error(stderr)
	}
}
