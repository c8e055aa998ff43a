package sink

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
)

// TestClassIsSealed: a message from memory, a large one, a reference to each, and a
// message that brings a class along get the class that the sink gives, from the
// beginning of the bytes, whether those come from the queue or are handed over.
func TestClassIsSealed(t *testing.T) {
	t.Parallel()
	for name, handed := range map[string]bool{"from the queue": false, "handed over": true} {
		t.Run(name, func(t *testing.T) { classIsSealed(t, handed) })
	}
}

func classIsSealed(t *testing.T, handed bool) {
	want := func(mailbox string, raw []byte) mail.Class {
		first, _, _ := bytes.Cut(raw, []byte("\n"))
		return mail.Class{Name: mailbox + " " + string(first), Years: 3, EndOfYear: true, Rules: "0123abcd"}
	}
	r := memRig(t, Options{Class: func(d mail.Delivery, header []byte) mail.Class {
		if len(header) > maxHead || int64(len(header)) < min(d.Size, maxHead) {
			t.Errorf("%d octets of %d are the header", len(header), d.Size)
		}
		return want(d.Mailbox, header)
	}})
	small, big := "Subject: small\n\nx", "Subject: big\n\n"+strings.Repeat("0123456789abcde\n", inlineSize/16+1)
	letters := []letter{newLetter("a", "1", small), newLetter("a", "2", big)}
	foreign := newLetter("a", "3", "Subject: foreign\n\n")
	foreign.Class = mail.Class{Name: "forever", Years: 100}
	letters = append(letters, foreign)
	again := []letter{newLetter("b", "1", small), newLetter("b", "2", big)}
	for _, l := range [][]letter{letters, again} {
		for i := range l {
			l[i].handed = handed
		}
	}
	receipts := r.deliver(letters...)
	receipts = append(receipts, r.deliver(again...)...)
	letters = append(letters, again...)
	n := 0
	for _, rec := range r.records() {
		for i, l := range letters {
			if receipts[i].ID != rec.ID {
				continue
			}
			n++
			if c := want(l.Mailbox, l.raw); rec.Delivery.Class != c || receipts[i].Class != c {
				t.Errorf("record %s has the class %+v, its receipt %+v, want %+v", rec.ID, rec.Delivery.Class, receipts[i].Class, c)
			}
		}
	}
	if n != len(letters) {
		t.Errorf("%d of %d letters are in the ledger", n, len(letters))
	}
}

// TestNoClass: without rules nothing has a class, whatever it claims.
func TestNoClass(t *testing.T) {
	t.Parallel()
	r := memRig(t, Options{})
	l := newLetter("a", "1", "x")
	l.Class = mail.Class{Name: "forever", Years: 100}
	if got := r.deliver(l)[0]; !got.Class.IsZero() {
		t.Errorf("the receipt has the class %+v", got.Class)
	}
	for _, rec := range r.records() {
		if !rec.Delivery.Class.IsZero() {
			t.Errorf("record %s has the class %+v", rec.ID, rec.Delivery.Class)
		}
	}
}
