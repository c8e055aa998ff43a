package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// DirectOptions are what a Direct needs to know.
type DirectOptions struct {
	FS     durable.FS // the local directory of the ledger; nothing in it needs to survive
	Store  Store
	Prefix string // before the names of the segments in the store; ends with a slash
	Policy Policy

	Observe func(Transfer)   // told of each segment that was stored; may be nil
	Logger  *slog.Logger     // nil: none
	Now     func() time.Time // nil: time.Now
}

// A Direct is the directory of a ledger that needs no disk: a segment gets its final
// name in the store. Link with such a name puts the file there, reads it back, and
// then writes its note; until it returns nil nobody may rest on the segment. Called
// again for the same octets it is nil again, or goes on where it had failed; for
// others it is mail.InUse. All else is done in a local directory, where nothing is
// synced: Gather makes what matters of it from the store.
type Direct struct {
	*Tree
	o   DirectOptions
	log *slog.Logger

	mu   sync.Mutex
	kept []string // segments that are in the local directory too, the oldest first
}

var _ durable.FS = (*Direct)(nil)

// keepSegments is how many of the newest segments stay in the local directory for
// those who read them at once: the index, the transparency log.
const keepSegments = 16

// directMargin is added to the retention of a segment: a directory that was gathered
// knows when the store has stored it, a moment after it was sealed, and would have
// the retention of each extended by that moment.
const directMargin = time.Hour

// NewDirect returns the directory, which Gather must have filled. It does not close
// the local directory's file system before Close.
func NewDirect(o DirectOptions) *Direct {
	setDefaults(&o.Logger, &o.Now, &o.Observe)
	o.FS = Scratch(o.FS)
	return &Direct{Tree: NewTree(o.FS, o.Store), o: o, log: o.Logger}
}

// Link implements durable.FS. It takes as long as the store does, whose requests are
// bounded in time.
func (d *Direct) Link(old, name string) error {
	if !isSegment(name) {
		return d.FS.Link(old, name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ctx, began := context.Background(), d.o.Now()
	f, err := d.FS.Open(old)
	if err != nil {
		return err
	}
	n, err := d.put(ctx, f, name, began)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("store segment %s: %w", name, err)
	}
	// If we die here, or above once the store has it, the next Gather finds it.
	if n == nil {
		return nil // it was stored by a call before
	}
	if err := writeNote(d.FS, name, *n); err != nil {
		return err
	}
	took := d.o.Now().Sub(began)
	d.log.DebugContext(ctx, "segment is stored", slog.String("segment", name), slog.Int64("octets", n.Octets), slog.Duration("took", took))
	d.o.Observe(Transfer{Octets: n.Octets, Took: took})
	d.keep(old, name)
	return nil
}

// put stores a file and compares what the store then gives; nil without an error is
// a segment that has its note already.
func (d *Direct) put(ctx context.Context, f durable.File, name string, now time.Time) (*note, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	sum, err := hashOf(ctx, io.NewSectionReader(f, 0, info.Size()))
	if err != nil {
		return nil, classifyFile(err)
	}
	switch have, err := readNote(d.FS, name); {
	case err == nil && have.Sum == sum:
		return nil, nil
	case err == nil && !have.Sum.IsZero():
		return nil, taken(d.o.Store, d.o.Prefix+name)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	n := note{Format: 1, Octets: info.Size(), Sum: sum, Store: d.o.Store.String(), Sealed: now.UTC()}
	// If we lose the answer, the next call meets the object that is there.
	o, err := d.o.Store.PutIfAbsent(ctx, d.o.Prefix+name, n.content(f), d.o.Policy.For(now.Add(directMargin), now))
	if err != nil {
		return nil, err
	}
	if err := readBack(ctx, d.o.Store, o.Ref, n); err != nil {
		return nil, err
	}
	n.Ref, n.Retention, n.Stored = o.Ref, o.Retention, d.o.Now().UTC()
	return &n, nil
}

// keep leaves the segment in the local directory, in place of the oldest one there.
// It is a cache: what fails here is read from the store.
func (d *Direct) keep(old, name string) {
	if err := d.FS.Link(old, name); err != nil {
		d.log.Debug("segment is not kept in the local directory", slog.String("segment", name), slog.Any("error", err))
		return
	}
	if d.kept = append(d.kept, name); len(d.kept) > keepSegments {
		_ = d.FS.Remove(d.kept[0]) // the next Gather does it too
		d.kept = d.kept[1:]
	}
}

// Gather makes the local directory of a ledger say what is in the store, and no more:
// segments without a note, or on their way to one, and notes that are damaged, are
// removed, because nobody rests on what is in them; of each segment in the store that
// has no note yet one is written. Nobody may have the ledger open.
//
// It costs a listing, of one request for each 1,000 segments. A sound note that was there
// stays even if its segment is not listed: reading tells that it is gone.
func Gather(ctx context.Context, fsys durable.FS, s Store, prefix string) error {
	fsys = Scratch(fsys)
	entries, err := fsys.ReadDir(".")
	if err != nil {
		return classifyFile(err)
	}
	noted := make(map[string]bool, len(entries))
	for _, e := range entries {
		name, isNote := strings.CutSuffix(e.Name(), NoteSuffix)
		if !ofSegment(name) {
			continue
		}
		if isNote && isSegment(name) {
			_, err := readNote(fsys, name)
			if noted[name] = err == nil; noted[name] {
				continue
			}
			if mail.KindOf(err) != mail.Corrupt { // a power cut tears what is not synced
				return classifyFile(err)
			}
		}
		if err := fsys.Remove(e.Name()); err != nil {
			return classifyFile(err)
		}
	}
	for o, err := range firstVersions(s.List(ctx, prefix)) {
		if err != nil {
			return fmt.Errorf("list the segments in %s: %w", s, err)
		}
		name := strings.TrimPrefix(o.Name, prefix)
		if !isSegment(name) || noted[name] {
			continue
		}
		at := o.Stored.UTC()
		n := note{Format: 1, Octets: o.Size, Listed: true, Store: s.String(), Ref: o.Ref, Sealed: at, Stored: at}
		if err := writeNote(fsys, name, n); err != nil {
			return classifyFile(err)
		}
	}
	return nil
}

// ofSegment reports whether a file is a segment, sealed or not, or was to become
// one, or its note.
func ofSegment(name string) bool {
	first, _, found := strings.Cut(name, ".")
	return found && isSegment(first+segmentSuffix) && strings.HasPrefix(name, first+segmentSuffix)
}
