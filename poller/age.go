package poller

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// clockSlack is by how much a clock may go wrong between two sessions, unseen.
const clockSlack = time.Hour

// firstSettle is how long a mailbox whose clock was never seen waits.
const firstSettle = 24 * time.Hour

// A clock is when a mailbox was last seen by the wall clock, and by one that
// nobody sets. A wall clock that is wrong must not make a message old enough to
// be deleted.
type clock struct {
	At   time.Time     `json:"at,omitzero"`
	Boot string        `json:"boot,omitempty"` // names what Up counts from
	Up   time.Duration `json:"up,omitempty"`
	// Settle is until when nothing is deleted for its age: the wall clock went
	// further than time did, or than can be told. By then as much time has passed
	// as it may have gone too far.
	Settle time.Time `json:"settle,omitzero"`
}

// see takes the two clocks at the begin of a session. age bounds what a wrong
// clock can do: after so long every message that was sealed before is old enough.
func (c *clock) see(now time.Time, boot string, up, age time.Duration) {
	now = now.Round(0) // without the reading that would hide that the clock was set
	ahead := now.Sub(c.At)
	if c.Boot == boot && up >= c.Up {
		ahead -= up - c.Up
	}
	switch {
	case c.At.IsZero():
		c.Settle = now.Add(min(firstSettle, age))
	case ahead > clockSlack:
		if until := now.Add(min(ahead, age)); until.After(c.Settle) {
			c.Settle = until
		}
	}
	if most := now.Add(age); c.Settle.After(most) {
		c.Settle = most
	}
	c.At, c.Boot, c.Up = now, boot, up
}

// processClock returns a clock that nobody sets and that begins now.
func processClock() func() (boot string, up time.Duration) {
	name, begin := rand.Text(), time.Now()
	return func() (string, time.Duration) { return name, time.Since(begin) }
}

// seeClock takes the clocks at the begin of a session.
func (s *session) seeClock() {
	boot, up := "", time.Duration(0)
	if s.d.Uptime != nil {
		boot, up = s.d.Uptime()
	}
	s.st.Clock.see(s.now, boot, up, s.m.DeleteAge)
}

// leaves reports whether sealed messages stay on the server, for now or for good.
func (s *session) leaves() bool { return s.m.Policy != DeleteSealed }

// keep reports whether nothing is ever deleted.
func (s *session) keep() bool { return s.m.Policy == KeepAll }

// old reports whether the policy lets go, at the session's time, of what a
// receipt is for.
func (s *session) old(r mail.Receipt) bool {
	switch s.m.Policy {
	case DeleteSealed:
		return true
	case DeleteAged:
		since := r.Since()
		if since.IsZero() || s.now.Sub(since) < s.m.DeleteAge {
			return false
		}
		if s.now.Before(s.st.Clock.Settle) {
			s.remark(mail.NoteClock)
			return false
		}
		return true
	}
	return false
}

// dooms reports whether m is sealed and the policy wants it deleted now. Where
// the content of a message changes from session to session, its age is that of
// what was sealed before: it would never grow old.
func (s *session) dooms(m *message) bool {
	return m.sealed && (s.old(m.receipt) || m.changed > 1 && s.old(m.known))
}

// remark adds a circumstance to the report, once.
func (s *session) remark(n mail.Note) {
	if !slices.Contains(s.report.Notes, n) {
		s.report.Notes = append(s.report.Notes, n)
	}
}
