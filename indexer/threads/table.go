package threads

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/mailkeep/mailkeep/mail"
)

// formatVersion changes with anything that makes the table differ for the same
// links. A table of another one is made anew.
const formatVersion = 1

// The buckets of the table, by key and value.
var (
	bucketMeta    = []byte("meta")
	bucketNodes   = []byte("nodes")    // nodeKey: the parent's nodeKey, or of a root its weight in 8 octets
	bucketDocs    = []byte("docs")     // position: nodeKey
	bucketMembers = []byte("members")  // nodeKey of a root, position
	bucketSubject = []byte("subjects") // see subjectKey; nodeKey and participants

	metaFormat   = []byte("format")
	metaPosition = []byte("position")
)

func buckets() [][]byte {
	return [][]byte{bucketMeta, bucketNodes, bucketDocs, bucketMembers, bucketSubject}
}

// A Table is the threads of one partition. Its methods may be called at once
// from several goroutines; those that write wait for one another.
type Table struct {
	path     string
	log      *slog.Logger
	position atomic.Uint64
	// wedged is set when a write broke off in a panic: bbolt may hold its locks for
	// good then, so that the database is left where it is.
	wedged atomic.Bool

	mu sync.RWMutex // held for writing by Close and Reset
	db *bolt.DB     // nil once closed
}

// Open opens the table in the file path, or makes an empty one; one that is
// damaged, or of another format, is replaced by an empty one, and Position says
// that it has to be filled. Errors: mail.InUse if it is open already,
// mail.Denied and mail.NoSpace. A nil log discards what operators should know.
func Open(path string, log *slog.Logger) (*Table, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t := &Table{path: path, log: log}
	err := t.load()
	if mail.KindOf(err) == mail.Corrupt {
		log.Warn("table of threads is removed and filled again", slog.String("path", path), slog.String("reason", err.Error()))
		err = t.create()
	}
	if err != nil {
		return nil, fmt.Errorf("open the table of threads %s: %w", path, err)
	}
	return t, nil
}

// load opens what is there.
func (t *Table) load() (err error) {
	if info, err := os.Stat(t.path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return t.create()
	}
	defer guard(&err, nil)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	db, err := openBolt(t.path)
	if err != nil {
		return err
	}
	if err := db.View(t.check); err != nil {
		return errors.Join(kindOf(err), db.Close())
	}
	t.db = db
	return nil
}

func (t *Table) check(tx *bolt.Tx) error {
	info, err := os.Stat(t.path)
	if err != nil {
		return err
	}
	if info.Size() < tx.Size() {
		return mail.Errorf(mail.Corrupt, "the file has %d octets, its pages need %d", info.Size(), tx.Size())
	}
	for _, name := range buckets() {
		if tx.Bucket(name) == nil {
			return mail.Errorf(mail.Corrupt, "bucket %s is missing", name)
		}
	}
	meta := tx.Bucket(bucketMeta)
	if got := meta.Get(metaFormat); len(got) != 1 || got[0] != formatVersion {
		return mail.Errorf(mail.Corrupt, "the format is %x, not %d", got, formatVersion)
	}
	position := meta.Get(metaPosition)
	if len(position) != 8 {
		return mail.Errorf(mail.Corrupt, "the position has %d octets", len(position))
	}
	t.position.Store(binary.BigEndian.Uint64(position))
	return nil
}

// create replaces whatever is there by an empty table.
func (t *Table) create() error {
	if err := os.Remove(t.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return kindOf(err)
	}
	db, err := openBolt(t.path)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets() {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		return errors.Join(meta.Put(metaFormat, []byte{formatVersion}), meta.Put(metaPosition, seqKey(0)))
	})
	if err != nil {
		return errors.Join(kindOf(err), db.Close())
	}
	t.db = db
	t.position.Store(0)
	return nil
}

// lockWait covers the moment in which a process that was told to stop still
// holds the table.
const lockWait = 5 * time.Second

