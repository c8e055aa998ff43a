package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	maxAckPending = 2048
	fetchMessages = 256
	fetchBytes    = 8 << 20
	fetchWait     = 5 * time.Second
	maxEvent      = 16 << 20
	reopenPause   = time.Second
	maxRetryDelay = time.Minute
)

// An Inbound is a message, or an event, for the archive.
type Inbound struct {
	Delivery mail.Delivery // the zero value for an event
	Event    *mail.Event   // nil for a message
	// Raw opens the raw bytes; it may be called more than once. ctx bounds the
	// reading too. Bytes that are gone are mail.Corrupt. Nil for an event.
	Raw func(ctx context.Context) (io.ReadCloser, error)
	// Bytes are the raw bytes, where they are in memory, which Raw gives then too;
	// nil where they are not. They are not to be changed.
	Bytes []byte
	// Ack settles the message; only the first call counts. With a nil error the
	// receipt is sent to the poller and the message leaves the queue. With
	// mail.Invalid or mail.Corrupt it leaves the queue too, and the poller is
	// told to fetch it again; with any other error it is delivered again
	// later, and the poller is told not to wait. Ack does not block for long.
	Ack func(mail.Receipt, error)
}

// Consume hands the messages of a partition to accept, one call at a time, until
// ctx ends or the Bus is closed. By returning nil, accept takes on to call Ack
// at some time; by an error it refuses and Ack is called with it. While accept
// blocks nothing more is fetched than 256 messages or 8 MiB, and what is held
// is kept from being delivered to others.
//
// In the end Consume gives back what was not accepted and waits until all that
// was accepted is settled, for AckWait at most. It returns nil then; what is left is delivered
// again. At most one Consume per partition may run on an embedded server.
func (b *Bus) Consume(ctx context.Context, partition uint16, accept func(context.Context, Inbound) error) error {
	if int(partition) >= b.opt.Partitions {
		return mail.Errorf(mail.Invalid, "partition %d of %d", partition, b.opt.Partitions)
	}
	ctx, cancel := b.bind(ctx)
	defer cancel()
	c := &consumer{bus: b, partition: partition, accept: accept, held: map[*held]struct{}{}}
	c.idle = sync.NewCond(&c.mu)
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	var beat, hands sync.WaitGroup
	beat.Go(func() { c.beat(beating) })
	if b.hand != nil {
		hands.Go(func() { c.takeHanded(ctx) })
	}
	c.run(ctx)
	hands.Wait()
	c.drain()
	stop()
	beat.Wait()
	return nil
}

// A consumer is one call of Consume.
type consumer struct {
	bus       *Bus
	partition uint16
	accept    func(context.Context, Inbound) error

	turn sync.Mutex // held by who calls accept

	// mu guards held and handed: what was delivered, from the queue and in memory,
	// and is not settled. idle is signalled when there is nothing.
	mu     sync.Mutex
	idle   *sync.Cond
	held   map[*held]struct{}
	handed int
	late   bool // drain waits no longer
}

// run fetches until ctx ends; a consumer that is lost is made again.
func (c *consumer) run(ctx context.Context) {
	fresh := c.bus.server != nil
	for ctx.Err() == nil {
		err := c.session(ctx, fresh)
		if ctx.Err() != nil {
			return
		}
		fresh = false
		c.bus.log.WarnContext(ctx, "consumption of the queue interrupted", slog.Any("error", err))
		sleep(ctx, reopenPause) //nolint:errcheck // the loop looks at ctx
	}
}

