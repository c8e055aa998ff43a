package poller

import (
	"math/rand/v2"
	"time"
)

// A delay bounds the wait after a failure: between floor and ceiling, where the
// ceiling doubles with each failure in a row up to most. The wait is drawn evenly
// from the whole range, so that mailboxes which failed together do not return
// together.
type delay struct{ floor, most time.Duration }

// delays holds one entry per outcome that is waited for. The floor of a minute
// is for servers that keep a mailbox locked for a while after a broken session.
// Trouble of the archive leaves no lock, and is over soon where it was a restart
// or a disk that was full for a moment; a session that comes back too early
// costs a login and a few messages (see state.Probe). Refused credentials have
// their breaker. A mailbox of a process that stopped is free for another.
var delays = map[Outcome]delay{
	OutcomeBusy:     {time.Minute, 15 * time.Minute},
	OutcomeRate:     {time.Minute, time.Hour},
	OutcomeTemp:     {time.Minute, 30 * time.Minute},
	OutcomeProtocol: {time.Minute, time.Hour},
	OutcomeArchive:  {3 * time.Second, 10 * time.Minute},
	OutcomePerm:     {time.Hour, 24 * time.Hour},
	OutcomeBreaker:  {15 * time.Minute, time.Hour}, // mail that arrives is sealed all the same
	OutcomeStopped:  {0, 0},
}

// backoff returns how long to wait after the given number of failures in a row
// (at least 1), the last of which had the outcome o.
func backoff(o Outcome, failures int) time.Duration {
	d, ok := delays[o]
	if !ok {
		d = delays[OutcomeTemp]
	}
	ceiling := min(d.floor<<min(max(failures, 1), 16), d.most)
	return between(d.floor, ceiling)
}

// between returns a time in [low, high), or low if there is none.
func between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + rand.N(high-low)
}

// jittered returns d, give or take the share of it.
func jittered(d time.Duration, share float64) time.Duration {
	spread := time.Duration(float64(d) * share)
	return between(d-spread, d+spread)
}
