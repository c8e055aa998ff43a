package poller

import "time"

// A host is what the mailboxes of one Mailbox.HostKey share: the limit of
// sessions, the pace of logins, and a breaker of its own. An outage or a ban hits
// all of them, and each further login would count against every account. It
// belongs to the schedule that is active, but for its board.
//
// The breaker has two halves. A host that cannot be reached pauses after
// downLimit failures in a row, for this process alone: its network may be the
// trouble. A host that refuses the credentials of several mailboxes pauses for
// all processes: see board. After a pause one mailbox at a time is tried until
// one succeeds.
type host struct {
	key     string
	limit   int           // sessions at once
	rate    time.Duration // between logins in the long run
	running int
	// credit is the time paid for: logins are due at rate, and up to limit of
	// them may be saved up.
	credit  time.Duration
	settled time.Time // when credit was last reckoned

	queue pile[*account] // due, the one that has had the least first
	where hostPlace
	index int
	again time.Time // when it rests: until when

	down    int       // failures in a row to reach the server
	probing bool      // the board asks for one mailbox at a time
	paused  time.Time // nothing is started before it

	board  board
	status HostStatus // guarded by Poller.mu
}

// A hostPlace is the pile of the schedule that a host is in.
type hostPlace int

const (
	nowhere hostPlace = iota // nobody waits, or the end of a session is waited for
	ready                    // may start the first of its queue, as far as is known
	resting                  // until host.again
)

// The host's breaker for a server that cannot be reached.
const (
	downLimit     = 3 // failures in a row that pause the host
	downPause     = time.Minute
	downPauseMost = 15 * time.Minute
)

func newHost(key string, limit, loginsPerMinute int) *host {
	return &host{key: key, limit: limit, rate: time.Minute / time.Duration(loginsPerMinute), index: -1, status: HostStatus{Key: key}}
}

// before implements member: by whom it would start, or, resting, by when it may.
func (h *host) before(o *host) bool {
	if h.where == resting {
		return h.again.Before(o.again)
	}
	return h.queue.top().before(o.queue.top())
}

func (h *host) place() *int { return &h.index }

// next takes the first mailbox that waits, if the host's limits allow one now.
// Otherwise it returns when to ask again; zero if only the end of a session can
// help.
func (h *host) next(now time.Time) (*account, time.Time) {
	limit := h.limit
	if h.down >= downLimit || h.probing {
		limit = 1
	}
	switch {
	case h.queue.empty() || h.running >= limit:
		return nil, time.Time{}
	case now.Before(h.paused):
		return nil, h.paused
	}
	h.credit = min(h.credit+now.Sub(h.settled), time.Duration(h.limit)*h.rate)
	h.settled = now
	if h.credit < h.rate {
		return nil, now.Add(h.rate - h.credit)
	}
	h.credit -= h.rate
	h.running++
	return h.queue.pop(), time.Time{}
}

// ended takes note of how a drain ended.
func (h *host) ended(e ended, now time.Time) {
	h.running--
	h.probing = e.probing
	if e.paused > 0 {
		h.pause(now.Add(e.paused))
	}
	if !e.result.dialed {
		h.credit += h.rate
		return
	}
	switch {
	case e.result.Sessions > 0, e.result.Outcome == OutcomeCredentials:
		h.down = 0
	case unreachable(e.result):
		h.down++
		if h.down >= downLimit {
			ceiling := min(downPause<<min(h.down-downLimit+1, 8), downPauseMost)
			h.pause(now.Add(between(downPause, ceiling)))
		}
	}
}

// unreachable reports whether the drain did not get as far as a login.
func unreachable(res Result) bool {
	switch res.Outcome {
	case OutcomeTemp, OutcomeProtocol, OutcomePerm:
		return !endedAtLogin(res.Err)
	}
	return false
}

func (h *host) pause(until time.Time) {
	if until.After(h.paused) {
		h.paused = until
	}
}
