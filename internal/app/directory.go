package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
	"github.com/mailkeep/mailkeep/sink/store"
)

// The layout of an archive's directory:
//
//	ARCHIVE                 what the archive is (Identity)
//	dict/                   dictionaries, which the ledgers need
//	ledger/0000/            the segments of partition 0: the truth
//	tlog/0000/              its transparency log: tiles, and what was ever signed
//	anchors/                what time stamp authorities and witnesses say of it
//	keys/                   private keys
//	keys/0000/              key files of partition 0, if it is encrypted
//	checkpoint.vkey         the public keys of the transparency logs
//	keychanges/             how those keys have changed
//	verify.py, FORMAT.md    to verify the archive without mailkeep
//	catalog/0000.bolt       a view of it
//	index/0000/             a view of it
//	nats/                   the embedded server's store: transport
//	run/                    control sockets of running processes
const (
	identityFile = "ARCHIVE"
	identityLock = "ARCHIVE.lock" // held while the archive is made
	dictDir      = "dict"
	ledgerDir    = "ledger"
	logDir       = "tlog"
	anchorsDir   = "anchors"
	keysDir      = "keys"
	catalogDir   = "catalog"
	indexDir     = "index"
	natsDir      = "nats"
)

// archiveFormat is the version of the layout and of the ledger's format.
const archiveFormat = 1

// An Identity names an archive for good. It is written when the archive is made,
// and once more when it begins to be encrypted.
type Identity struct {
	Format     int       `json:"format"`
	Archive    string    `json:"archive"` // random UUID
	Partitions int       `json:"partitions"`
	Created    time.Time `json:"created"`
	// KeyCheck tells the key source of the archive from others; nil: nothing is
	// encrypted.
	KeyCheck *keys.Check `json:"key_check,omitempty"`
}

// UUID returns the archive's UUID as octets.
func (i Identity) UUID() (u [16]byte) {
	b, err := hex.DecodeString(i.Archive[0:8] + i.Archive[9:13] + i.Archive[14:18] + i.Archive[19:23] + i.Archive[24:36])
	if err == nil {
		copy(u[:], b)
	}
	return u
}

// newUUID returns a random UUID (RFC 9562 section 5.4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// A directory is an archive's directory on disk.
type directory struct {
	Path     string
	Identity Identity
	root     *durable.Dir
	library  library
	store    store.Store  // of segments; nil: none
	storeDir *durable.Dir // that store is in; nil: it is in none
	direct   *directStore // nil: the archive is in this directory
}

// createDirectory opens the archive at path, and makes it, with the number of
// partitions, if the directory is missing or empty.
func createDirectory(ctx context.Context, path string, partitions int) (*directory, error) {
	root, err := durable.MakeDir(path)
	if err != nil {
		return nil, fmt.Errorf("make the archive's directory: %w", err)
	}
	d := &directory{Path: path, root: root}
	err = d.load()
	if errors.Is(err, fs.ErrNotExist) {
		err = d.foundOnce(ctx, partitions)
	}
	if err == nil && d.Identity.Partitions != partitions {
		err = mail.WithHint(mail.Errorf(mail.Invalid, "the archive in %s has %d partitions, the configuration says %d", path, d.Identity.Partitions, partitions),
			"set partitions: %d; the number is fixed when an archive is made", d.Identity.Partitions)
	}
	if err == nil {
		err = d.readDictionaries()
	}
	if err == nil {
		err = d.keepDictionary(ctx)
	}
	if err == nil {
		err = d.makeLedgers()
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return d, nil
}

// makeLedgers makes the directories of all partitions.
func (d *directory) makeLedgers() error {
	for _, p := range d.partitions() {
		for _, of := range []string{ledgerDir, logDir} {
			l, err := durable.MakeDir(filepath.Join(d.Path, of, fmt.Sprintf("%04d", p)))
			if err == nil {
				err = l.Close()
			}
			if err != nil {
				return fmt.Errorf("make the directory of the %s: %w", of, err)
			}
		}
	}
	return nil
}

// openDirectory opens the archive at path for reading; mail.NotFound if there
// is none.
func openDirectory(path string) (*directory, error) {
	root, err := durable.OpenDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, noArchive(path)
	case errors.Is(err, fs.ErrPermission):
		return nil, mail.WithHint(mail.Errorf(mail.Denied, "open the archive's directory: %w", err),
			"run mailkeep as the user that the archive belongs to")
	case err != nil:
		return nil, fmt.Errorf("open the archive's directory: %w", err)
	}
	d := &directory{Path: path, root: root}
	if err := d.load(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = noArchive(path)
		}
		return nil, errors.Join(err, root.Close())
	}
	if err := d.readDictionaries(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return d, nil
}

