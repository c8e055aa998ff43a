package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// An Archive is what is to be backed up: its directory, and how to learn what
// is durable of its ledgers.
type Archive struct {
	FS   durable.FS
	UUID string
	// Ledgers is asked once per backup, after the evidence was copied. It returns
	// for each partition, in order, what may be copied of its ledger; see
	// ledger.Reader.Extents.
	Ledgers func(context.Context) ([][]ledger.Extent, error)
}

// LedgerPath is the directory of a partition's ledger in an archive.
func LedgerPath(partition uint16) string { return fmt.Sprintf("ledger/%04d", partition) }

// Options say how to make a backup.
type Options struct {
	Keep     int              // manifests that are kept; 0: all
	Progress func(octets int) // told of octets that were copied; may be nil
	Now      func() time.Time // nil: time.Now
}

// A Report sums up a backup.
type Report struct {
	Manifest Manifest `json:"-"`
	Number   int      `json:"number"`
	// Name is where the manifest is. Its last part is the SHA-256 of the manifest:
	// who notes it elsewhere can tell later that the backup is the same.
	Name    string   `json:"name"`
	Files   int      `json:"files"`
	Octets  int64    `json:"octets"`
	Copied  int      `json:"copied"`  // objects that were new
	Written int64    `json:"written"` // their octets
	Removed int      `json:"removed"` // objects of manifests that are not kept
	Ledgers []Ledger `json:"ledgers"`
}

// Make backs up an archive, which may be in use, to a directory: an empty one,
// or one with earlier backups of the same archive. Errors: mail.InUse if another
// backup is being made there; mail.Invalid if the directory is something else;
// mail.Corrupt if the archive is damaged, or does not continue what was backed up
// before; mail.NoSpace. After an error the backup is what it was.
func Make(ctx context.Context, target durable.FS, a Archive, o Options) (Report, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := adopt(target, a.UUID); err != nil {
		return Report{}, wrap("open the backup", err)
	}
	lock, err := target.Lock(lockName)
	if err != nil {
		return Report{}, wrap("open the backup", err)
	}
	m := maker{archive: a, store: &store{fs: target, copy: newCopier(o.Progress)}, options: o}
	report, err := m.make(ctx)
	return report, errors.Join(wrap("back up", err), lock.Close())
}

// adopt makes an empty directory a backup of the archive.
func adopt(target durable.FS, archive string) error {
	have, err := readIdentity(target)
	switch {
	case err == nil && have != archive:
		return mail.WithHint(mail.Errorf(mail.Invalid, "the directory holds backups of another archive, %s", have), "use a directory of its own for each archive")
	case err == nil:
		return makeDir(target, objectsDir)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	entries, err := target.ReadDir(".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != lockName && e.Name() != identityName+".tmp" {
			return mail.WithHint(mail.Errorf(mail.Invalid, "the directory is not empty and holds no backup: there is %s in it", e.Name()), "name an empty directory, or one with earlier backups")
		}
	}
	b, err := json.Marshal(identity{format, archive})
	if err != nil {
		return err
	}
	if err := durable.WriteFile(target, identityName, append(b, '\n')); err != nil {
		return err
	}
	return makeDir(target, objectsDir)
}

// A maker makes one manifest.
type maker struct {
	archive Archive
	store   *store
	options Options
	before  *Manifest // nil: this is the first
	next    Manifest
}

