package poller

import (
	"context"
	"sync"

	"github.com/mailkeep/mailkeep/mail"
)

// Bounds of what a session has under way to the ledger. One message may always be.
const (
	maxPendingCount  = 256
	maxPendingOctets = 64 << 20
)

// An answer is what came of a message that was handed over: whether it was
// committed, and if so its receipt.
type answer struct {
	message   *message
	committed bool
	receipt   mail.Receipt
	err       error
}

// receipts hands messages over and waits for their receipts, each in a goroutine
// of its own: neither a slow commit nor a receipt that never comes holds up the
// others. The session's goroutine owns the counts and reads answers.
type receipts struct {
	answers chan answer // room for all, so that no waiter blocks
	waiters sync.WaitGroup
	count   int // under way
	octets  int64
}

// newReceipts makes room for n messages.
func newReceipts(n int) *receipts {
	return &receipts{answers: make(chan answer, n)}
}

// add commits m, within archiveWait, and waits for its receipt until ctx is done.
func (r *receipts) add(ctx context.Context, m *message, t Transfer, d mail.Delivery) {
	r.count++
	r.octets += m.got.Fingerprint().Size
	r.waiters.Go(func() {
		a := answer{message: m}
		if p, err := commit(ctx, t, d); err != nil {
			a.err = err
		} else {
			a.committed = true
			a.receipt, a.err = p.Receipt(ctx)
		}
		r.answers <- a
	})
}

func commit(ctx context.Context, t Transfer, d mail.Delivery) (Pending, error) {
	ctx, cancel := context.WithTimeout(ctx, archiveWait)
	defer cancel()
	return t.Commit(ctx, d)
}

// full reports whether no further message may be committed.
func (r *receipts) full() bool {
	return r.count >= maxPendingCount || r.octets >= maxPendingOctets
}

// taken counts an answer that was read.
func (r *receipts) taken(a answer) {
	r.count--
	r.octets -= a.message.got.Fingerprint().Size
}
