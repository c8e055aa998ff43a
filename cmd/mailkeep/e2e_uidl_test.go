package main

import (
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/lab"
)

// The tests of this file change the UIDLs under mail that is sealed and still on
// the server: rows 38 and 39, for row S7.

// sealAndKeep drains a mailbox without deleting.
func (s *site) sealAndKeep(want int) {
	s.t.Helper()
	s.setPolicy("never")
	if r := s.drainJSON(0); r.Fetched != want || r.Deleted != 0 {
		s.t.Fatalf("drained without deleting: %+v", r)
	}
	s.setPolicy("after-seal")
}

// TestS7UIDLFormat: an administrator changes the format of the UIDLs, so that
// all mail looks new.
func TestS7UIDLFormat(t *testing.T) {
	const box, count = "anna", 50
	d := lab.StartDovecot(t, box)
	d.Deliver(t, box, letters(count, "mail")...)
	served := lab.Fetch(t, d.POP3, box)
	s := plainSite(t, d, box, "")
	s.sealAndKeep(count)
	d.Restart(t, "protocol pop3 {\n  pop3_uidl_format = new-%v-%u\n}\n")
	d.Deliver(t, box, []byte("Subject: came later\n\nx\n"))
	s.run(0, "drain", "--once")
	s.leaves(d, box, 0)
	want := digests(served)
	want[onTheWire([]byte("Subject: came later\n\nx\n"))]++
	s.judge(map[string]map[[32]byte]int{box: want})
}

// TestS7MboxToMaildir: the mail of an mbox is moved to a Maildir between two
// sessions. Dovecot serves the same octets under other UIDLs.
func TestS7MboxToMaildir(t *testing.T) {
	const box, count = "anna", 50
	d := lab.StartDovecot(t, box)
	old := d.UseMbox(t)
	old.Deliver(t, box, letters(count, "mail")...)
	served := lab.Fetch(t, d.POP3, box)
	s := plainSite(t, d, box, "")
	s.sealAndKeep(count)
	d.Restart(t, "")
	d.Deliver(t, box, letters(count, "mail")...)
	if now := lab.Fetch(t, d.POP3, box); len(now) != count || now[7].Digest != served[7].Digest {
		t.Fatalf("the Maildir holds %d messages, or others than the mbox", len(now))
	}
	s.run(0, "drain", "--once")
	s.leaves(d, box, 0)
	s.judge(map[string]map[[32]byte]int{box: digests(served)})
}

// TestS7UIDLReused: UIDLs are bare numbers, the mailbox is made anew, and other
// mail of the same size gets the numbers of mail that is sealed. All of it is
// archived; that nothing is as it was opens the breaker on the blast radius, and
// an operator has to agree before it is deleted.
func TestS7UIDLReused(t *testing.T) {
	const box, count = "anna", 20
	d := lab.StartDovecot(t, box)
	d.Restart(t, "protocol pop3 {\n  pop3_uidl_format = %u\n}\n")
	d.Deliver(t, box, letters(count, "mail")...)
	want := digests(lab.Fetch(t, d.POP3, box))
	s := plainSite(t, d, box, "")
	s.sealAndKeep(count)
	d.Renew(t, box)
	d.Deliver(t, box, letters(count, "news")...)
	served := lab.Fetch(t, d.POP3, box)
	for _, m := range served {
		want[m.Digest]++
	}
	if len(want) != 2*count {
		t.Fatalf("%d messages, want %d different ones", len(want), 2*count)
	}
	if r := s.drainJSON(1); r.Outcome != "breaker" || r.Deleted != 0 {
		t.Errorf("other mail under the UIDLs of sealed mail: %+v", r)
	}
	s.judge(map[string]map[[32]byte]int{box: want})
	s.leaves(d, box, count)
	s.run(0, "mailbox", "reset", box)
	s.run(0, "drain", "--once")
	s.leaves(d, box, 0)
	s.judge(map[string]map[[32]byte]int{box: want})
}

// TestS4UIDOnly: Cyrus with bare UIDs for UIDLs, after others.
func TestS4UIDOnly(t *testing.T) {
	const box, count = "anna", 50
	c := lab.StartCyrus(t, box)
	c.Deliver(t, box, letters(count, "mail")...)
	served := lab.Fetch(t, c.Address(), box)
	s := plainSite(t, c, box, "")
	s.sealAndKeep(count)
	c.Restart(t, lab.CyrusSettings{UIDL: "uidonly"})
	s.run(0, "drain", "--once")
	s.leaves(c, box, 0)
	s.judge(map[string]map[[32]byte]int{box: digests(served)})
}

// TestS4LoginDelay: Cyrus announces how often one may log in, and refuses who
// does so more often. That is no refusal of the password.
func TestS4LoginDelay(t *testing.T) {
	const box, count = "anna", 5
	c := lab.StartCyrus(t, box)
	c.Deliver(t, box, letters(count, "mail")...)
	served := lab.Fetch(t, c.Address(), box)
	c.Restart(t, lab.CyrusSettings{MinPoll: 1})
	s := plainSite(t, c, box, "")
	if r := s.drainJSON(1); r.Outcome != "rate" || !strings.Contains(r.Error, "LOGIN-DELAY") {
		t.Errorf("a login too early: %+v", r)
	}
	c.Restart(t, lab.CyrusSettings{})
	s.run(0, "drain", "--once")
	s.leaves(c, box, 0)
	s.judge(map[string]map[[32]byte]int{box: digests(served)})
}
