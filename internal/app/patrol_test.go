package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
)

// rot flips a bit in the body of a message of the first segment.
func (p *plant) rot(t *testing.T) {
	t.Helper()
	name := filepath.Join(p.config.Archive.Dir, "ledger/0000/0000000000000000.seg")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	first := int(b[10])<<8 | int(b[11]) // length of the first frame
	b[first+232+40] ^= 1
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// verifications returns the events of verification in the ledger.
func (p *plant) verifications(t *testing.T) (out []mail.Verify) {
	t.Helper()
	c := p.open(t)
	defer closeOK(t, c)
	for r, err := range c.sources[0].Records(t.Context(), 3) { // behind the record that is damaged
		if err != nil {
			t.Fatal(err)
		}
		if r.Event != nil && r.Event.Verify != nil {
			out = append(out, *r.Event.Verify)
		}
	}
	return out
}

// TestPatrolAlarm: damage is found while the process runs, stands in its status and
// in the ledger, and keeps nothing from working. Switched off, nothing is verified.
func TestPatrolAlarm(t *testing.T) {
	p := newPlant(t, 3, "", "office")
	p.drain(t)
	p.rot(t)
	dir := filepath.Join(p.config.Archive.Dir, patrolDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	overdue, err := json.Marshal(map[string]any{"last": time.Now().Add(-48 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "0000.json"), overdue, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, on := range []bool{false, true} {
		p.config.Verify.Every = 0
		if on {
			p.config.Verify.Every = configs.Duration(24 * time.Hour)
		}
		a, err := New(t.Context(), p.config, nil, console(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.startPatrols(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.Start(t.Context())
		if on {
			p.alarmed(t, a)
		}
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(p.verifications(t)); (n >= 2) != on {
			t.Errorf("switched on %v, but %d verifications in the ledger", on, n)
		}
	}
}

func (p *plant) alarmed(t *testing.T, a *App) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		r, err := a.status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		part := r.Partitions[0]
		if part.Verified != nil && part.Verified.Findings == 1 && !part.Verified.Bodies.IsZero() {
			if !strings.Contains(part.Problem, "the ledger is damaged") || part.Verified.Chain.IsZero() {
				t.Errorf("status %+v", part)
			}
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no alarm: %+v, %+v", part, part.Verified)
		}
	}
}

// TestGaps: a report that names what is not there is found, and names where.
func TestGaps(t *testing.T) {
	p := newPlant(t, 3, "", "office", "sales")
	p.drain(t)
	verify := func() VerifyReport {
		r, err := Verify(t.Context(), p.config, VerifyOptions{Level: LevelGaps}, console(t))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := verify(); len(r.Findings) > 0 || len(r.Notes) > 0 {
		t.Fatalf("a good archive: %+v, %+v", r.Findings, r.Notes)
	}
	dir, err := openDirectory(p.config.Archive.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer closeOK(t, dir)
	b, err := newRebuild(p.config, dir, console(t))
	if err != nil {
		t.Fatal(err)
	}
	l, closeAll, err := b.open(0)
	if err != nil {
		t.Fatal(err)
	}
	row := func(n int, id *mail.ID) mail.DrainRow {
		return mail.DrainRow{Number: n, UIDL: "u", ID: id, Fate: mail.FateDeleted, Deleted: true}
	}
	at := func(seq uint64) *mail.ID { return &mail.ID{Seq: seq} }
	var ofSales uint64
	for r, err := range l.Records(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Delivery.Mailbox == "sales" {
			ofSales = r.ID.Seq
		}
	}
	err = sealEvents(t.Context(), l, mail.Event{Type: mail.EventDrain, Drain: &mail.Drain{
		Session: "s9", Mailbox: "office", Outcome: "ok", Quit: mail.QuitAcked,
		Rows: []mail.DrainRow{row(1, at(99999)), row(2, nil), row(3, at(ofSales)), row(4, at(0))},
	}})
	if err := joinClose(err, closerFunc(closeAll)); err != nil {
		t.Fatal(err)
	}
	r := verify()
	for i, want := range []string{"record 0-99999 by its receipt, but the ledger has no message there", "no record is named", "a message of mailbox sales", "no message there"} {
		if i >= len(r.Findings) || !strings.Contains(r.Findings[i].Problem, want) || !strings.Contains(r.Findings[i].Where, "s9") || r.Findings[i].ID == nil {
			t.Errorf("finding %d is not %q: %+v", i, want, r.Findings)
		}
	}
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }
