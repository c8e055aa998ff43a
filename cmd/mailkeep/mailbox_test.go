package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// history has a session with every fate, one that failed, and an octet of every
// sort where servers may send what they like.
func history() app.History {
	return app.History{Mailbox: "office", Coverage: mail.Cursor{Position: 1000, Size: 1234}, Sessions: []app.SessionReport{
		{ID: mail.ID{Seq: 9}, Drain: mail.Drain{
			Session: "s2", Mailbox: "office", Host: "pop.example.org:995", TLS: "TLS 1.3", Worker: "mail1-17", Started: day1, Ended: day1.Add(1500 * time.Millisecond),
			Listed: 4, Octets: 4000, Fetched: 2, Sealed: 3, Deleted: 2, Held: 1, Quiet: 11, Quit: mail.QuitAcked, Outcome: "ok",
			Rows: []mail.DrainRow{
				{Number: 1, UIDL: "u1", Size: 1000, ID: &mail.ID{Seq: 3}, Fate: mail.FateDeleted, Deleted: true},
				{Number: 2, UIDL: "u\xff\x1b[2J", Size: -1, ID: &mail.ID{Seq: 4}, Fate: mail.FateUndeletable, Why: "DELE: " + evil},
				{Number: 17, Size: 123456, Fate: mail.FatePoison},
				{Number: 18, UIDL: "u4", Size: 17, ID: &mail.ID{Seq: 5}},
			},
			Confirmed: &mail.Confirmation{Session: "s1", Quit: mail.QuitUnknown, Gone: 1200, Back: 3}, Vanished: &mail.Vanished{Sealed: 2, Unsealed: 1},
			Breaker: evil, Notes: []mail.Note{mail.NoteEpoch, mail.NoteExpire, mail.NoteClock, mail.NoteChanging, evil},
		}},
		{ID: mail.ID{Seq: 2}, Drain: mail.Drain{
			Session: "s1", Mailbox: "office", Host: evil, Worker: evil, Started: day1.Add(-time.Hour), Ended: day1.Add(-time.Hour + 2*time.Minute),
			Listed: 12, Quit: mail.QuitUnknown, Outcome: "temp", Error: "pop3 QUIT: " + evil,
		}},
	}}
}

func TestMailboxHistory(t *testing.T) {
	f := &fakeClient{}
	status, out, stderr := execute(t, opens(f), "mailbox", "history", "office", "--limit", "1", "--json")
	var h app.History
	if err := json.Unmarshal([]byte(out), &h); status != 0 || err != nil || h.Mailbox != "office" || len(h.Sessions) != 1 || h.Sessions[0].Rows != nil {
		t.Errorf("status %d, %v: %s%s", status, err, out, stderr)
	}
	status, out, _ = execute(t, opens(f), "mailbox", "history", "--messages", "office")
	if status != 0 || !strings.Contains(out, "poison") || !strings.Contains(out, "11 sessions before") || !f.closed {
		t.Errorf("status %d: %s", status, out)
	}
	for _, args := range [][]string{{}, {"a", "b"}, {"office", "--limit", "0"}, {"office", "--limit", "2001"}, {"office", "--limit", "many"}, {"--since", "x"}} {
		if status, _, stderr := execute(t, opens(f), append([]string{"mailbox", "history"}, args...)...); status != 2 || !strings.Contains(stderr, "mailkeep mailbox history --help") {
			t.Errorf("%q: status %d, %s", args, status, stderr)
		}
	}
	f.err = mail.Errorf(mail.NotFound, "no such mailbox")
	if status, _, _ := execute(t, opens(f), "mailbox", "history", "nobody"); status != 6 {
		t.Errorf("unknown mailbox: status %d", status)
	}
}

func TestMailboxList(t *testing.T) {
	status, out, stderr := execute(t, opens(&fakeClient{}), "mailbox", "list", "--json")
	var list []listedMailbox
	if err := json.Unmarshal([]byte(out), &list); status != 0 || err != nil || len(list) != 2 {
		t.Fatalf("status %d, %v: %s%s", status, err, out, stderr)
	}
	want := listedMailbox{Name: "sales", Host: "pop.example.org:995", User: "sales", Security: "tls", Delete: "after-seal", Schedule: "every 15m", State: "credentials", Problem: list[1].Problem}
	if list[1] != want || want.Problem == "" {
		t.Errorf("%+v", list[1])
	}
}

