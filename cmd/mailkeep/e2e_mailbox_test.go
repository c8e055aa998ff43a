package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/internal/bus/bustest"
	"github.com/mailkeep/mailkeep/internal/lab"
)

// decode reads the JSON that a command printed.
func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, tail(text))
	}
	return v
}

func deliver(t *testing.T, d *lab.Dovecot, box string, n int) {
	for i := range n {
		d.Deliver(t, box, fmt.Appendf(nil, "From: a@example.org\r\nSubject: %d\r\n\r\nmessage %d of %s\r\n", i, i, box))
	}
}

// TestMailboxCommands goes through a mailbox's life as its operator does: before
// the first start, after a drain, beside a running process, with a wrong password
// and after it was mended.
func TestMailboxCommands(t *testing.T) {
	d := lab.StartDovecot(t, "anna", "bela")
	deliver(t, d, "anna", 3)
	s := newSite(t, d, []string{"anna", "bela"}, "")

	if out, _ := s.run(0, "mailbox", "list"); strings.Count(out, "unknown") != 2 {
		t.Errorf("before the first start: %s", out)
	}
	s.run(6, "mailbox", "history", "anna") // there is no archive
	s.run(6, "mailbox", "reset", "anna")
	out, _ := s.run(0, "mailbox", "test", "anna", "bela", "--json")
	looks := decode[[]app.ProbeReport](t, out)
	for i, left := range []int{3, 0} {
		r := looks[i]
		if r.Login == nil || r.Login.Messages != left || r.Forecast == nil || r.Forecast.Fetch != left || r.Quit != "acked" {
			t.Errorf("%+v", r)
		}
		if c := r.Connection; !strings.HasPrefix(c.TLS, "TLS 1.3 ") || time.Until(c.CertExpiry) < time.Hour || len(c.Capabilities) < 4 {
			t.Errorf("connection %+v", c)
		}
	}
	if looks[0].Security != "tls" || looks[1].Security != "stls" {
		t.Errorf("security %s and %s", looks[0].Security, looks[1].Security)
	}
	if _, err := os.Stat(s.archive()); err == nil || d.Count(t, "anna") != 3 {
		t.Error("a test made an archive, or deleted something")
	}

	s.run(0, "drain", "anna")
	deliver(t, d, "anna", 1)
	s.run(0, "drain", "anna")
	out, _ = s.run(0, "mailbox", "history", "anna", "--messages", "--json")
	if h := decode[app.History](t, out); len(h.Sessions) != 2 || h.Sessions[0].Fetched != 1 || len(h.Sessions[1].Rows) != 3 || h.Sessions[1].Rows[0].ID == nil {
		t.Errorf("history %+v", h)
	}
	if out, _ := s.run(0, "mailbox", "history", "bela"); !strings.Contains(out, "no session") {
		t.Errorf("a mailbox without a session: %s", out)
	}
	for status, args := range map[int][][]string{
		2: {{"mailbox", "test"}, {"mailbox", "history"}, {"mailbox", "history", "anna", "--limit", "0"}, {"mailbox", "list", "anna"}, {"mailbox", "forget", "anna"}},
		6: {{"mailbox", "test", "nobody"}, {"mailbox", "history", "nobody"}, {"mailbox", "reset", "anna", "nobody"}},
	} {
		for _, a := range args {
			if _, errs := s.run(status, a...); !strings.Contains(errs, "mailkeep: hint: ") {
				t.Errorf("%v gives no hint: %s", a, errs)
			}
		}
	}
	besideARun(t, s, d)
}