// session opens the consumer and fetches until there is an error.
func (c *consumer) session(ctx context.Context, fresh bool) error {
	if fresh {
		// The lock of the embedded store says that whoever held messages is
		// dead. A new consumer delivers them at once and not after AckWait.
		err := c.bus.js.DeleteConsumer(ctx, streamRaw, consumerName(c.partition))
		if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return classify(ctx, "renew the consumer", err)
		}
	}
	cons, err := c.bus.js.CreateOrUpdateConsumer(ctx, streamRaw, jetstream.ConsumerConfig{
		Durable: consumerName(c.partition), FilterSubject: rawFilter(c.partition),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: c.bus.opt.AckWait, MaxDeliver: -1,
		MaxAckPending: maxAckPending, DeliverPolicy: jetstream.DeliverAllPolicy,
	})
	if err != nil {
		return classify(ctx, "open the consumer", err)
	}
	for ctx.Err() == nil {
		if err := c.fetch(ctx, cons); err != nil {
			return classify(ctx, "fetch", err)
		}
	}
	return nil
}

// fetch handles one pull: what arrives is held at once, so that it does
// not expire while accept blocks, and then handed on in order.
func (c *consumer) fetch(ctx context.Context, cons jetstream.Consumer) error {
	pull, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	batch, err := cons.Fetch(fetchMessages, jetstream.FetchMaxBytes(fetchBytes), jetstream.FetchContext(pull))
	if err != nil {
		return err
	}
	arrived := make(chan *held, fetchMessages)
	go func() { // ends before this function does, which reads until the close
		defer close(arrived)
		for m := range batch.Messages() {
			arrived <- c.hold(m)
		}
	}()
	for h := range arrived {
		c.hand(ctx, h)
	}
	if err := batch.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func (c *consumer) hold(m jetstream.Msg) *held {
	h := &held{c: c, msg: m}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[h] = struct{}{}
	return h
}

func (c *consumer) release(h *held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, h)
	c.rest()
}

// rest wakes drain if nothing is left.
func (c *consumer) rest() {
	if c.left() == 0 {
		c.idle.Broadcast()
	}
}

func (c *consumer) left() int { return len(c.held) + c.handed }

// takeHanded gives what is handed over to accept, until ctx ends. What is
// in the line then is refused, so that its pollers do not wait.
func (c *consumer) takeHanded(ctx context.Context) {
	line := c.bus.hand.open(c.partition)
	if line == nil {
		return // a second Consume of the partition: the first one takes it
	}
	context.AfterFunc(ctx, func() { c.bus.hand.end(c.partition) })
	for m := range line {
		c.mu.Lock()
		c.handed++
		c.mu.Unlock()
		m.settled = c.settledHanded
		err := c.offer(ctx, m.inbound())
		if err != nil && ctx.Err() != nil {
			err = errStopping
		}
		if err != nil {
			m.ack(mail.Receipt{}, err)
		}
	}
}

var errStopping = mail.Errorf(mail.Temporary, "the archive is stopping")

func (c *consumer) settledHanded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handed--
	c.rest()
}

// offer calls accept when it is its turn.
func (c *consumer) offer(ctx context.Context, in Inbound) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return c.accept(ctx, in)
}

// hand gives one message to accept.
func (c *consumer) hand(ctx context.Context, h *held) {
	if ctx.Err() != nil {
		h.giveBack()
		return
	}
	in, err := h.open(ctx)
	if err == nil {
		err = c.offer(ctx, in)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		h.giveBack()
	default:
		h.ack(mail.Receipt{}, err)
	}
}

// beat tells the server, three times in AckWait, that held messages are still
// being worked on.
func (c *consumer) beat(ctx context.Context) {
	tick := time.NewTicker(c.bus.opt.AckWait / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, h := range c.snapshot() {
			if err := h.msg.InProgress(); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
				break // the connection is away; the server's timer decides
			}
		}
	}
}

func (c *consumer) snapshot() []*held {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*held, 0, len(c.held))
	for h := range c.held {
		all = append(all, h)
	}
	return all
}

