package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// RepairOptions say what to repair from, and what to believe.
type RepairOptions struct {
	Archive   [16]byte
	Partition uint16
	// Source opens a file of a copy of this ledger, by its name here;
	// fs.ErrNotExist if the copy has none. What it holds is believed in nothing.
	Source func(name string) (durable.File, error)
	// Vouch returns the leaf of a record as a signed checkpoint has it;
	// mail.NotFound if none reaches so far. It may be nil.
	Vouch func(seq uint64) ([]byte, error)
	// DryRun tells what would be done, and does nothing.
	DryRun bool
	// Pace, if set, is told of octets as they are read; see VerifyOptions.
	Pace func(ctx context.Context, octets int64) error
}

// A Repaired is a segment that is damaged, and what became of it.
type Repaired struct {
	First uint64 // number of its first record
	File  string
	// Aside is the name of the damaged file now; "" if there was none.
	Aside string
	// Digest is the SHA-256 of the file that is whole again.
	Digest mail.Digest
	Octets int64  // of the file
	Taken  int64  // of them, from the copy
	By     string // what shows that the octets are those that were written
	Err    error  // why it was not repaired; nil if it was

	same bool // it turned out to be good, or no segment at all
}

// Repair replaces sealed segments that are damaged or missing by what a copy has,
// frame by frame if need be. It takes the lock of the ledger. A segment is put
// together from the copy and from what is still good here, and is taken only if
// every frame of it, body and all, continues the chain from the segment before, up
// to the seal; and if something that the copy cannot have forged shows that this
// is what was written: the record behind it, the seal of the damaged file, or a
// signed checkpoint. The damaged file stays, as *.damaged. An open segment is not
// repaired. The error is of reading or writing; what was refused is in Repaired.
func Repair(ctx context.Context, fsys durable.FS, o RepairOptions) (out []Repaired, err error) {
	lock, err := fsys.Lock(LockName)
	if err != nil {
		return nil, fmt.Errorf("repair the ledger: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	damaged, err := findDamage(ctx, fsys, o)
	if err != nil {
		return nil, err
	}
	r := repair{fs: fsys, o: o, stream: streamID(o.Archive, o.Partition), todo: damaged}
	for len(r.todo) > 0 {
		first := r.todo[0]
		r.todo = r.todo[1:]
		if err := ctx.Err(); err != nil {
			return out, err
		}
		done, err := r.segment(ctx, first)
		if err != nil {
			return out, classify(fmt.Errorf("repair %s: %w", sealedName(first), err))
		}
		if !done.same {
			out = append(out, done)
		}
	}
	return out, nil
}

// findDamage returns the first numbers of the segments that are damaged or missing.
// Of several that are missing in a row it has the first one. What it has may turn
// out to be none.
func findDamage(ctx context.Context, fsys durable.FS, o RepairOptions) ([]uint64, error) {
	dir, err := list(fsys)
	if err != nil {
		return nil, err
	}
	seen := map[uint64]bool{}
	_, err = Verify(ctx, fsys, VerifyOptions{
		Archive: o.Archive, Partition: o.Partition, Depth: DepthBodies, Pace: o.Pace,
		Found: func(f Finding) {
			first, ok := firstOf(f.Segment) // a file aside is a note
			if f.Kind == FoundMissing && f.Offset == 0 {
				first = f.Seq // the segment that should be before this one
			}
			if !ok || f.Note() {
				return
			}
			seen[first] = true
			// Which of two segments that do not fit is the wrong one will show.
			if i, _ := slices.BinarySearch(dir.sealed, first); f.Kind == FoundChain && f.Offset == 0 && i > 0 {
				seen[dir.sealed[i-1]] = true
			}
		},
	})
	return slices.Sorted(maps.Keys(seen)), err
}

// A repair goes over the damaged segments in order.
type repair struct {
	fs     durable.FS
	o      RepairOptions
	stream [16]byte
	todo   []uint64 // first numbers of segments, in order
}

// refused carries why a segment is not repaired.
type refused struct{ error }

func refuse(format string, args ...any) error { return refused{fmt.Errorf(format, args...)} }

// segment repairs one segment.
func (r *repair) segment(ctx context.Context, first uint64) (Repaired, error) {
	out := Repaired{First: first, File: sealedName(first)}
	err := r.attempt(ctx, &out)
	if no, ok := errors.AsType[refused](err); ok {
		out.Err = mail.WithHint(mail.Errorf(mail.Corrupt, "%s: %w", out.File, no.error), "nothing was changed; try another copy of the archive")
		return out, nil
	}
	return out, err
}

func (r *repair) attempt(ctx context.Context, out *Repaired) error {
	local, err := openOptional(r.fs.Open, out.File)
	if err != nil {
		return err
	}
	defer closeOptional(local)
	if _, err := r.fs.Stat(openName(out.First)); local == nil && err == nil {
		return refuse("it is the open segment: start mailkeep, whose recovery handles it, or restore a backup")
	}
	before, err := r.chainBefore(out.First)
	if err != nil {
		return err
	}
	if before.seq != out.First {
		// A seal that could not be read made a place within a segment look like one
		// that is due.
		if out.same = local == nil; out.same {
			return nil
		}
		return refuse("the segment before it ends with record %d", before.seq)
	}
	copied, err := r.source(out.First)
	if err != nil {
		return err
	}
	defer closeOptional(copied)
	if copied == nil {
		return refuse("the copy does not have it")
	}
	whole, end, err := assemble(ctx, before, copied, local)
	if err != nil {
		return err
	}
	if out.same, err = equal(whole, local); out.same || err != nil {
		return err
	}
	if out.By, err = r.vouched(end, local, out.First); err != nil {
		return err
	}
	out.Octets, out.Taken = whole.size(), whole.from(copied)
	if r.o.DryRun {
		return nil
	}
	if err := r.replace(ctx, out, whole, local != nil); err != nil || local != nil {
		return err
	}
	return r.missingToo(end.seq)
}

// missingToo looks behind a segment that was missing: the next one may be, too.
func (r *repair) missingToo(next uint64) error {
	dir, err := list(r.fs)
	if err != nil || len(dir.sealed) == 0 {
		return err
	}
	if !slices.Contains(dir.sealed, next) && !slices.Contains(dir.open, next) && dir.sealed[len(dir.sealed)-1] > next {
		r.todo = slices.Insert(r.todo, 0, next)
	}
	return nil
}

// chainBefore is the chain behind the segment before.
func (r *repair) chainBefore(first uint64) (chain, error) {
	c := newChain(r.stream)
	dir, err := list(r.fs)
	if err != nil {
		return c, err
	}
	for i := len(dir.sealed) - 1; i >= 0; i-- {
		if dir.sealed[i] >= first {
			continue
		}
		f, err := r.fs.Open(sealedName(dir.sealed[i]))
		if err != nil {
			return c, err
		}
		_, end, err := loadSeal(f, dir.sealed[i])
		if err = errors.Join(err, f.Close()); mail.KindOf(err) == mail.Corrupt {
			return c, refuse("the segment before it is damaged: %w", err)
		} else if err != nil {
			return c, err
		}
		c = end.clone()
		break
	}
	if c.stream != r.stream {
		return c, refuse("the segment before it is of another ledger")
	}
	c.number++
	return c, nil
}

// source opens the segment in the copy, sealed or open; nil if it is not there.
func (r *repair) source(first uint64) (durable.File, error) {
	f, err := openOptional(r.o.Source, sealedName(first))
	if f == nil && err == nil {
		f, err = openOptional(r.o.Source, openName(first))
	}
	return f, err
}

func openOptional(open func(string) (durable.File, error), name string) (durable.File, error) {
	f, err := open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

func closeOptional(f durable.File) {
	if f != nil {
		_ = f.Close() // it was only read
	}
}

// vouched says what shows that a segment with this end is the one that was
// written.
func (r *repair) vouched(end chain, local durable.File, first uint64) (string, error) {
	if by, err := r.continued(end); by != "" || err != nil {
		return by, err
	}
	if local != nil {
		if _, old, err := loadSeal(local, first); err == nil && old.seq == end.seq && old.prev == end.prev {
			return "the seal of the damaged file", nil
		}
	}
	if r.o.Vouch != nil {
		leaf, err := r.o.Vouch(end.seq - 1)
		switch {
		case err == nil && leafHash(leaf) == end.prev:
			return "a signed checkpoint", nil
		case err == nil:
			return "", refuse("a signed checkpoint has another record %d", end.seq-1)
		case mail.KindOf(err) != mail.NotFound:
			return "", err
		}
	}
	return "", refuse("nothing shows that the copy is what was written: no good record follows, its seal is damaged, and no checkpoint reaches record %d", end.seq-1)
}

// continued looks at the record behind the segment. It names its leaf hash.
func (r *repair) continued(end chain) (string, error) {
	for _, name := range []string{sealedName(end.seq), openName(end.seq)} {
		f, err := openOptional(r.fs.Open, name)
		if err != nil {
			return "", err
		}
		if f == nil {
			continue
		}
		h, _, err := newGlance(f).header(0)
		closeOptional(f)
		switch {
		case isReadError(err):
			return "", err
		case err != nil || h.stream != r.stream || h.seq != end.seq:
			return "", nil // it is damaged itself
		case h.prev != end.prev:
			return "", refuse("the record behind it, %d, continues another one", end.seq)
		}
		return "the record behind it", nil
	}
	return "", nil
}

// replace puts the segment in the place of the damaged one. After a crash at any
// point of it one of them has the name, whole.
func (r *repair) replace(ctx context.Context, out *Repaired, whole *pieces, damaged bool) (err error) {
	tmp := repairName(out.First)
	if err := r.fs.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if out.Digest, err = r.write(ctx, tmp, whole); err != nil {
		return errors.Join(err, r.fs.Remove(tmp))
	}
	if err := r.fs.Chmod(tmp, 0o444); err != nil {
		return err
	}
	if damaged {
		if err := r.mutable(out.File); err != nil {
			return err
		}
		if out.Aside, err = keepAside(r.fs, out.File); err != nil {
			return err
		}
	}
	// If we die here, the damaged file has two names, and the repair is done again.
	if err := r.fs.SyncDir("."); err != nil {
		return err
	}
	if err := r.fs.Rename(tmp, out.File); err != nil {
		return err
	}
	return r.fs.SyncDir(".")
}

// write makes the file and reads it back.
func (r *repair) write(ctx context.Context, name string, whole *pieces) (d mail.Digest, err error) {
	f, err := r.fs.Create(name)
	if err != nil {
		return d, err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, h), io.NewSectionReader(whole, 0, whole.size()))
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = ctx.Err()
	}
	h.Sum(d[:0])
	back := sha256.New()
	if err == nil {
		_, err = io.Copy(back, io.NewSectionReader(f, 0, whole.size()))
	}
	if err == nil && mail.Digest(back.Sum(nil)) != d {
		err = mail.Errorf(mail.Temporary, "what was written reads back as other octets")
	}
	return d, errors.Join(err, f.Close())
}

// mutable clears the flag that keeps a file from being renamed, where there is one.
func (r *repair) mutable(name string) error {
	f, err := r.fs.Open(name)
	if err != nil {
		return err
	}
	if on, err := durable.IsImmutable(f); err == nil && on {
		return errors.Join(durable.SetImmutable(f, false), f.Close())
	}
	return f.Close()
}
