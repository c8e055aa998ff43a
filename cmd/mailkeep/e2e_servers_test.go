package main

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/lab"
)

// tortured is how many messages the torture mailbox of each server has.
const tortured = 2000

// The tests of this file drain the torture mailbox from each server of the lab.
// Servers store some of it in other octets than were delivered; what each of
// them serves, as curl reads it before, is what the archive must hold.

func TestS1TortureDovecot(t *testing.T)   { torture(t, "dovecot", nil) }
func TestS2TortureCourier(t *testing.T)   { torture(t, "courier", nil) }
func TestS3TorturePopa3d(t *testing.T)    { torture(t, "popa3d", nil) }
func TestS4TortureCyrus(t *testing.T)     { t.Parallel(); torture(t, "cyrus", notForCyrus) }
func TestS5TortureMailutils(t *testing.T) { torture(t, "mailutils", nil) }
func TestS6TortureSolid(t *testing.T)     { torture(t, "solid", nil) }

// notForCyrus tells which messages Cyrus does not list, the empty ones, and
// which it does not serve in a way that any client could follow: it ends a line
// at a NUL, and drops the line end too, so that what comes behind may look like
// the terminator, or the terminator like a part of the line. Row 51 and row 54
// are what becomes of such messages; each costs a session. One NUL inside of a
// message makes it short, which is tested here.
func notForCyrus(raw []byte) bool {
	last := bytes.TrimSuffix(raw, []byte("\n"))
	last = last[bytes.LastIndexByte(last, '\n')+1:]
	return len(raw) == 0 || bytes.Count(raw, []byte{0}) > 1 || bytes.IndexByte(last, 0) >= 0
}

// torture drains the torture mailbox from a server, but for those messages that
// it is spared.
func torture(t *testing.T, server string, spared func([]byte) bool) {
	const box = "anna"
	began := time.Now()
	srv := lab.Start(t, server, box)
	messages := lab.Torture(1, tortured)
	if spared != nil {
		messages = slices.DeleteFunc(messages, spared)
	}
	srv.Deliver(t, box, messages...)
	served := lab.Fetch(t, srv.Address(), box)
	if server == "mailutils" {
		// A session that asks for UIDLs ends with the messages written anew.
		served = lab.Fetch(t, srv.Address(), box)
	}
	prepared := time.Since(began)
	if len(served) != len(messages) {
		t.Errorf("%s lists %d messages of %d", server, len(served), len(messages))
	}
	s := plainSite(t, srv, box, "")
	s.run(0, "drain", "--once")
	short := shortOf(served)
	s.leaves(srv, box, len(short)) // which it serves shorter than it lists them
	s.judge(map[string]map[[32]byte]int{box: digests(served)})
	s.run(0, "verify")
	t.Logf("%d messages served of %d delivered, %d of them short; prepared in %.1f s, drained and judged in %.1f s",
		len(served), len(messages), len(short), prepared.Seconds(), (time.Since(began) - prepared).Seconds())
}

// leaves waits until so many messages are left in a mailbox: Courier answers
// QUIT before it has deleted.
func (s *site) leaves(srv lab.Server, box string, want int) {
	s.t.Helper()
	await(s.t, fmt.Sprintf("%d messages left on the server", want), 10*time.Second, func() bool { return srv.Count(s.t, box) <= want })
	if n := srv.Count(s.t, box); n != want {
		s.t.Errorf("%d messages are left on the server, want %d", n, want)
	}
}

// TestS8CurlReadsTheSame reads the torture mailbox of Dovecot with three clients:
// Python's sockets, curl and, by draining it, ours.
func TestS8CurlReadsTheSame(t *testing.T) {
	const box = "anna"
	srv := lab.StartDovecot(t, box)
	// curl 7.88 puts a CR in the place of a dot that begins a message.
	messages := slices.DeleteFunc(lab.Torture(2, 300), func(raw []byte) bool { return bytes.HasPrefix(raw, []byte(".")) })
	srv.Deliver(t, box, messages...)
	read, curled := lab.Fetch(t, srv.POP3, box), lab.FetchCurl(t, srv.POP3, box)
	if !slices.Equal(read, curled) || len(read) != len(messages) {
		t.Errorf("curl and Python read other octets of %d and %d messages", len(curled), len(read))
	}
	s := plainSite(t, srv, box, "")
	s.run(0, "drain", "--once")
	s.judge(map[string]map[[32]byte]int{box: digests(curled)})
	s.leaves(srv, box, 0)
}

// plainSite configures one mailbox of a server that speaks POP3 in the clear.
func plainSite(t testing.TB, srv lab.Server, box, more string) *site {
	t.Helper()
	s := emptySite(t)
	s.configure(fmt.Sprintf("hosts:\n  lab: {address: %s, security: plain, allow_plain: true, logins_per_minute: 60000}\n%s\nmailboxes:\n  - {name: %s, host: lab, password_file: %q}\n",
		srv.Address(), more, box, s.password()))
	return s
}

// shortOf returns the messages that are served shorter than they are listed.
func shortOf(served []lab.Served) (short []lab.Served) {
	for _, m := range served {
		if m.Octets < m.Listed {
			short = append(short, m)
		}
	}
	return short
}

// digests counts the messages by digest.
func digests(served []lab.Served) map[[32]byte]int {
	got := make(map[[32]byte]int)
	for _, m := range served {
		got[m.Digest]++
	}
	return got
}
