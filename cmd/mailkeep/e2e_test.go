package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/ledger/dictionary"
)

// The tests in the e2e files run the program as its users do: as a process,
// against Dovecot, with curl as the independent judge of what the server held.

// readerOptions are those to read the ledger of an archive with.
func readerOptions(t testing.TB, archive string) ledger.Options {
	t.Helper()
	d, err := ledger.NewDictionary(dictionary.Mail())
	if err != nil {
		t.Fatal(err)
	}
	return ledger.Options{Archive: uuid(t, archive), Dictionaries: []*ledger.Dictionary{d}}
}

// A site is a directory with a configuration and an archive.
type site struct {
	t      testing.TB
	dir    string
	config string
}

// newSite configures the mailboxes of d, the first half with TLS and the rest
// with STLS.
func newSite(t testing.TB, d *lab.Dovecot, mailboxes []string, more string) *site {
	t.Helper()
	s := emptySite(t)
	var b strings.Builder
	fmt.Fprintf(&b, "hosts:\n  pop3s: {address: %s, ca_file: %q, logins_per_minute: 60000}\n  stls: {address: %s, security: stls, ca_file: %q, logins_per_minute: 60000}\n%s\nmailboxes:\n",
		d.POP3S, d.CAFile, d.POP3, d.CAFile, more)
	for i, m := range mailboxes {
		host := "pop3s"
		if i >= (len(mailboxes)+1)/2 {
			host = "stls"
		}
		fmt.Fprintf(&b, "  - {name: %s, host: %s, password_file: %q}\n", m, host, s.password())
	}
	s.configure(b.String())
	return s
}

// emptySite is a site that knows the lab's password and no mailboxes.
func emptySite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	s.config = filepath.Join(s.dir, "mailkeep.yaml")
	if err := os.WriteFile(s.password(), []byte(lab.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// configure writes the configuration; the archive's directory is the site's.
func (s *site) configure(yaml string) {
	s.t.Helper()
	yaml = fmt.Sprintf("archive: {dir: %q}\n%s", s.archive(), yaml)
	if err := os.WriteFile(s.config, []byte(yaml), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) password() string { return filepath.Join(s.dir, "password") }

func (s *site) archive() string { return filepath.Join(s.dir, "archive") }

// command prepares a process of this test binary that behaves as mailkeep.
func (s *site) command(args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(exe, append(args, "--config", s.config)...)
	cmd.Args[0] = "mailkeep" // what testscript.Main goes by
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAILKEEP_") })
	if _, test := s.t.(*testing.T); test {
		cmd.Env = append(cmd.Env, "MAILKEEP_LOG_LEVEL=debug") // for the search of all output, see tests
	}
	return cmd
}

// run runs a command to its end and returns its output; it must exit with the
// status.
func (s *site) run(status int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	cmd := s.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if e, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		s.t.Fatal(err)
	} else if got := cmd.ProcessState.ExitCode(); got != status {
		s.t.Fatalf("mailkeep %s: status %d, want %d: %v\n%s\n%s", strings.Join(args, " "), got, status, e, tail(out.String()), tail(errs.String()))
	}
	return out.String(), errs.String()
}

func tail(s string) string {
	if len(s) > 4000 {
		return "..." + s[len(s)-4000:]
	}
	return s
}

// search returns the answer to a query.
func (s *site) search(query string, limit int) mail.SearchAnswer {
	s.t.Helper()
	out, _ := s.run(0, "search", "--json", "--limit", fmt.Sprint(limit), query)
	var a mail.SearchAnswer
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		s.t.Fatalf("search --json: %v\n%s", err, tail(out))
	}
	return a
}

// sealed reads the whole archive and returns, per mailbox, how often each
// message is in it: its digest, computed here from the bytes, and the number of
// message records and references that add a copy.
func (s *site) sealed() map[string]map[[32]byte]int {
	s.t.Helper()
	got := map[string]map[[32]byte]int{}
	for rec, raw := range s.archived() {
		h := sha256.New()
		if _, err := io.Copy(h, raw); err != nil {
			s.t.Fatal(err)
		}
		if got[rec.Delivery.Mailbox] == nil {
			got[rec.Delivery.Mailbox] = map[[32]byte]int{}
		}
		got[rec.Delivery.Mailbox][[32]byte(h.Sum(nil))]++
	}
	return got
}

// archived yields each message of the archive with its bytes, which are to be
// read before the next one.
func (s *site) archived() iter.Seq2[mail.Record, io.Reader] {
	return func(yield func(mail.Record, io.Reader) bool) {
		s.t.Helper()
		r, closeAll := s.openLedger()
		defer closeAll()
		ctx := context.Background()
		for rec, err := range r.Records(ctx, 0) {
			if err != nil {
				s.t.Fatal(err)
			}
			if !rec.Searchable() {
				continue
			}
			raw, err := r.Raw(ctx, rec.ID)
			if err != nil {
				s.t.Fatal(err)
			}
			more := yield(rec, io.NewSectionReader(raw, 0, raw.Size()))
			raw.Close()
			if !more {
				return
			}
		}
	}
}

// openLedger opens the ledger of the archive for reading.
func (s *site) openLedger() (r *ledger.Reader, closeAll func()) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.archive(), "ARCHIVE"))
	if err != nil {
		s.t.Fatal(err)
	}
	var id struct{ Archive string }
	if err := json.Unmarshal(b, &id); err != nil {
		s.t.Fatal(err)
	}
	files, err := durable.OpenDir(filepath.Join(s.archive(), "ledger", "0000"))
	if err != nil {
		s.t.Fatal(err)
	}
	r, err = ledger.OpenReader(files, readerOptions(s.t, id.Archive))
	if err != nil {
		files.Close()
		s.t.Fatal(err)
	}
	return r, func() {
		r.Close()
		files.Close()
	}
}

