package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
)

// A Session is what a session with a mailbox did, for the counters.
type Session struct {
	Mailbox string
	Outcome string // "ok", or the class of the error that ended it
	// Login says how the server answered the credentials.
	Login    Login
	Fetched  int   // messages retrieved
	Octets   int64 // of them
	Deleted  int   // messages that the server promised to delete
	Vanished int   // messages that are gone and that we did not delete; of them Lost were not sealed
	Lost     int
}

// A Login tells how a login ended.
type Login string

// The ways a login ends.
const (
	LoginNone     Login = ""         // it did not come to that
	LoginAccepted Login = "accepted" // the session began
	LoginRefused  Login = "refused"  // user or password are wrong
)

// pollerCounters are what sessions add up to, by one label.
type pollerCounters struct {
	sessions, fetched, fetchedBytes, deleted, vanished *prometheus.CounterVec
}

// sessions defines the counters of mailboxes and hosts. Those of mailboxes are
// defined where they are off, too: the documentation and the rules name them.
func (m *Metrics) sessions() {
	m.box, m.host = m.pollerCounters("mailbox", "the mailbox"), m.pollerCounters("host", "the mailboxes of the host")
	m.logins = m.counters("host_logins_total", "Logins by how the server answered: accepted, or refused for user or password.", "host", "result")
}

func (m *Metrics) pollerCounters(label, whose string) pollerCounters {
	name := func(what string) string { return label + "_" + what }
	return pollerCounters{
		sessions:     m.counters(name("sessions_total"), "Sessions with "+whose+" by outcome: ok, credentials, busy, rate, temp, perm, breaker, protocol, archive or stopped.", label, "outcome"),
		fetched:      m.counters(name("fetched_messages_total"), "Messages retrieved from "+whose+".", label),
		fetchedBytes: m.counters(name("fetched_bytes_total"), "Their size.", label),
		deleted:      m.counters(name("deleted_messages_total"), "Deletions that the server of "+whose+" accepted.", label),
		vanished:     m.counters(name("vanished_messages_total"), "Messages of "+whose+" that are gone and that mailkeep did not delete, by whether the archive has sealed them (sealed: yes or no). Another program reads the mailbox.", label, "sealed"),
	}
}

// Ended counts a session. One with a mailbox that Options.Hosts does not have
// is not counted.
func (m *Metrics) Ended(s Session) {
	host, known := m.hosts[s.Mailbox]
	if !known {
		return
	}
	m.host.add(host, s)
	if m.perBox {
		m.box.add(s.Mailbox, s)
	}
	if s.Login != LoginNone {
		m.logins.WithLabelValues(host, string(s.Login)).Inc()
	}
}

func (c pollerCounters) add(label string, s Session) {
	c.sessions.WithLabelValues(label, s.Outcome).Inc()
	c.fetched.WithLabelValues(label).Add(float64(max(s.Fetched, 0)))
	c.fetchedBytes.WithLabelValues(label).Add(float64(max(s.Octets, 0)))
	c.deleted.WithLabelValues(label).Add(float64(max(s.Deleted, 0)))
	lost := min(max(s.Lost, 0), max(s.Vanished, 0))
	c.vanished.WithLabelValues(label, "yes").Add(float64(max(s.Vanished, 0) - lost))
	c.vanished.WithLabelValues(label, "no").Add(float64(lost))
}
