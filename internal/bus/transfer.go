package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

const (
	publishWait  = 30 * time.Second // for a publication, its retries included
	publishTry   = 5 * time.Second
	publishPause = 100 * time.Millisecond // after the first failure; doubles
	purgeWait    = 10 * time.Second
)

// A Transfer carries one message to the archive. Nothing reaches the archive
// before Commit. It is used by one goroutine.
type Transfer struct {
	bus     *Bus
	ctx     context.Context // of Begin: the transfer lives no longer, and io.Writer has no context
	mailbox string
	token   string
	id      string

	hint   int64 // of Begin
	size   int64
	inline []byte       // what is in memory
	roomed int64        // octets that it has of the room for large messages
	chunks *chunkWriter // nil while all is in memory
	done   bool
	err    error // of the first Write that failed
}

// Begin starts the transfer of one message of the mailbox, of about size octets; it
// may have more or less, and -1 says that nothing is known. ctx bounds
// the whole transfer: its end makes Write and Commit fail. Call Abort in the
// end, at the latest by defer; after Commit it does nothing.
func (b *Bus) Begin(ctx context.Context, mailbox string, size int64) (*Transfer, error) {
	token, err := tokenOf(mailbox)
	if err != nil {
		return nil, err
	}
	if b.life.Err() != nil {
		return nil, errClosed
	}
	return &Transfer{bus: b, ctx: ctx, mailbox: mailbox, token: token, id: nuid.Next(), hint: size}, nil
}

// Write takes the next raw bytes. It keeps them up to Options.Inline, and beyond
// where they can be handed over and there is room; else it sends chunks, and waits
// for the server when a few of them are in flight. It never waits for another
// transfer, whose POP3 server may be slow. Errors: mail.NoSpace when BIG is full,
// mail.Temporary; an error is final.
func (t *Transfer) Write(p []byte) (int, error) {
	if t.done {
		return 0, mail.Errorf(mail.Invalid, "write to a transfer that has ended")
	}
	if t.err == nil {
		t.err = t.take(p)
	}
	if t.err != nil {
		return 0, t.err
	}
	t.size += int64(len(p))
	return len(p), nil
}

func (t *Transfer) take(p []byte) error {
	if t.chunks == nil && t.fits(int64(len(p))) {
		t.inline = append(t.inline, p...)
		return nil
	}
	if t.chunks == nil {
		if err := t.spill(); err != nil {
			return err
		}
	}
	return t.chunks.write(t.ctx, p)
}

// fits reports whether n more octets can be in memory. A buffer is made of the
// size that was announced, but for no large message before so much has come.
func (t *Transfer) fits(n int64) bool {
	n += int64(len(t.inline))
	switch {
	case n <= max(t.bus.inline, t.roomed):
		if t.inline == nil {
			t.inline = make([]byte, 0, max(n, min(t.hint, t.bus.inline)))
		}
		return true
	case t.roomed > 0 || n > t.hint || t.bus.hand == nil || !t.bus.hand.large.take(t.hint):
		return false
	}
	t.roomed = t.hint
	t.inline = append(make([]byte, 0, t.hint), t.inline...)
	return true
}

// spill makes a large transfer of chunks of what was in memory.
func (t *Transfer) spill() error {
	if t.bus.life.Err() != nil {
		return errClosed
	}
	t.bus.big.Add(1)
	t.chunks = &chunkWriter{bus: t.bus, id: t.id}
	head := t.inline
	defer t.release() // the chunks hold a copy
	return t.chunks.write(t.ctx, head)
}

// release lets go of what is in memory.
func (t *Transfer) release() {
	if t.roomed > 0 {
		t.bus.hand.large.give(t.roomed)
	}
	t.inline, t.roomed = nil, 0
}

// Commit hands the message to the archive, if that is in this process and has
// room, or else to its queue, and returns once it is stored there. What was written
// must be what d says, its size included, else mail.Invalid. mail.NoSpace means that
// the queue is full: pause.
// mail.Temporary means that the message may or may not be in the queue; sending
// it again is always right.
func (t *Transfer) Commit(ctx context.Context, d mail.Delivery) (*Pending, error) {
	switch {
	case t.done:
		return nil, mail.Errorf(mail.Invalid, "commit of a transfer that has ended")
	case t.err != nil:
		return nil, t.err
	case d.Mailbox != t.mailbox:
		return nil, mail.Errorf(mail.Invalid, "the delivery is of mailbox %q, the transfer of %q", d.Mailbox, t.mailbox)
	case d.Size != t.size:
		return nil, mail.Errorf(mail.Invalid, "%d octets were written, the delivery says %d", t.size, d.Size)
	}
	// Expected before it is published: the receipt may come before the
	// acknowledgement of the queue.
	p := &Pending{bus: t.bus, transfer: t.id, delivery: d, answer: t.bus.receipts.expect(t.id)}
	if !t.handOver(ctx, d) {
		if err := t.send(ctx, &d); err != nil {
			t.bus.receipts.forget(t.id)
			return nil, err
		}
	}
	p.unwatch = context.AfterFunc(t.ctx, func() { t.bus.receipts.forget(t.id) })
	return p, nil
}

