package poller

import (
	"context"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A look is a Probe that somebody asked the running schedule for. It comes to
// its host as a guest: an account that waits in the host's queue like those of
// the schedule, within the same limits of sessions and logins, and is forgotten
// when it has had its place. The mailbox's own account knows nothing of it; the
// lease keeps the two apart.
type look struct {
	force bool
	probe func(ctx context.Context) (Probe, error)

	once sync.Once
	done chan struct{} // closed by settle
	seen Probe
	err  error
}

// settle answers who asked; only the first answer counts.
func (l *look) settle(p Probe, err error) {
	l.once.Do(func() {
		l.seen, l.err = p, err
		close(l.done)
	})
}

// Probe looks at one of the poller's mailboxes (see Drainer.Probe). While Run is
// active it does so within the limits of the host. A host that pauses is not
// asked; with force it is, and at once.
//
// What the look met is in the Probe. The error says that it did not take place:
// mail.NotFound that there is no such mailbox, mail.Temporary that its host
// pauses or the Poller has stopped.
func (p *Poller) Probe(ctx context.Context, name string, force bool) (Probe, error) {
	a := p.byName[name]
	if a == nil {
		return Probe{}, mail.Errorf(mail.NotFound, "no mailbox is named %q", name)
	}
	l := &look{force: force, done: make(chan struct{})}
	l.probe = func(worker context.Context) (Probe, error) {
		both, cancel := context.WithCancelCause(worker)
		defer cancel(nil)
		defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
		return p.drainer.Probe(both, a.mailbox, force)
	}
	guest := &account{mailbox: a.mailbox, host: a.host, index: -1, look: l}
	p.mu.Lock()
	active, paused := p.active, time.Until(a.host.status.Paused)
	p.mu.Unlock()
	switch {
	case active == nil || force:
		p.receive(ctx, guest)
		return l.seen, l.err
	case paused > 0:
		return Probe{}, hostPaused(a.host.key, paused)
	}
	return p.askLook(ctx, active, guest)
}

// askLook hands a guest to the schedule of Run and waits for its answer.
func (p *Poller) askLook(ctx context.Context, active <-chan struct{}, guest *account) (Probe, error) {
	l := guest.look
	select {
	case p.kicks <- guest:
	case <-active:
	case <-ctx.Done():
	}
	select {
	case <-l.done:
	case <-active:
		l.settle(Probe{}, mail.Errorf(mail.Temporary, "the poller has stopped"))
	case <-ctx.Done():
		l.settle(Probe{}, context.Cause(ctx))
	}
	return l.seen, l.err
}

// receive is a worker's task: the look of a guest. It tells the host's breaker
// what it met.
func (p *Poller) receive(ctx context.Context, guest *account) ended {
	l, e := guest.look, ended{mailbox: guest, result: Result{Mailbox: guest.mailbox.Name, Outcome: OutcomeOK}}
	select {
	case <-l.done:
		return e // nobody waits for it any more
	default:
	}
	if e.paused, e.probing = p.paused(ctx, guest.host); e.paused > 0 && !l.force {
		l.settle(Probe{}, hostPaused(guest.host.key, e.paused))
		return e
	}
	seen, err := l.probe(ctx)
	e.result.Outcome, e.result.Err, e.result.dialed = seen.Outcome, err, seen.dialed
	if seen.LoggedIn {
		e.result.Sessions = 1
	}
	e.paused, e.probing = p.noted(ctx, guest.host, e.result)
	l.settle(seen, nil)
	return e
}
