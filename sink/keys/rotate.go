package keys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// A Rotation says what Rotate, Rewrap, Move or Erase have done.
type Rotation struct {
	Epoch     Epoch // that all key files of the group have now
	Rewritten int   // key files that were sealed anew
	Kept      int   // those that had the epoch already
	Erased    int   // keys that were punctured
}

// Rotate seals all key files of the group under a new KEK and destroys the
// older ones. dirs are the directories of all partitions of the archive: they
// share the KEKs. Only key files are written, never segments.
//
// It may die at any moment and be called again: a rotation that was begun is
// finished before another is. mail.Invalid wrapping ErrCannotDestroy if the
// source cannot destroy; nothing is changed then.
func Rotate(ctx context.Context, dirs []*Dir, g Group) (Rotation, error) {
	return locked(ctx, dirs, func() (Rotation, error) {
		w := dirs[0].Wrapper
		if err := w.DestroyEpoch(ctx, Epoch{Group: g}); err != nil {
			return Rotation{}, err
		}
		newest, err := w.NewEpoch(ctx, g, 0)
		if err != nil {
			return Rotation{}, err
		}
		files, err := inGroup(dirs, g)
		if err != nil {
			return Rotation{}, err
		}
		if begun := slices.ContainsFunc(files, func(f located) bool { return f.Epoch.Version < newest.Version }); !begun {
			// If we die here, the new epoch has no files, and the next call
			// finds a rotation that was begun.
			if newest, err = w.NewEpoch(ctx, g, newest.Version); err != nil {
				return Rotation{}, err
			}
		}
		return rewrap(ctx, dirs, newest)
	})
}

// Rewrap seals all key files of the epoch's group that have an older one under
// the KEK of the epoch, and destroys the older ones. Calling it again goes on
// where it stopped. A file of a newer epoch is mail.Invalid.
func Rewrap(ctx context.Context, dirs []*Dir, e Epoch) (Rotation, error) {
	return locked(ctx, dirs, func() (Rotation, error) {
		if err := dirs[0].Wrapper.DestroyEpoch(ctx, Epoch{Group: e.Group}); err != nil {
			return Rotation{}, err
		}
		return rewrap(ctx, dirs, e)
	})
}

// rewrap is called with the locks held.
func rewrap(ctx context.Context, dirs []*Dir, to Epoch) (Rotation, error) {
	done := Rotation{Epoch: to}
	files, err := inGroup(dirs, to.Group)
	if err != nil {
		return done, err
	}
	var old []located
	for _, f := range files {
		switch {
		case f.Epoch.Version > to.Version:
			return done, mail.Errorf(mail.Invalid, "key file %s has the epoch %s, which is newer than %s", FileName(f.First), f.Epoch, to)
		case f.Epoch.Version == to.Version:
			done.Kept++
		default:
			old = append(old, f)
		}
	}
	// If we die between two files, both epochs are there, and each file says
	// which is its own.
	for batch := range slices.Chunk(old, maxBatch) {
		n, err := rewrapBatch(ctx, batch, to)
		if done.Rewritten += n; err != nil {
			return done, err
		}
	}
	// If we die here, the old KEK is there and used by nothing.
	return done, destroyUnused(ctx, dirs, to)
}

// destroyUnused destroys all epochs before e, after a last look that no key
// file has one.
func destroyUnused(ctx context.Context, dirs []*Dir, e Epoch) error {
	files, err := inGroup(dirs, e.Group)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Epoch.Version < e.Version {
			return mail.Errorf(mail.InUse, "key file %s still has the epoch %s", FileName(f.First), f.Epoch)
		}
	}
	if e.Version == 1 {
		return nil
	}
	if err := dirs[0].Wrapper.DestroyEpoch(ctx, Epoch{e.Group, e.Version - 1}); err != nil {
		return fmt.Errorf("destroy the key encryption keys before %s: %w", e, err)
	}
	return nil
}

// maxBatch is how many key files go to a key source at once.
const maxBatch = 64

// rewrapBatch seals some files anew, and returns how many it wrote.
func rewrapBatch(ctx context.Context, files []located, to Epoch) (int, error) {
	items := make([]Box, len(files))
	parsed := make([]*keyFile, len(files))
	for i, f := range files {
		var err error
		if parsed[i], err = f.dir.parse(FileName(f.First)); err != nil {
			return 0, fmt.Errorf("key file %s: %w", FileName(f.First), err)
		}
		items[i] = Box{parsed[i].epoch, parsed[i].box, parsed[i].identity()}
	}
	boxes, err := rewrapBoxes(ctx, files[0].dir.Wrapper, to, items)
	if err != nil {
		return 0, err
	}
	for i, f := range files {
		parsed[i].epoch, parsed[i].box = to, boxes[i]
		if err := f.dir.replace(f.First, parsed[i]); err != nil {
			return i, err
		}
	}
	return len(files), nil
}

// replace writes a key file in the place of the one that is there.
func (d *Dir) replace(first uint64, f *keyFile) error {
	return classify(durable.WriteFile(d.FS, FileName(first), f.encode()))
}

// A Box is what a Wrapper has sealed, and what it needs to open it.
type Box struct {
	Epoch Epoch
	Box   []byte
	AAD   []byte
}

