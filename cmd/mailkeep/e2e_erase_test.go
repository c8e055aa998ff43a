package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// servedSite is a site whose mailboxes have messages with the subjects.
func servedSite(t *testing.T, more string, boxes map[string][]string) *site {
	t.Helper()
	server := &pop3test.Server{Mailboxes: map[string]*pop3test.Mailbox{}}
	var list strings.Builder
	s := emptySite(t)
	for box, subjects := range boxes {
		m := &pop3test.Mailbox{Password: lab.Password}
		for i, subject := range subjects {
			m.Messages = append(m.Messages, pop3test.Message{UIDL: fmt.Sprint(box, i), Raw: fmt.Appendf(nil,
				"From: a@example.org\r\nSubject: %s\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\nAbout %s.\r\n", subject, subject)})
		}
		server.Mailboxes[box] = m
		fmt.Fprintf(&list, "  - {name: %s, host: pop, password_file: %q}\n", box, s.password())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l) }()
	t.Cleanup(func() { stop(); <-ended })
	s.configure(fmt.Sprintf("hosts:\n  pop: {address: %s, security: plain, allow_plain: true, logins_per_minute: 60000}\n%s\nmailboxes:\n%s", l.Addr(), more, list.String()))
	return s
}

// encryptedWith makes a file of keys for the site, and returns the section that names it.
func encryptedWith(t *testing.T, more string) string {
	t.Helper()
	keks := filepath.Join(t.TempDir(), "keks")
	status, _, stderr := execute(t, wire(), "keys", "generate", keks)
	if status != 0 {
		t.Fatal(stderr)
	}
	return fmt.Sprintf("encryption: {key_file: %q%s}\n", keks, more)
}

// only returns the id of the one message that a query finds.
func (s *site) only(query string) string {
	s.t.Helper()
	a := s.search(query, 10)
	if len(a.Hits) != 1 {
		s.t.Fatalf("%q finds %d messages", query, len(a.Hits))
	}
	return a.Hits[0].ID.String()
}

// refused runs a command that must be refused for the reason.
func (s *site) refused(status int, reason string, args ...string) {
	s.t.Helper()
	if _, stderr := s.run(status, args...); !strings.Contains(stderr, reason) {
		s.t.Errorf("mailkeep %s: %q does not say %q", strings.Join(args, " "), tail(stderr), reason)
	}
}

// gone checks that nothing leads to a message any more, and that the archive is
// sound and can prove that the record is there.
func (s *site) gone(id, query string) {
	s.t.Helper()
	if a := s.search(query, 10); a.Total != 0 {
		s.t.Errorf("%q finds %d messages that are erased", query, a.Total)
	}
	s.refused(6, "erased", "show", id)
	s.refused(6, "erased", "show", "--raw", id)
}

func (s *site) sound() {
	s.t.Helper()
	if r := unmarshal[app.VerifyReport](s, 0, "verify"); len(r.Findings) > 0 {
		s.t.Errorf("verify finds %+v", r.Findings)
	}
}

// TestHoldAndErase: what is held is not erased; what is not is gone from search,
// show and every file, while mailkeep runs and while it does not.
func TestHoldAndErase(t *testing.T) {
	t.Parallel()
	s := servedSite(t, encryptedWith(t, "")+"poll: {interval: 1h}\ntransparency: {checkpoint_interval: 1s}", map[string][]string{
		"anna": {"first", "apricot", "banana", "shared"}, "bert": {"second", "shared", "cherry", "damson"},
	})
	s.run(0, "drain", "--once")
	apricot, cherry, damson := s.only("subject:apricot"), s.only("subject:cherry"), s.only("subject:damson")
	s.refused(2, "--reason is missing", "erase", apricot)
	s.refused(2, "", "hold", "add", "M1", "--reason", "a slip in the query", "--query", "from:(a")
	s.refused(6, "has a mailbox", "hold", "add", "M1", "--reason", "r", "--mailbox", "brta")
	s.run(0, "hold", "add", "M1", "--reason", "Doe v. Roe", "--mailbox", "bert")
	s.run(0, "hold", "add", "M2", "--reason", "audit", "--query", "subject:apricot", "--id", s.only("subject:banana"))
	s.refused(1, "M1", "erase", cherry, "--reason", "r", "--yes")
	s.refused(1, "M2", "erase", apricot, "--reason", "r", "--yes")
	if out, _ := s.run(0, "hold", "list"); !strings.Contains(out, "holds mailboxes bert") || !strings.Contains(out, "holds 2 messages") || !strings.Contains(out, operator()) {
		t.Errorf("listed as %s", out)
	}

	// Without a process.
	s.run(0, "hold", "release", "M2", "--reason", "over")
	if out, _ := s.run(0, "erase", apricot, "--reason", "a request"); !strings.Contains(out, "would be erased: "+apricot) {
		t.Errorf("told as %s", out)
	}
	if s.only("subject:apricot") != apricot {
		t.Error("it was erased without --yes")
	}
	done := unmarshal[mail.Erased](s, 0, "erase", apricot, "--reason", "a request", "--yes")
	if len(done.Records) != 1 || done.Keys != 1 || done.Unindexed {
		t.Errorf("erased %+v", done)
	}
	s.gone(apricot, "subject:apricot")
	s.sound()

	// Beside one.
	m := &mortal{t: t, start: func() *exec.Cmd { return logTo(t, s.command("run"), filepath.Join(s.dir, "run.log")) }}
	m.spawn()
	await(t, "the process answers", 30*time.Second, func() bool { return unmarshal[app.StatusReport](s, 0, "status").Queue != nil })
	s.refused(1, "M1", "erase", damson, "--reason", "r", "--yes")
	s.refused(6, "no matter", "hold", "release", "M9", "--reason", "r")
	s.run(0, "hold", "release", "M1", "--reason", "settled")
	if out, _ := s.run(0, "hold", "list"); !strings.Contains(out, "nothing is held") {
		t.Errorf("listed as %s", out)
	}
	done = unmarshal[mail.Erased](s, 0, "erase", damson, cherry, "--reason", "a request", "--yes")
	if len(done.Records) != 2 || done.Keys != 2 || done.Unindexed {
		t.Errorf("erased %+v", done)
	}
	s.gone(damson, "subject:damson")
	s.sound()
	await(t, "the erased record can be proven", 20*time.Second, func() bool {
		return s.command("proof", s.only("subject:banana"), "--out", filepath.Join(t.TempDir(), "p")).Run() == nil
	})
	m.kill()
	s.sound()
	s.run(0, "reindex")
	s.sound()
	s.gone(cherry, "subject:cherry")
	// The bytes that two mailboxes have go from both.
	shared := s.search("subject:shared", 10)
	if len(shared.Hits) != 2 {
		t.Fatalf("%d deliveries", len(shared.Hits))
	}
	first := shared.Hits[0].ID
	if shared.Hits[1].ID.Seq < first.Seq {
		first = shared.Hits[1].ID
	}
	done = unmarshal[mail.Erased](s, 0, "erase", first.String(), "--reason", "r", "--yes")
	if len(done.Records) != 2 {
		t.Errorf("erased %+v", done)
	}
	s.gone(first.String(), "subject:shared")
	s.sound()
}

