package bus

import (
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

	size   int64
	inline []byte
	chunks *chunkWriter // nil while the message is small
	done   bool
	err    error // of the first Write that failed
}

// Begin starts the transfer of one message of the mailbox. ctx bounds
// the whole transfer: its end makes Write and Commit fail. Call Abort in the
// end, at the latest by defer; after Commit it does nothing.
func (b *Bus) Begin(ctx context.Context, mailbox string) (*Transfer, error) {
	token, err := tokenOf(mailbox)
	if err != nil {
		return nil, err
	}
	if b.life.Err() != nil {
		return nil, errClosed
	}
	return &Transfer{bus: b, ctx: ctx, mailbox: mailbox, token: token, id: nuid.Next()}, nil
}

// Write takes the next raw bytes. It keeps them up to Options.Inline; beyond it
// sends chunks, and waits for the server when a few of them are in flight. It
// never waits for another transfer, whose POP3 server may be slow. Errors: mail.NoSpace when BIG is
// full, mail.Temporary; an error is final.
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
	if t.chunks == nil && int64(len(t.inline)+len(p)) <= t.bus.inline {
		if t.inline == nil {
			t.inline = t.bus.buffer()
		}
		t.inline = append(t.inline, p...)
		return nil
	}
	if t.chunks == nil {
		if err := t.enlarge(); err != nil {
			return err
		}
	}
	return t.chunks.write(t.ctx, p)
}

// enlarge turns the transfer into one of chunks.
func (t *Transfer) enlarge() error {
	if t.bus.life.Err() != nil {
		return errClosed
	}
	t.bus.big.Add(1)
	t.chunks = &chunkWriter{bus: t.bus, id: t.id}
	head := t.inline
	defer t.release(head) // the chunks hold a copy
	return t.chunks.write(t.ctx, head)
}

// Commit hands the message to the archive's queue and returns once it is
// stored there. What was written must be what d says, its size included, else
// mail.Invalid. mail.NoSpace means that the queue is full: pause.
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
	if err := t.send(ctx, &d); err != nil {
		t.bus.receipts.forget(t.id)
		return nil, err
	}
	p.unwatch = context.AfterFunc(t.ctx, func() { t.bus.receipts.forget(t.id) })
	return p, nil
}

// send publishes the body and its envelope, and ends the transfer unless it
// is known that nothing was stored.
func (t *Transfer) send(ctx context.Context, d *mail.Delivery) error {
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
	t.release(t.inline)
}

// release gives back the inline buffer, which may be nil.
func (t *Transfer) release(buffer []byte) {
	t.inline = nil
	if buffer != nil {
		t.bus.spare.Put(&buffer)
	}
}

// buffer returns an empty buffer, one that grew for an earlier message if there
// is any. The client copies a message into its own buffer before a publication
// returns, with or without an error.
func (b *Bus) buffer() []byte {
	if p, ok := b.spare.Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return make([]byte, 0, 16<<10)
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
	t, err := b.Begin(ctx, mailbox)
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
