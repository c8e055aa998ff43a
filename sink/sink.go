package sink

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/catalog"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// A Log is what the sink needs of the ledger (*ledger.Ledger). Nobody else may
// append to it while the sink runs.
type Log interface {
	// Append makes the batch durable, in order and with one sync. On an error
	// none of it is, or what is shows in Records.
	Append(ctx context.Context, batch []*ledger.Entry) ([]ledger.Sealed, error)
	// Size is the durable size, as a position.
	Size() uint64
	Wait(ctx context.Context, size uint64) error
	// Records yields what is durable from a position on.
	Records(ctx context.Context, from uint64) iter.Seq2[mail.Record, error]
	Raw(ctx context.Context, id mail.ID) (mail.Raw, error)
	// Maker makes the entries for Append.
	Maker() ledger.Maker
	// Healthy says why the ledger cannot be appended to.
	Healthy() error
}

// Options are the parts and limits of a Sink. A zero limit is the default.
type Options struct {
	Log       Log
	Catalog   *catalog.Catalog // of the same partition
	Logger    *slog.Logger     // nil discards
	Partition uint16
	// Class gives the retention class of a delivery, whose message begins with header:
	// at most 64 KiB, which may go on behind the header. It is asked by several
	// goroutines. nil: nothing is given a class.
	Class func(d mail.Delivery, header []byte) mail.Class

	MaxMessage int64 // octets; larger messages are refused as mail.Invalid; default 256 MiB
	QueueLen   int   // messages and events accepted and not yet acknowledged; default 1,024
	QueueBytes int64 // octets of them; default 64 MiB; a larger message takes all of it
	BatchCount int   // messages and events sealed by one sync; default 256
	BatchBytes int64 // octets of them; default 4 MiB; a larger message is a batch of its own
	Preparers  int   // default GOMAXPROCS
	// Pace is the least time between the begins of two appends, unless a batch is full
	// before: for a log in which each append has a price. 0: a batch waits for what is
	// on its way alone, and not for long.
	Pace time.Duration

	// Now is the clock by which batches are timed; default time.Now.
	Now func() time.Time
	// Progress is told how far the catalog has come in reading the ledger, as
	// positions; may be nil.
	Progress func(done, total uint64)
	// Observe is told of each batch once it is acknowledged, from one goroutine;
	// it must not block; may be nil.
	Observe func(Batch)
}

// A Batch is what one commit did.
type Batch struct {
	Messages   int // sealed as messages
	References int // sealed as references
	Events     int
	Duplicates int // acknowledged without a record
	Refused    int // acknowledged with an error
	Octets     int64
	Took       time.Duration // from the decision to the last acknowledgement
}

// An Inbound is one message on its way in.
type Inbound struct {
	Delivery mail.Delivery
	// Raw opens the bytes. It may be called more than once, or not at all, and
	// its readers fail once ctx is done. Bytes that are gone are mail.NotFound.
	Raw func(ctx context.Context) (io.ReadCloser, error)
	// Bytes are the bytes where they are in memory, which Raw gives then too; nil
	// where they are not. Nobody changes them.
	Bytes []byte
	// Ack is called exactly once, from any goroutine; it must not block. The
	// receipt is valid if and only if err is nil. An err of kind Temporary or
	// NoSpace asks to send the message again later; Invalid or Corrupt says that
	// these bytes can never be sealed under this fingerprint.
	Ack func(receipt mail.Receipt, err error)
}

// A Sink seals what it accepts while Run runs.
type Sink struct {
	o   Options
	log *slog.Logger

	slots  *semaphore.Weighted // QueueLen
	octets *semaphore.Weighted // QueueBytes

	mu      sync.Mutex // guards stopped, and sending on queue against its close
	stopped bool
	queue   chan *item // has room for QueueLen: sending never blocks

	prepared chan *item
	started  atomic.Bool
	// coming counts the items accepted that have not reached the committer.
	coming atomic.Int64
	turns  chan turn
	ended  chan struct{} // closed when the committer has ended

	follow follower
	health health
}

