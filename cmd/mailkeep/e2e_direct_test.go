package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/internal/lab"
)

// directSite is a site whose archive is encrypted and in the buckets of a gateway.
func directSite(t *testing.T, boxes map[string][]string) *site {
	t.Helper()
	g := lab.StartGateway(t)
	dir := t.TempDir()
	access, secret := filepath.Join(dir, "access"), filepath.Join(dir, "secret")
	for name, text := range map[string]string{access: g.Access, secret: g.Secret} {
		if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(g.Buckets, "changes"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DIRECT_MASTER", base64.StdEncoding.EncodeToString([]byte(strings.Repeat("direct! ", 4))))
	return servedSite(t, fmt.Sprintf("poll: {interval: 1h}\nencryption: {key_env: DIRECT_MASTER}\ntransparency: {key_file: %q, checkpoint_interval: 1s}\n"+
		"store:\n  kind: s3\n  mode: direct\n  direct: {linger: 50ms}\n  worm: required\n"+
		"  s3: {endpoint: %q, region: us-east-1, bucket: mail, keys_bucket: changes, create_bucket: true, path_style: true, allow_plain: true, access_key_file: %q, secret_key_file: %q}\n",
		filepath.Join(dir, "checkpoint.key"), g.URL, access, secret), boxes)
}

// vanish takes the local directory away.
func (s *site) vanish() {
	s.t.Helper()
	if err := os.RemoveAll(s.archive()); err != nil {
		s.t.Fatal(err)
	}
}

// TestDirectVanishes kills processes at any moment, each time with all that they had
// on their disk: what was deleted on the server is in the store, once, and the next
// process finds it.
func TestDirectVanishes(t *testing.T) {
	var subjects []string
	for i := range 12 {
		subjects = append(subjects, fmt.Sprintf("letter%d", i))
	}
	s := directSite(t, map[string][]string{"anna": subjects, "bert": {"apricot"}})
	for i := range 5 {
		cmd := s.command("drain", "--once")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(150+120*i)*time.Millisecond, func() { cmd.Process.Kill() }) //nolint:errcheck // it may have ended
		_ = cmd.Wait()                                                                                    // it was killed, or came to its end
		timer.Stop()
		s.vanish()
	}
	s.run(0, "drain", "--once")
	s.vanish()

	m := &mortal{t: t, start: func() *exec.Cmd { return logTo(t, s.command("run"), filepath.Join(s.dir, "run.log")) }}
	m.spawn()
	await(t, "the process answers", 30*time.Second, func() bool { return unmarshal[app.StatusReport](s, 0, "status").Queue != nil })
	await(t, "the index has all", 30*time.Second, func() bool { return s.search("subject:letter11", 10).Total == 1 })
	s.run(0, "hold", "add", "M1", "--reason", "Doe v. Roe", "--mailbox", "bert")
	s.sound()
	m.kill()
	s.vanish()

	s.run(0, "drain", "--once")
	for _, subject := range append(subjects, "apricot") {
		s.only("subject:" + subject)
	}
	if r := unmarshal[app.VerifyReport](s, 0, "verify"); len(r.Findings) > 0 || r.Partitions[0].Messages != 13 {
		t.Errorf("verified %+v", r)
	}
	s.refused(2, "with store.mode: direct", "reindex")
	s.refused(2, "with store.mode: direct", "hold", "list")
	m.spawn()
	await(t, "the process answers", 30*time.Second, func() bool { return unmarshal[app.StatusReport](s, 0, "status").Queue != nil })
	if out, _ := s.run(0, "hold", "list"); !strings.Contains(out, "holds mailboxes bert") {
		t.Errorf("listed as %s", out)
	}
}