func uuid(t testing.TB, s string) (u [16]byte) {
	t.Helper()
	if n, err := hex.Decode(u[:], []byte(strings.ReplaceAll(s, "-", ""))); err != nil || n != len(u) {
		t.Fatalf("archive uuid %q: %v", s, err)
	}
	return u
}

// judge compares the archive with what the server served: every message is
// there, byte for byte, once per mailbox, and nothing else is.
func (s *site) judge(want map[string]map[[32]byte]int) {
	s.t.Helper()
	got := s.sealed()
	for box, messages := range want {
		lost, twice := 0, 0
		for digest := range messages {
			switch n := got[box][digest]; {
			case n == 0:
				lost++
			case n > 1:
				twice++
			}
		}
		if lost > 0 || twice > 0 || len(got[box]) != len(messages) {
			s.t.Errorf("mailbox %s: %d messages served, %d in the archive, %d lost, %d archived twice", box, len(messages), len(got[box]), lost, twice)
		}
	}
}

// corpus returns the messages of the shared corpus, without a leading mbox
// line, as a mail server would store them. It must be there in CI.
func corpus(t testing.TB) [][]byte {
	t.Helper()
	root := filepath.Join("..", "..", "..", "shared", "corpus")
	var all [][]byte
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !isMessage(p) {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if bytes.HasPrefix(b, []byte("From ")) {
			_, b, _ = bytes.Cut(b, []byte("\n"))
		}
		all = append(all, b)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") == "" {
		t.Logf("no corpus in %s: testing with generated mail only", root)
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func isMessage(p string) bool {
	switch strings.ToLower(filepath.Ext(p)) {
	case ".eml", ".msg", ".txt", ".mail", ".email", "":
		return !strings.Contains(p, "LICENSE") && !strings.Contains(p, "documents")
	}
	return false
}

// await polls a condition until it holds; the deadline is for the broken case
// only.
func await(t testing.TB, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}
