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

// An answer is what came of a committed message.
type answer struct {
	message *message
	receipt mail.Receipt
	err     error
}

// receipts waits for those of one session, each in a goroutine of its own: a
// receipt that never comes does not hold up the others. The session's goroutine
// owns the counts and reads answers.
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

// add waits for the receipt of m until ctx is done.
func (r *receipts) add(ctx context.Context, m *message, p Pending) {
	r.count++
	r.octets += m.got.Fingerprint().Size
	r.waiters.Go(func() {
		receipt, err := p.Receipt(ctx)
		r.answers <- answer{m, receipt, err}
	})
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
