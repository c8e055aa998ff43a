package sink

import (
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// An unsure is a directory that gives segments their names and often does not say so,
// or fails before it does: a store whose answers are lost.
type unsure struct {
	durable.FS
	links atomic.Int32
}

func (u *unsure) Link(old, name string) error {
	if !strings.HasSuffix(name, ".seg") {
		return u.FS.Link(old, name)
	}
	n := u.links.Add(1)
	if n%5 == 2 {
		return mail.Errorf(mail.Temporary, "the store is away")
	}
	if _, err := u.FS.Stat(name); err != nil {
		if err := u.FS.Link(old, name); err != nil {
			return err
		}
	}
	if n%3 == 1 {
		return mail.Errorf(mail.Temporary, "the answer is lost")
	}
	return nil
}

// TestSealEach: however often it is not known whether a batch was stored, each
// delivery is sealed once, and gets its receipt.
func TestSealEach(t *testing.T) {
	fs := &unsure{FS: durabletest.New()}
	r := ledgerRig(t, fs, filepath.Join(t.TempDir(), "catalog.db"), Options{BatchCount: 7}, ledger.Options{SealEach: true})
	letters := mixed(20)
	r.deliver(letters...)
	r.check(letters...)
	if fs.links.Load() < 5 {
		t.Errorf("only %d segments were to be stored", fs.links.Load())
	}
}

// TestPace: after an append the next one waits until its batch is full, or the time
// has come; a stop does not wait.
func TestPace(t *testing.T) {
	r := memRig(t, Options{Pace: time.Hour, BatchCount: 3})
	all := mixed(5)
	if a := <-r.offer(all[0]); a.err != nil { // the first one has waited for long enough
		t.Fatal(a.err)
	}
	for _, a := range r.send(all[1:4]...) {
		if a.err != nil {
			t.Error(a.err)
		}
	}
	if n := r.gate.appends.Load(); n != 2 {
		t.Errorf("four letters took %d appends", n)
	}
	last := r.offer(all[4])
	r.halt()
	if a := <-last; a.err != nil && mail.KindOf(a.err) != mail.Temporary {
		t.Errorf("at the stop: %v", a.err)
	}
}