func openBolt(path string) (*bolt.DB, error) {
	// The list of free pages stays in the file: bbolt would gather it from all pages
	// in a goroutine, where a damaged one cannot be caught.
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
	return db, kindOf(err)
}

// Position returns the cursor: the links of all records before it are there.
func (t *Table) Position() uint64 { return t.position.Load() }

// Add adds links, those of all records from <= position < to, in one transaction
// that is durable on return, and moves the cursor to to. It stays if it is further
// already, and if it is before from: links between the two may be missing then, as
// after a Reset that others did. Links that are there already change nothing;
// those of one call may come in any order.
func (t *Table) Add(from, to uint64, links ...Link) error {
	var now uint64
	err := t.update(func(tx *bolt.Tx) error {
		f := forestOf(tx)
		for _, l := range links {
			if err := f.add(l); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		if now = readPosition(meta); from <= now {
			now = max(now, to)
		}
		return meta.Put(metaPosition, seqKey(now))
	})
	if err != nil {
		return fmt.Errorf("add to the threads: %w", err)
	}
	t.position.Store(now)
	return nil
}

// Forget removes messages from their threads, such as those that were erased.
// What they tied together stays so. Positions that are not there are passed over.
func (t *Table) Forget(seqs ...uint64) error {
	err := t.update(func(tx *bolt.Tx) error {
		f := forestOf(tx)
		for _, seq := range seqs {
			if err := f.forget(seq); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove from the threads: %w", err)
	}
	return nil
}

// Reset empties the table, so that it can be filled again from position 0. It
// works on a damaged one too.
func (t *Table) Reset() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.db == nil {
		return errClosed()
	}
	if err := t.closeDB(); err != nil {
		t.log.Warn("closing the damaged table of threads failed", slog.String("path", t.path), slog.Any("error", err))
	}
	return t.create()
}

// Close closes the table once all calls have returned. Closing again does nothing.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.db == nil {
		return nil
	}
	return t.closeDB()
}

func (t *Table) closeDB() error {
	db := t.db
	t.db = nil
	if t.wedged.Swap(false) {
		return nil
	}
	return db.Close()
}

func (t *Table) update(fn func(*bolt.Tx) error) (err error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	switch {
	case t.db == nil:
		return errClosed()
	case t.wedged.Load():
		return mail.Errorf(mail.Corrupt, "the table of threads is damaged and must be reset")
	}
	defer guard(&err, &t.wedged)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return kindOf(t.db.Update(fn))
}

func (t *Table) view(fn func(*bolt.Tx) error) (err error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.db == nil {
		return errClosed()
	}
	defer guard(&err, nil)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return kindOf(t.db.View(fn))
}

func errClosed() error { return mail.Errorf(mail.Temporary, "the table of threads is closed") }

func readPosition(meta *bolt.Bucket) uint64 {
	b := meta.Get(metaPosition)
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// guard turns a panic of bbolt into mail.Corrupt: its pages are read unchecked,
// and a damaged one must cost a rebuild, not the process. It is deferred; flag,
// unless nil, is set then.
func guard(err *error, flag *atomic.Bool) {
	if r := recover(); r != nil {
		if flag != nil {
			flag.Store(true)
		}
		*err = mail.Errorf(mail.Corrupt, "reading the table of threads failed: %v", r)
	}
}

// kindOf gives an error of bbolt or the system its kind.
func kindOf(err error) error {
	switch {
	case err == nil || mail.KindOf(err) != mail.Other:
		return err
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return mail.Errorf(mail.NoSpace, "%w", err)
	case errors.Is(err, fs.ErrPermission):
		return mail.Errorf(mail.Denied, "%w", err)
	case errors.Is(err, bolterrors.ErrTimeout):
		return mail.WithHint(mail.Errorf(mail.InUse, "the table of threads is open in another process"), "stop the process that has it open")
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return mail.Errorf(mail.Corrupt, "%w", err)
	}
	return mail.Errorf(mail.Temporary, "%w", err)
}