// TestEraseRefused: where it would not be true.
func TestEraseRefused(t *testing.T) {
	t.Parallel()
	clear := servedSite(t, "", map[string][]string{"anna": {"apricot"}})
	clear.run(0, "drain", "--once")
	clear.refused(2, "not encrypted", "erase", clear.only("subject:apricot"), "--reason", "r", "--yes")
	clear.sound()

	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	escrowed := servedSite(t, encryptedWith(t, ", escrow_recipients: "+id.Recipient().String()), map[string][]string{"anna": {"apricot"}})
	escrowed.run(0, "drain", "--once")
	escrowed.refused(2, "in escrow", "erase", escrowed.only("subject:apricot"), "--reason", "r", "--yes")
	escrowed.sound()
}

// TestKeysLost: key files that were lost come back from escrow; so does an archive
// whose key source is lost; and keys move to another source.
func TestKeysLost(t *testing.T) {
	t.Parallel()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	recipient := ", escrow_recipients: " + id.Recipient().String()
	s := servedSite(t, encryptedWith(t, recipient), map[string][]string{"anna": {"apricot", "banana"}})
	s.run(0, "drain", "--once")
	identity, other := filepath.Join(s.dir, "officer"), filepath.Join(s.dir, "stranger")
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]*age.X25519Identity{identity: id, other: stranger} {
		if err := os.WriteFile(name, []byte(key.String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lose := func(pattern string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(s.archive(), "keys/0000", pattern))
		if err != nil || len(files) == 0 {
			t.Fatal("nothing to lose", err)
		}
		for _, f := range files {
			if err := os.Rename(f, filepath.Join(s.dir, filepath.Base(f))); err != nil {
				t.Fatal(err)
			}
		}
	}
	lose("*.keys")
	s.run(4, "verify") // no key file
	s.run(1, "keys", "restore", "--identity", other)
	out, _ := s.run(0, "keys", "restore", "--identity", identity)
	if !strings.Contains(out, "restored from escrow, 0 key files kept") {
		t.Errorf("told as %s", out)
	}
	s.sound()
	s.only("body:apricot")
	if out, _ = s.run(0, "keys", "restore", "--identity", identity); !strings.Contains(out, "0 key files restored") {
		t.Errorf("again: %s", out)
	}

	// The copies are elsewhere, and so is the source: a new one takes its place.
	lose("*.keys.age")
	s.reconfigure("encryption:", encryptedWith(t, recipient))
	s.refused(1, "does not open this archive", "verify")
	s.run(1, "keys", "restore", "--identity", identity, "--escrow", s.dir)
	s.run(0, "keys", "restore", "--identity", identity, "--escrow", s.dir, "--replace-source")
	s.sound()
	s.run(0, "drain", "--once")

	old := s.config
	s.config = filepath.Join(s.dir, "next.yaml")
	b, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.config, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s.reconfigure("encryption:", encryptedWith(t, recipient))
	next := s.config
	s.config = old
	s.run(0, "keys", "move", "--to", next)
	s.refused(1, "does not open this archive", "verify")
	s.config = next
	s.sound()
	s.only("subject:banana")
	s.run(0, "drain", "--once")
}

// reconfigure replaces the line of the configuration that begins so.
func (s *site) reconfigure(begins, line string) {
	s.t.Helper()
	b, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	lines := strings.SplitAfter(string(b), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, begins) {
			lines[i] = line
		}
	}
	if err := os.WriteFile(s.config, []byte(strings.Join(lines, "")), 0o600); err != nil {
		s.t.Fatal(err)
	}
}
