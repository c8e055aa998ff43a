package lab

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

// TestServersServeWhatIsDelivered starts each server and reads two mailboxes of
// it with curl.
func TestServersServeWhatIsDelivered(t *testing.T) {
	a, b := []byte("From: a@example.org\nSubject: a\n\nbody\n"), []byte("From: b@example.org\nSubject: b\n\n..dots\n")
	onTheWire := func(raw []byte) [32]byte { return sha256.Sum256(bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))) }
	for _, name := range Servers {
		t.Run(name, func(t *testing.T) {
			s := Start(t, name, "one", "two")
			s.Deliver(t, "one", a, b)
			s.Deliver(t, "one", a)
			if n, m := s.Count(t, "one"), s.Count(t, "two"); n != 3 || m != 0 {
				t.Fatalf("%d and %d messages stored, want 3 and none", n, m)
			}
			stored := s.Contents(t, "one")
			if !bytes.Contains(stored[0], []byte("body")) || !bytes.Contains(stored[1], []byte("dots")) {
				t.Errorf("stored %q", stored)
			}
			got := FetchAll(t, s.Address(), "one", 3)
			if got[onTheWire(a)] != 2 || got[onTheWire(b)] != 1 {
				t.Errorf("curl reads other bytes: %x", got)
			}
		})
	}
}
