package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// DefaultSegmentSize is where a segment is sealed unless Options say else.
const DefaultSegmentSize = 64 << 20

// maxRecords bounds a segment of many small records, and so its seal: to as many
// as have a key of their own.
const maxRecords = keys.Leaves

// Options are what Open and OpenReader need to know.
type Options struct {
	Partition uint16
	// Archive is the UUID of the archive. With Partition it gives the stream
	// UUID that each record carries: a ledger of another is refused.
	Archive [16]byte
	// SegmentSize is how many octets a segment may have before the next one
	// is begun; 0 is DefaultSegmentSize. A message that is larger still makes
	// one segment.
	SegmentSize int64
	Logger      *slog.Logger     // nil: none
	Now         func() time.Time // nil: time.Now
	// Software and Host are written into each segment for those who read it
	// in years to come.
	Software string
	Host     string
	// Known is a position that a view of this ledger has reached, 0 if there
	// is none. Recovery that would end below it refuses with mail.Corrupt:
	// those records were durable, so what is missing is not a torn tail.
	Known uint64

	// Dictionary is what new records are compressed with; nil: nothing.
	Dictionary *Dictionary
	// Dictionaries are further ones, that records which are there may need.
	Dictionaries []*Dictionary
	// Keys has the key files of this partition; nil: new records are stored in
	// the clear, and a ledger whose newest segment is encrypted is refused. Each
	// new segment gets a key file, in the Group.
	Keys  *keys.Dir
	Group keys.Group
	// Others have the key files of the archive's other partitions. Erase seals
	// them anew too, because they share key encryption keys with these.
	Others []*keys.Dir
	// Fence, if set, says whether this process still owns the ledger. Whoever has
	// the lease takes the ledger from a process that has not, even if that holds
	// the lock: see claim.
	Fence Fence
	// SealEach makes each batch a sealed segment of its own, which becomes durable
	// and visible by getting its final name. It is for a file system whose Link puts
	// a file with such a name into a store, which is nil again for the same octets,
	// and mail.InUse where others have the name: then another process has appended,
	// and this Ledger never does again. What has no such name is discarded by Open.
	SealEach bool
}

