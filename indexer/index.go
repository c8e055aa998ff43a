package indexer

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/indexer/threads"
	"github.com/mailkeep/mailkeep/mail"
)

// Options say where an index lives and how it batches.
type Options struct {
	// Dir is the directory of this index alone; it is made if missing.
	Dir       string
	Partition uint16
	// Logger receives what operators should know; nil discards it.
	Logger *slog.Logger
	// BatchBytes is how much text a batch holds, in octets; 0 means 8 MiB, or less
	// where the memory of the process is limited: see batchBytes.
	BatchBytes int
	// Linger is how long a follower lets the ledger be still before it indexes
	// what came; 0 means 250 ms.
	Linger time.Duration
	// Patience is how long a follower waits for a ledger that is not still; 0
	// means 5 s. Large batches cost less, and those who fetch and seal have the
	// machine for themselves meanwhile.
	Patience time.Duration
	// ShardDocs is how many documents a shard holds at most; 0 means 250,000.
	ShardDocs int
	// ShardMin is how many documents a shard must hold before the next month
	// begins another; 0 means 20,000. Small shards cost more than they save.
	ShardMin int
	// OpenShards is how many sealed shards stay open that nobody searches; 0
	// means 256. An open one takes some 2 MB and 3 file descriptors.
	OpenShards int
	// Reserve is the free space below which nothing is indexed, in octets; 0
	// means 128 MiB. Writing a shard anew needs four times its size besides.
	Reserve int64
	// CheckEvery is how often a follower compares a sealed shard with its
	// checksums; 0 means every 30 days.
	CheckEvery time.Duration
	// CheckRate is how much is read for that, in octets a second; 0 means 8 MiB.
	CheckRate int64
	// Changed, unless nil, is told the state when a follower begins and after
	// whatever its upkeep did. It is called by one goroutine and must not block.
	Changed func(State)
	// Now is the clock of relative dates in queries, and of durations in the log;
	// nil means time.Now.
	Now func() time.Time
	// Outside tells what fields mean that the index knows nothing of; nil refuses
	// queries with them.
	Outside OutsideFunc
	// Look is for who only searches, and will not build the index: Open then refuses
	// one that it would have to drop, and leaves its files alone.
	Look bool
}

func (o *Options) defaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.BatchBytes <= 0 {
		o.BatchBytes = batchBytes(debug.SetMemoryLimit(-1))
	}
	if o.Linger <= 0 {
		o.Linger = 250 * time.Millisecond
	}
	if o.Patience <= 0 {
		o.Patience = 5 * time.Second
	}
	if o.ShardDocs <= 0 {
		o.ShardDocs = 250_000
	}
	if o.ShardMin <= 0 {
		o.ShardMin = 20_000
	}
	if o.OpenShards <= 0 {
		o.OpenShards = 256
	}
	if o.Reserve <= 0 {
		o.Reserve = 128 << 20
	}
	if o.CheckEvery <= 0 {
		o.CheckEvery = 30 * 24 * time.Hour
	}
	if o.CheckRate <= 0 {
		o.CheckRate = 8 << 20
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
// error is raw's. It is called by several goroutines at once.
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
	opts  Options
	lock  *os.File // held for exclusive use of opts.Dir
	known *results
	// threads knows all documents, those of the batch that is being committed too.
	threads *threads.Table

	// searches holds a token per running search, evaluations one per shard that
	// is being searched.
	searches    chan struct{}
	evaluations chan struct{}
	running     sync.WaitGroup // searches and their readers

	following sync.Mutex    // held by the one follower
	hurry     chan struct{} // holds a token for a follower that is not to linger
	wake      chan struct{} // holds a token for the upkeep: there may be something to do
	position  atomic.Uint64
	clock     atomic.Uint64 // of the use of parts

	// changes is held by who changes documents before the cursor of a shard, or
	// writes a shard anew: one at a time. It is taken before mu.
	changes sync.Mutex

	// mu guards which shards there are: held for reading while parts are taken
	// into use and for writing while one takes the place of another. The
	// manifest on disk says what these fields do, or is about to.
	mu       sync.RWMutex
	manifest manifest // Serving and Building are made from the generations
	serving  *generation
	building *generation // nil, or what will take the place of serving
	closed   bool

	// turn is held by who is about to run the pump of the serving generation, or
	// to put another generation in its place; pumpGate while that pump runs.
	turn     sync.Mutex
	pumping  func() // guarded by turn: ends the pump that runs, if any does
	pumpGate sync.Mutex
}

