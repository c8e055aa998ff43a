package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller"
)

// An expectation tells how long a mailbox may be without a session that went
// well.
type expectation struct {
	interval  time.Duration      // between two polls
	timetable *configs.Timetable // in its place, if not nil
}

// grace is what a mailbox may take longer than its schedule says: a back-off, a
// busy server, a restart.
const grace = time.Hour

// deadline returns when a mailbox whose last success was at t is overdue: it has
// missed three of its polls, and the grace has passed.
func (e expectation) deadline(t time.Time) time.Time {
	if e.timetable == nil {
		return t.Add(max(grace, 3*e.interval))
	}
	for range 3 {
		t = e.timetable.Next(t)
	}
	return t.Add(grace)
}

// judge sets the problem of a configured mailbox, the one that most wants
// somebody's hand if there are several, and what to do about it.
func (m *MailboxStatus) judge(now time.Time, e expectation) {
	if !m.Configured {
		return
	}
	for _, check := range []func(time.Time, expectation) (problem, hint string){
		m.lostMail, m.stopped, m.stuck, m.overdue, m.holding,
	} {
		if m.Problem, m.Hint = check(now, e); m.Problem != "" {
			return
		}
	}
}

// lostMail is mail that the last session found gone, and that nobody sealed.
func (m *MailboxStatus) lostMail(time.Time, expectation) (problem, hint string) {
	if m.Lost == 0 {
		return "", ""
	}
	return fmt.Sprintf("%d messages went from the server before they were sealed, and mailkeep did not delete them", m.Lost),
		"find out which other program reads the mailbox, or whether the server removes mail by itself"
}

// stopped is a breaker that is open.
func (m *MailboxStatus) stopped(now time.Time, _ expectation) (problem, hint string) {
	switch {
	case m.CredentialsOpen && m.CredentialsUntil.After(now):
		return fmt.Sprintf("the server refused the secret twice, and it is tried once more in %s", configs.Duration(m.CredentialsUntil.Sub(now).Round(time.Minute))),
			"set the right secret for the mailbox; it is used as soon as it changes"
	case m.CredentialsOpen:
		return "the server refused the secret three times, and it is not tried again",
			fmt.Sprintf("set the right secret for the mailbox; if it was right all the time, run: mailkeep mailbox reset %s", m.Name)
	case m.BlastRadius != "":
		return "nothing is deleted: " + m.BlastRadius,
			fmt.Sprintf("check that host and user are those of the mailbox and that the archive is its own (mailkeep verify), then run: mailkeep mailbox reset %s", m.Name)
	case m.HostPaused.After(now):
		return "its host is paused: it cannot be reached, or refused the logins of several mailboxes", "check the server and the network; the host is tried again by itself"
	}
	return "", ""
}

// stuck is an outcome that only somebody can change.
func (m *MailboxStatus) stuck(time.Time, expectation) (problem, hint string) {
	switch poller.Outcome(m.Outcome) {
	case poller.OutcomePerm, poller.OutcomeCredentials:
		return cmp.Or(m.Error, "the last session ended with "+m.Outcome), cmp.Or(m.ErrorHint, hintOn(poller.Outcome(m.Outcome)))
	}
	return "", ""
}

// overdue is a mailbox without a success for long. One that never had any is
// overdue once it has failed several times.
func (m *MailboxStatus) overdue(now time.Time, e expectation) (problem, hint string) {
	hint = cmp.Or(m.ErrorHint, hintOn(poller.Outcome(m.Outcome)))
	if m.LastSuccess.IsZero() {
		if m.Failures < 3 {
			return "", ""
		}
		return fmt.Sprintf("no session went well yet, and %d failed: %s", m.Failures, m.Error), hint
	}
	switch age := configs.Duration(now.Sub(m.LastSuccess).Round(time.Minute)); {
	case now.Before(e.deadline(m.LastSuccess)):
		return "", ""
	case m.Error == "":
		return fmt.Sprintf("no session for %s", age), "does mailkeep run, with the role poller?"
	default:
		return fmt.Sprintf("no session went well for %s: %s", age, m.Error), hint
	}
}

// holding is mail that stays on the server for a fault of its own.
func (m *MailboxStatus) holding(time.Time, expectation) (problem, hint string) {
	var parts []string
	for _, f := range slices.Sorted(maps.Keys(m.HeldBy)) {
		if n := m.HeldBy[f]; n > 0 && lasting(mail.Fate(f)) {
			parts = append(parts, fmt.Sprintf("%d %s", n, f))
		}
	}
	if len(parts) == 0 {
		return "", ""
	}
	return "messages stay on the server: " + strings.Join(parts, ", "),
		fmt.Sprintf("see docs/operations.md, and: mailkeep mailbox history %s --messages", m.Name)
}

// lasting reports whether a fate is one that no session to come is likely to
// mend.
func lasting(f mail.Fate) bool {
	switch f {
	case mail.FateCut, mail.FateUnsealed, mail.FateChanging:
		return false
	}
	return isFault(f)
}

// lostIn returns how much mail a session found gone that nobody had sealed.
func lostIn(d *mail.Drain) int {
	if d == nil || d.Vanished == nil {
		return 0
	}
	return d.Vanished.Unsealed
}
