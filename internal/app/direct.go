package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/store"
)

// With store.mode: direct the archive is in its store, and archive.dir is what a
// process needs for itself. In the store are, below store.s3.prefix:
//
//	ARCHIVE                        the Identity, made once
//	ARCHIVE.keys                   the same with its key check, once it is encrypted
//	<uuid>/dict/                   dictionaries
//	<uuid>/ledger/0000/            the segments: the truth
//
// and in the other bucket, where things may be replaced:
//
//	<uuid>/keys/0000/              key files
//	<uuid>/state/                  public keys, signed checkpoints, anchors, saved searches
const (
	identityKeys = identityFile + ".keys"
	stateDir     = "state"
)

// A directStore is where an archive is that has no disk.
type directStore struct {
	locked  store.Store // of what never changes
	changes store.Store // of what does
	policy  store.Policy
	uuid    string
}

// openDirectStore makes the way to both places.
func (d *directory) openDirectStore(c *configs.Config) (s *directStore, err error) {
	s = &directStore{locked: d.store, changes: d.store}
	if s.policy, err = storePolicy(c); err != nil {
		return nil, err
	}
	if c.Store.Kind == "s3" {
		s.changes, err = newS3(c, c.Store.S3.KeysBucket)
	}
	return s, err
}

// adopt makes a local directory that of the archive in the store: with its identity
// and its dictionaries. Where the store has no archive, found makes one; without it,
// that is mail.NotFound. What two processes found at once becomes one archive.
func adopt(ctx context.Context, c *configs.Config, found bool) (err error) {
	root, err := durable.MakeDir(c.Archive.Dir)
	if err != nil {
		return fmt.Errorf("make the archive's directory: %w", err)
	}
	d := &directory{Path: c.Archive.Dir, root: root}
	defer func() { err = errors.Join(err, d.closeStore(), root.Close()) }()
	if err := d.openStore(c); err != nil {
		return err
	}
	if s, ok := d.store.(*store.S3); ok && found && c.Store.S3.CreateBucket {
		if err := s.MakeBucket(ctx); err != nil {
			return err
		}
	}
	lock, err := d.lockIdentity(ctx)
	if err != nil {
		return mail.WithHint(err, "another process is starting; try again")
	}
	if err = d.adoptIdentity(ctx, c, found); err == nil {
		err = d.direct.fetchDictionaries(ctx, root)
	}
	return errors.Join(err, lock.Close())
}

func (d *directory) adoptIdentity(ctx context.Context, c *configs.Config, found bool) error {
	local := d.load()
	if local != nil && !errors.Is(local, fs.ErrNotExist) {
		return local
	}
	there, err := d.direct.identity(ctx)
	if mail.KindOf(err) == mail.NotFound && local == nil {
		return mail.WithHint(mail.Errorf(mail.Invalid, "the archive in %s is not in %s", d.Path, d.store),
			"Whether an archive is in a store or in its directory is decided when it is made. Set store.mode as it was then, or name the store that it was made in.")
	}
	if mail.KindOf(err) == mail.NotFound && found {
		there, err = d.direct.found(ctx, c.Partitions)
	}
	if mail.KindOf(err) == mail.NotFound {
		return mail.WithHint(mail.Errorf(mail.NotFound, "there is no archive in %s", d.store), "`mailkeep run` or `mailkeep drain --once` makes a new one")
	}
	if err != nil {
		return fmt.Errorf("identity of the archive in the store: %w", err)
	}
	if local == nil && d.Identity.Archive != there.Archive {
		return mail.WithHint(mail.Errorf(mail.Invalid, "%s is the directory of archive %s, in the store is %s", d.Path, d.Identity.Archive, there.Archive),
			"With store.mode: direct the directory is for this process alone: name an empty one. Another archive needs a store.s3.prefix of its own.")
	}
	same := local == nil && (d.Identity.KeyCheck == nil) == (there.KeyCheck == nil)
	d.Identity, d.direct.uuid = there, there.Archive
	if same {
		return nil
	}
	return d.writeIdentity()
}

// identity reads what the archive is; mail.NotFound if there is none.
func (s *directStore) identity(ctx context.Context) (id Identity, err error) {
	b, err := store.FetchFirst(ctx, s.locked, identityKeys)
	if mail.KindOf(err) == mail.NotFound {
		b, err = store.FetchFirst(ctx, s.locked, identityFile)
	}
	if err != nil {
		return id, err
	}
	if err := json.Unmarshal(b, &id); err != nil || len(id.Archive) != 36 || id.Partitions < 1 {
		return id, mail.Errorf(mail.Corrupt, "%s in %s is damaged", identityFile, s.locked)
	}
	if id.Format != archiveFormat {
		return id, mail.Errorf(mail.Invalid, "the archive in %s has format %d; this version of mailkeep reads format %d", s.locked, id.Format, archiveFormat)
	}
	return id, nil
}

// found makes an archive, unless another process makes one at the same moment.
func (s *directStore) found(ctx context.Context, partitions int) (Identity, error) {
	id := newIdentity(partitions)
	err := s.keepIdentity(ctx, identityFile, id)
	if mail.KindOf(err) == mail.InUse {
		return s.identity(ctx)
	}
	return id, err
}

