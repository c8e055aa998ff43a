package app

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

func (p *plant) probe(t *testing.T, names ...string) []ProbeReport {
	t.Helper()
	r, err := ProbeMailboxes(t.Context(), p.config, names, false, console(t))
	if err != nil || len(r) != len(names) {
		t.Fatalf("%+v, %v", r, err)
	}
	return r
}

// Before the first start, a look makes no archive.
func TestProbeBeforeTheFirstStart(t *testing.T) {
	p := newPlant(t, 3, "", "anna", "bela")
	r := p.probe(t, "bela", "anna")
	if r[0].Mailbox != "bela" || r[0].Error != "" || r[0].Login.Messages != 3 || !cmp.Equal(*r[0].Forecast, Forecast{Fetch: 3, Octets: r[0].Listing.Octets}) || r[0].Quit != mail.QuitAcked {
		t.Errorf("%+v", r[0])
	}
	if len(r[0].Notes) == 0 || !strings.Contains(r[0].Notes[0].Text, "can be read") {
		t.Errorf("a plain connection is not noted: %+v", r[0].Notes)
	}
	if _, err := os.Stat(p.config.Archive.Dir); err == nil {
		t.Error("a look made an archive")
	}
	if p.left() != 6 {
		t.Error("a look deleted something")
	}
}

// A look tells the same beside a running process as without one.
func TestProbeBesideARunningProcess(t *testing.T) {
	p := newPlant(t, 3, "partitions: 2", "anna", "bela")
	p.drain(t)
	p.server.Mailboxes["anna"].Add(pop3test.Messages("Subject: x\r\n\r\nnew\r\n")...)
	alone := p.probe(t, "anna")[0]
	if alone.Forecast == nil || alone.Forecast.Fetch != 1 || alone.Forecast.Sealed != 0 {
		t.Errorf("%+v", alone)
	}
	a, err := New(t.Context(), p.config, nil, console(t))
	if err != nil {
		t.Fatal(err)
	}
	beside := p.probe(t, "anna")[0]
	if !cmp.Equal(beside.Forecast, alone.Forecast) || beside.Login.Messages != alone.Login.Messages {
		t.Errorf("beside %+v, alone %+v", beside, alone)
	}
	lease, err := a.bus.Lease(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	if r := p.probe(t, "anna", "bela"); r[0].Kind != mail.InUse.String() || r[0].Outcome != "busy" || r[1].Error != "" {
		t.Errorf("a mailbox in session: %+v", r)
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Error(err)
	}
	later := *p.config
	later.Mailboxes = slices.Clone(later.Mailboxes)
	later.Mailboxes[1].Name = "later"
	if _, err := ProbeMailboxes(t.Context(), &later, []string{"later"}, false, console(t)); mail.KindOf(err) != mail.NotFound || mail.HintOf(err) == "" {
		t.Errorf("a mailbox that the process does not know: %v", err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(p.server.Mailboxes["anna"].Left()); n != 1 {
		t.Errorf("%d messages left", n)
	}
}

// What earlier sessions sealed, and what keeps a drain from it, is foreseen.
func TestProbeForecast(t *testing.T) {
	p := newPlant(t, 4, "poll: {delete: never}", "anna")
	p.drain(t)
	if r := p.probe(t, "anna")[0]; !cmp.Equal(*r.Forecast, Forecast{Sealed: 4, Left: map[mail.Fate]int{mail.FateKept: 4}}) || r.Delete != "never" {
		t.Errorf("%+v", r.Forecast)
	}
}

func TestProbeFailures(t *testing.T) {
	p := newPlant(t, 1, "", "anna", "bela")
	if _, err := ProbeMailboxes(t.Context(), p.config, []string{"anna", "nobody"}, false, console(t)); mail.KindOf(err) != mail.NotFound || mail.HintOf(err) == "" {
		t.Errorf("unknown: %v", err)
	}
	password := filepath.Join(filepath.Dir(p.config.Archive.Dir), "password")
	if err := os.WriteFile(password, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := p.probe(t, "anna")[0]
	if r.Hint == "" || r.Outcome != "credentials" || r.Kind != mail.Denied.String() || r.Connection == nil || r.Login != nil || r.Quit != mail.QuitNone {
		t.Errorf("wrong password: %+v", r)
	}
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	if r := p.probe(t, "anna")[0]; r.Outcome != "perm" || r.Hint == "" || r.Connection != nil {
		t.Errorf("no password: %+v", r)
	}
}

// Three refusals open the breaker; after a reset the same password is tried
// again: by a process made for it as by one that runs.
func TestReset(t *testing.T) {
	p := newPlant(t, 1, "", "anna")
	if _, err := ResetMailboxes(t.Context(), p.config, []string{"anna"}, console(t)); mail.KindOf(err) != mail.NotFound {
		t.Errorf("without an archive: %v", err)
	}
	p.server.Mailboxes["anna"].Password = "another"
	logins := func() (n int) {
		for _, c := range p.server.Commands() {
			if c.Verb == "PASS" {
				n++
			}
		}
		return n
	}
	drain := func() string {
		r, err := DrainOnce(t.Context(), p.config, nil, console(t))
		if err != nil {
			t.Fatal(err)
		}
		return r.Mailboxes[0].Outcome
	}
	for drain() == "credentials" && logins() < 2 {
	}
	before := logins()
	if r := p.probe(t, "anna")[0]; r.Outcome != "credentials" || r.Connection != nil || logins() != before {
		t.Errorf("the breaker is not open: %+v", r)
	}
	reset := func(wantRunning bool) {
		t.Helper()
		r, err := ResetMailboxes(t.Context(), p.config, []string{"anna"}, console(t))
		if err != nil || len(r) != 1 || r[0].Error != "" || r[0].Running != wantRunning {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	reset(false)
	if r := p.probe(t, "anna")[0]; r.Connection == nil || logins() != before+1 {
		t.Errorf("after a reset: %+v", r)
	}
	p.probe(t, "anna")
	a, err := New(t.Context(), p.config, nil, console(t))
	if err != nil {
		t.Fatal(err)
	}
	before = logins()
	reset(true)
	if r := p.probe(t, "anna")[0]; r.Connection == nil || logins() != before+1 {
		t.Errorf("after a reset by the running process: %+v", r)
	}
	lease, err := a.bus.Lease(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := ResetMailboxes(t.Context(), p.config, []string{"anna"}, console(t)); err != nil || r[0].Kind != mail.InUse.String() || r[0].Hint == "" {
		t.Errorf("in session: %+v, %v", r, err)
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := ResetMailboxes(t.Context(), p.config, []string{"nobody"}, console(t)); mail.KindOf(err) != mail.NotFound || mail.HintOf(err) == "" {
		t.Errorf("unknown: %v", err)
	}
}