// drain waits until nothing is held.
func (c *consumer) drain() {
	timer := time.AfterFunc(c.bus.opt.AckWait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.late = true
		c.idle.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.left() > 0 && !c.late {
		c.idle.Wait()
	}
	if c.left() > 0 {
		c.bus.log.Warn("messages left unsettled", slog.Int("messages", c.left()))
	}
}

// A held is a message between its delivery and its settlement.
type held struct {
	c    *consumer
	msg  jetstream.Msg
	env  envelope
	once sync.Once
}

// open reads what arrived.
func (h *held) open(ctx context.Context) (in Inbound, err error) {
	if h.env, err = openEnvelope(h.msg.Headers(), h.msg.Data()); err != nil {
		return in, err
	}
	in.Ack = h.ack
	if h.env.delivery == nil {
		in.Event, err = h.event(ctx)
		return in, err
	}
	in.Delivery, in.Raw = *h.env.delivery, h.raw
	return in, nil
}

func (h *held) raw(ctx context.Context) (io.ReadCloser, error) {
	if h.env.chunks > 0 {
		return h.c.bus.openChunks(ctx, h.env)
	}
	return io.NopCloser(bytes.NewReader(h.msg.Data())), nil
}

func (h *held) event(ctx context.Context) (*mail.Event, error) {
	if h.env.size > maxEvent {
		return nil, mail.Errorf(mail.Invalid, "an event of %d octets; the limit is %d", h.env.size, maxEvent)
	}
	r, err := h.raw(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var e mail.Event
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, mail.Errorf(mail.Invalid, "unreadable event: %w", err)
	}
	return &e, nil
}

func (h *held) ack(r mail.Receipt, err error) { h.once.Do(func() { h.settle(r, err) }) }

// giveBack lets the server deliver the message at once, to whoever asks next.
func (h *held) giveBack() {
	h.once.Do(func() {
		h.note(h.msg.Nak())
		h.c.release(h)
	})
}

// settle answers the poller first and the server after it: if this process
// dies between the two, the message is delivered again and answered again,
// while the other order could leave a poller without an answer.
func (h *held) settle(r mail.Receipt, err error) {
	if err == nil {
		h.answer(answer{Receipt: &r})
		h.remove(h.msg.DoubleAck, h.msg.Ack)
		return
	}
	h.answer(answer{Fault: faultOf(err)})
	kind := mail.KindOf(err)
	if kind == mail.Invalid || kind == mail.Corrupt {
		h.c.bus.log.Warn("message refused", slog.String("mailbox", h.mailbox()), slog.Any("error", err))
		term := func() error { return h.msg.TermWithReason(kind.String()) }
		h.remove(func(context.Context) error { return term() }, term)
		return
	}
	h.note(h.msg.NakWithDelay(h.delay()))
	h.c.release(h)
}

func (h *held) mailbox() string {
	if h.env.delivery == nil {
		return ""
	}
	return h.env.delivery.Mailbox
}

// remove takes the message out of the queue, and then its chunks, which needs
// answers of the server and so a goroutine of its own.
func (h *held) remove(wait func(context.Context) error, send func() error) {
	later := func() {
		defer h.c.release(h)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(h.c.bus.life), purgeWait)
		defer cancel()
		if err := wait(ctx); err != nil {
			h.note(err)
			return // the chunks are needed when it is delivered again
		}
		h.c.bus.purge(ctx, h.env.transfer)
	}
	if h.env.chunks > 0 && h.c.bus.spawn(later) {
		return
	}
	h.note(send())
	h.c.release(h)
}

// delay grows with each delivery: 1 s, 2 s, 4 s up to a minute.
func (h *held) delay() time.Duration {
	n := uint64(1)
	if meta, err := h.msg.Metadata(); err == nil {
		n = max(meta.NumDelivered, 1)
	}
	return min(time.Second<<min(n-1, 10), maxRetryDelay)
}

func (h *held) answer(a answer) {
	if !validInbox(h.env.receipt) {
		return // an event, or not of ours
	}
	text, err := json.Marshal(a)
	if err == nil {
		err = h.c.bus.nc.Publish(h.env.receipt, text)
	}
	h.note(err)
}

// note records that a settlement did not reach the server; it is repeated when
// the message is delivered again.
func (h *held) note(err error) {
	if err != nil {
		h.c.bus.log.Warn("settlement not sent", slog.String("transfer", h.env.transfer), slog.Any("error", err))
	}
}