// handOver gives the message to the consumer in this process and reports whether
// that has taken it.
func (t *Transfer) handOver(ctx context.Context, d mail.Delivery) bool {
	h := t.bus.hand
	if h == nil || t.chunks != nil || ctx.Err() != nil || t.ctx.Err() != nil || t.bus.life.Err() != nil {
		return false
	}
	d.Fetched = d.Fetched.Round(0) // as it would come out of the queue
	m := &handed{bus: t.bus, transfer: t.id, delivery: d, raw: t.inline, room: &h.large, octets: t.roomed}
	if t.roomed == 0 {
		m.room, m.octets = &h.small, t.size
		if !h.small.take(t.size) {
			return false
		}
		if cap(m.raw) > 2*len(m.raw) {
			m.raw = bytes.Clone(m.raw) // more was announced than came
		}
	}
	if !h.offer(t.bus.partition(t.mailbox), m) {
		if t.roomed == 0 {
			h.small.give(t.size)
		}
		return false
	}
	t.inline, t.roomed = nil, 0
	t.finish()
	return true
}

// send publishes the body and its envelope, and ends the transfer unless it
// is known that nothing was stored.
func (t *Transfer) send(ctx context.Context, d *mail.Delivery) error {
	if t.roomed > 0 {
		if err := t.spill(); err != nil {
			return err
		}
	}
	e := envelope{transfer: t.id, delivery: d, receipt: t.bus.receipts.subject(t.id), size: t.size}
	if t.chunks != nil {
		n, err := t.chunks.finish(ctx)
		if err != nil {
			return err
		}
		e.chunks = n
	}
	h, err := e.header()
	if err != nil {
		return err
	}
	subject := rawSubject(t.bus.partition(t.mailbox), t.token)
	err = t.bus.publish(ctx, &nats.Msg{Subject: subject, Header: h, Data: t.inline})
	if err == nil || uncertain(err) {
		// The manifest may be in the queue, so the chunks must stay; if it is
		// not, they expire.
		t.finish()
	}
	switch mail.KindOf(err) {
	case mail.NoSpace:
		return mail.WithHint(fmt.Errorf("the queue is full: %w", err), "the archive is behind; polling goes on when it has caught up")
	default:
		return err
	}
}

// finish ends the transfer.
func (t *Transfer) finish() {
	if !t.done && t.chunks != nil {
		t.bus.big.Add(-1)
	}
	t.done = true
	t.release()
}

// Abort ends the transfer and removes what it has sent. After a Commit, or a
// second time, it does nothing.
func (t *Transfer) Abort() {
	if t.done {
		return
	}
	defer t.finish()
	if t.chunks == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), purgeWait)
	defer cancel()
	t.chunks.settle(ctx) // one in flight would arrive after the purge
	t.bus.purge(ctx, t.id)
}

// Report publishes an event of a mailbox and returns once it is stored in the
// queue. The archive seals an event of the same session once.
func (b *Bus) Report(ctx context.Context, e mail.Event, mailbox string) error {
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode the event: %w", err)
	}
	if len(text) > maxEvent {
		return mail.Errorf(mail.Invalid, "an event of %d octets; the limit is %d", len(text), maxEvent)
	}
	t, err := b.Begin(ctx, mailbox, int64(len(text)))
	if err != nil {
		return err
	}
	defer t.Abort()
	if _, err := t.Write(text); err != nil {
		return err
	}
	return t.send(ctx, nil)
}

// publish stores a message in its stream. It retries what may succeed within
// publishWait; the message id makes that harmless.
func (b *Bus) publish(ctx context.Context, m *nats.Msg) error {
	ctx, cancel := b.bind(ctx)
	defer cancel()
	end := time.Now().Add(publishWait)
	for pause := publishPause; ; pause = min(2*pause, 2*time.Second) {
		try, cancel := context.WithTimeout(ctx, publishTry)
		_, err := b.js.PublishMsg(try, m)
		cancel()
		if err == nil || ctx.Err() != nil || kindOf(err) != mail.Temporary || time.Now().Add(pause).After(end) {
			return classify(ctx, "publish", err)
		}
		if err := sleep(ctx, pause); err != nil {
			return classify(ctx, "publish", err)
		}
	}
}

// uncertain reports whether a publication that failed with err may have been
// stored: no answer of the server is known.
func uncertain(err error) bool {
	_, answered := errors.AsType[*jetstream.APIError](err)
	return err != nil && !answered
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
