package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/lab"
)

// TestDrainDovecot drains five mailboxes of a real server, over TLS and STLS,
// with the corpus where it is present, and compares every byte with what curl
// was served before.
func TestDrainDovecot(t *testing.T) {
	boxes := []string{"anna", "bela", "carl", "dora", "emil"}
	d := lab.StartDovecot(t, boxes...)
	mix := lab.NewMix(7)
	for i, box := range boxes {
		for n := range 210 {
			d.Deliver(t, box, mix.Message(i, n))
		}
		d.Deliver(t, box, fmt.Appendf(nil, "From: planter@example.org\nTo: %s@example.org\nSubject: planted in %s\nDate: Tue, 02 Jan 2024 10:00:00 +0000\nMessage-ID: <planted@%s>\n\nThe word zwetschgenknoedel%d was planted here.\n", box, box, box, i))
		// The same bytes to every mailbox, and twice to one.
		d.Deliver(t, box, []byte("From: all@example.org\nSubject: to everybody\n\nThe word rundschreiben goes to all.\n"))
	}
	d.Deliver(t, "anna", []byte("From: all@example.org\nSubject: to everybody\n\nThe word rundschreiben goes to all.\n"))
	for i, raw := range corpus(t) {
		d.Deliver(t, boxes[i%len(boxes)], raw)
	}
	want := map[string]map[[32]byte]int{}
	total := 0
	for _, box := range boxes {
		n := d.Count(t, box)
		total += n
		want[box] = lab.FetchAll(t, d.POP3, box, n)
	}
	if total < 1000 {
		t.Fatalf("only %d messages", total)
	}
	s := newSite(t, d, boxes, "")
	s.run(0, "config", "check")
	out, _ := s.run(0, "drain", "--once")
	t.Logf("%d messages\n%s", total, out)
	for _, box := range boxes {
		if n := d.Count(t, box); n != 0 {
			t.Errorf("mailbox %s has %d messages left", box, n)
		}
	}
	s.judge(want)
	for i, box := range boxes {
		a := s.search(fmt.Sprintf("zwetschgenknoedel%d", i), 10)
		if a.Total != 1 || a.Hits[0].Mailbox != box || !a.Coverage.Complete {
			t.Errorf("planted word of %s: %+v", box, a)
		}
	}
	if a := s.search("rundschreiben subject:everybody", 10); a.Total != 5 {
		t.Errorf("a message to all has %d hits, want one for each mailbox", a.Total)
	}
	s.run(0, "verify")
	s.run(0, "drain", "--once") // nothing to do
	s.judge(want)
	s.viewsCanBeLost(want)
}

// viewsCanBeLost deletes everything but the ledger: the answers stay the same.
func (s *site) viewsCanBeLost(want map[string]map[[32]byte]int) {
	s.t.Helper()
	before := s.search("subject:everybody OR has:attachment larger:20k", 100)
	for _, view := range []string{"catalog", "index", "nats"} {
		if err := os.RemoveAll(filepath.Join(s.archive(), view)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.run(0, "reindex")
	s.run(0, "verify")
	after := s.search("subject:everybody OR has:attachment larger:20k", 100)
	if fmt.Sprint(before) != fmt.Sprint(after) || before.Total < 6 {
		s.t.Errorf("other answers after reindex:\n%v\n%v", before, after)
	}
	s.run(0, "drain", "--once")
	s.judge(want)
}

// TestVerifyNamesDamage flips one byte of a sealed segment.
func TestVerifyNamesDamage(t *testing.T) {
	d := lab.StartDovecot(t, "anna")
	mix := lab.NewMix(8)
	for n := range 20 {
		d.Deliver(t, "anna", mix.Message(0, n))
	}
	s := newSite(t, d, []string{"anna"}, "")
	s.run(0, "drain", "--once")
	segments, err := filepath.Glob(filepath.Join(s.archive(), "ledger", "0000", "*.seg"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments: %v, %v", segments, err)
	}
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 0x10
	if err := os.Chmod(segments[0], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(segments[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs := s.run(4, "verify")
	if !strings.Contains(out+errs, filepath.Base(segments[0])) || !strings.Contains(out+errs, "offset") {
		t.Errorf("verify does not name the place:\n%s\n%s", out, errs)
	}
}