func (s *directStore) keepIdentity(ctx context.Context, name string, id Identity) error {
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	return s.keep(ctx, name, append(b, '\n'))
}

// keep puts what never changes into the store. The retention of what is there
// already is extended.
func (s *directStore) keep(ctx context.Context, name string, b []byte) error {
	now := time.Now()
	c := store.Content{ReaderAt: bytes.NewReader(b), Size: int64(len(b)), Sum: mail.DigestOf(b)}
	_, err := s.locked.PutIfAbsent(ctx, name, c, s.policy.For(now, now))
	return err
}

func (s *directStore) dictionaries() string { return s.uuid + "/" + dictDir + "/" }

// fetchDictionaries gets those that the local directory lacks.
func (s *directStore) fetchDictionaries(ctx context.Context, root durable.FS) error {
	for o, err := range s.locked.List(ctx, s.dictionaries()) {
		if err != nil {
			return fmt.Errorf("list the dictionaries: %w", err)
		}
		name := path.Join(dictDir, strings.TrimPrefix(o.Name, s.dictionaries()))
		if _, err := root.Stat(name); err == nil {
			continue
		}
		b, err := store.FetchFirst(ctx, s.locked, o.Name)
		if err == nil {
			err = errors.Join(root.MkdirAll(dictDir), durable.WriteFile(root, name, b))
		}
		if err != nil {
			return fmt.Errorf("fetch %s: %w", name, err)
		}
	}
	return nil
}

// keepDirect puts into the store what must be there before a record is: see keep.
func (d *directory) keepDirect(ctx context.Context) error {
	s := d.direct
	if err := s.keepIdentity(ctx, identityFile, d.Identity.plain()); err != nil {
		return fmt.Errorf("keep the identity in the store: %w", err)
	}
	if d.Identity.KeyCheck != nil {
		if err := s.keepIdentity(ctx, identityKeys, d.Identity); err != nil {
			return fmt.Errorf("keep the key check in the store: %w", err)
		}
	}
	entries, err := d.root.ReadDir(dictDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".dict") {
			continue
		}
		b, err := durable.ReadFile(d.root, dictDir+"/"+e.Name())
		if err == nil {
			err = s.keep(ctx, s.dictionaries()+e.Name(), b)
		}
		if err != nil {
			return fmt.Errorf("keep the dictionary %s in the store: %w", e.Name(), err)
		}
	}
	return nil
}

// keyFiles returns the key files of a partition, whose truth is in the store.
func (d *directory) keyFiles(p uint16, local durable.FS) *store.Through {
	return store.NewThrough(store.ThroughOptions{
		FS: local, Store: d.direct.changes, Prefix: fmt.Sprintf("%s/%s/%04d/", d.direct.uuid, keysDir, p), Wanted: isKeyFile,
	})
}

func isKeyFile(name string) bool {
	return keys.Owns(name) && (filepath.Ext(name) == ".keys" || filepath.Ext(name) == ".age")
}

func (d *directory) segmentPrefix(p uint16) string {
	return fmt.Sprintf("%s/%s/%04d/", d.Identity.Archive, ledgerDir, p)
}

// archiveState is what changes beside the partitions.
func (d *directory) archiveState() *store.State {
	return d.state("checkpoint.vkey", "keychanges", anchorsDir, savedDir)
}

// logState is what changes in the transparency log of a partition, but for what is
// made again from its ledger.
func (d *directory) logState(p uint16) *store.State {
	s := d.state(fmt.Sprintf("%s/%04d/checkpoints", logDir, p))
	s.Exact = true
	return s
}

func (d *directory) state(names ...string) *store.State {
	return &store.State{FS: d.root, Store: d.direct.changes, Prefix: d.direct.uuid + "/" + stateDir + "/", Names: names, Stays: identityFile}
}