func (o Options) withDefaults() Options {
	if o.SegmentSize <= 0 {
		o.SegmentSize = DefaultSegmentSize
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// A Ledger is the one writer of a ledger, and reads it too. Its methods may be
// called by many goroutines at once; Append serialises itself.
type Ledger struct {
	*view
	opts Options
	log  *slog.Logger
	lock io.Closer // nil where the lease stands for it

	// The health is apart so that asking for it never waits for a disk.
	health sync.Mutex
	broken error // why nothing can be appended; nil if something can
	lost   error // why nothing can be appended any more by this Ledger

	// What follows is guarded by write, which is held while appending.
	write  sync.Mutex
	closed bool
	seg    *segmentFile // the open segment; nil before the first append to it
	chain  chain        // behind the last record added
	synced synced       // behind the last record that is durable
	claim  claim        // that must stand while this process appends
	// pending is what SealEach has sealed and could not publish.
	pending *pending
}

// synced is the state that a failed write falls back to.
type synced struct {
	chain chain
	off   int64 // in the open segment
}

// Open takes the lock of the ledger in fsys, whose root is the directory of
// the ledger alone, and recovers what a crash has left. It returns mail.InUse
// if another has the ledger open for writing, mail.Corrupt if records are
// damaged that were durable once, and mail.Invalid, mail.Denied or mail.NotFound
// if the newest segment is encrypted and its key cannot be had; in each case
// nothing was changed. The file system stays the caller's to close, after the
// ledger.
func Open(fsys durable.FS, opts Options) (*Ledger, error) {
	opts = opts.withDefaults()
	l := &Ledger{view: newView(fsys, opts), opts: opts, log: opts.Logger}
	if err := l.lockOrFence(); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	err := l.checkKeys()
	if err == nil {
		err = l.take()
	}
	if err == nil {
		err = l.recover(-1)
	}
	if err != nil {
		l.files.close()
		return nil, errors.Join(fmt.Errorf("open ledger: %w", classify(err)), l.unlock())
	}
	return l, nil
}

func (l *Ledger) unlock() error {
	if l.lock == nil {
		return nil
	}
	return l.lock.Close()
}

// Healthy returns nil, or why the last append failed: mail.NoSpace or
// mail.Temporary. The next Append tries to recover first.
func (l *Ledger) Healthy() error {
	l.health.Lock()
	defer l.health.Unlock()
	return l.broken
}

// Root returns the number of leaves of the Merkle tree and its root (RFC 6962
// section 2.1) over all durable records, bookkeeping included.
func (l *Ledger) Root() (uint64, mail.Digest) {
	l.write.Lock()
	defer l.write.Unlock()
	t := l.synced.chain.tree
	return t.size, mail.Digest(t.root())
}

// Append writes the batch as one group commit: all entries in order, one
// fdatasync, and then they are visible. It returns one Sealed for each entry,
// or an error, and then nothing of the batch is visible and no entry is
// sealed: mail.NoSpace, mail.InUse while this process is not the owner, or mail.Temporary for any other failure to write.
//
// A cancelled ctx is looked at before the first write only.
func (l *Ledger) Append(ctx context.Context, batch []*Entry) ([]Sealed, error) {
	l.write.Lock()
	defer l.write.Unlock()
	if l.closed {
		return nil, errClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := l.owns(); err != nil {
		return nil, l.fail("append to the ledger", err)
	}
	if err := l.heal(); err != nil {
		return nil, err
	}
	if len(batch) == 0 {
		return nil, nil
	}
	out, err := l.appendAll(ctx, batch)
	if err != nil {
		return nil, l.fail("append to the ledger", err)
	}
	return out, nil
}

func (l *Ledger) appendAll(ctx context.Context, batch []*Entry) ([]Sealed, error) {
	if l.opts.SealEach {
		return l.appendSealed(ctx, batch)
	}
	if err := l.makeRoom(ctx, batch); err != nil {
		return nil, err
	}
	before := l.chain.seq
	out, err := l.addAll(batch)
	if err != nil {
		return nil, err
	}
	if l.chain.seq == before { // every entry was refused
		return out, nil
	}
	// If we die here, nobody has a receipt. Recovery may find these records
	// or not; those who deliver them again are told of duplicates.
	if err := l.seg.sync(); err != nil {
		return nil, err
	}
	// If another process has taken the ledger meanwhile, it may or may not have
	// found these records.
	if err := l.owns(); err != nil {
		return nil, err
	}
	l.commit()
	return out, nil
}

// addAll appends the entries, those that are no large messages as many at once
// as follow each other. The error is of writing; what is wrong with one entry
// alone is in its Sealed.
func (l *Ledger) addAll(batch []*Entry) ([]Sealed, error) {
	out := make([]Sealed, len(batch))
	var run []slot
	var index []int // in out, of the slots of run
	flags := uint8(flagCommit)
	flush := func() error {
		err := l.seg.addAll(&l.chain, run, l.opts.Now)
		for i := range run {
			out[index[i]] = l.sealed(&run[i].head)
		}
		run, index = run[:0], index[:0]
		return err
	}
	for i, e := range batch {
		if e.large != nil {
			if err := flush(); err != nil {
				return nil, err
			}
			before := l.chain.seq
			var err error
			if out[i], err = l.addLarge(e, flags); err != nil {
				return nil, err
			}
			if l.chain.seq != before {
				flags = 0
			}
			continue
		}
		if err := l.check(e); err != nil {
			out[i].Err = err
			continue
		}
		run, index = append(run, slot{entry: e, head: e.header(flags | flagFirst | flagLast)}), append(index, i)
		flags = 0
	}
	return out, flush()
}

// check refuses an entry that must not get into this ledger.
func (l *Ledger) check(e *Entry) error {
	if e.dict != 0 && (l.opts.Dictionary == nil || uint32(l.opts.Dictionary.id) != e.dict) {
		return mail.Errorf(mail.Invalid, "entry was compressed with the dictionary %08x, which is not the ledger's", e.dict)
	}
	if e.typ == typeReference {
		return l.checkTarget(e)
	}
	return nil
}

// Maker returns what makes entries for this ledger, with its dictionary.
func (l *Ledger) Maker() Maker {
	return Maker{dictionary: l.opts.Dictionary, sealed: l.opts.Keys != nil}
}

func (l *Ledger) sealed(h *header) Sealed {
	return Sealed{
		ID:      mail.ID{Partition: l.partition, Seq: h.firstSeq},
		Segment: h.segment, At: time.Unix(0, h.time).UTC(),
	}
}

// checkTarget makes sure that a reference points at the bytes that it says: a
// server may be told to delete because of it.
func (l *Ledger) checkTarget(e *Entry) error {
	m, err := l.find(context.Background(), e.of)
	if err != nil {
		return fmt.Errorf("reference to %s: %w", e.of, err)
	}
	if m.typ != typeMessage || m.meta.Digest != e.delivery.Digest || m.meta.Size != e.delivery.Size {
		return mail.Errorf(mail.Invalid, "reference to %s: it is not the message %s", e.of, e.delivery.Fingerprint)
	}
	return nil
}

// commit makes what was synced visible.
func (l *Ledger) commit() {
	l.synced = synced{chain: l.chain.clone(), off: l.seg.off}
	offsets := slices.Clip(l.seg.offsets)
	l.setLast(segment{first: l.seg.first, open: true, offsets: offsets}, l.chain.visible)
}

// fail marks the ledger broken. The handle is closed and never used again:
// after a failed sync a second one may succeed without the bytes.
func (l *Ledger) fail(doing string, err error) error {
	err = classify(fmt.Errorf("%s: %w", doing, err))
	if l.seg != nil {
		_ = l.seg.f.Close() // what it would say is known already
	}
	l.setBroken(err)
	l.log.Error("the ledger cannot be written", slog.String("error", err.Error()),
		slog.Uint64("size", l.Size()), slog.Int("partition", int(l.partition)))
	return err
}

func (l *Ledger) setBroken(err error) {
	l.health.Lock()
	defer l.health.Unlock()
	l.broken = err
}

// heal recovers from a failure, in this process.
func (l *Ledger) heal() error {
	if l.Healthy() == nil {
		return nil
	}
	err := l.recoverHere()
	if errors.Is(err, errGrown) {
		l.setBroken(nil)
		return err
	}
	if err != nil {
		err = classify(fmt.Errorf("recover the ledger: %w", err))
		l.setBroken(err)
		return err
	}
	l.setBroken(nil)
	l.log.Info("the ledger can be written again", slog.Uint64("size", l.Size()), slog.Int("partition", int(l.partition)))
	return nil
}

// recoverHere recovers what a failure in this process has left.
func (l *Ledger) recoverHere() error {
	if l.pending != nil {
		return l.settlePending()
	}
	return l.recover(l.synced.off)
}

// Close seals the open segment and gives up the lock. After a failure that no
// Append has recovered from, it leaves the recovery to the next Open and
// returns the failure.
func (l *Ledger) Close() error {
	l.write.Lock()
	defer l.write.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	err := l.Healthy()
	if err == nil {
		if err = l.owns(); err != nil {
			err = l.fail("close the ledger", err)
		}
	}
	if err == nil && l.seg != nil {
		if err = l.sealSegment("close"); err != nil {
			err = l.fail("close the ledger", err)
		}
	}
	l.view.close()
	return errors.Join(err, l.unlock())
}

// classify gives an error of the file system the kind that its reader needs.
func classify(err error) error {
	switch {
	case mail.KindOf(err) != mail.Other:
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return mail.WithHint(mail.Errorf(mail.NoSpace, "%w", err),
			"The disk of the archive is full. Free some space, at least twice the size of a segment; nothing was acknowledged meanwhile.")
	}
	return mail.Errorf(mail.Temporary, "%w", err)
}
