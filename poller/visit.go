package poller

import (
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A visit is what the state of a mailbox keeps of when it was polled, so that
// neither a restart nor another process comes back too early. Its times are of
// the wall clock, which can be wrong: a length of time is stored beside the time
// from which it counts, and one that counts from a time to come is over (see
// remaining). What this process waits for it counts by the monotonic clock, so
// a clock that jumps makes it neither storm nor stall.
type visit struct {
	Ended    time.Time     `json:"ended,omitzero"` // of the last session, or attempt at one
	Rest     time.Duration `json:"rest,omitempty"` // from Ended to the next one by schedule
	Why      Wait          `json:"why,omitempty"`  // of Rest
	Worker   string        `json:"worker,omitempty"`
	Success  time.Time     `json:"success,omitzero"` // end of the last session that was ok
	Failures int           `json:"failures,omitempty"`
	Moving   bool          `json:"moving,omitempty"` // it ended well and left more to do

	Login time.Time     `json:"login,omitzero"`  // of the last session
	Delay time.Duration `json:"delay,omitempty"` // LOGIN-DELAY as announced last

	Fetched []hour `json:"fetched,omitempty"` // in the last day, the oldest first
}

// An hour counts the octets fetched in one hour of the wall clock.
type hour struct {
	Hour   int64 `json:"h"` // since the epoch
	Octets int64 `json:"n"`
}

// clockSkew is how far the clocks of two workers may differ.
const clockSkew = time.Minute

// remaining returns what is left at now of a wait that began at since. A wait
// that begins in the future was reckoned by a clock that was wrong, or is by one
// that is wrong now: there is none.
func remaining(since time.Time, wait time.Duration, now time.Time) time.Duration {
	passed := now.Sub(since)
	if since.IsZero() || passed < -clockSkew {
		return 0
	}
	return max(0, wait-max(0, passed))
}

// An occasion is why a session is to be held, and what its holder wants of it.
type occasion struct {
	// asked says that somebody waits for it: the schedule does not count, what
	// the server demands does.
	asked bool
	// first says that this process has not held one before: it does not wait for
	// failures that another process met, for what caused them may be mended.
	first bool
	pace  *pace // nil where no schedule listens
}

// gate returns how long the mailbox must be left alone, and why; "" if it may be
// polled now.
func (v *visit) gate(m *Mailbox, o occasion, worker string, now time.Time) (time.Duration, Wait) {
	if left := remaining(v.Login, v.Delay, now); left > 0 {
		return left, WaitLoginDelay
	}
	if left := v.untilFree(m.DailyLimit, now); left > 0 {
		return left, WaitDailyLimit
	}
	if o.asked || v.Why == WaitBackoff && o.first {
		return 0, ""
	}
	rest := v.Rest
	if v.Why == WaitSchedule {
		rest = min(rest, m.longestRest(v.Ended)) // the schedule may have been changed since
	}
	left := remaining(v.Ended, rest, now)
	if left == 0 {
		return 0, ""
	}
	if v.Worker != worker {
		// Whoever polled last goes on doing so while it can: the others look
		// whether it did.
		slack := min(takeoverSlack, m.Interval/4)
		left += between(slack/2, slack)
	}
	return left, v.Why
}

// Takeover. A worker that was killed leaves mailboxes that rest, and mailboxes
// in session. Those that rest are polled by another worker takeoverSlack later
// than they would have been at most. Those in session are free when the lease
// expires, and another worker tries for it every leaseRetry at most: with a
// lease of 40 s (nats.lease), renewed every third of it, that is 40 + 10 s after
// the death and the second or two that the server takes to notice.
const (
	takeoverSlack = 10 * time.Second
	leaseRetry    = 10 * time.Second
)

// A conclusion is what a session means for the next one.
type conclusion struct {
	err      error
	dialed   bool // the server was asked for
	loggedIn time.Time
	delay    time.Duration // LOGIN-DELAY; 0 if not known
	more     bool
	octets   int64
	breaker  BreakerState
	left     time.Duration // until an open breaker half opens; 0 if only another secret closes it
}

// conclude takes note of a session that ended at now, and returns how long the
// mailbox rests.
func (v *visit) conclude(m *Mailbox, c conclusion, worker string, now time.Time) time.Duration {
	moved := v.Moving
	v.Moving = c.err == nil && c.more
	v.Ended, v.Worker = now, worker
	switch {
	case c.err == nil:
		v.Failures, v.Success = 0, now
	case c.more:
		v.Failures = 1 // it came forward
	case OutcomeOf(c.err) == OutcomeStopped, c.breaker == BreakerOpen && !c.dialed:
		// That is not the mailbox's, or is counted already.
	default:
		v.Failures++
	}
	if !c.loggedIn.IsZero() {
		v.Login, v.Delay = c.loggedIn, c.delay
	} else if c.delay > 0 {
		v.Delay = c.delay
	}
	v.spend(c.octets, now)
	v.Rest, v.Why = v.rest(m, c, moved, now)
	if c.err == nil || OutcomeOf(c.err) == OutcomeRate {
		v.Rest = max(v.Rest, c.delay)
	}
	return v.Rest
}

// rest returns how long the mailbox rests after a session, but for LOGIN-DELAY.
func (v *visit) rest(m *Mailbox, c conclusion, moved bool, now time.Time) (time.Duration, Wait) {
	outcome := OutcomeOf(c.err)
	switch {
	case v.Moving:
		return breath, WaitSchedule
	case moved && outcome == OutcomeBusy:
		return ownLock, WaitBackoff
	case c.err == nil:
		return m.nextRest(now), WaitSchedule
	case outcome == OutcomeCredentials && c.breaker == BreakerOpen && c.left > 0:
		return min(c.left+between(0, time.Minute), m.nextRest(now)), WaitBreaker
	case outcome == OutcomeCredentials && c.breaker == BreakerOpen:
		// To look for another secret costs nobody anything.
		return m.nextRest(now), WaitBreaker
	case outcome == OutcomeCredentials, !c.dialed && outcome == OutcomePerm:
		return m.nextRest(now), WaitBackoff
	}
	return backoff(outcome, v.Failures), WaitBackoff
}

// ownLock is the wait for a server that still holds the lock of the session
// before.
const ownLock = 3 * time.Second

// nextRest returns the time from now to the next poll by schedule.
func (m *Mailbox) nextRest(now time.Time) time.Duration {
	if m.Timetable == nil {
		return jittered(m.Interval, m.Jitter)
	}
	next := m.Timetable.Next(now)
	if next.IsZero() {
		return m.Interval // the timetable has come to its end
	}
	spread := time.Duration(float64(m.Timetable.Next(next).Sub(next)) * m.Jitter)
	return next.Sub(now) + between(0, spread)
}

// longestRest returns the longest that nextRest may return at the time given.
func (m *Mailbox) longestRest(at time.Time) time.Duration {
	if m.Timetable == nil {
		return m.Interval + time.Duration(float64(m.Interval)*m.Jitter)
	}
	next := m.Timetable.Next(at)
	if next.IsZero() {
		return m.Interval
	}
	spread := float64(m.Timetable.Next(next).Sub(next)) * m.Jitter
	return next.Sub(at) + max(0, time.Duration(spread))
}

// hours is how many hours a daily limit looks back on beside the present one: no
// 24 hours on end then hold more than it.
const hours = 24

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// spend counts octets that were fetched.
func (v *visit) spend(octets int64, now time.Time) {
	v.expire(now)
	if octets <= 0 {
		return
	}
	h := hourOf(now)
	if last := len(v.Fetched) - 1; last >= 0 && v.Fetched[last].Hour == h {
		v.Fetched[last].Octets += octets
		return
	}
	v.Fetched = append(v.Fetched, hour{h, octets})
}

// expire forgets what is older than a day. What was fetched in hours to come, by
// a clock that was wrong, counts as fetched now.
func (v *visit) expire(now time.Time) {
	h := hourOf(now)
	v.Fetched = slices.DeleteFunc(v.Fetched, func(f hour) bool { return f.Hour < h-hours || f.Octets <= 0 })
	for i := range v.Fetched {
		v.Fetched[i].Hour = min(v.Fetched[i].Hour, h)
	}
}

// used returns the octets that count for a daily limit.
func (v *visit) used(now time.Time) (sum int64) {
	v.expire(now)
	for _, f := range v.Fetched {
		sum += f.Octets
	}
	return sum
}

// budget returns how much of most a session may fetch under a daily limit.
func (v *visit) budget(limit, most int64, now time.Time) int64 {
	if limit <= 0 {
		return most
	}
	return min(most, max(0, limit-v.used(now)))
}

// untilFree returns how long until the limit leaves room; 0 if it does.
func (v *visit) untilFree(limit int64, now time.Time) time.Duration {
	if limit <= 0 {
		return 0
	}
	sum := v.used(now)
	for _, f := range v.Fetched {
		if sum < limit {
			break
		}
		sum -= f.Octets
		if sum < limit {
			return time.Unix((f.Hour+hours+1)*3600, 0).Sub(now)
		}
	}
	return 0
}

// repair brings what was read within bounds.
func (v *visit) repair() {
	v.Rest, v.Delay, v.Failures = max(0, v.Rest), max(0, v.Delay), max(0, v.Failures)
	v.Rest = min(v.Rest, longestWait)
	v.Delay = min(v.Delay, longestWait)
	v.Fetched = v.Fetched[:min(len(v.Fetched), 2*hours)]
}

// longestWait bounds what is believed of a stored wait.
const longestWait = 32 * 24 * time.Hour

// gateError words why an asked-for session is not held.
func gateError(why Wait, left time.Duration, m *Mailbox) error {
	left = left.Round(time.Second)
	switch why {
	case WaitLoginDelay:
		return failed(OutcomeRate, mail.WithHint(mail.Errorf(mail.Temporary, "the server wants time between logins: %s are left", left),
			"it announces LOGIN-DELAY; the mailbox is polled as soon as it may be"))
	case WaitDailyLimit:
		return failed(OutcomeRate, mail.WithHint(mail.Errorf(mail.Temporary, "the daily limit of %d octets is used up, for %s", m.DailyLimit, left),
			"raise daily_limit if the server allows more"))
	}
	return nil
}