// A list needs no archive: it is what somebody looks at before the first start.
func TestMailboxListWithoutAnArchive(t *testing.T) {
	for _, tc := range []struct {
		err     error
		warning bool
	}{{mail.Errorf(mail.NotFound, "there is no archive"), false}, {mail.Errorf(mail.Denied, "not yours"), true}} {
		a := application{Open: func(context.Context, *configs.Config, app.Console) (client, error) { return nil, tc.err }}
		status, out, stderr := execute(t, a, "mailbox", "list")
		if status != 0 || strings.Count(out, "unknown") != 2 || strings.Contains(stderr, "warning") != tc.warning {
			t.Errorf("%v: status %d, %s%s", tc.err, status, out, stderr)
		}
	}
}

func TestCompletionOfOneMailbox(t *testing.T) {
	if _, out, _ := execute(t, application{}, "__complete", "mailbox", "history", ""); !strings.HasPrefix(out, "office\nsales\n") {
		t.Errorf("%q", out)
	}
	if _, out, _ := execute(t, application{}, "__complete", "mailbox", "history", "office", ""); strings.HasPrefix(out, "office") {
		t.Errorf("a second name is offered: %q", out)
	}
	_, out, _ := execute(t, application{}, "__complete", "mailbox", "")
	if names := strings.Fields(out); !slices.Contains(names, "list") || !slices.Contains(names, "history") {
		t.Errorf("%q", out)
	}
}

// probes has a look that came to its end, one on a server with faults, and one
// that failed.
func probes() []app.ProbeReport {
	return []app.ProbeReport{
		{Mailbox: "office", Host: "pop.example.org:995", User: "office@example.org", Security: "tls", Delete: "after-seal", Outcome: "ok", Took: 120 * time.Millisecond, Quit: mail.QuitAcked,
			Connection: &app.ProbedConnection{TLS: "TLS 1.3 TLS_AES_128_GCM_SHA256", CertExpiry: day1.Add(240 * time.Hour), Capabilities: []string{"TOP", "UIDL", "SASL PLAIN"}},
			Login:      &app.ProbedLogin{Mechanism: "SCRAM-SHA-256", Capabilities: []string{"TOP", "UIDL", "PIPELINING"}, Messages: 1234, Octets: 5e6},
			Listing:    &app.ProbedListing{Messages: 1234, Octets: 5e6, Largest: 1e6, Uidl: true},
			Forecast:   &app.Forecast{Sealed: 1000, Delete: 998, Fetch: 234, Octets: 1e6, Left: map[mail.Fate]int{mail.FatePoison: 2}},
			Notes:      []app.ProbeNote{{Text: "the server's certificate ends in 10 days", Hint: "have it renewed"}}},
		{Mailbox: evil, Host: evil, User: evil, Security: "plain", Delete: "never", Outcome: "ok", Took: time.Minute, Quit: mail.QuitUnknown,
			Connection: &app.ProbedConnection{},
			Login:      &app.ProbedLogin{Mechanism: "USER", Capabilities: []string{evil}, Messages: 3, Octets: 17},
			Listing:    &app.ProbedListing{Messages: 3, Uidl: true, Repeated: 2},
			Forecast:   &app.Forecast{Sealed: 1, Fetch: 1, Octets: 10, Unasked: 1, Left: map[mail.Fate]int{mail.FateKept: 1, mail.FateShort: 2}, Breaker: evil},
			Notes:      []app.ProbeNote{{Text: evil}}},
		{Mailbox: "sales", Host: "pop.example.org:110", User: "sales", Security: "stls", Delete: "after-seal", Outcome: "credentials", Kind: "denied", Took: time.Second, Quit: mail.QuitNone,
			Error: "pop3 PASS: server refused: " + evil, Hint: "set the right password", Connection: &app.ProbedConnection{TLS: "TLS 1.2 X", Capabilities: []string{}}},
		{Mailbox: "new", Host: "pop.example.org:110", Outcome: "ok", Quit: mail.QuitAcked, Login: &app.ProbedLogin{}, Listing: &app.ProbedListing{}, Forecast: &app.Forecast{}},
	}
}

