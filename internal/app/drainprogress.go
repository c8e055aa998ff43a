package app

import (
	"sync"

	"github.com/mailkeep/mailkeep/poller"
)

// A drainProgress tells the console how far the mailboxes have come. A mailbox
// is drained by several sessions; the console is told of all of them as one.
type drainProgress struct {
	console Console

	mu      sync.Mutex
	tallies map[string]*tally // by mailbox
}

// A tally sums the sessions of a mailbox.
type tally struct {
	session        string
	sealed, octets int64 // of this session
	before         int64 // sealed by the sessions before
	octetsBefore   int64
}

func newDrainProgress(c Console) *drainProgress {
	return &drainProgress{console: c, tallies: map[string]*tally{}}
}

// Progress implements poller.Observer.
func (d *drainProgress) Progress(p poller.Progress) {
	if d.console.Progress == nil {
		return
	}
	// Under the lock, so that what is told of a mailbox never goes back.
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tallies[p.Mailbox]
	if t == nil {
		t = &tally{session: p.Session}
		d.tallies[p.Mailbox] = t
	}
	t.take(p)
	finished := p.Phase == poller.PhaseDone && p.Left == 0
	d.console.Progress(Progress{
		Phase: PhaseDrain, Subject: p.Mailbox, Done: t.before + t.sealed, Total: t.before + int64(p.Planned+p.Left),
		Octets: t.octetsBefore + t.octets, Finished: finished,
	})
	if finished {
		delete(d.tallies, p.Mailbox) // what follows is another round
	}
}

func (t *tally) take(p poller.Progress) {
	if p.Session != t.session {
		t.session = p.Session
		t.before, t.octetsBefore = t.before+t.sealed, t.octetsBefore+t.octets
	}
	t.sealed, t.octets = int64(p.Sealed), p.Octets
}
