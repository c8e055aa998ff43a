package poller

import "time"

// A host is what the mailboxes of one Mailbox.HostKey share: the limit of
// sessions, the pace of logins, and a breaker of its own. An outage or a ban hits
// all of them, and each further login would count against every account.
type host struct {
	limit   int           // sessions at once
	pace    time.Duration // between logins in the long run
	running int
	// credit is the time paid for: logins are due at pace, and up to limit of
	// them may be saved up.
	credit  time.Duration
	settled time.Time  // when credit was last reckoned
	queue   []*account // due, in the order in which they became so
	inRing  bool

	refused map[string]time.Time // mailboxes whose credentials were refused lately
	down    int                  // failures in a row to reach the server
	paused  time.Time            // nothing is started before it
}

// The host's breaker.
const (
	refusedSpan   = 10 * time.Minute // how long a refusal counts
	refusedLimit  = 3                // mailboxes refused within it that pause the host
	refusedPause  = 30 * time.Minute
	downLimit     = 3 // failures in a row that pause the host
	downPause     = time.Minute
	downPauseMost = 15 * time.Minute
)

func newHost(limit, loginsPerMinute int) *host {
	return &host{limit: limit, pace: time.Minute / time.Duration(loginsPerMinute), refused: make(map[string]time.Time)}
}

// next takes the first entry that waits, if the host's limits allow one now.
// Otherwise it returns when to ask again; zero if only the end of a session can
// help.
func (h *host) next(now time.Time) (*account, time.Time) {
	limit := h.limit
	if h.down >= downLimit {
		limit = 1 // a probe
	}
	switch {
	case len(h.queue) == 0 || h.running >= limit:
		return nil, time.Time{}
	case now.Before(h.paused):
		return nil, h.paused
	}
	h.credit = min(h.credit+now.Sub(h.settled), time.Duration(h.limit)*h.pace)
	h.settled = now
	if h.credit < h.pace {
		return nil, now.Add(h.pace - h.credit)
	}
	h.credit -= h.pace
	h.running++
	e := h.queue[0]
	h.queue[0] = nil
	h.queue = h.queue[1:]
	return e, time.Time{}
}

// ended takes note of how a drain ended.
func (h *host) ended(res Result, dialed bool, now time.Time) {
	h.running--
	if !dialed {
		h.credit += h.pace
		return
	}
	switch {
	case res.Sessions > 0:
		h.down = 0
		clear(h.refused)
	case res.Outcome == OutcomeCredentials:
		h.down = 0
		h.countRefusal(res.Mailbox, now)
	case unreachable(res):
		h.down++
		if h.down >= downLimit {
			pause := min(downPause<<min(h.down-downLimit, 8), downPauseMost)
			h.pause(now.Add(jittered(pause)))
		}
	}
}

// unreachable reports whether the drain did not get as far as a login.
func unreachable(res Result) bool {
	switch res.Outcome {
	case OutcomeTemp, OutcomeProtocol, OutcomePerm:
		return !endedAtPass(res.Err)
	}
	return false
}

// countRefusal pauses the host when several mailboxes are refused in a short
// time: likely it is not their passwords.
func (h *host) countRefusal(mailbox string, now time.Time) {
	for name, at := range h.refused {
		if now.Sub(at) > refusedSpan {
			delete(h.refused, name)
		}
	}
	h.refused[mailbox] = now
	if len(h.refused) >= refusedLimit {
		h.pause(now.Add(jittered(refusedPause)))
		clear(h.refused)
	}
}

func (h *host) pause(until time.Time) {
	if until.After(h.paused) {
		h.paused = until
	}
}
