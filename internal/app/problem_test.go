package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// timetable returns the schedule of a configuration.
func timetable(t *testing.T, schedule string) *configs.Timetable {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	text := "mailboxes:\n- {name: a, host: pop.example.org, password_env: X, schedule: \"" + schedule + "\"}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := configs.Load(configs.Sources{File: file, SkipSecrets: true})
	if err != nil {
		t.Fatal(err)
	}
	return c.Resolve()[0].Timetable
}

func TestProblems(t *testing.T) {
	friday := time.Date(2026, 1, 30, 17, 0, 0, 0, time.UTC)
	office := expectation{timetable: timetable(t, "0 9-17 * * MON-FRI")}
	quarter := expectation{interval: 15 * time.Minute}
	for name, tc := range map[string]struct {
		status MailboxStatus
		after  time.Duration // since Friday evening
		expect expectation
		want   string // in the problem; "" for none
	}{
		"fine":                   {MailboxStatus{LastSuccess: friday, Outcome: "ok"}, 50 * time.Minute, quarter, ""},
		"never polled":           {MailboxStatus{}, 0, quarter, ""},
		"failing since shortly":  {MailboxStatus{LastSuccess: friday, Outcome: "temp", Error: "no route", Failures: 2}, 50 * time.Minute, quarter, ""},
		"failing for long":       {MailboxStatus{LastSuccess: friday, Outcome: "temp", Error: "no route", Failures: 9}, 2 * time.Hour, quarter, "no session went well for 2h: no route"},
		"failing from the start": {MailboxStatus{Outcome: "temp", Error: "no route", Failures: 3}, 0, quarter, "yet, and 3 failed: no route"},
		"nothing runs":           {MailboxStatus{LastSuccess: friday, Outcome: "ok"}, 26 * time.Hour, quarter, "no session for 26h"},
		"a long interval":        {MailboxStatus{LastSuccess: friday, Outcome: "ok"}, 26 * time.Hour, expectation{interval: 24 * time.Hour}, ""},
		"a weekend":              {MailboxStatus{LastSuccess: friday, Outcome: "ok"}, 64 * time.Hour, office, ""},
		"a missed Monday":        {MailboxStatus{LastSuccess: friday, Outcome: "ok"}, 68 * time.Hour, office, "no session"},
		"certificate":            {MailboxStatus{LastSuccess: friday, Outcome: "perm", Error: "x509: expired", Failures: 1}, time.Minute, quarter, "x509: expired"},
		"wrong password":         {MailboxStatus{LastSuccess: friday, Outcome: "credentials", Error: "refused", Failures: 1}, time.Minute, quarter, "refused"},
		"credentials breaker":    {MailboxStatus{LastSuccess: friday, Outcome: "credentials", CredentialsOpen: true}, time.Minute, quarter, "refused the secret three times"},
		"credentials, an hour":   {MailboxStatus{LastSuccess: friday, CredentialsOpen: true, CredentialsUntil: friday.Add(31 * time.Minute)}, time.Minute, quarter, "once more in 30m"},
		"blast radius":           {MailboxStatus{LastSuccess: friday, BlastRadius: "60 of 70 are others"}, time.Minute, quarter, "nothing is deleted: 60 of 70"},
		"host paused":            {MailboxStatus{LastSuccess: friday, HostPaused: friday.Add(time.Hour)}, time.Minute, quarter, "its host is paused"},
		"host paused no more":    {MailboxStatus{LastSuccess: friday, HostPaused: friday}, time.Minute, quarter, ""},
		"lost":                   {MailboxStatus{LastSuccess: friday, Outcome: "ok", Lost: 2}, time.Minute, quarter, "2 messages went"},
		"poison":                 {MailboxStatus{LastSuccess: friday, Outcome: "ok", HeldBy: map[string]int{"poison": 2, "short": 1, "cut": 7}}, time.Minute, quarter, "stay on the server: 2 poison, 1 short"},
		"passing trouble":        {MailboxStatus{LastSuccess: friday, Outcome: "ok", HeldBy: map[string]int{"cut": 7, "unsealed": 1}}, time.Minute, quarter, ""},
	} {
		m := tc.status
		m.Name, m.Configured = "office", true
		m.judge(friday.Add(tc.after), tc.expect)
		if (m.Problem == "") != (tc.want == "") || !strings.Contains(m.Problem, tc.want) || (m.Problem == "") != (m.Hint == "") {
			t.Errorf("%s: problem %q, hint %q, want %q", name, m.Problem, m.Hint, tc.want)
		}
		m = tc.status
		if m.judge(friday.Add(tc.after), tc.expect); m.Problem != "" {
			t.Errorf("%s: a mailbox that is not configured has a problem: %s", name, m.Problem)
		}
	}
}