func noArchive(path string) error {
	return mail.WithHint(mail.Errorf(mail.NotFound, "there is no archive in %s", path),
		"set archive.dir to the archive's directory; `mailkeep run` or `mailkeep drain --once` makes a new one")
}

func (d *directory) load() error {
	b, err := durable.ReadFile(d.root, identityFile)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &d.Identity); err != nil || len(d.Identity.Archive) != 36 || d.Identity.Partitions < 1 {
		return mail.Errorf(mail.Corrupt, "%s is damaged: restore it from a copy", filepath.Join(d.Path, identityFile))
	}
	if d.Identity.Format != archiveFormat {
		return mail.Errorf(mail.Invalid, "the archive in %s has format %d; this version of mailkeep reads format %d", d.Path, d.Identity.Format, archiveFormat)
	}
	return nil
}

// foundOnce makes the archive unless another process has made it meanwhile.
func (d *directory) foundOnce(ctx context.Context, partitions int) error {
	lock, err := d.lockIdentity(ctx)
	if err != nil {
		return mail.WithHint(err, "another process is making this archive; start again")
	}
	err = d.load()
	if errors.Is(err, fs.ErrNotExist) {
		err = d.found(partitions)
	}
	return errors.Join(err, lock.Close())
}

// lockIdentity takes the lock under which an archive is made and gets its
// dictionaries. Another process holds it for a moment only, and a child of this
// one while it is being started, so it is waited for.
func (d *directory) lockIdentity(ctx context.Context) (lock io.Closer, err error) {
	never := func() bool { return false }
	err = patiently(ctx, never, func() (err error) {
		lock, err = d.root.Lock(identityLock)
		return err
	})
	return lock, err
}

// found writes the identity of a new archive. A ledger without an identity
// means that the file was lost: it is not replaced.
func (d *directory) found(partitions int) error {
	if _, err := d.root.Stat(ledgerDir); err == nil {
		return mail.WithHint(mail.Errorf(mail.Corrupt, "%s holds a ledger, but its file %s is missing", d.Path, identityFile),
			"restore the file from a copy of the archive; it is never made anew beside a ledger")
	}
	d.Identity = newIdentity(partitions)
	return d.writeIdentity()
}

func newIdentity(partitions int) Identity {
	return Identity{Format: archiveFormat, Archive: newUUID(), Partitions: partitions, Created: time.Now().UTC().Truncate(time.Second)}
}

// plain is the identity as it was made, before anything was encrypted.
func (i Identity) plain() Identity {
	i.KeyCheck = nil
	return i
}

func (d *directory) writeIdentity() error {
	b, err := json.MarshalIndent(d.Identity, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.WriteFile(d.root, identityFile, append(b, '\n')); err != nil {
		return fmt.Errorf("write the archive's identity: %w", err)
	}
	return nil
}

// ledger returns the file system of a partition's ledger, with the segments that are
// in the store alone.
func (d *directory) ledger(p uint16) (durable.FS, error) {
	files, err := d.ledgerFiles(p)
	if err != nil {
		return nil, err
	}
	if d.direct != nil {
		return store.NewSealedTree(files, d.store), nil
	}
	return store.NewTree(files, d.store), nil
}

// ledgerFiles returns the directory of a partition's ledger.
func (d *directory) ledgerFiles(p uint16) (durable.FS, error) {
	return d.root.Sub(fmt.Sprintf("%s/%04d", ledgerDir, p))
}

// log returns the file system of a partition's transparency log.
func (d *directory) log(p uint16) (durable.FS, error) {
	return d.root.Sub(fmt.Sprintf("%s/%04d", logDir, p))
}

func (d *directory) catalog(p uint16) string {
	return filepath.Join(d.Path, catalogDir, fmt.Sprintf("%04d.bolt", p))
}

func (d *directory) index(p uint16) string {
	return filepath.Join(d.Path, indexDir, fmt.Sprintf("%04d", p))
}

func (d *directory) nats() string { return filepath.Join(d.Path, natsDir) }

// partitions returns the numbers of the archive's partitions.
func (d *directory) partitions() []uint16 {
	all := make([]uint16, d.Identity.Partitions)
	for i := range all {
		all[i] = uint16(i)
	}
	return all
}

func (d *directory) Close() error {
	return errors.Join(d.library.close(), d.closeStore(), d.root.Close())
}
