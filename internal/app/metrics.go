package app

import (
	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/telemetry"
	"github.com/mailkeep/mailkeep/poller"
)

// mostMeasured is how many mailboxes have series of their own where the
// configuration leaves that open: some twenty for each, which a Prometheus of
// ordinary size takes in at every scrape.
const mostMeasured = 1000

// newMetrics makes the metrics of a process of the configuration.
func newMetrics(c *configs.Config) *telemetry.Metrics {
	hosts := make(map[string]string, len(c.Mailboxes))
	for _, m := range c.Resolve() {
		hosts[m.Name] = m.HostKey
	}
	each := c.HTTP.MailboxMetrics == configs.MetricsOn ||
		c.HTTP.MailboxMetrics != configs.MetricsOff && len(hosts) <= mostMeasured
	return telemetry.NewMetrics(telemetry.Options{Software: Software(), Hosts: hosts, PerMailbox: each})
}

// sessionOf is a drain as it is counted.
func sessionOf(r poller.Result) telemetry.Session {
	s := telemetry.Session{Mailbox: r.Mailbox, Outcome: string(r.Outcome), Fetched: r.Fetched, Octets: r.Octets, Deleted: r.Deleted,
		Vanished: r.Vanished.Sealed + r.Vanished.Unsealed, Lost: r.Vanished.Unsealed}
	switch {
	case r.Sessions > 0:
		s.Login = telemetry.LoginAccepted
	case r.Outcome == poller.OutcomeCredentials && r.Last.Session != "":
		s.Login = telemetry.LoginRefused
	}
	return s
}

// mailboxStates tells what the poller knows of the mailboxes.
func (a *App) mailboxStates() []telemetry.MailboxState {
	states := make([]telemetry.MailboxState, 0, len(a.boxes))
	for i, s := range a.poller.Status() {
		m, last := a.boxes[i], a.seen.of(s.Name)
		t := telemetry.MailboxState{
			Name: m.Name, Host: m.HostKey, Delete: m.Delete,
			LastSession: s.LastEnd, LastSuccess: s.LastSuccess, NextDue: s.NextDue, OldestUnsealed: last.unsealed, CertExpiry: last.cert, TokenExpiry: s.TokenExpiry,
			Failures: s.Failures, Listed: s.Listed, Held: last.held,
			CredentialsOpen: s.Blocked, BlastRadiusOpen: !last.blast.IsZero(), Waits: s.Outcome == poller.OutcomeArchive,
		}
		if source := a.tokens[m.Name]; source != nil {
			t.TokenExpiry = source.Expiry()
		}
		if m.Timetable == nil {
			t.Interval = m.Interval
		}
		states = append(states, t)
	}
	return states
}

// hostStates tells what the poller knows of the hosts.
func (a *App) hostStates() []telemetry.HostState {
	all := a.poller.Hosts()
	states := make([]telemetry.HostState, len(all))
	for i, h := range all {
		states[i] = telemetry.HostState{Name: h.Key, Running: h.Running, Waiting: h.Waiting, Paused: h.Paused}
	}
	return states
}