// gather makes the local files of a partition those that the store has. The log's
// published checkpoint is made again from its history.
func (d *directory) gather(ctx context.Context, p uint16, state *store.State) error {
	files, err := d.ledgerFiles(p)
	if err != nil {
		return err
	}
	err = store.Gather(ctx, files, d.store, d.segmentPrefix(p))
	if err = errors.Join(err, files.Close()); err != nil {
		return err
	}
	if err := state.Load(ctx); err != nil {
		return err
	}
	err = d.root.Remove(fmt.Sprintf("%s/%04d/checkpoint", logDir, p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// openDirect has the files of the archive itself in the store and from it.
func (a *App) openDirect(ctx context.Context) error {
	if !a.has(RoleArchive) {
		return mail.WithHint(mail.Errorf(mail.Invalid, "with store.mode: direct the role %s needs the role %s in the same process", RoleIndex, RoleArchive),
			"run the roles archive and index together: an index reads the ledger beside its owner")
	}
	if err := a.probeStore(ctx, a.dir.direct.policy.Mode); err != nil { // receipts will rest on it
		return err
	}
	if err := a.dir.keepDirect(ctx); err != nil {
		return err
	}
	lock, err := a.dir.lockIdentity(ctx)
	if err != nil {
		return err
	}
	state := a.dir.archiveState()
	if err := errors.Join(state.Load(ctx), lock.Close()); err != nil {
		return err
	}
	a.keepState(ctx, "archive state", state)
	return nil
}

// stateInterval is how often what changes beside the ledgers is copied to the store.
const stateInterval = time.Minute

// keepState copies a state to the store from now on, and once more in the end.
func (a *App) keepState(ctx context.Context, name string, s *store.State) {
	a.life.onStop(name, s.Save)
	a.life.work(ctx, name, func(ctx context.Context) error {
		tick := time.NewTicker(stateInterval)
		defer tick.Stop()
		for {
			if err := s.Save(ctx); err != nil && ctx.Err() == nil {
				a.log.WarnContext(ctx, "state is not copied to the store", slog.String("store", s.Store.String()), slog.Any("error", err))
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}

// gatherPartition prepares the local directory of a partition that this process
// owns, and keeps others from preparing it too until its ledger is open, which is
// when done is to be called. Without a lease, the lock of the ledger tells that
// nobody else works there.
func (a *App) gatherPartition(ctx context.Context, p *partition, leased bool) (done func() error, err error) {
	lock, err := a.dir.lockIdentity(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.gatherLocked(ctx, p, leased); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock.Close, nil
}

func (a *App) gatherLocked(ctx context.Context, p *partition, leased bool) (err error) {
	if !leased {
		unlock, err := a.dir.lockLedger(p.number)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, unlock()) }()
	}
	for _, k := range a.dir.library.keys {
		if k.Partition != p.number {
			continue
		}
		if err := k.FS.(*store.Through).Forget(); err != nil {
			return err
		}
	}
	state := a.dir.logState(p.number)
	if err := a.dir.gather(ctx, p.number, state); err != nil {
		return fmt.Errorf("gather the ledger from the store: %w", err)
	}
	a.keepState(ctx, "checkpoints", state)
	return nil
}

// lockLedger takes the lock of a ledger in the local directory.
func (d *directory) lockLedger(p uint16) (unlock func() error, err error) {
	files, err := d.ledgerFiles(p)
	if err != nil {
		return nil, err
	}
	lock, err := files.Lock(ledger.LockName)
	if err != nil {
		return nil, errors.Join(err, files.Close())
	}
	return func() error { return errors.Join(lock.Close(), files.Close()) }, nil
}

// directBatch is how many messages and events go into one segment at most: as many
// as a sink accepts.
const directBatch = 1024

// directFiles returns the directory of a ledger whose segments go to the store.
func (a *App) directFiles(number uint16) (durable.FS, error) {
	files, err := a.dir.ledgerFiles(number)
	if err != nil {
		return nil, err
	}
	return store.NewDirect(store.DirectOptions{
		FS: files, Store: a.dir.store, Prefix: a.dir.segmentPrefix(number), Policy: a.dir.direct.policy, Logger: a.log,
		Observe: func(t store.Transfer) { a.metrics.Uploaded(t.Octets) },
	}), nil
}

// takenEvery is how often it is looked whether another process has the ledger.
const takenEvery = time.Second

// watchTaken ends the process once another has appended to the ledger, because what
// this one knows of it is old, or once its directory has vanished: the next process
// begins with an empty one.
func (a *App) watchTaken(ctx context.Context, l *ledger.Ledger) error {
	tick := time.NewTicker(takenEvery)
	defer tick.Stop()
	for {
		if err := l.Taken(); err != nil {
			return err
		}
		if _, err := a.dir.root.Stat(identityFile); errors.Is(err, fs.ErrNotExist) {
			return mail.WithHint(mail.Errorf(mail.Temporary, "the directory %s has vanished", a.dir.Path), "Start again: all that was acknowledged is in the store.")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readyDirect prepares the local directory for those who read it while no process
// works on it.
func readyDirect(ctx context.Context, c *configs.Config) (err error) {
	if !c.IsDirect() || (&directory{Path: c.Archive.Dir}).answered(ctx, RoleArchive) {
		return nil
	}
	if err := adopt(ctx, c, false); err != nil {
		return err
	}
	d, err := openDirectory(c.Archive.Dir)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, d) }()
	if err := errors.Join(d.openStore(c), d.makeLedgers()); err != nil {
		return err
	}
	lock, err := d.lockIdentity(ctx)
	if err != nil {
		return mail.WithHint(err, "another process is starting; try again")
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	for _, p := range d.partitions() {
		unlock, err := d.lockLedger(p)
		if mail.KindOf(err) == mail.InUse {
			continue // its owner has gathered it
		}
		if err == nil {
			err = errors.Join(d.gather(ctx, p, d.logState(p)), unlock())
		}
		if err != nil {
			return fmt.Errorf("gather the ledger of partition %d from the store: %w", p, err)
		}
	}
	return d.archiveState().Load(ctx)
}

// refuseDirect refuses what changes the files of an archive that has none.
func refuseDirect(c *configs.Config, what, hint string) error {
	if !c.IsDirect() {
		return nil
	}
	return mail.WithHint(mail.Errorf(mail.Invalid, "with store.mode: direct %s", what), "%s", hint)
}
