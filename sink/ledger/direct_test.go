package ledger_test

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// A putting is a directory in which a segment gets its final name in a store that
// two processes may share.
type putting struct {
	durable.FS
	stored map[string][]byte
	before error // of the next PUT, which stores nothing
	after  error // of the next PUT, which stores
	puts   int
}

func newPutting(stored map[string][]byte) *putting {
	return &putting{FS: durabletest.New(), stored: stored}
}

func (p *putting) Link(old, name string) error {
	if path.Ext(name) != ".seg" {
		return p.FS.Link(old, name)
	}
	p.puts++
	data, err := durable.ReadFile(p.FS, old)
	if err != nil {
		return err
	}
	if err := p.before; err != nil {
		p.before = nil
		return err
	}
	if have, ok := p.stored[name]; ok && !bytes.Equal(have, data) {
		return mail.Errorf(mail.InUse, "%s is taken", name)
	}
	p.stored[name] = data
	if err := p.after; err != nil {
		p.after = nil
		return err
	}
	if err := p.FS.Link(old, name); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// fresh is a directory with what is stored and nothing else.
func fresh(t *testing.T, stored map[string][]byte) *putting {
	t.Helper()
	p := newPutting(stored)
	for name, data := range stored {
		if err := durable.WriteFile(p.FS, name, data); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func sealEach(t *testing.T) ledger.Options {
	o := options(t)
	o.SealEach = true
	return o
}

// TestSealEach: each batch is a sealed segment, and a new directory goes on behind
// the last one.
func TestSealEach(t *testing.T) {
	stored := map[string][]byte{}
	l := open(t, newPutting(stored), sealEach(t))
	for i := range 3 {
		appendOK(t, l, message(t, text(uint64(i), 900)), event(t, "s"))
		if len(stored) != i+1 {
			t.Fatalf("%d segments are stored after %d batches", len(stored), i+1)
		}
	}
	size, root := l.Root()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, fresh(t, stored), sealEach(t))
	if s, r := again.Root(); s != size || r != root {
		t.Errorf("it opens with %d records, root %s; it had %d, %s", s, r, size, root)
	}
	wantRaw(t, again, mail.ID{Seq: 1}, text(0, 900))
	if out := appendOK(t, again, message(t, text(9, 900))); out[0].ID.Seq != size+1 {
		t.Errorf("it goes on with record %s, not %d", out[0].ID, size+1)
	}
	if r, err := ledger.Verify(t.Context(), fresh(t, stored), ledger.VerifyOptions{Archive: archive, Depth: ledger.DepthContent}); err != nil || r.Damaged > 0 {
		t.Errorf("verified %+v, %v", r, err)
	}
}

// TestSealEachUnsure: a PUT that fails, whether it has stored or not, ends in one
// segment of the same octets, and what is in it is told before anything follows.
func TestSealEachUnsure(t *testing.T) {
	broken := mail.Errorf(mail.Temporary, "connection reset")
	for _, kept := range []bool{false, true} {
		stored := map[string][]byte{}
		p := newPutting(stored)
		l := open(t, p, sealEach(t))
		appendOK(t, l, event(t, "first"))
		size, root := l.Root()
		if kept {
			p.after = broken
		} else {
			p.before = broken
		}
		if _, err := l.Append(t.Context(), []*ledger.Entry{message(t, text(1, 900))}); mail.KindOf(err) != mail.Temporary {
			t.Fatalf("kept %t: append: %v", kept, err)
		}
		if s, r := l.Root(); s != size || r != root || l.Healthy() == nil {
			t.Errorf("kept %t: the ledger shows %d records of what was not confirmed", kept, s-size)
		}
		if _, err := l.Append(t.Context(), []*ledger.Entry{event(t, "second")}); mail.KindOf(err) != mail.Temporary {
			t.Errorf("kept %t: it appends before the reader knows what was there: %v", kept, err)
		}
		if l.Size() != 5 || l.Healthy() != nil { // opened, event, sealed, opened, message
			t.Errorf("kept %t: size %d, %v", kept, l.Size(), l.Healthy())
		}
		appendOK(t, l, event(t, "second"))
		if len(stored) != 3 {
			t.Errorf("kept %t: %d segments are stored", kept, len(stored))
		}
		wantRaw(t, open(t, fresh(t, stored), sealEach(t)), mail.ID{Seq: 4}, text(1, 900))
	}
}

// TestSealEachDies: a process that dies before or after the PUT is followed by one
// that has either none or all of the batch.
func TestSealEachDies(t *testing.T) {
	stored := map[string][]byte{}
	p := newPutting(stored)
	l := open(t, p, sealEach(t))
	appendOK(t, l, event(t, "first"))
	p.before = mail.Errorf(mail.Temporary, "killed")
	if _, err := l.Append(t.Context(), []*ledger.Entry{event(t, "lost")}); err == nil {
		t.Fatal("it is sealed")
	}
	// The local directory survives, with a sealed file of the working name.
	if err := l.Close(); err == nil {
		t.Error("close tells nothing of what is pending")
	}
	l = open(t, p, sealEach(t))
	if l.Size() != 2 {
		t.Errorf("size is %d", l.Size())
	}
	p.after = mail.Errorf(mail.Temporary, "killed")
	if _, err := l.Append(t.Context(), []*ledger.Entry{event(t, "kept")}); err == nil {
		t.Fatal("it is sealed")
	}
	if l = open(t, fresh(t, stored), sealEach(t)); l.Size() != 5 {
		t.Errorf("size is %d", l.Size())
	}
}

// TestSealEachTwo: of two writers that do not know of each other one stores a
// segment; the other never appends again.
func TestSealEachTwo(t *testing.T) {
	stored := map[string][]byte{}
	one := open(t, newPutting(stored), sealEach(t))
	appendOK(t, one, event(t, "both"))
	p := fresh(t, stored)
	two := open(t, p, sealEach(t))
	appendOK(t, two, event(t, "two"))
	for range 2 {
		if _, err := one.Append(t.Context(), []*ledger.Entry{event(t, "one")}); mail.KindOf(err) != mail.InUse {
			t.Errorf("the first appends: %v", err)
		}
	}
	if one.Taken() == nil || one.Size() != 2 || two.Taken() != nil {
		t.Errorf("lost: %v, %v; size %d", one.Taken(), two.Taken(), one.Size())
	}
	appendOK(t, two, event(t, "two"))
}

// TestSealEachGone: without the octets of a batch whose end is unknown nothing is
// guessed.
func TestSealEachGone(t *testing.T) {
	p := newPutting(map[string][]byte{})
	l := open(t, p, sealEach(t))
	p.after = mail.Errorf(mail.Temporary, "connection reset")
	if _, err := l.Append(t.Context(), []*ledger.Entry{event(t, "x")}); err == nil {
		t.Fatal("it is sealed")
	}
	if err := p.FS.Remove("0000000000000000.seg.open"); err != nil {
		t.Fatal(err)
	}
	puts := p.puts
	for range 2 {
		if _, err := l.Append(t.Context(), []*ledger.Entry{event(t, "y")}); mail.KindOf(err) != mail.InUse || l.Taken() == nil {
			t.Errorf("it appends: %v", err)
		}
	}
	if p.puts > puts+1 {
		t.Errorf("%d more PUTs", p.puts-puts)
	}
}

// TestSealEachRefused: a batch of which nothing is sealed leaves no segment.
func TestSealEachRefused(t *testing.T) {
	stored := map[string][]byte{}
	p := newPutting(stored)
	l := open(t, p, sealEach(t))
	raw := text(1, 900)
	bad, err := ledger.Reference(delivery("sales", raw), mail.ID{Seq: 77}, false)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		out, err := l.Append(t.Context(), []*ledger.Entry{bad})
		if err != nil || out[0].Err == nil {
			t.Fatalf("appended: %v, %+v", err, out)
		}
	}
	if size, _ := l.Root(); size != 0 || len(stored) != 0 {
		t.Errorf("%d records, %d segments", size, len(stored))
	}
	appendOK(t, l, message(t, raw))
	wantRaw(t, l, mail.ID{Seq: 1}, raw)
}
