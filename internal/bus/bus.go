package bus

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Options configure a Bus. Zero values take the defaults that are named.
type Options struct {
	// Dir is the store directory of the embedded server and MaxStore the most
	// octets that it holds, 4 GiB by default. MaxStore must be less than what
	// is free on the disk: the server survives its own limit, not a full disk.
	Dir      string
	MaxStore int64

	// URL, if not empty, names the servers of an external cluster, separated
	// by commas. The files are its credentials and the PEM files of TLS.
	URL                                        string
	CredentialsFile, CAFile, CertFile, KeyFile string

	Name       string // of the client, seen by administrators and lease holders; default "mailkeep"
	Archive    string // UUID of the archive that this process owns or reads; empty in a mere poller
	Partitions int    // of the archive, at least 1, the same in all processes
	Replicas   int    // of streams; default 1
	RawBytes   int64  // limit of RAW; default half of MaxStore
	BigBytes   int64  // limit of BIG; default three eighths of MaxStore, at least 8 MiB
	StateBytes int64  // limit of MB_STATE; default a sixteenth of MaxStore
	// Inline is the size in octets up to which a message is one payload.
	// Default 1 MiB - 64 KiB; never more than the server's payload - 64 KiB.
	Inline int64
	// HandOver is how many octets of messages may be in memory on their way from
	// Begin to a Consume of the same process, past the embedded server. 0: none go
	// that way. With an external server it has no meaning.
	HandOver int64

	// LeaseTTL is the life of a lease that is not renewed; default 40 s, so that
	// another process takes over within a minute. It is at least 2 s, and whole
	// seconds: the server cuts off what is beyond.
	LeaseTTL time.Duration
	// AckWait is the time after which a message that is neither settled nor
	// said to be worked on is delivered again; default 60 s, at least 1 s.
	AckWait time.Duration

	Logger *slog.Logger // default: discards
}

