package poller

import (
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A BreakerState tells how a breaker stands.
type BreakerState string

// The states.
const (
	BreakerClosed BreakerState = "closed"
	BreakerHalf   BreakerState = "half" // the next login is the last one with this secret
	BreakerOpen   BreakerState = "open"
)

// A Wait says why a mailbox is not polled before MailboxStatus.NextDue.
type Wait string

// The waits.
const (
	WaitSchedule   Wait = "schedule"    // its interval or timetable, or it has more to drain and waits for its turn
	WaitBackoff    Wait = "backoff"     // the last session failed
	WaitLoginDelay Wait = "login-delay" // the server wants time between logins (RFC 2449 section 6.5)
	WaitDailyLimit Wait = "daily-limit" // Mailbox.DailyLimit is used up
	WaitBreaker    Wait = "breaker"     // the credentials breaker is open
	WaitHost       Wait = "host"        // the host's breaker is open
	WaitLease      Wait = "lease"       // another process holds a session on it
)

// A MailboxStatus is what a Poller knows of a mailbox. What other processes did
// with it is known from the last time that this one looked.
type MailboxStatus struct {
	Name      string
	LastStart time.Time // of the last session of this process; zero before the first
	LastEnd   time.Time // of the last session of any process, as the two below
	// LastSuccess is when the last session with the outcome "ok" ended; zero if
	// none is known.
	LastSuccess time.Time
	Failures    int // sessions in a row that were not ok
	Running     bool
	Outcome     Outcome // of the last session of this process; "" before the first
	Error       string  // of that session
	Hint        string
	// NextDue is when the mailbox is looked at next; Waits says what keeps it
	// until then, "" before the first look.
	NextDue time.Time
	Waits   Wait

	// Breaker is the state of the credentials breaker for the present secret,
	// Refusals how many logins it counts, and Blocked whether it is open.
	// BreakerUntil is when it half opens; zero where only another secret or
	// Poller.Reset closes it.
	Breaker      BreakerState
	BreakerUntil time.Time
	Refusals     int
	Blocked      bool
	// TokenExpiry is when the token of the mailbox ends; zero if it holds none.
	TokenExpiry time.Time
	// HostPaused is until when the host's breaker keeps all its mailboxes waiting;
	// zero if it is closed.
	HostPaused time.Time

	// DailyUsed counts the octets fetched in the last 24 hours, by all processes,
	// where there is a DailyLimit.
	DailyUsed, DailyLimit int64

	Listed  int // of the last session
	Held    int // of the last session
	Fetched int // since the start, as the following
	Sealed  int
	Deleted int
}

// A HostStatus is what a Poller knows of a host.
type HostStatus struct {
	Key     string // as Mailbox.HostKey
	Running int    // sessions
	Waiting int    // mailboxes that are due and wait for a session
	// Paused is until when no session begins; zero if the breaker is closed.
	Paused time.Time
	// Down counts the failures in a row to reach the host.
	Down int
}

// Status returns the state of each mailbox in the order of Options.Mailboxes.
func (p *Poller) Status() []MailboxStatus {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]MailboxStatus, len(p.accounts))
	for i, a := range p.accounts {
		s := a.status
		if until := a.host.status.Paused; until.After(now) {
			s.HostPaused = until
		}
		if t := a.mailbox.Tokens; t != nil {
			s.TokenExpiry = t.Expiry()
		}
		all[i] = s
	}
	return all
}

// Hosts returns the state of each host, in the order in which Options.Mailboxes
// names them first.
func (p *Poller) Hosts() []HostStatus {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]HostStatus, len(p.hosts))
	for i, h := range p.hosts {
		all[i] = h.status
		if !all[i].Paused.After(now) {
			all[i].Paused = time.Time{}
		}
	}
	return all
}

func (p *Poller) setDue(a *account, why Wait) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.status.NextDue, a.status.Waits = a.due, why
}

func (p *Poller) setStarted(a *account, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.status.LastStart, a.status.Running = now, true
}

func (p *Poller) setHost(h *host) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.status.Running, h.status.Waiting, h.status.Down, h.status.Paused = h.running, h.queue.size(), h.down, h.paused
}

// setEnded takes over what a drain tells, or, of one that was spared, what it
// found in the state.
func (p *Poller) setEnded(a *account, r Result) {
	if p.o.Ended != nil && !r.spared {
		p.o.Ended(r)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &a.status
	s.Running = false
	if !r.visit.Ended.IsZero() {
		s.LastEnd, s.LastSuccess, s.Failures = r.visit.Ended, r.visit.Success, r.visit.Failures
		s.DailyUsed = r.visit.used(p.drainer.wall())
	}
	if r.spared {
		return
	}
	s.Outcome, s.Error, s.Hint = r.Outcome, "", ""
	if r.Err != nil {
		s.Error, s.Hint = bounded(r.Err.Error()), mail.HintOf(r.Err)
	}
	s.setBreaker(r, p.drainer.wall())
	if r.Sessions > 0 {
		s.Listed, s.Held = r.Listed, r.Held
	}
	s.Fetched += r.Fetched
	s.Sealed += r.Sealed
	s.Deleted += r.Deleted
}

// setBreaker takes over how the breaker stands, if the drain came so far as to
// ask it.
func (s *MailboxStatus) setBreaker(r Result, now time.Time) {
	if r.Breaker == "" {
		return
	}
	s.Breaker, s.Refusals, s.BreakerUntil = r.Breaker, r.Refusals, time.Time{}
	s.Blocked = r.Breaker == BreakerOpen
	if r.breakerLeft > 0 {
		s.BreakerUntil = now.Add(r.breakerLeft)
	}
}
