package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// A Lease is the right to work on a mailbox, held by one process at a time. It
// is renewed three times in its life of Options.LeaseTTL; when it cannot be, it
// is lost before the server gives it to somebody else.
type Lease struct {
	bus     *Bus
	kv      jetstream.KeyValue
	mailbox string
	key     string
	holder  []byte // what the server stores; unique to this lease
	token   uint64

	// mu serialises renewals and guards what they change.
	mu       sync.Mutex
	revision uint64
	renewed  time.Time // when the last renewal that succeeded was begun
	ended    bool

	lost   chan struct{}
	loseIt func()
	stop   context.CancelFunc
	done   chan struct{} // closed when the renewing goroutine has ended
}

// A holder is the value of a lease, for administrators.
type holder struct {
	Name  string    `json:"name"`
	ID    string    `json:"id"`
	Since time.Time `json:"since"`
}

// Lease takes the lease of a mailbox. mail.InUse says that another session or
// process holds it. The Bus renews it until Release or Close; ctx bounds the
// taking only.
func (b *Bus) Lease(ctx context.Context, mailbox string) (*Lease, error) {
	key, err := tokenOf(mailbox)
	if err != nil {
		return nil, err
	}
	kv, err := b.js.KeyValue(ctx, bucketLease)
	if err != nil {
		return nil, classify(ctx, "open the leases", err)
	}
	text, err := json.Marshal(holder{Name: b.opt.Name, ID: nuid.Next(), Since: time.Now().UTC()})
	if err != nil {
		return nil, fmt.Errorf("encode the lease: %w", err)
	}
	l := &Lease{bus: b, kv: kv, mailbox: mailbox, key: key, holder: text, renewed: time.Now(),
		lost: make(chan struct{}), done: make(chan struct{})}
	l.loseIt = sync.OnceFunc(func() { close(l.lost) })
	l.revision, err = kv.Create(ctx, key, text, jetstream.KeyTTL(b.opt.LeaseTTL))
	if errors.Is(err, jetstream.ErrKeyExists) || wrongSequence(err) {
		return nil, l.inUse(ctx)
	}
	if err != nil {
		return nil, classify(ctx, "take the lease", err)
	}
	l.token = l.revision
	return l, l.keepAlive()
}

// inUse says who holds the lease, where that can be read.
func (l *Lease) inUse(ctx context.Context) error {
	var h holder
	if e, err := l.kv.Get(ctx, l.key); err == nil {
		_ = json.Unmarshal(e.Value(), &h) // it only decorates the message
	}
	return mail.Errorf(mail.InUse, "mailbox %q is held by %q since %s", l.mailbox, h.Name, h.Since.Format(time.RFC3339))
}

func (l *Lease) keepAlive() error {
	ctx, stop := context.WithCancel(l.bus.life)
	l.stop = stop
	if !l.bus.spawn(func() { l.renewing(ctx) }) {
		stop()
		return errClosed
	}
	return nil
}

// renewing renews until the lease is released, lost, or the Bus is closed.
func (l *Lease) renewing(ctx context.Context) {
	defer close(l.done)
	tick := time.NewTicker(l.bus.opt.LeaseTTL / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.giveUp(ctx)
			return
		case <-l.lost:
			return
		case <-tick.C:
		}
		try, cancel := context.WithDeadline(ctx, l.deadline())
		if err := l.renew(try); err != nil && ctx.Err() == nil {
			l.bus.log.WarnContext(ctx, "lease not renewed", slog.String("mailbox", l.mailbox), slog.Any("error", err))
		}
		cancel()
	}
}

// giveUp frees the lease when the Bus is closed under it.
func (l *Lease) giveUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := l.free(ctx); err != nil {
		l.bus.log.WarnContext(ctx, "lease not released; it expires", slog.String("mailbox", l.mailbox), slog.Any("error", err))
	}
}

// deadline is when the lease is to be taken as lost without a renewal: a
// tenth of its life before the server may give it away.
func (l *Lease) deadline() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.renewed.Add(l.bus.opt.LeaseTTL * 9 / 10)
}

// renew writes the lease again on the condition that it is still ours.
func (l *Lease) renew(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return mail.Errorf(mail.InUse, "the lease of mailbox %q has ended", l.mailbox)
	}
	begun := time.Now()
	err := l.swap(ctx)
	if wrongSequence(err) && l.adopt(ctx) {
		err = l.swap(ctx)
	}
	switch {
	case err == nil:
		l.renewed = begun
		return nil
	case wrongSequence(err):
		l.lose()
		return mail.Errorf(mail.InUse, "the lease of mailbox %q was lost to another holder", l.mailbox)
	case time.Since(l.renewed) >= l.bus.opt.LeaseTTL*9/10:
		l.lose()
	}
	return classify(ctx, "renew the lease of "+l.mailbox, err)
}

// swap is one renewal. The key-value client cannot set a life on an update, so
// the message is published as it would.
func (l *Lease) swap(ctx context.Context) error {
	m := nats.NewMsg("$KV." + bucketLease + "." + l.key)
	m.Data = l.holder
	ack, err := l.bus.js.PublishMsg(ctx, m, jetstream.WithMsgTTL(l.bus.opt.LeaseTTL),
		jetstream.WithExpectLastSequencePerSubject(l.revision))
	if err == nil {
		l.revision = ack.Sequence
	}
	return err
}

// adopt takes over the revision of a renewal whose acknowledgement was lost.
func (l *Lease) adopt(ctx context.Context) bool {
	e, err := l.kv.Get(ctx, l.key)
	if err != nil || string(e.Value()) != string(l.holder) || e.Revision() <= l.revision {
		return false
	}
	l.revision = e.Revision()
	return true
}

func (l *Lease) lose() {
	l.ended = true
	l.loseIt()
}

// Check verifies at the server that the lease is still held, by renewing it:
// an answer from a replica that is behind cannot deceive it. An error means
// that nothing may be done in the lease's name; mail.InUse that it is lost.
func (l *Lease) Check(ctx context.Context) error { return l.renew(ctx) }

// Token is the fencing token: each later holder of the lease has a greater one,
// as long as the store lives.
func (l *Lease) Token() uint64 { return l.token }

// Lost is closed when the lease is lost; after Release it means nothing.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Release gives the lease back, so that it need not expire. A lost lease is
// released already.
func (l *Lease) Release(ctx context.Context) error {
	err := l.free(ctx)
	l.stop()
	<-l.done
	return err
}

func (l *Lease) free(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil
	}
	l.ended = true
	err := l.kv.Purge(ctx, l.key, jetstream.LastRevision(l.revision), jetstream.PurgeTTL(markerTTL))
	if wrongSequence(err) {
		return nil // lost, and held by somebody else
	}
	return classify(ctx, "release the lease of "+l.mailbox, err)
}

// dropLeases frees all leases. The lock of the embedded store says that their
// holders are dead.
func (b *Bus) dropLeases(ctx context.Context) error {
	s, err := b.js.Stream(ctx, "KV_"+bucketLease)
	if err == nil {
		err = s.Purge(ctx)
	}
	return classify(ctx, "free the leases of the process before", err)
}