// A Rewrapper is a Wrapper that moves many boxes of one group to another epoch
// at once. Each new box was opened again, and found to hold what the old one
// holds, before it is returned.
type Rewrapper interface {
	Rewrap(ctx context.Context, to Epoch, boxes []Box) ([][]byte, error)
}

func rewrapBoxes(ctx context.Context, w Wrapper, to Epoch, boxes []Box) ([][]byte, error) {
	if r, ok := w.(Rewrapper); ok {
		return r.Rewrap(ctx, to, boxes)
	}
	out := make([][]byte, len(boxes))
	for i, b := range boxes {
		plain, err := w.Unwrap(ctx, b.Epoch, b.Box, b.AAD)
		if err != nil {
			return nil, err
		}
		out[i], err = wrapChecked(ctx, w, to, plain, b.AAD)
		clear(plain)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Move seals all key files of the archive under KEKs of another key source. It
// may die at any moment and be called again; until it has succeeded neither
// source opens the whole archive. What the old source keeps is not touched. The
// archive needs a new Check afterwards.
func Move(ctx context.Context, dirs []*Dir, to Wrapper) (Rotation, error) {
	return locked(ctx, dirs, func() (Rotation, error) {
		var done Rotation
		for _, d := range dirs {
			if err := d.move(ctx, to, &done); err != nil {
				return done, err
			}
		}
		return done, nil
	})
}

func (d *Dir) move(ctx context.Context, to Wrapper, done *Rotation) error {
	files, err := d.List()
	if err != nil {
		return err
	}
	for _, file := range files {
		moved, err := d.moveFile(ctx, file, to)
		switch {
		case err != nil:
			return fmt.Errorf("key file %s: %w", FileName(file.First), err)
		case moved:
			done.Rewritten++
		default:
			done.Kept++
		}
	}
	return nil
}

func (d *Dir) moveFile(ctx context.Context, file File, to Wrapper) (bool, error) {
	f, err := d.parse(FileName(file.First))
	if err != nil {
		return false, err
	}
	t, err := f.open(ctx, d.Wrapper)
	if err != nil {
		// It may have been moved before; if not, the error of its own source
		// is the one to tell.
		if moved, terr := f.open(ctx, to); terr == nil {
			moved.Wipe()
			return false, nil
		}
		return false, err
	}
	defer t.Wipe()
	e, err := to.NewEpoch(ctx, f.epoch.Group, 0)
	if err != nil {
		return false, err
	}
	sealed, err := sealFile(ctx, to, f.segment, e, t)
	if err != nil {
		return false, err
	}
	return true, d.replace(file.First, sealed)
}

// Groups returns the groups that have key files in any of the directories.
func Groups(dirs []*Dir) ([]Group, error) {
	set := map[Group]bool{}
	for _, d := range dirs {
		files, err := d.List()
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			set[f.Epoch.Group] = true
		}
	}
	return slices.SortedFunc(maps.Keys(set), compareGroups), nil
}

// A located is a key file and where it is.
type located struct {
	dir *Dir
	File
}

// inGroup lists the key files of a group. One file that cannot be read, of any
// group, is an error: it might need what is about to be destroyed.
func inGroup(dirs []*Dir, g Group) ([]located, error) {
	var all []located
	for _, d := range dirs {
		files, err := d.List()
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if f.Epoch.Group == g {
				all = append(all, located{d, f})
			}
		}
	}
	return all, nil
}

// locked runs do with the locks of all directories held, and without files that
// a crash left half made.
func locked(ctx context.Context, dirs []*Dir, do func() (Rotation, error)) (done Rotation, err error) {
	if err := sameArchive(dirs); err != nil {
		return Rotation{}, err
	}
	var locks []io.Closer
	defer func() {
		for _, l := range locks {
			err = errors.Join(err, l.Close())
		}
	}()
	// All processes take the locks in this order, so that none waits in a ring.
	for _, d := range slices.SortedFunc(slices.Values(dirs), func(a, b *Dir) int { return int(a.Partition) - int(b.Partition) }) {
		l, err := d.lock(ctx)
		if err != nil {
			return Rotation{}, err
		}
		locks = append(locks, l)
		if err := d.sweep(); err != nil {
			return Rotation{}, err
		}
	}
	return do()
}

func sameArchive(dirs []*Dir) error {
	if len(dirs) == 0 {
		return mail.Errorf(mail.Invalid, "there are no directories of key files")
	}
	for i, d := range dirs {
		if d.Archive != dirs[0].Archive {
			return mail.Errorf(mail.Invalid, "the directories of key files are of several archives")
		}
		if slices.ContainsFunc(dirs[:i], func(o *Dir) bool { return o.Partition == d.Partition }) {
			return mail.Errorf(mail.Invalid, "partition %d is named twice", d.Partition)
		}
	}
	return nil
}

// sweep removes what a crash left half made: it may hold sealed nodes that are
// about to be erased.
func (d *Dir) sweep() error {
	for _, suffix := range []string{fileSuffix + tmpSuffix, escrowSuffix + tmpSuffix} {
		names, err := d.names(suffix)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := d.FS.Remove(name); err != nil {
				return classify(err)
			}
		}
	}
	return nil
}