// Every fate is judged on purpose: either as it should be, or as a fault.
func TestFatesAreJudged(t *testing.T) {
	fine := map[mail.Fate]bool{mail.FateDeleted: true, mail.FateDeletedShort: true, mail.FateRolledBack: true, mail.FateKept: true,
		mail.FateYoung: true, mail.FateSealed: true, mail.FateBreaker: true, mail.FateLater: true}
	for _, f := range mail.AllFates() {
		if isFault(f) == fine[f] {
			t.Errorf("%s: fault %v", f, isFault(f))
		}
	}
	docs, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range mail.AllFates() {
		if !strings.Contains(string(docs), "`"+string(f)+"`") {
			t.Errorf("docs/operations.md does not explain %s", f)
		}
	}
}

func TestSessionsSeen(t *testing.T) {
	s := newSessionsSeen()
	t0 := time.Unix(1700000000, 0)
	good := poller.Result{Mailbox: "a", Sessions: 1, CertExpiry: t0, WaitingSince: t0, BreakerSince: t0, Vanished: mail.Vanished{Sealed: 5, Unsealed: 2}}
	good.Last.Fates = map[mail.Fate]int{mail.FatePoison: 1, mail.FateDeleted: 9, mail.FateKept: 3}
	good.Last.Breaker, good.Last.Listed = "why", 13
	s.take(good)
	s.take(poller.Result{Mailbox: "a", Outcome: poller.OutcomeTemp, Err: os.ErrDeadlineExceeded}) // it did not log in
	got := s.of("a")
	if got.held["poison"] != 1 || len(got.held) != 1 || got.unsealed != t0 || got.cert != t0 || got.blast != t0 || got.why != "why" || got.lost != 2 {
		t.Errorf("%+v", got)
	}
	s.forget("a")
	if got := s.of("a"); !got.blast.IsZero() || got.why != "" || got.cert != t0 {
		t.Errorf("after a reset: %+v", got)
	}
	s.take(poller.Result{Mailbox: "a", Sessions: 1}) // an empty mailbox
	if got := s.of("a"); len(got.held) != 0 || !got.unsealed.IsZero() || got.lost != 2 {
		t.Errorf("afterwards: %+v", got)
	}
}

// A mailbox whose password is refused is told of as a problem by the running
// process, which knows of it although no session came about.
func TestStatusTellsOfProblems(t *testing.T) {
	p := newPlant(t, 2, "", "anna", "bela")
	p.server.Mailboxes["bela"].Password = "another"
	p.server.Mailboxes["anna"].Add(pop3test.Message{UIDL: "big", Raw: []byte("Subject: big\r\n\r\n" + strings.Repeat("x\r\n", 1<<20))})
	p.config.Message.MaxSize = 1 << 20
	a, err := New(t.Context(), p.config, nil, console(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.poller.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := p.open(t)
	problems := map[string]string{}
	for _, m := range mustStatus(t, c).Mailboxes {
		problems[m.Name] = m.Problem
	}
	if !strings.Contains(problems["anna"], "1 oversize") || !strings.Contains(problems["bela"], "refused") {
		t.Errorf("%q", problems)
	}
	closeOK(t, c)
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// What the poller knows later than the ledger counts; a time that it has from
// another process says nothing of how that session ended.
func TestMergeOfWhatPollersKnow(t *testing.T) {
	t0 := time.Unix(1700000000, 0)
	ledger := MailboxStatus{Name: "a", LastSession: t0, LastSuccess: t0, Outcome: "ok", BlastRadius: "why", HeldBy: map[string]int{"short": 1}}
	for name, tc := range map[string]struct {
		due              dueMailbox
		outcome          string
		session, success time.Time
		blast            string
	}{
		"another process":  {dueMailbox{LastEnd: t0.Add(time.Second), LastSuccess: t0.Add(time.Second)}, "ok", t0.Add(time.Second), t0.Add(time.Second), "why"},
		"an older session": {dueMailbox{LastEnd: t0.Add(-time.Hour), Outcome: "temp", Error: "x"}, "ok", t0, t0, "why"},
		"a failure since":  {dueMailbox{LastEnd: t0.Add(time.Hour), Outcome: "temp", Error: "x"}, "temp", t0.Add(time.Hour), t0, "why"},
		"a quiet success":  {dueMailbox{LastEnd: t0.Add(time.Hour), Outcome: "ok"}, "ok", t0.Add(time.Hour), t0.Add(time.Hour), ""},
	} {
		m := ledger
		m.merge(tc.due)
		if m.Outcome != tc.outcome || !m.LastSession.Equal(tc.session) || !m.LastSuccess.Equal(tc.success) || m.BlastRadius != tc.blast || m.HeldBy["short"] != 1 {
			t.Errorf("%s: %+v", name, m)
		}
	}
}
