package sink

import (
	"context"

	"github.com/mailkeep/mailkeep/mail"
)

// A turn is work that the committer does between two batches.
type turn struct {
	work func(context.Context) error
	done chan error // has room for one
}

// Turn runs work between two batches, with the catalog level with the ledger: while
// it runs nothing is decided or sealed, and work alone may append to the log. When
// Turn returns nil the catalog has what work appended. It is for what must not meet
// a delivery half way, such as an erasure: a reference to bytes that are being
// destroyed would have a mail deleted that is nowhere.
//
// An error of work is returned as it is. mail.Temporary says that work did not run:
// the sink is stopping, or the catalog cannot follow the ledger. Once it runs, work
// is waited for, whatever becomes of ctx.
func (s *Sink) Turn(ctx context.Context, work func(context.Context) error) error {
	t := turn{work: work, done: make(chan error, 1)}
	select {
	case s.turns <- t:
	case <-s.ended:
		return stopping()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return <-t.done
}

// give lets a turn have the ledger.
func (c *committer) give(ctx context.Context, t turn) {
	err := c.level(ctx)
	if err != nil {
		t.done <- mail.Errorf(mail.Temporary, "the catalog cannot follow the ledger: %w", err)
		return
	}
	// It does not end with ctx: what is half destroyed has to be gone on with.
	err = t.work(context.WithoutCancel(ctx))
	c.follow.uncertain() // what was appended, the ledger tells
	if lerr := c.level(context.WithoutCancel(ctx)); err == nil && lerr != nil {
		err = mail.Errorf(mail.Temporary, "it is done, but the catalog cannot follow the ledger: %w", lerr)
	}
	t.done <- err
}
