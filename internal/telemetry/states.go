package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A MailboxState is what a poller knows of a mailbox when it is asked. A zero
// time is one that is not known, and makes no series.
type MailboxState struct {
	Name   string
	Host   string // as Options.Hosts
	Delete string // what happens on the server to a sealed message

	Interval       time.Duration // between two polls; 0 if they follow a calendar
	LastSession    time.Time
	LastSuccess    time.Time
	NextDue        time.Time
	OldestUnsealed time.Time // when the oldest message that is not sealed was first seen
	CertExpiry     time.Time
	TokenExpiry    time.Time

	Failures int            // sessions in a row that were not ok
	Listed   int            // messages in the last listing
	Held     map[string]int // messages left on the server on purpose, by reason

	// CredentialsOpen and BlastRadiusOpen say that a breaker stops the mailbox.
	CredentialsOpen bool
	BlastRadiusOpen bool
	// Waits says that the last session ended because the archive took no more.
	Waits bool
}

// A HostState is what a poller knows of a host when it is asked.
type HostState struct {
	Name    string
	Running int       // sessions
	Waiting int       // mailboxes that are due and wait for a session
	Paused  time.Time // no session begins before it; zero if the host is not paused
}

// Watch exports what the two functions return, at each scrape. It is called
// once, by a process that polls.
func (m *Metrics) Watch(mailboxes func() []MailboxState, hosts func() []HostState) {
	m.registry.MustRegister(&stateCollector{m: m, mailboxes: mailboxes, hosts: hosts, started: time.Now()})
}

// A stateCollector makes gauges of states when they are asked for.
type stateCollector struct {
	m         *Metrics
	mailboxes func() []MailboxState
	hosts     func() []HostState
	started   time.Time // stands for the last success of a mailbox that had none
}

// stateDefs are the gauges by name. Those of a mailbox have those of its host
// as their sum, earliest or number.
func stateDefs() []Definition {
	def := func(name, help string, labels ...string) Definition {
		return Definition{Name: name, Type: "gauge", Labels: labels, Help: help}
	}
	return []Definition{
		def("mailbox_info", "A configured mailbox; always 1.", "mailbox", "host", "delete"),
		def("mailbox_interval_seconds", "Time between two polls of the mailbox; none if it is polled by a calendar.", "mailbox"),
		def("mailbox_last_session_timestamp_seconds", "End of the last session, in Unix time.", "mailbox"),
		def("mailbox_last_success_timestamp_seconds", "End of the last session that went well, in Unix time.", "mailbox"),
		def("mailbox_next_due_timestamp_seconds", "When the mailbox is polled next, in Unix time.", "mailbox"),
		def("mailbox_oldest_unsealed_timestamp_seconds", "When the oldest message was first seen that is on the server and not sealed, in Unix time; none if all are.", "mailbox"),
		def("mailbox_certificate_expiry_timestamp_seconds", "End of the server's certificate, in Unix time, as the last session saw it.", "mailbox"),
		def("mailbox_token_expiry_timestamp_seconds", "End of the OAuth token that is held, in Unix time; the next session renews it.", "mailbox"),
		def("mailbox_consecutive_failures", "Sessions in a row that were not ok.", "mailbox"),
		def("mailbox_listed_messages", "Messages in the last listing.", "mailbox"),
		def("mailbox_held_messages", "Messages left on the server on purpose, by reason: poison, short, oversize, undeletable and others.", "mailbox", "reason"),
		def("mailbox_breaker_open", "Whether a breaker stops the mailbox: credentials or blast_radius.", "mailbox", "breaker"),

		def("host_mailboxes", "Configured mailboxes by how their last session ended: ok, failing, stopped (by a breaker) or new (no session yet).", "host", "state"),
		def("host_sessions", "Sessions that run.", "host"),
		def("host_waiting_mailboxes", "Mailboxes that are due and wait for a session.", "host"),
		def("host_paused", "Whether the host's breaker keeps all its mailboxes from being polled.", "host"),
		def("host_archive_waits", "Mailboxes whose last session ended because the archive took no more: back-pressure.", "host"),
		def("host_oldest_success_timestamp_seconds", "The earliest of the mailboxes' last successes, in Unix time; the start of the process for one that had none.", "host"),
		def("host_oldest_unsealed_timestamp_seconds", "When the oldest message was first seen that is on the server and not sealed, in Unix time; none if all are.", "host"),
		def("host_certificate_expiry_timestamp_seconds", "The earliest end of a certificate that a session saw, in Unix time.", "host"),
		def("host_held_messages", "Messages left on the server on purpose, by reason.", "host", "reason"),
	}
}

