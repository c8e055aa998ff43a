package app

import (
	"cmp"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller"
)

// A sessionsSeen keeps what the last session of each mailbox showed, as far as
// the poller does not keep it. It is empty when the process starts.
type sessionsSeen struct {
	mu sync.Mutex
	by map[string]seen // by mailbox
}

// A seen is what is kept of a mailbox.
type seen struct {
	held     map[string]int // messages left on the server for a fault of their own, by fate
	unsealed time.Time      // since when the oldest message that is not sealed is listed; zero if all are
	cert     time.Time      // end of the server's certificate; zero if none was seen
	blast    time.Time      // since when the breaker on the blast radius is open; zero if it is closed
	why      string         // it is
	lost     int            // messages that went before they were sealed, since the start
}

func newSessionsSeen() *sessionsSeen { return &sessionsSeen{by: make(map[string]seen)} }

// take keeps what a drain showed. One that did not log in shows the certificate
// at most.
func (s *sessionsSeen) take(r poller.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.by[r.Mailbox]
	now.cert = cmp.Or(r.CertExpiry, now.cert)
	if r.Sessions > 0 {
		now.blast, now.why = r.BreakerSince, r.Last.Breaker
		now.lost += r.Vanished.Unsealed
		if len(r.Last.Fates) > 0 || r.Last.Listed == 0 && r.Err == nil {
			now.held, now.unsealed = heldByFate(r.Last.Fates), r.WaitingSince
		}
	}
	s.by[r.Mailbox] = now
}

// forget drops what a reset has made untrue.
func (s *sessionsSeen) forget(mailbox string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.by[mailbox]
	now.blast, now.why = time.Time{}, ""
	s.by[mailbox] = now
}

func (s *sessionsSeen) of(mailbox string) seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[mailbox]
}

// heldByFate leaves out what is as it should be.
func heldByFate(fates map[mail.Fate]int) map[string]int {
	held := make(map[string]int)
	for fate, n := range fates {
		if isFault(fate) && n > 0 {
			held[string(fate)] = n
		}
	}
	return held
}

// isFault reports whether a message with the fate needs more than the next
// session.
func isFault(f mail.Fate) bool {
	switch f {
	case mail.FateUndeletable, mail.FateUnvouched, mail.FateChanging, mail.FateShort, mail.FatePoison, mail.FateOversize,
		mail.FateCut, mail.FateUnsealed, mail.FateRefused, mail.FateMismatch:
		return true
	}
	return false
}
