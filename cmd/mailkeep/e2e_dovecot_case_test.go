package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/internal/lab"
)

// The tests of this file are what Dovecot does at its worst: row S1.

// letters returns count plain messages of equal length.
func letters(count int, what string) [][]byte {
	all := make([][]byte, count)
	for n := range all {
		all[n] = fmt.Appendf(nil, "From: sender@example.org\nTo: lab@example.org\nSubject: %s %03d\nMessage-ID: <%s.%03d@example.org>\n\n%s\n",
			what, n, what, n, strings.Repeat(what+" is written here. ", 20))
	}
	return all
}

// onTheWire is the digest of a message that a server sends with CR LF for LF.
func onTheWire(raw []byte) [32]byte {
	return sha256.Sum256(bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n")))
}

// drainJSON drains the mailboxes once and returns the outcome of the first one.
func (s *site) drainJSON(status int) app.DrainedMailbox {
	s.t.Helper()
	out, errs := s.run(status, "drain", "--once", "--json")
	var r app.DrainResult
	if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Mailboxes) == 0 {
		s.t.Fatalf("drain --json: %v\n%s\n%s", err, tail(out), tail(errs))
	}
	s.t.Logf("%+v", r.Mailboxes[0])
	return r.Mailboxes[0]
}

// setPolicy changes what becomes of sealed mail on the server.
func (s *site) setPolicy(policy string) {
	s.t.Helper()
	b, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	yaml, _, _ := bytes.Cut(b, []byte("\npoll:"))
	if err := os.WriteFile(s.config, fmt.Appendf(yaml, "\npoll: {delete: %s}\n", policy), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// TestS1ReadOnlyMaildir: Dovecot answers QUIT with +OK and deletes nothing. The
// mail is sealed once, given up after three tries without being fetched again,
// and deleted when the administrator has mended the server and reset the
// mailbox.
func TestS1ReadOnlyMaildir(t *testing.T) {
	const box, count = "anna", 5
	d := lab.StartDovecot(t, box)
	d.Deliver(t, box, letters(count, "mail")...)
	served := lab.Fetch(t, d.POP3, box) // which moves it to cur, where it stays
	d.ReadOnly(t, box, true)
	s := plainSite(t, d, box, "")
	if r := s.drainJSON(0); r.Fetched != count {
		t.Errorf("the first round: %+v", r)
	}
	var last app.DrainedMailbox
	for range 5 {
		if last = s.drainJSON(0); last.Fetched != 0 {
			t.Errorf("fetched again: %+v", last)
		}
	}
	if last.Deleted != 0 || last.Held != count || d.Count(t, box) != count {
		t.Errorf("not given up: %+v, %d left", last, d.Count(t, box))
	}
	s.judge(map[string]map[[32]byte]int{box: digests(served)})
	d.ReadOnly(t, box, false)
	s.run(0, "mailbox", "reset", box)
	s.drainJSON(0)
	s.leaves(d, box, 0)
	s.judge(map[string]map[[32]byte]int{box: digests(served)})
}

// TestS1TruncatedOnDisk: Dovecot has the size of a file, which then loses its
// second half, and serves the rest with a proper end. It is kept as evidence and
// stays on the server, session after session; when the file is whole again it is
// archived and deleted.
func TestS1TruncatedOnDisk(t *testing.T) {
	const box = "anna"
	d := lab.StartDovecot(t, box)
	mail := letters(5, "mail")
	mail[2] = append(mail[2], bytes.Repeat([]byte("This line will be lost in part.\n"), 3000)...)
	d.Deliver(t, box, mail...)
	whole := lab.Fetch(t, d.POP3, box)
	mend := d.Truncate(t, box, 2, len(mail[2])/2)
	s := plainSite(t, d, box, "")
	for round := range 3 {
		r := s.drainJSON(0)
		if n := d.Count(t, box); n != 1 || r.Held != 1 {
			t.Fatalf("round %d: %d messages left, want the short one: %+v", round, n, r)
		}
	}
	if history, _ := s.run(0, "mailbox", "history", "--json", box); !strings.Contains(history, `"short"`) {
		t.Errorf("the history says nothing of a short message:\n%s", history)
	}
	short := lab.Fetch(t, d.POP3, box)
	want := digests(whole)
	delete(want, whole[2].Digest)
	want[short[0].Digest]++ // the evidence
	s.judge(map[string]map[[32]byte]int{box: want})
	mend()
	s.run(0, "mailbox", "reset", box)
	s.drainJSON(0)
	s.leaves(d, box, 0)
	want[whole[2].Digest]++
	s.judge(map[string]map[[32]byte]int{box: want})
	s.run(0, "verify")
}

// TestS1DotFirst: Dovecot does not stuff the first line of a message, so that
// one which begins with a line of a single dot looks empty, and its rest looks
// like answers. It must not keep the others from being drained.
func TestS1DotFirst(t *testing.T) {
	const box, count = "anna", 60
	d := lab.StartDovecot(t, box)
	mail := letters(count, "mail")
	poison := []byte(".\nSubject: poison\n\n+OK 5 octets\n")
	d.Deliver(t, box, mail[:20]...)
	d.Deliver(t, box, poison)
	d.Deliver(t, box, mail[20:]...)
	s := plainSite(t, d, box, "")
	rounds := 0
	for d.Count(t, box) > 1 && rounds < 30 {
		rounds++
		s.command("drain", "--once").Run() //nolint:errcheck // it tells of the poison
	}
	t.Logf("%d rounds", rounds)
	if left := d.Contents(t, box); len(left) != 1 || !bytes.Equal(left[0], poison) {
		t.Errorf("%d messages left after %d rounds, want the poison alone", len(left), rounds)
	}
	want := map[[32]byte]int{}
	for _, raw := range mail {
		want[onTheWire(raw)]++
	}
	s.judge(map[string]map[[32]byte]int{box: want})
}

// TestS1LockSession: a mailbox that another client holds is busy, which is
// nothing to hold against the password, and is drained when it is free.
func TestS1LockSession(t *testing.T) {
	t.Parallel() // it waits for eleven seconds
	const box = "anna"
	d := lab.StartDovecot(t, box)
	d.Restart(t, "protocol pop3 {\n  pop3_lock_session = yes\n}\n")
	d.Deliver(t, box, letters(5, "mail")...)
	release := lab.Hold(t, d.POP3, box)
	s := plainSite(t, d, box, "")
	if r := s.drainJSON(1); r.Outcome != "busy" {
		t.Errorf("while another client holds the mailbox: %+v", r)
	}
	release()
	s.drainJSON(0)
	s.leaves(d, box, 0)
}

// TestS1Listing lists a large mailbox and tells what that takes. MAILKEEP_LISTING
// is the number of its messages.
func TestS1Listing(t *testing.T) {
	const box = "anna"
	count := 5000
	if n, err := strconv.Atoi(os.Getenv("MAILKEEP_LISTING")); err == nil {
		count = n
	}
	d := lab.StartDovecot(t, box)
	d.Fill(t, box, count, []byte("From: a@example.org\nSubject: one of many\n\nx\n"))
	s := plainSite(t, d, box, "")
	m := measure(t, s.command("mailbox", "test", box), nil) // Dovecot makes its index
	again := measure(t, s.command("mailbox", "test", box), nil)
	t.Logf("%d messages: the first time %v, then %v; %v of processor time, %d MB resident", count, m.wall, again.wall, again.cpu, again.peak>>20)
	if most := int64(300 << 20); again.peak > most {
		t.Errorf("listing %d messages takes %d octets of memory", count, again.peak)
	}
}
