package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/mailkeep/mailkeep/mail"
)

// format is the version of the file's layout; another one is rebuilt.
const format = 4

// Options say whose catalog it is.
type Options struct {
	// Partition is the partition of the ledger that the catalog follows.
	Partition uint16
	// Identity names the archive, so that the catalog of another one is not
	// taken for this one's; may be empty.
	Identity string
	// Logger is told when and why a catalog is removed; nil discards.
	Logger *slog.Logger
}

// A Catalog is open, and locked, until Close. All methods may be called from
// many goroutines; Apply and Reset exclude one another.
type Catalog struct {
	path string
	opts Options
	log  *slog.Logger
	mark marker

	cursor atomic.Uint64

	mu     sync.RWMutex // held for reading by who uses db, for writing by who replaces it
	db     *bolt.DB     // nil once closed, or after a Reset that failed
	closed bool
	// wedged says that bbolt panicked in a write transaction: its locks may be
	// held for ever, so the handle must be left behind, not closed.
	wedged atomic.Bool
}

// Open opens the catalog in the file path, which it makes, with its directory,
// if it is missing. A file that was not closed before the machine stopped, that
// does not open, or that does not pass its checks is removed, and the catalog
// starts empty, with cursor 0; the reason is logged. A catalog that is open
// elsewhere is mail.InUse.
func Open(path string, o Options) (*Catalog, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Catalog{path: path, opts: o, log: o.Logger}
	var err error
	if c.mark, err = lockMarker(path); err != nil {
		return nil, err
	}
	if err := c.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open catalog %s: %w", path, err), c.mark.unlock())
	}
	return c, nil
}

// open opens what is there if it can be trusted, else an empty catalog.
func (c *Catalog) open() error {
	left, sum, err := c.mark.read()
	if err != nil {
		return err
	}
	_, err = os.Stat(c.path)
	fresh := errors.Is(err, os.ErrNotExist)
	trusted := left == markClosed || left == markOpenHere
	// If we die behind this line, the marker makes the next Open distrust the
	// file, unless the kernel, and with it every page written, is still the same.
	if err := c.mark.open(); err != nil {
		return err
	}
	if fresh || !trusted {
		if !fresh {
			c.log.Warn("catalog is removed and rebuilt", slog.String("path", c.path), slog.String("reason", "the machine stopped while it was open"))
		}
		return c.create()
	}
	db, err := c.load(sum)
	if err == nil {
		c.db = db
		return nil
	}
	if mail.KindOf(err) == mail.InUse || errors.Is(err, os.ErrPermission) {
		return err
	}
	c.log.Warn("catalog is removed and rebuilt", slog.String("path", c.path), slog.String("reason", err.Error()))
	return c.create()
}

// create replaces whatever is there by an empty catalog.
func (c *Catalog) create() error {
	if err := os.Remove(c.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := openBolt(c.path)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range append([][]byte{bucketMeta}, views...) {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		return errors.Join(meta.Put(keyFormat, c.formatValue()), meta.Put(keyCursor, seqKey(0)))
	})
	if err != nil {
		return errors.Join(kindOf(err), db.Close())
	}
	c.db = db
	c.cursor.Store(0)
	return nil
}

// load opens the file and checks it: against the sum with which it was closed,
// or, if it was not, its structure.
func (c *Catalog) load(sum string) (db *bolt.DB, err error) {
	if sum != "" {
		if got, err := c.mark.sum(); err != nil || got != sum {
			return nil, errors.Join(err, mail.Errorf(mail.Corrupt, "the file is %s (octets, CRC-32C) and was closed as %s", got, sum))
		}
	}
	defer guard(&err, nil)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	if db, err = openBolt(c.path); err != nil {
		return nil, err
	}
	if err := db.View(func(tx *bolt.Tx) error { return c.check(tx, sum == "") }); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (c *Catalog) check(tx *bolt.Tx, deep bool) error {
	info, err := os.Stat(c.path)
	if err != nil {
		return err
	}
	if info.Size() < tx.Size() {
		return mail.Errorf(mail.Corrupt, "the file has %d octets, its pages need %d", info.Size(), tx.Size())
	}
	for _, name := range append([][]byte{bucketMeta}, views...) {
		if tx.Bucket(name) == nil {
			return mail.Errorf(mail.Corrupt, "bucket %s is missing", name)
		}
	}
	if got := tx.Bucket(bucketMeta).Get(keyFormat); string(got) != string(c.formatValue()) {
		return mail.Errorf(mail.Invalid, "the file is of another format, partition or archive")
	}
	if deep {
		for e := range tx.Check() {
			err = errors.Join(err, e)
		}
	}
	c.cursor.Store(readCursor(tx))
	return err
}

func (c *Catalog) formatValue() []byte {
	b := binary.BigEndian.AppendUint16([]byte{format}, c.opts.Partition)
	return append(b, c.opts.Identity...)
}

func openBolt(path string) (*bolt.DB, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		// Our own lock comes first; this one meets bbolt's tools only.
		Timeout:      time.Millisecond,
		NoSync:       true,
		NoGrowSync:   true,
		FreelistType: bolt.FreelistMapType,
	})
	return db, kindOf(err)
}