// states defines the gauges; Watch fills them.
func (m *Metrics) states() {
	m.gaugesOf = make(map[string]*prometheus.Desc)
	for _, d := range stateDefs() {
		m.define(d.Name, d.Type, d.Help, d.Labels...)
		m.gaugesOf[d.Name] = prometheus.NewDesc(namespace+"_"+d.Name, d.Help, d.Labels, nil)
	}
}

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.m.gaugesOf {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	g := gathering{m: c.m, out: ch}
	sums := make(map[string]*hostSum)
	for _, s := range c.mailboxes() {
		if c.m.perBox {
			g.mailbox(s)
		}
		if sums[s.Host] == nil {
			sums[s.Host] = newHostSum()
		}
		sums[s.Host].add(s, c.started)
	}
	for host, sum := range sums {
		g.sum(host, sum)
	}
	for _, h := range c.hosts() {
		g.set("host_sessions", float64(h.Running), h.Name)
		g.set("host_waiting_mailboxes", float64(h.Waiting), h.Name)
		g.set("host_paused", number(h.Paused.After(time.Now())), h.Name)
	}
}

// A gathering writes the gauges of one scrape.
type gathering struct {
	m   *Metrics
	out chan<- prometheus.Metric
}

func (g gathering) set(name string, v float64, labels ...string) {
	g.out <- prometheus.MustNewConstMetric(g.m.gaugesOf[name], prometheus.GaugeValue, v, labels...)
}

// at sets a gauge to a time; none if it is zero.
func (g gathering) at(name string, t time.Time, label string) {
	if !t.IsZero() {
		g.set(name, float64(t.UnixNano())/1e9, label)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (g gathering) mailbox(s MailboxState) {
	g.set("mailbox_info", 1, s.Name, s.Host, s.Delete)
	if s.Interval > 0 {
		g.set("mailbox_interval_seconds", s.Interval.Seconds(), s.Name)
	}
	g.at("mailbox_last_session_timestamp_seconds", s.LastSession, s.Name)
	g.at("mailbox_last_success_timestamp_seconds", s.LastSuccess, s.Name)
	g.at("mailbox_next_due_timestamp_seconds", s.NextDue, s.Name)
	g.at("mailbox_oldest_unsealed_timestamp_seconds", s.OldestUnsealed, s.Name)
	g.at("mailbox_certificate_expiry_timestamp_seconds", s.CertExpiry, s.Name)
	g.at("mailbox_token_expiry_timestamp_seconds", s.TokenExpiry, s.Name)
	g.set("mailbox_consecutive_failures", float64(s.Failures), s.Name)
	g.set("mailbox_listed_messages", float64(s.Listed), s.Name)
	for reason, n := range s.Held {
		g.set("mailbox_held_messages", float64(n), s.Name, reason)
	}
	g.set("mailbox_breaker_open", number(s.CredentialsOpen), s.Name, "credentials")
	g.set("mailbox_breaker_open", number(s.BlastRadiusOpen), s.Name, "blast_radius")
}

// A hostSum is what the mailboxes of a host add up to.
type hostSum struct {
	states                           map[string]int
	held                             map[string]int
	waits                            int
	success, unsealed, certificateBy time.Time
}

func newHostSum() *hostSum {
	return &hostSum{states: map[string]int{"ok": 0, "failing": 0, "stopped": 0, "new": 0}, held: make(map[string]int)}
}

func (h *hostSum) add(s MailboxState, started time.Time) {
	h.states[stateOf(s)]++
	for reason, n := range s.Held {
		h.held[reason] += n
	}
	if s.Waits {
		h.waits++
	}
	success := s.LastSuccess
	if success.IsZero() {
		success = started
	}
	h.success = earlier(h.success, success)
	h.unsealed = earlier(h.unsealed, s.OldestUnsealed)
	h.certificateBy = earlier(h.certificateBy, s.CertExpiry)
}

func stateOf(s MailboxState) string {
	switch {
	case s.CredentialsOpen || s.BlastRadiusOpen:
		return "stopped"
	case s.Failures > 0:
		return "failing"
	case s.LastSession.IsZero():
		return "new"
	}
	return "ok"
}

// earlier returns the earlier of two times of which a zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (g gathering) sum(host string, h *hostSum) {
	for state, n := range h.states {
		g.set("host_mailboxes", float64(n), host, state)
	}
	for reason, n := range h.held {
		g.set("host_held_messages", float64(n), host, reason)
	}
	g.set("host_archive_waits", float64(h.waits), host)
	g.at("host_oldest_success_timestamp_seconds", h.success, host)
	g.at("host_oldest_unsealed_timestamp_seconds", h.unsealed, host)
	g.at("host_certificate_expiry_timestamp_seconds", h.certificateBy, host)
}