// besideARun repeats the questions while a process runs.
func besideARun(t *testing.T, s *site, d *lab.Dovecot) {
	showLogs(t, s.dir)
	p := &mortal{t: t, start: func() *exec.Cmd { return logTo(t, s.command("run"), filepath.Join(s.dir, "run.log")) }}
	p.spawn()
	// Whoever asks before the process answers opens the archive himself, and would
	// keep the process from starting.
	await(t, "the process has started", 20*time.Second, func() bool {
		b, _ := os.ReadFile(filepath.Join(s.dir, "run.log"))
		return strings.Contains(string(b), "msg=started")
	})
	await(t, "the process has polled both", 20*time.Second, func() bool {
		out, _ := s.run(0, "mailbox", "list", "--json")
		ok := 0
		for _, m := range decode[[]listedMailbox](t, out) {
			if m.State == "ok" && m.Problem == "" {
				ok++
			}
		}
		return ok == 2
	})
	deliver(t, d, "bela", 2)
	if out, _ := s.run(0, "mailbox", "test", "bela"); !strings.Contains(out, "fetch 2 ") || !strings.Contains(out, "ended         by QUIT") {
		t.Errorf("beside a running process: %s", out)
	}
	if err := os.WriteFile(s.password(), []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if out, _ := s.run(1, "mailbox", "test", "bela"); !strings.Contains(out, "FAILED        credentials") || !strings.Contains(out, "check the user and the secret") {
			t.Errorf("a wrong password: %s", out)
		}
	}
	if out, _ := s.run(1, "mailbox", "test", "bela"); strings.Contains(out, "connection") {
		t.Errorf("the breaker is not open: %s", out)
	}
	if err := os.WriteFile(s.password(), []byte(lab.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _ := s.run(0, "mailbox", "reset", "bela"); !strings.Contains(out, "polled now") {
		t.Errorf("reset: %s", out)
	}
	await(t, "the mailbox is drained after the reset", 20*time.Second, func() bool { return d.Count(t, "bela") == 0 })
	p.terminate()
	if out, _ := s.run(0, "mailbox", "history", "bela", "--limit", "1"); !strings.Contains(out, "acked") {
		t.Errorf("history: %s", out)
	}
}

// TestMailboxTestExplains: the usual mistakes are told with what to do.
func TestMailboxTestExplains(t *testing.T) {
	d := lab.StartDovecot(t, "anna")
	s := emptySite(t)
	for name, tc := range map[string]struct{ mailbox, want string }{
		"TLS on the plain port": {fmt.Sprintf("host: %q, ca_file: %q", d.POP3, d.CAFile), "is the port meant for stls or plain?"},
		"unknown authority":     {fmt.Sprintf("host: %q", d.POP3S), "the authority that is trusted"},
		"nobody listens":        {`host: "127.0.0.1:1", security: plain, allow_plain: true`, "check host and port"},
		"unknown host":          {`host: "pop.invalid"`, "check host and port"},
		"unknown user":          {fmt.Sprintf("host: %q, ca_file: %q, user: nobody", d.POP3S, d.CAFile), "check the user and the secret"},
	} {
		s.configure(fmt.Sprintf("mailboxes:\n  - {name: anna, password_file: %q, %s}\n", s.password(), tc.mailbox))
		if out, _ := s.run(1, "mailbox", "test", "anna"); !strings.Contains(out, tc.want) || !strings.Contains(out, "without QUIT") {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// TestMailboxCommandsOverNATS: with roles in processes of their own, leases and
// breakers are those of all of them.
func TestMailboxCommandsOverNATS(t *testing.T) {
	d := lab.StartDovecot(t, "anna", "bela")
	queue := bustest.SpawnServer(t)
	s := newSite(t, d, []string{"anna", "bela"}, fmt.Sprintf("poll: {interval: 1s}\nhttp: {listen: \"127.0.0.1:0\"}\nnats: {url: %q, lease: 5s}\n", queue.URL))
	showLogs(t, s.dir)
	for _, role := range []string{"archive,index", "poller"} {
		p := &mortal{t: t, start: func() *exec.Cmd {
			return logTo(t, s.command("run", "--role", role), filepath.Join(s.dir, role+".log"))
		}}
		p.spawn()
		defer p.terminate()
	}
	deliver(t, d, "anna", 2)
	await(t, "the mailbox is drained", 20*time.Second, func() bool { return d.Count(t, "anna") == 0 })
	await(t, "the history is there", 10*time.Second, func() bool {
		out, _ := s.run(0, "mailbox", "history", "anna", "--json")
		h := decode[app.History](t, out)
		return len(h.Sessions) > 0
	})
	await(t, "a test finds the mailbox free", 20*time.Second, func() bool {
		out, err := s.command("mailbox", "test", "anna").CombinedOutput()
		return err == nil && strings.Contains(string(out), "nothing was fetched")
	})
	await(t, "the reset finds the mailbox free", 20*time.Second, func() bool {
		return s.command("mailbox", "reset", "anna").Run() == nil
	})
	out, _ := s.run(0, "mailbox", "list", "--json")
	if list := decode[[]listedMailbox](t, out); len(list) != 2 || list[0].State == "unknown" {
		t.Errorf("%+v", list)
	}
}
