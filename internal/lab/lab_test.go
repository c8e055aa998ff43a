package lab

import (
	"crypto/sha256"
	"testing"
)

func TestDovecotServesWhatWasDelivered(t *testing.T) {
	d := StartDovecot(t, "one")
	a, b := []byte("Subject: a\r\n\r\nbody\r\n"), []byte("Subject: b\r\n\r\n..dots\r\n")
	d.Deliver(t, "one", a)
	d.Deliver(t, "one", b)
	d.Deliver(t, "one", a)
	if n := d.Count(t, "one"); n != 3 {
		t.Fatalf("%d messages", n)
	}
	got := FetchAll(t, d.POP3, "one", 3)
	if got[sha256.Sum256(a)] != 2 || got[sha256.Sum256(b)] != 1 {
		t.Errorf("curl reads other bytes: %x", got)
	}
}