func TestMailboxTest(t *testing.T) {
	good, bad, busy := probes()[0], probes()[2], probes()[2]
	busy.Kind, busy.Outcome = "in use", "busy"
	for _, tc := range []struct {
		reports []app.ProbeReport
		want    int
	}{
		{[]app.ProbeReport{good}, 0}, {[]app.ProbeReport{good, bad}, 3}, {[]app.ProbeReport{good, busy}, 3}, {[]app.ProbeReport{bad}, 1},
		{[]app.ProbeReport{bad, busy}, 1}, {[]app.ProbeReport{busy}, 5}, {[]app.ProbeReport{busy, busy}, 5},
	} {
		var asked []string
		var forced bool
		a := application{Probe: func(_ context.Context, _ *configs.Config, names []string, force bool, _ app.Console) ([]app.ProbeReport, error) {
			asked, forced = names, force
			return tc.reports, nil
		}}
		status, out, _ := execute(t, a, "mailbox", "test", "office", "sales", "--json", "--force")
		if status != tc.want || !json.Valid([]byte(out)) || !slices.Equal(asked, []string{"office", "sales"}) || !forced {
			t.Errorf("status %d, want %d; asked %q, forced %v: %s", status, tc.want, asked, forced, out)
		}
		if status, _, _ := execute(t, a, "mailbox", "test", "office"); status != tc.want || forced {
			t.Errorf("status %d, want %d", status, tc.want)
		}
	}
	for _, args := range [][]string{{}, {"--all"}} {
		if status, _, stderr := execute(t, application{}, append([]string{"mailbox", "test"}, args...)...); status != 2 || !strings.Contains(stderr, "mailkeep mailbox test --help") {
			t.Errorf("%q: status %d, %s", args, status, stderr)
		}
	}
	failing := application{Probe: func(context.Context, *configs.Config, []string, bool, app.Console) ([]app.ProbeReport, error) {
		return nil, mail.Errorf(mail.NotFound, "no mailbox is configured by that name")
	}}
	if status, out, _ := execute(t, failing, "mailbox", "test", "nobody"); status != 6 || out != "" {
		t.Errorf("unknown: status %d, %s", status, out)
	}
}

func resets() []app.ResetReport {
	return []app.ResetReport{
		{Mailbox: "office", Running: true}, {Mailbox: "sales " + evil},
		{Mailbox: "busy", Kind: "in use", Error: "in session " + evil, Hint: "wait"}, {Mailbox: "odd", Kind: "temporary", Error: "no answer"},
	}
}

func TestMailboxReset(t *testing.T) {
	r := resets()
	for _, tc := range []struct {
		reports []app.ResetReport
		want    int
	}{{r[:2], 0}, {r[:3], 3}, {r[2:3], 5}, {r[2:], 1}, {r[3:], 1}} {
		a := application{Reset: func(_ context.Context, _ *configs.Config, names []string, _ app.Console) ([]app.ResetReport, error) {
			if !slices.Equal(names, []string{"office", "sales"}) {
				t.Errorf("%q", names)
			}
			return tc.reports, nil
		}}
		if status, out, _ := execute(t, a, "mailbox", "reset", "office", "sales", "--json"); status != tc.want || !json.Valid([]byte(out)) {
			t.Errorf("status %d, want %d: %s", status, tc.want, out)
		}
		if status, out, _ := execute(t, a, "mailbox", "reset", "office", "sales"); status != tc.want || strings.Count(out, "\n") != len(tc.reports) {
			t.Errorf("status %d, want %d: %s", status, tc.want, out)
		}
	}
	if status, _, stderr := execute(t, application{}, "mailbox", "reset"); status != 2 || !strings.Contains(stderr, "mailkeep mailbox reset --help") {
		t.Errorf("no name: status %d, %s", status, stderr)
	}
}
