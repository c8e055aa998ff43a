package poller

import (
	"context"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// Reset makes the next session of a mailbox begin as if nothing had gone wrong:
// both breakers close, what was left alone for a fault of its own is tried at
// once, and the session has its full reach again. What was learnt
// of the server, what it was asked to delete, what the last listing had and the
// reports not yet delivered stay. Nothing that is reset ever allowed a deletion.
//
// What the server wants, LOGIN-DELAY and the daily limit, still counts.
//
// A mailbox without a state needs no reset. The error is the Store's; mail.InUse
// says that a session has saved its own state meanwhile, so that another Reset is
// due.
func Reset(ctx context.Context, s Store, mailbox string) error {
	data, rev, err := s.Load(ctx, mailbox)
	if err != nil {
		return mail.Errorf(mail.KindOf(err), "load the state of mailbox %q: %w", mailbox, err)
	}
	if len(data) == 0 {
		return nil
	}
	st, _ := parseState(data) // one that cannot be read is replaced by a fresh one
	st.reset()
	if data, err = st.encode(); err != nil {
		return err
	}
	if _, err := s.Save(ctx, mailbox, data, rev); err != nil {
		return mail.Errorf(mail.KindOf(err), "save the state of mailbox %q: %w", mailbox, err)
	}
	return nil
}

// Reset is the function Reset for a mailbox of this Poller, which is due then.
// Other processes notice when they look at the mailbox next, within its interval.
// It is done under the lease: while a session is going on it is mail.InUse, and
// nothing was reset.
func (p *Poller) Reset(ctx context.Context, mailbox string) error {
	a := p.byName[mailbox]
	if a == nil {
		return mail.Errorf(mail.NotFound, "no mailbox is named %q", mailbox)
	}
	lease, err := p.o.Leaser.Lease(ctx, mailbox)
	if err != nil {
		return leaseFailure(err)
	}
	err = Reset(ctx, p.o.Store, mailbox)
	p.drainer.release(ctx, a.mailbox, lease)
	if err != nil {
		return err
	}
	p.drainer.recall.forget(mailbox)
	p.mu.Lock()
	active := p.active
	p.mu.Unlock()
	if active == nil {
		return nil
	}
	select {
	case p.kicks <- a:
	case <-active:
	case <-ctx.Done():
	}
	return nil
}

// reset forgets what keeps the mailbox, or messages of it, from being tried.
func (st *state) reset() {
	st.Blast, st.Access = blast{}, access{}
	st.Visit.Rest, st.Visit.Why, st.Visit.Failures = 0, "", 0
	st.Stuck, st.Bad, st.Window, st.Messages, st.Breaks, st.Calm, st.Probe = 0, 0, 0, 0, 0, 0, false
	for i := range st.Rows {
		r := &st.Rows[i]
		r.Tries, r.Commits, r.Refused, r.SkipUntil = 0, 0, 0, 0
		r.Next, r.Hold = time.Time{}, time.Time{}
	}
}
