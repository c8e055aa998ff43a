package indexer

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// Options say where an index lives and how it batches.
type Options struct {
	// Dir is the directory of this index alone; it is made if missing.
	Dir       string
	Partition uint16
	// Logger receives what operators should know; nil discards it.
	Logger *slog.Logger
	// BatchBytes is how much text a batch holds, in octets; 0 means 4 MiB.
	BatchBytes int
	// Linger is how long a follower lets the ledger be still before it indexes
	// what came; 0 means 250 ms.
	Linger time.Duration
	// Patience is how long a follower waits for a ledger that is not still; 0
	// means 5 s. Large batches cost less, and those who fetch and seal have the
	// machine for themselves meanwhile.
	Patience time.Duration
	// Now is the clock of relative dates in queries, and of durations in the log;
	// nil means time.Now.
	Now func() time.Time
	// Outside tells what fields mean that the index knows nothing of; nil refuses
	// queries with them.
	Outside OutsideFunc
}

func (o *Options) defaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.BatchBytes <= 0 {
		o.BatchBytes = 4 << 20
	}
	if o.Linger <= 0 {
		o.Linger = 250 * time.Millisecond
	}
	if o.Patience <= 0 {
		o.Patience = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Source is what the follower needs of a ledger.
type Source interface {
	// Size returns the durable size in records. It never decreases.
	Size() uint64
	// Wait returns nil when Size is greater than size.
	Wait(ctx context.Context, size uint64) error
	// Records yields the records from position from up to the durable size at
	// the time of the call, in order. An error ends the sequence.
	Records(ctx context.Context, from uint64) iter.Seq2[mail.Record, error]
	// Raw opens the bytes of a message. An error of kind mail.Corrupt or
	// mail.NotFound is taken as final; others are tried again.
	Raw(ctx context.Context, id mail.ID) (mail.Raw, error)
}

// ParseFunc parses the raw bytes of a record, by the rules of its mailbox; its
// error is raw's. It is called by several
// goroutines at once.
type ParseFunc func(ctx context.Context, r mail.Record, raw mail.Raw) (*mail.Message, error)

// DateFunc returns the effective date of a message and where it comes from.
type DateFunc func(m *mail.Message, fetched time.Time) (time.Time, string)

// TextFunc returns the parsed message of a record, for the snippets of a hit.
type TextFunc func(ctx context.Context, id mail.ID) (*mail.Message, error)

// OutsideFunc gives, for a value of one of query.Outside, the nodes that stand for
// it in the index's partition, such as query.Records or an Exact of a mailbox;
// nil if no message has it. A value that cannot be is an error of kind
// mail.Invalid.
type OutsideFunc func(ctx context.Context, n query.Exact) (query.Node, error)

// An Index is the search index of one partition. Its methods may be called at
// once from several goroutines.
type Index struct {
	opts Options
	lock *os.File // held for exclusive use of opts.Dir

	// searches holds a token per running search.
	searches chan struct{}
	running  sync.WaitGroup // searches and their readers

	following sync.Mutex    // held by the one follower
	hurry     chan struct{} // holds a token for a follower that is not to linger
	position  atomic.Uint64

	// mu guards engine: held for reading while a reader is taken from it and
	// for writing while it is replaced.
	mu     sync.RWMutex
	engine *engine // nil while closed or being reopened
	closed bool
}

// Open opens the index in o.Dir, or makes an empty one. Errors: mail.InUse if
// another process has it open, mail.Denied and mail.NoSpace. An index that is
// damaged, or of another format, is set aside and an empty one takes its
// place; the follower fills it again from position 0.
func Open(o Options) (*Index, error) {
	o.defaults()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, classify("make the index directory", err)
	}
	lock, err := lockDir(o.Dir, lockWait)
	if err != nil {
		return nil, err
	}
	x := &Index{opts: o, lock: lock, searches: make(chan struct{}, runtime.GOMAXPROCS(0)), hurry: make(chan struct{}, 1)}
	if x.engine, err = openEngine(&x.opts); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	x.position.Store(x.engine.position)
	return x, nil
}

// Position returns the cursor: all records before it are indexed, durably.
func (x *Index) Position() uint64 { return x.position.Load() }

// Hurry tells the follower that somebody waits: it does not linger before it
// indexes what comes next, or what came already.
func (x *Index) Hurry() {
	select {
	case x.hurry <- struct{}{}:
	default:
	}
}

// Close waits for searches in progress and closes the index. A follower must
// have returned before. Closing again does nothing.
func (x *Index) Close() error {
	x.mu.Lock()
	e := x.engine
	x.engine = nil
	again := x.closed
	x.closed = true
	x.mu.Unlock()
	if again {
		return nil
	}
	x.running.Wait()
	var err error
	if e != nil {
		err = e.close()
	}
	return errors.Join(err, x.lock.Close())
}

// Drop deletes the index in dir. It is made again from the ledger when it is
// opened next. Errors: mail.InUse if it is open.
func Drop(dir string) error {
	lock, err := lockDir(dir, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	names, err := filepath.Glob(filepath.Join(dir, engineDir+"*"))
	if err != nil {
		return err
	}
	for _, name := range append(names, filepath.Join(dir, cleanFile)) {
		err = errors.Join(err, os.RemoveAll(name))
	}
	return err
}

// logPartition tells which partition a line of the log is about.
func (o *Options) logPartition() slog.Attr {
	return slog.Int("partition", int(o.Partition))
}