func (o Options) withDefaults() (Options, error) {
	o.MaxStore = orDefault(o.MaxStore, 4<<30)
	o.Name = orDefault(o.Name, "mailkeep")
	o.Partitions = orDefault(o.Partitions, 1)
	o.Replicas = orDefault(o.Replicas, 1)
	o.RawBytes = orDefault(o.RawBytes, o.MaxStore/2)
	o.StateBytes = orDefault(o.StateBytes, o.MaxStore/16)
	o.BigBytes = orDefault(o.BigBytes, max(min(o.MaxStore*3/8, o.MaxStore-o.RawBytes-o.StateBytes-leaseBytes), 8<<20))
	o.Inline = orDefault(o.Inline, 1<<20-headroom)
	o.LeaseTTL = orDefault(o.LeaseTTL, 40*time.Second)
	o.AckWait = orDefault(o.AckWait, time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, o.validate()
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (o Options) validate() error {
	sum := o.RawBytes + o.BigBytes + o.StateBytes + leaseBytes
	switch {
	case o.Dir == "" && o.URL == "":
		return mail.Errorf(mail.Invalid, "the bus needs a store directory or the URL of a server")
	case o.Partitions < 1 || o.Partitions > 1<<15:
		return mail.Errorf(mail.Invalid, "%d partitions: want 1 to 32768", o.Partitions)
	case o.URL == "" && o.Replicas != 1:
		return mail.Errorf(mail.Invalid, "the embedded server keeps 1 replica, not %d", o.Replicas)
	case o.URL == "" && sum > o.MaxStore:
		// JetStream reserves the limit of each stream when it makes it.
		return mail.WithHint(mail.Errorf(mail.Invalid, "the queues may take %d octets, the store only %d", sum, o.MaxStore),
			"raise the limit of the store or lower that of the queues")
	case o.Inline < 0 || o.HandOver < 0 || o.RawBytes < 0 || o.BigBytes < 0 || o.StateBytes < 0:
		return mail.Errorf(mail.Invalid, "a limit of the bus is negative")
	case o.LeaseTTL < 2*time.Second || o.LeaseTTL%time.Second != 0:
		return mail.Errorf(mail.Invalid, "the life %s of leases is not whole seconds, 2 at least", o.LeaseTTL)
	case o.AckWait < time.Second:
		return mail.Errorf(mail.Invalid, "the acknowledgement time %s is less than 1 s", o.AckWait)
	}
	return nil
}

// A Bus is a connection to NATS and, where it is embedded, the server. Its
// methods may be called from many goroutines at once.
type Bus struct {
	opt    Options
	log    *slog.Logger
	server *embedded // nil if external
	nc     *nats.Conn
	js     jetstream.JetStream
	inline int64
	closed chan struct{} // closed by nats.go when the connection has ended

	receipts *receipts
	repair   time.Duration // see receiptRepair; shorter in tests
	big      atomic.Int64  // large transfers under way
	hand     *handover     // nil: all messages go through RAW

	// life ends when Close begins. It bounds the goroutines of the Bus, all of
	// which are counted by wg; mu orders their start before the wait.
	life context.Context
	end  context.CancelFunc
	mu   sync.Mutex
	wg   sync.WaitGroup

	restored chan struct{} // capacity 1: the connection came back
}

// Start connects to the external server, or starts the embedded one, and makes
// the streams. ctx bounds the start only.
//
// Errors: mail.InUse if another process has the store directory, mail.Invalid
// for options that cannot work and for a server that is too old,
// mail.Temporary if a server cannot be reached.
func Start(ctx context.Context, o Options) (*Bus, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Bus{opt: o, log: o.Logger, closed: make(chan struct{}), repair: receiptRepair,
		restored: make(chan struct{}, 1)}
	if o.URL == "" && o.HandOver > 0 {
		b.hand = newHandover(o.HandOver)
	}
	b.life, b.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(err, b.Close(context.WithoutCancel(ctx)))
	}
	return b, nil
}

func (b *Bus) start(ctx context.Context) (err error) {
	if b.opt.URL == "" {
		if b.server, err = startEmbedded(b.opt, b.log); err != nil {
			return err
		}
	}
	if err := b.connect(ctx); err != nil {
		return err
	}
	if b.receipts, err = listen(b.nc, b.log); err != nil {
		return classify(ctx, "listen for receipts", err)
	}
	if err := b.ensure(ctx); err != nil {
		return err
	}
	if b.server != nil {
		if err := b.dropLeases(ctx); err != nil {
			return err
		}
		b.spawn(func() { b.server.supervise(b.life) })
	}
	b.spawn(b.keep)
	return nil
}

// spawn runs f as a goroutine that Close waits for; it reports false if the
// Bus is closing.
func (b *Bus) spawn(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.life.Err() != nil {
		return false
	}
	b.wg.Go(f)
	return true
}

// bind returns ctx, ended also by Close.
func (b *Bus) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(b.life, func() { cancel(errClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

var errClosed = mail.Errorf(mail.Temporary, "the bus is closed")

// keep makes the streams again when the server comes back without them.
func (b *Bus) keep() {
	for {
		select {
		case <-b.life.Done():
			return
		case <-b.restored:
		}
		ctx, cancel := context.WithTimeout(b.life, 30*time.Second)
		if err := b.ensure(ctx); err != nil && b.life.Err() == nil {
			b.log.WarnContext(ctx, "streams not verified after reconnection", slog.Any("error", err))
		}
		cancel()
	}
}

// Close ends the Bus: it waits for the goroutines of the Bus (leases are
// released), drains the connection, stops the embedded server, waits for it,
// and unlocks the store directory. End Consume and the services first; what
// they still hold is delivered again later. If ctx ends early the rest is done
// without waiting for the network. Close may be called once.
func (b *Bus) Close(ctx context.Context) error {
	b.mu.Lock()
	b.end()
	b.mu.Unlock()
	b.wg.Wait()
	var err error
	if b.nc != nil {
		err = b.disconnect(ctx)
	}
	if b.server != nil {
		err = errors.Join(err, b.server.stop())
	}
	return err
}

func (b *Bus) disconnect(ctx context.Context) error {
	var err error
	if b.receipts != nil {
		err = b.nc.Drain()
	}
	if b.receipts == nil || err != nil { // there is nothing to drain, or no way to
		b.nc.Close()
	}
	select {
	case <-b.closed:
	case <-ctx.Done():
		b.nc.Close()
		<-b.closed
	}
	if errors.Is(err, nats.ErrConnectionReconnecting) || errors.Is(err, nats.ErrConnectionClosed) {
		return nil
	}
	return classify(ctx, "close the connection", err)
}

// Healthy returns nil if messages can be published: the connection stands and
// the embedded server stores. The error says what is wrong.
func (b *Bus) Healthy() error {
	if b.server != nil {
		if err := b.server.healthy(); err != nil {
			return err
		}
	}
	if s := b.nc.Status(); s != nats.CONNECTED {
		return mail.Errorf(mail.Temporary, "the connection to NATS is %s", s)
	}
	return nil
}

// A Depth tells how much waits on the bus.
type Depth struct {
	Messages uint64    // not yet sealed: in RAW, and handed over in this process
	Bytes    uint64    // of them in RAW, without the chunks of large ones
	Limit    uint64    // of Bytes; when it is reached, polling pauses
	BigBytes uint64    // of chunks of large messages
	Memory   uint64    // octets held in this process to be handed over
	Oldest   time.Time // when the oldest message of RAW was published; zero if there is none
}

// Depth asks the server how much waits.
func (b *Bus) Depth(ctx context.Context) (Depth, error) {
	raw, err := b.streamInfo(ctx, streamRaw)
	if err != nil {
		return Depth{}, err
	}
	big, err := b.streamInfo(ctx, streamBig)
	if err != nil {
		return Depth{}, err
	}
	d := Depth{Messages: raw.State.Msgs, Bytes: raw.State.Bytes, BigBytes: big.State.Bytes}
	if raw.State.Msgs > 0 {
		d.Oldest = raw.State.FirstTime
	}
	if raw.Config.MaxBytes > 0 {
		d.Limit = uint64(raw.Config.MaxBytes)
	}
	if b.hand != nil {
		var handed uint64
		handed, d.Memory = b.hand.depth()
		d.Messages += handed
	}
	return d, nil
}

func (b *Bus) streamInfo(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	s, err := b.js.Stream(ctx, name) // it asks the server
	if err != nil {
		return nil, classify(ctx, "ask for the state of "+name, err)
	}
	return s.CachedInfo(), nil
}

// partition returns the partition of a mailbox.
func (b *Bus) partition(mailbox string) uint16 { return mail.Partition(mailbox, b.opt.Partitions) }
