package keys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/mailkeep/mailkeep/mail"
)

// An Erasure names keys of one segment that are to be destroyed.
type Erasure struct {
	Partition uint16
	First     uint64   // sequence number of the segment's first record
	Keys      []uint32 // key indices of its records
}

// Erase destroys the keys of records, of any number of segments of one group,
// for good: see the package comment. dirs are the directories of all partitions
// of the archive. On nil no key that was named can be derived from anything
// that the key source and these directories hold, nor from any earlier copy of
// these directories; every other key still can be.
//
// It may die at any moment and be called again with the same erasures. Errors,
// before anything is changed: mail.Invalid if the source cannot destroy
// (ErrCannotDestroy), if a segment is in escrow, or if the segments are of
// several groups; mail.NotFound if a segment has no key file.
//
// A process that has the tree of such a segment in memory has to drop it.
func Erase(ctx context.Context, dirs []*Dir, erasures []Erasure) (Rotation, error) {
	return locked(ctx, dirs, func() (Rotation, error) {
		e := eraser{dirs: dirs, w: dirs[0].Wrapper, done: Rotation{}}
		defer e.wipe()
		return e.run(ctx, erasures)
	})
}

// Erasable returns the error that Erase would return before it changes anything.
func Erasable(ctx context.Context, dirs []*Dir, erasures []Erasure) error {
	_, err := locked(ctx, dirs, func() (Rotation, error) {
		e := eraser{dirs: dirs, w: dirs[0].Wrapper}
		defer e.wipe()
		return Rotation{}, e.ready(ctx, erasures)
	})
	return err
}

// An eraser works on one call of Erase.
type eraser struct {
	dirs  []*Dir
	w     Wrapper
	group Group
	todo  []*erasing
	done  Rotation
}

// An erasing is a key file that loses keys.
type erasing struct {
	dir   *Dir
	first uint64
	keys  []uint32
	file  *keyFile
	tree  *Tree
}

func (e *eraser) run(ctx context.Context, erasures []Erasure) (Rotation, error) {
	if err := e.ready(ctx, erasures); err != nil || len(e.todo) == 0 {
		return e.done, err
	}
	to, err := e.epoch(ctx)
	if err != nil {
		return e.done, err
	}
	for _, f := range e.todo {
		if err := e.puncture(ctx, f, to); err != nil {
			return e.done, fmt.Errorf("erase from key file %s: %w", FileName(f.first), err)
		}
	}
	// If we die here, what was punctured can still be derived from older copies
	// of the key files, until a later call destroys the older epochs.
	rest, err := rewrap(ctx, e.dirs, to)
	e.done.Epoch = to
	e.done.Rewritten += rest.Rewritten
	e.done.Kept = rest.Kept - (e.done.Rewritten - rest.Rewritten)
	return e.done, err
}

// ready makes the plan, and asks whether the source can destroy.
func (e *eraser) ready(ctx context.Context, erasures []Erasure) error {
	if err := e.plan(ctx, erasures); err != nil || len(e.todo) == 0 {
		return err
	}
	return e.w.DestroyEpoch(ctx, Epoch{Group: e.group})
}

// plan opens all key files that lose keys, and changes nothing.
func (e *eraser) plan(ctx context.Context, erasures []Erasure) error {
	for _, want := range merge(erasures) {
		f, err := e.open(ctx, want)
		if err != nil {
			return fmt.Errorf("erase from key file %s of partition %d: %w", FileName(want.First), want.Partition, err)
		}
		e.todo = append(e.todo, f)
		if e.group = e.todo[0].file.epoch.Group; f.file.epoch.Group != e.group {
			return mail.Errorf(mail.Invalid, "erase from the groups %s and %s: one call erases from one group", e.group, f.file.epoch.Group)
		}
	}
	return nil
}

func (e *eraser) open(ctx context.Context, want Erasure) (*erasing, error) {
	at := slices.IndexFunc(e.dirs, func(d *Dir) bool { return d.Partition == want.Partition })
	if at < 0 {
		return nil, mail.Errorf(mail.Invalid, "there is no directory of this partition")
	}
	if last := want.Keys[len(want.Keys)-1]; last >= Leaves {
		return nil, mail.Errorf(mail.Invalid, "key %d: a segment has %d keys", last, Leaves)
	}
	f := &erasing{dir: e.dirs[at], first: want.First, keys: want.Keys}
	if err := f.dir.notInEscrow(want.First); err != nil {
		return nil, err
	}
	var err error
	if f.file, err = f.dir.parse(FileName(want.First)); err != nil {
		return nil, err
	}
	f.tree, err = f.file.open(ctx, e.w)
	return f, err
}

// notInEscrow refuses to say erased of what somebody else can still read.
func (d *Dir) notInEscrow(first uint64) error {
	switch _, err := d.FS.Stat(EscrowName(first)); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return classify(err)
	}
	return mail.WithHint(mail.Errorf(mail.Invalid, "the keys of this segment are in escrow, where they cannot be erased"),
		"Let those who hold %s destroy their copies, remove the file, and erase again.", EscrowName(first))
}

// epoch returns the epoch to go to: one that did not exist before if anything
// is left to puncture, so that nothing under it ever held what is erased. Not
// even a file that a crash left half made can.
func (e *eraser) epoch(ctx context.Context) (Epoch, error) {
	newest, err := e.w.NewEpoch(ctx, e.group, 0)
	if err != nil || !slices.ContainsFunc(e.todo, (*erasing).pending) {
		return newest, err
	}
	return e.w.NewEpoch(ctx, e.group, newest.Version)
}

// pending reports whether any of the keys can still be derived.
func (f *erasing) pending() bool {
	return slices.ContainsFunc(f.keys, func(k uint32) bool { return !f.tree.Erased(k) })
}

// puncture writes the key file without the keys, if it has any of them.
func (e *eraser) puncture(ctx context.Context, f *erasing, to Epoch) error {
	if !f.pending() {
		return nil
	}
	n := len(slices.DeleteFunc(slices.Clone(f.keys), f.tree.Erased))
	if err := f.tree.Puncture(f.keys...); err != nil {
		return err
	}
	sealed, err := sealFile(ctx, e.w, f.file.segment, to, f.tree)
	if err != nil {
		return err
	}
	if err := f.dir.replace(f.first, sealed); err != nil {
		return err
	}
	e.done.Erased += n
	e.done.Rewritten++
	return nil
}

func (e *eraser) wipe() {
	for _, f := range e.todo {
		f.tree.Wipe()
	}
}

// merge returns one erasure for each segment, with its keys in order and once.
func merge(erasures []Erasure) []Erasure {
	var out []Erasure
	for _, one := range erasures {
		if len(one.Keys) == 0 {
			continue
		}
		at := slices.IndexFunc(out, func(o Erasure) bool { return o.Partition == one.Partition && o.First == one.First })
		if at < 0 {
			out, at = append(out, Erasure{Partition: one.Partition, First: one.First}), len(out)
		}
		out[at].Keys = append(out[at].Keys, one.Keys...)
	}
	for i := range out {
		slices.Sort(out[i].Keys)
		out[i].Keys = slices.Compact(out[i].Keys)
	}
	return out
}
