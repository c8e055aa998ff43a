package bus

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go"
)

// receiptRepair is how long a Pending waits before it asks the catalog, in case
// the receipt was lost on its way.
const receiptRepair = 10 * time.Second

// receipts hands the answers of the archive to those who wait for them. One
// subscription serves the process; the last token of the subject is the
// transfer. An answer that nobody waits for is dropped: the catalog has it.
type receipts struct {
	inbox string
	log   *slog.Logger

	mu      sync.Mutex
	waiting map[string]chan answer // of capacity 1, by transfer
}

func listen(nc *nats.Conn, log *slog.Logger) (*receipts, error) {
	r := &receipts{inbox: nc.NewInbox(), log: log, waiting: map[string]chan answer{}}
	if _, err := nc.Subscribe(r.inbox+".*", r.receive); err != nil {
		return nil, err
	}
	return r, nc.Flush()
}

func (r *receipts) subject(transfer string) string { return r.inbox + "." + transfer }

func (r *receipts) receive(m *nats.Msg) {
	var a answer
	if err := json.Unmarshal(m.Data, &a); err != nil {
		r.log.Warn("unreadable receipt", slog.Any("error", err))
		return
	}
	r.give(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], a)
}

// give hands an answer to who waits for it.
func (r *receipts) give(transfer string, a answer) {
	r.mu.Lock()
	ch := r.waiting[transfer]
	r.mu.Unlock()
	if ch == nil {
		return
	}
	select {
	case ch <- a:
	default: // the first answer counts
	}
}

func (r *receipts) expect(transfer string) chan answer {
	ch := make(chan answer, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting[transfer] = ch
	return ch
}

func (r *receipts) forget(transfer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, transfer)
}

// A Pending is a message that is on its way to the archive.
type Pending struct {
	bus      *Bus
	transfer string
	delivery mail.Delivery
	answer   chan answer
	unwatch  func() bool
}

// Receipt waits for the receipt of the archive. A refusal comes back as an
// error with the Kind that the archive gave: mail.Corrupt and mail.Invalid if
// the bytes do not match their fingerprint, mail.NoSpace and mail.Temporary if
// the archive cannot seal now. The end of ctx is the end of the wait; the
// message may still be sealed then, which a later Lookup tells.
//
// If no answer comes for a while, the catalog is asked for a receipt
// of the same UIDL, size and digest. Receipt may be called again after it
// returned.
func (p *Pending) Receipt(ctx context.Context) (mail.Receipt, error) {
	ctx, cancel := p.bus.bind(ctx)
	defer cancel()
	defer p.unwatch()
	defer p.bus.receipts.forget(p.transfer)
	tick := time.NewTicker(p.bus.repair)
	defer tick.Stop()
	for {
		select {
		case a := <-p.answer:
			p.answer <- a
			return a.open()
		case <-ctx.Done():
			return mail.Receipt{}, classify(ctx, "wait for the receipt", ctx.Err())
		case <-tick.C:
			p.repair(ctx)
		}
	}
}

// repair puts the receipt that the catalog has in the place of the lost one.
func (p *Pending) repair(ctx context.Context) {
	d := p.delivery
	if d.UIDL == "" || d.Suspect != "" {
		return
	}
	found, err := p.bus.Lookup(ctx, d.Mailbox, []mail.Listing{{UIDL: d.UIDL, Size: d.ListSize}})
	if err != nil || found[0].Covers(d.Mailbox, d.Fingerprint) != nil {
		return
	}
	select {
	case p.answer <- answer{Receipt: &found[0]}:
	default:
	}
}
