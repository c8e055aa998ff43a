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
				{Number: 1, UIDL: "u1", Size: 1000, ID: &mail.ID{Seq: 3}, Deleted: true},
				{Number: 2, UIDL: "u\xff\x1b[2J", Size: -1, ID: &mail.ID{Seq: 4}, Why: "DELE: " + evil},
				{Number: 17, Size: 123456, Why: "poison"},
				{Number: 18, UIDL: "u4", Size: 17, ID: &mail.ID{Seq: 5}},
			},
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
	if status != 0 || !strings.Contains(out, "kept: poison") || !strings.Contains(out, "11 sessions before") || !f.closed {
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