// New returns a Sink. It does nothing, and answers no Lookup, before CatchUp or
// Run.
func New(o Options) (*Sink, error) {
	if o.Log == nil || o.Catalog == nil {
		return nil, mail.Errorf(mail.Invalid, "a sink needs a log and a catalog")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	setDefault(&o.MaxMessage, 256<<20)
	setDefault(&o.QueueLen, 1024)
	setDefault(&o.QueueBytes, 64<<20)
	setDefault(&o.BatchCount, 256)
	setDefault(&o.BatchBytes, 4<<20)
	setDefault(&o.Preparers, runtime.GOMAXPROCS(0))
	s := &Sink{
		o: o, log: o.Logger,
		slots:    semaphore.NewWeighted(int64(o.QueueLen)),
		octets:   semaphore.NewWeighted(o.QueueBytes),
		queue:    make(chan *item, o.QueueLen),
		prepared: make(chan *item, o.QueueLen),
		turns:    make(chan turn),
		ended:    make(chan struct{}),
	}
	s.follow.init(s.o)
	return s, nil
}

func setDefault[T int | int64](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Accept queues a message; it blocks while the queue is full. On nil the sink
// has taken it and will call its Ack, which may already have happened. On an
// error it has not, and Ack is never called: ctx is done, or the sink is
// stopping (mail.Temporary).
func (s *Sink) Accept(ctx context.Context, in Inbound) error {
	d, err := cleanDelivery(in.Delivery, s.o.MaxMessage)
	if err != nil {
		in.Ack(mail.Receipt{}, err)
		return nil
	}
	in.Delivery = d
	return s.enqueue(ctx, &item{in: in, weight: s.weight(d.Size)})
}

// AcceptEvent queues an event under the same rules as Accept. An event of a
// session whose report is sealed is acknowledged with the record of that.
func (s *Sink) AcceptEvent(ctx context.Context, e mail.Event, ack func(mail.ID, error)) error {
	clean, err := cleanEvent(e)
	if err != nil {
		ack(mail.ID{}, err)
		return nil
	}
	return s.enqueue(ctx, &item{event: clean, ackEvent: ack, weight: s.weight(eventWeight)})
}

// weight is what a message takes of QueueBytes: what it holds in memory, and
// never more than there is.
func (s *Sink) weight(size int64) int64 {
	return min(size, largeWeight, s.o.QueueBytes)
}

func (s *Sink) enqueue(ctx context.Context, it *item) error {
	if err := s.slots.Acquire(ctx, 1); err != nil {
		return context.Cause(ctx)
	}
	if err := s.octets.Acquire(ctx, it.weight); err != nil {
		s.slots.Release(1)
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		s.release(it)
		return stopping()
	}
	s.coming.Add(1)
	s.queue <- it
	return nil
}

func (s *Sink) release(it *item) {
	s.octets.Release(it.weight)
	s.slots.Release(1)
}

func stopping() error { return mail.Errorf(mail.Temporary, "the sink is stopping") }

// Lookup tells which rows of a listing are sealed; see catalog.Catalog.Lookup.
// While the catalog reads the ledger it is mail.Temporary: an answer that knows
// less than the ledger would make the poller fetch again what is sealed.
func (s *Sink) Lookup(ctx context.Context, mailbox string, rows []mail.Listing) ([]mail.Receipt, error) {
	if s.follow.behind() {
		return nil, mail.Errorf(mail.Temporary, "the catalog of partition %d is reading the ledger", s.o.Partition)
	}
	receipts := make([]mail.Receipt, 0, len(rows))
	for len(rows) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		n := min(len(rows), lookupPage)
		page, err := s.o.Catalog.Lookup(mailbox, rows[:n])
		if err != nil {
			s.follow.lost(err)
			return nil, mail.Errorf(mail.Temporary, "look up mailbox %q: %w", mailbox, err)
		}
		receipts, rows = append(receipts, page...), rows[n:]
	}
	return receipts, nil
}

// lookupPage is how many rows are answered between two looks at the context.
const lookupPage = 4096

// Healthy returns why nothing can be sealed at present, such as mail.NoSpace;
// nil if there is no such reason.
func (s *Sink) Healthy() error {
	if err := s.o.Log.Healthy(); err != nil {
		return err
	}
	return s.health.err()
}

// Run brings the catalog up to the ledger and then seals what is accepted until
// ctx is done. It gives back, as mail.Temporary, what no preparer has taken by
// then, seals the rest, and returns nil after the last acknowledgement. An error
// means that it could not begin. A Sink runs once.
func (s *Sink) Run(ctx context.Context) error {
	if s.started.Swap(true) {
		return mail.Errorf(mail.Invalid, "the sink has run already")
	}
	err := s.CatchUp(ctx)
	if err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "catalog cannot follow the ledger", slog.Any("error", err))
	}

	var preparers, committer sync.WaitGroup
	for range s.o.Preparers {
		preparers.Go(func() { s.prepare(ctx) })
	}
	committer.Go(func() { s.commit(ctx) })
	<-ctx.Done()

	s.mu.Lock()
	s.stopped = true
	close(s.queue)
	s.mu.Unlock()
	preparers.Wait()
	close(s.prepared)
	committer.Wait()
	close(s.ended)
	return nil
}