// Open opens the index in o.Dir, or makes an empty one. Errors: mail.InUse if
// another process has it open, mail.Denied and mail.NoSpace. A shard that is
// damaged is set aside and searched no more: the follower builds it again from
// the ledger, and goes back to the beginning of one that was growing. An index
// of another format is searched if its format is one of those that can be, until
// the follower has built it anew.
func Open(o Options) (*Index, error) {
	o.defaults()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, classify("make the index directory", err)
	}
	lock, err := lockDir(o.Dir, lockWait)
	if err != nil {
		return nil, err
	}
	procs := runtime.GOMAXPROCS(0)
	x := &Index{
		opts: o, lock: lock, known: newResults(),
		searches: make(chan struct{}, procs), evaluations: make(chan struct{}, procs),
		hurry: make(chan struct{}, 1), wake: make(chan struct{}, 1),
	}
	err = x.open()
	if err == nil {
		err = x.openThreads()
	}
	if err != nil {
		return nil, errors.Join(err, x.serving.shut(), x.building.shut(), lock.Close())
	}
	x.position.Store(x.serving.last().engine.position)
	return x, nil
}

func (x *Index) open() error {
	m, err := readManifest(x.opts.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m, err = adopt(&x.opts)
	case mail.KindOf(err) == mail.Corrupt && x.opts.Look:
		err = unusable(err)
	case mail.KindOf(err) == mail.Corrupt:
		x.opts.Logger.Error("the index cannot be read, it will be rebuilt from the ledger", x.opts.logPartition(), slog.Any("error", err))
		if err = x.clear(); err == nil {
			m, err = adopt(&x.opts)
		}
	}
	if err != nil {
		return classify("open the index", err)
	}
	x.manifest = *m
	if err := m.sweep(x.opts.Dir); err != nil {
		return err
	}
	if x.serving, err = x.load(m.Serving); err != nil {
		return err
	}
	if x.building, err = x.load(m.Building); err != nil {
		return err
	}
	if err := x.upgrade(); err != nil {
		return err
	}
	if err := x.save(); err != nil {
		return err
	}
	return x.manifest.sweep(x.opts.Dir)
}

// upgrade begins a new generation if the present one is of another format. One
// whose format cannot be searched is dropped; the sweep that follows removes its
// files.
func (x *Index) upgrade() error {
	if x.building != nil && x.building.format != formatVersion {
		if err := x.building.shut(); err != nil {
			return err
		}
		x.building = nil
	}
	if x.serving.format == formatVersion || x.building != nil {
		return nil
	}
	readable := x.serving.format >= oldestReadable && x.serving.format < formatVersion
	if x.opts.Look && !readable {
		return unusable(mail.Errorf(mail.Invalid, "its format is %d, this version makes %d", x.serving.format, formatVersion))
	}
	fresh, err := x.empty(x.serving, math.MaxUint64)
	if err != nil {
		return err
	}
	x.opts.Logger.Info("index of another format, being built anew", x.opts.logPartition(),
		slog.Uint64("format", x.serving.format), slog.Uint64("new_format", formatVersion))
	if readable {
		x.building = fresh
		return nil
	}
	old := x.serving
	x.serving = fresh
	return old.shut()
}

// unusable is the error of an index that cannot be searched before it is built anew.
func unusable(cause error) error {
	return mail.WithHint(mail.Errorf(mail.Temporary, "the index must be built anew before it can be searched: %w", cause),
		"mailkeep run builds it while it runs, mailkeep reindex at once")
}

// clear removes everything of an index.
func (x *Index) clear() error {
	return clearDir(x.opts.Dir)
}

func clearDir(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != lockFile {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// save makes the manifest durable as the generations are. The caller holds mu,
// or is alone.
func (x *Index) save() error {
	x.manifest.Serving, x.manifest.Building = x.serving.describe(), x.building.describe()
	return x.manifest.save(x.opts.Dir)
}

// nextDir returns the name of a directory that was never used. It is durable
// with the next save.
func (x *Index) nextDir() string {
	n := x.manifest.Next
	x.manifest.Next++
	return dirName(n)
}

// rouse tells the upkeep that there may be something to do.
func (x *Index) rouse() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// Position returns the cursor: all records before it are indexed, durably, but
// for those of shards that are being built again, which State tells.
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
	again := x.closed
	x.closed = true
	x.mu.Unlock()
	if again {
		return nil
	}
	x.running.Wait()
	return errors.Join(x.serving.shut(), x.building.shut(), x.threads.Close(), x.lock.Close())
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
	return clearDir(dir)
}

// logPartition tells which partition a line of the log is about.
func (o *Options) logPartition() slog.Attr {
	return slog.Int("partition", int(o.Partition))
}
