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

func TestCeilingEmptiesWhatTheMixFills(t *testing.T) {
	d := StartDovecot(t, "one", "two")
	m := d.NewMaster(t, 1, 40, "one", "two")
	for range 2 { // refilled once, so that hard links and UIDLs are proven to start over
		d.Refill(t, m)
		var octets int64
		for _, box := range m.Boxes {
			n, o, err := Ceiling(d.POP3, box)
			if err != nil || n != 40 || d.Count(t, box) != 0 {
				t.Fatalf("%s: %d messages, %v, %d left", box, n, err, d.Count(t, box))
			}
			octets += o
		}
		if octets <= m.Octets { // CR LF on the wire, LF on disk
			t.Errorf("%d octets read of %d", octets, m.Octets)
		}
	}
}