func (m *maker) make(ctx context.Context) (Report, error) {
	if err := m.begin(); err != nil {
		return Report{}, err
	}
	if err := m.evidence(ctx); err != nil {
		return Report{}, err
	}
	ledgers, err := m.archive.Ledgers(ctx)
	if err != nil {
		return Report{}, err
	}
	for p, extents := range ledgers {
		if err := m.ledger(ctx, uint16(p), extents); err != nil {
			return Report{}, err
		}
	}
	if err := m.rest(ctx); err != nil {
		return Report{}, err
	}
	// If we die here, no manifest names what was copied; the next backup does.
	if err := m.store.sync(); err != nil {
		return Report{}, err
	}
	n, err := writeManifest(m.store.fs, &m.next)
	if err != nil {
		return Report{}, err
	}
	removed, err := prune(m.store.fs, m.options.Keep)
	return Report{
		Manifest: m.next, Number: n.number, Name: n.path(), Files: len(m.next.Files), Octets: m.next.Octets(),
		Copied: m.store.new, Written: m.store.size, Removed: removed, Ledgers: m.next.Ledgers,
	}, err
}

// begin reads the manifest that this one continues.
func (m *maker) begin() error {
	m.next = Manifest{Format: format, Archive: m.archive.UUID, Number: 1, Made: m.options.Now().UTC().Truncate(time.Second)}
	all, err := listManifests(m.store.fs)
	if err != nil || len(all) == 0 {
		return err
	}
	last := all[len(all)-1]
	if m.before, err = readManifest(m.store.fs, last); err != nil {
		return err
	}
	m.next.Number, m.next.Before = last.number+1, last.digest
	return nil
}

// evidence copies, the youngest first, what speaks of the ledgers, and how far they
// were read for saved searches: what is copied here must not lie beyond the records,
// or nobody would be told of those that come in their place.
func (m *maker) evidence(ctx context.Context) error {
	if err := m.tree(ctx, "searches", settled); err != nil {
		return err
	}
	if err := m.tree(ctx, "anchors", all); err != nil {
		return err
	}
	logs, err := m.archive.FS.ReadDir("tlog")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, l := range logs {
		dir := "tlog/" + l.Name()
		if err := m.file(ctx, dir+"/checkpoint"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := m.tree(ctx, dir+"/checkpoints", all); err != nil {
			return err
		}
	}
	return nil
}

// elsewhere are the directories that evidence copies, and what is built anew, or worth
// nothing in another place.
var elsewhere = []string{"searches", "anchors", "tlog", "catalog", "index", "nats", "run", "verify"}

// rest copies what is left: identity, keys, dictionaries, what recovery set aside.
func (m *maker) rest(ctx context.Context) error {
	return m.tree(ctx, ".", func(name string) bool {
		return !slices.Contains(elsewhere, name) && !isSegment(name) && settled(name)
	})
}

// settled reports whether a file is neither a lock nor in the making.
func settled(name string) bool {
	base := path.Base(name)
	return base != "lock" && !strings.HasSuffix(base, ".lock") && !strings.HasSuffix(base, ".tmp")
}

// isSegment reports whether the ledger is asked about a file.
func isSegment(name string) bool {
	return strings.HasPrefix(name, "ledger/") && (strings.HasSuffix(name, ".seg") || strings.HasSuffix(name, ".seg.open") || strings.HasSuffix(name, ".seg.recover"))
}

func all(string) bool { return true }

// tree copies the files below a directory that are wanted.
func (m *maker) tree(ctx context.Context, dir string, want func(string) bool) error {
	entries, err := m.archive.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case !want(name):
		case e.IsDir():
			err = m.tree(ctx, name, want)
		case e.Type().IsRegular():
			// One that is gone was renamed or removed meanwhile, as working files are.
			if err = m.file(ctx, name); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file copies a file as it is.
func (m *maker) file(ctx context.Context, name string) error {
	f, err := m.archive.FS.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// A file that grows meanwhile is taken as it was.
	return m.put(ctx, File{Path: name, Octets: info.Size(), Mode: info.Mode().Perm()}, f, nil)
}

func (m *maker) put(ctx context.Context, to File, r io.Reader, judge *judge) (err error) {
	if to.Digest, to.Octets, err = m.store.put(ctx, r, to.Octets, judge); err != nil {
		return fmt.Errorf("%s: %w", to.Path, err)
	}
	m.next.Files = append(m.next.Files, to)
	return nil
}