// Cursor returns the position before which all records are applied.
func (c *Catalog) Cursor() uint64 { return c.cursor.Load() }

// Tip returns the position of the last record applied; false if there is none.
func (c *Catalog) Tip() (uint64, bool, error) {
	var tip []byte
	err := c.view(func(tx *bolt.Tx) error {
		tip = append(tip, tx.Bucket(bucketMeta).Get(keyTip)...)
		return nil
	})
	if err != nil || len(tip) < 8 {
		return 0, false, err
	}
	return binary.BigEndian.Uint64(tip), true, nil
}

// EndsWith reports whether r is the last record that the catalog applied. It
// tells a catalog that followed another ledger, or one since restored from an
// older copy, from one that can go on from its cursor.
func (c *Catalog) EndsWith(r mail.Record) (bool, error) {
	var same bool
	err := c.view(func(tx *bolt.Tx) error {
		stamp := stampOf(r)
		want := append(seqKey(r.ID.Seq), stamp[:]...)
		same = string(tx.Bucket(bucketMeta).Get(keyTip)) == string(want)
		return nil
	})
	return same, err
}

// Reset empties the catalog, so that it can be filled again from position 0.
// It works on a damaged file too.
func (c *Catalog) Reset() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.unavailable()
	}
	if c.db != nil && !c.wedged.Swap(false) {
		if err := c.db.Close(); err != nil {
			c.log.Warn("closing the damaged catalog failed", slog.String("path", c.path), slog.Any("error", err))
		}
	}
	c.db = nil
	if err := c.create(); err != nil {
		return fmt.Errorf("reset catalog %s: %w", c.path, err)
	}
	return nil
}

// Close syncs the catalog, marks it as complete on disk and unlocks it. If the
// sync fails, the marker stays, and the error is returned. A second Close does
// nothing.
func (c *Catalog) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	db := c.db
	c.db = nil
	if db == nil || c.wedged.Load() {
		return c.mark.unlock()
	}
	err := db.Sync()
	err = errors.Join(err, db.Close())
	if err == nil {
		// If we die before this is written, the next Open checks or rebuilds.
		err = c.mark.closed()
	}
	if err = errors.Join(err, c.mark.unlock()); err != nil {
		return fmt.Errorf("close catalog %s: %w", c.path, err)
	}
	return nil
}

// Drop removes the catalog in the file path, which must not be open anywhere.
func Drop(path string) error {
	m, err := lockMarker(path)
	if err != nil {
		return err
	}
	if err = os.Remove(path); errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, m.unlock())
}

func (c *Catalog) view(fn func(*bolt.Tx) error) (err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.db == nil {
		return c.unavailable()
	}
	defer guard(&err, nil)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return kindOf(c.db.View(fn))
}

func (c *Catalog) update(fn func(*bolt.Tx) error) (err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.db == nil || c.wedged.Load() {
		return c.unavailable()
	}
	defer guard(&err, &c.wedged)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return kindOf(c.db.Update(fn))
}

// unavailable says why there is no database to work on.
func (c *Catalog) unavailable() error {
	if c.closed {
		return mail.Errorf(mail.Temporary, "the catalog is closed")
	}
	return mail.Errorf(mail.Corrupt, "the catalog is damaged and must be reset")
}

// guard turns a panic of bbolt, or a fault on its map, into mail.Corrupt: its
// pages are read unchecked, and a damaged one must cost a rebuild, not the
// process. It is deferred as guard(&err, flag); the flag is set then.
func guard(err *error, flag *atomic.Bool) {
	r := recover()
	if r == nil {
		return
	}
	if flag != nil {
		flag.Store(true)
	}
	*err = mail.Errorf(mail.Corrupt, "reading the catalog failed: %v", r)
}

// kindOf gives an error of bbolt or the system its kind.
func kindOf(err error) error {
	switch {
	case err == nil || mail.KindOf(err) != mail.Other:
		return err
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return mail.Errorf(mail.NoSpace, "%w", err)
	case errors.Is(err, berrors.ErrTimeout):
		return mail.WithHint(mail.Errorf(mail.InUse, "the catalog is in use by another process"), "stop the process that has it open")
	case errors.Is(err, berrors.ErrInvalid) || errors.Is(err, berrors.ErrChecksum) || errors.Is(err, berrors.ErrVersionMismatch):
		return mail.Errorf(mail.Corrupt, "%w", err)
	}
	return mail.Errorf(mail.Temporary, "%w", err)
}

func readCursor(tx *bolt.Tx) uint64 { return readSeq(tx.Bucket(bucketMeta).Get(keyCursor)) }
