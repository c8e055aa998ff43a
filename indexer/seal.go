package indexer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/blevesearch/bleve/v2"
	blevedoc "github.com/blevesearch/bleve/v2/document"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/index/scorch/mergeplan"

	"github.com/mailkeep/mailkeep/mail"
)

// A rewriting is what a shard is to differ in when it is written anew.
type rewriting struct {
	gone []uint64 // documents to leave out
	// fill puts documents in the place of those with their ids; may be nil.
	fill func(context.Context, *engine) error
}

// maxMerges is how often the segments of a shard are merged before giving up on
// making them one.
const maxMerges = 8

// rewrite makes a sealed shard in the directory to of what e holds, with the
// changes. e is read and not changed: whatever becomes of this, it serves on.
// The work is done on a copy in the directory tmp, which is removed.
//
// On nil the files are durable; on an error to may be half made.
func rewrite(ctx context.Context, e *engine, tmp, to string, w rewriting) (info shardInfo, err error) {
	for _, dir := range []string{tmp, to} {
		if err := os.RemoveAll(dir); err != nil {
			return info, classify("remove what a rewriting left", err)
		}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if err := e.copyTo(filepath.Join(tmp, engineDir)); err != nil {
		return info, err
	}
	c, err := openWith(filepath.Join(tmp, engineDir), false)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, c.abandon()) }()
	if err := c.rework(ctx, w); err != nil {
		return info, err
	}
	if err := c.copyTo(filepath.Join(to, engineDir)); err != nil {
		return info, err
	}
	return sealedInfo(ctx, to)
}

// rework applies the changes and makes one segment of all. What was removed is
// not in it any more.
func (e *engine) rework(ctx context.Context, w rewriting) error {
	if len(w.gone) > 0 {
		if err := e.change(w.gone, nil); err != nil {
			return err
		}
	}
	if w.fill != nil {
		if err := w.fill(ctx, e); err != nil {
			return err
		}
	}
	for range maxMerges {
		single, clean, err := e.shape()
		switch {
		case err != nil:
			return err
		case single && clean:
			return nil
		case single:
			if err := e.pad(); err != nil {
				return err
			}
		}
		if err := e.merge(ctx); err != nil {
			return err
		}
		if err := e.unpad(); err != nil {
			return err
		}
	}
	return mail.Errorf(mail.Other, "the segments of the index did not become one in %d merges", maxMerges)
}

// padding is the id of a document without content, which no snapshot shows. A single segment is not
// merged, so one that holds what was deleted is given a second.
const padding = "padding"

func (e *engine) pad() error {
	return e.apply(func(b *bleve.Batch) error { return b.IndexAdvanced(blevedoc.NewDocument(padding)) })
}

func (e *engine) unpad() error {
	return e.apply(func(b *bleve.Batch) error { b.Delete(padding); return nil })
}

// shape reports whether there is at most one segment, and whether it is free of
// deleted documents other than the padding.
func (e *engine) shape() (single, clean bool, err error) {
	s, err := e.snapshot()
	if err != nil {
		return false, false, err
	}
	err = e.sane(func() error {
		single = len(s.segments) <= 1
		clean, err = s.clean()
		return err
	})
	return single, clean, errors.Join(err, e.sane(s.r.Close))
}

// clean reports whether there are no deleted documents but the padding.
func (s *snapshot) clean() (bool, error) {
	for _, g := range s.segments {
		dead := uint64(0)
		if g.deleted != nil {
			dead = g.deleted.GetCardinality()
		}
		if dead == 0 {
			continue
		}
		pad, err := g.segment.DocNumbers([]string{padding})
		if err != nil || dead != g.deleted.AndCardinality(pad) {
			return false, err
		}
	}
	return true, nil
}

// merge makes few segments of many, mostly one.
func (e *engine) merge(ctx context.Context) error {
	o := mergeplan.SingleSegmentMergePlanOptions
	o.SegmentsPerMergeTask = 1000
	done := make(chan error, 1)
	go func() {
		done <- guard(func() error {
			s, ok := e.scorch.(*scorch.Scorch)
			if !ok {
				return mail.Errorf(mail.Other, "the engine is a %T", e.scorch)
			}
			return s.ForceMerge(ctx, &o)
		})
	}()
	var err error
	select {
	case err = <-done:
	case <-e.broken: // the merger has ended, and nobody answers
		err = e.cause
	case <-ctx.Done():
		return ctx.Err()
	}
	if err != nil {
		return classify("merge the segments of the index", err)
	}
	return ctx.Err()
}

// copyTo copies the present state of the engine into a directory, durably.
func (e *engine) copyTo(dir string) error {
	err := e.sane(func() error {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		c, ok := e.bleve.(bleve.IndexCopyable)
		if !ok {
			return mail.Errorf(mail.Other, "a %T cannot be copied", e.bleve)
		}
		return c.CopyTo(bleve.FileSystemDirectory(dir))
	})
	if err == nil {
		err = syncTree(filepath.Dir(dir))
	}
	if err != nil {
		return classify("copy the index", err)
	}
	return nil
}

// syncTree makes the files and directories at and below dir durable.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// sealedInfo describes the shard in dir: its files with their sums, which are
// compared with those that the engine wrote into them, and its content.
func sealedInfo(ctx context.Context, dir string) (info shardInfo, err error) {
	e, err := openWith(filepath.Join(dir, engineDir), true)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, e.abandon()) }()
	if err := guard(e.checkSegments); err != nil {
		return info, err
	}
	s, err := e.snapshot()
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, s.r.Close()) }()
	docs, err := s.all(ctx)
	if err != nil {
		return info, err
	}
	keys, err := s.newest(ctx, docs, "", 1)
	if err != nil {
		return info, err
	}
	info = shardInfo{Sealed: true, Docs: docs.GetCardinality()}
	if len(keys) > 0 {
		info.Newest = keys[0]
	}
	info.Files, err = sums(ctx, dir)
	return info, err
}

// openSealed opens a sealed shard read-only, after a look at the names and sizes
// of its files.
func openSealed(dir string, files map[string]file) (*engine, error) {
	for name, want := range files {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() != want.Size {
			return nil, mail.Errorf(mail.Corrupt, "the file %s of the index is missing or has another size", name)
		}
		if err != nil {
			return nil, classify("open a shard", err)
		}
	}
	return openWith(filepath.Join(dir, engineDir), true)
}

// sizeOf returns how many octets the files below dir take.
func sizeOf(dir string) (n uint64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) { // merged away meanwhile
				return nil
			}
			return err
		}
		if info, err := d.Info(); err == nil && !d.IsDir() {
			n += uint64(info.Size())
		}
		return nil
	})
	return n, err
}

// spare refuses what takes more octets than the file system has to spare.
func spare(dir string, octets uint64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < octets {
		return mail.WithHint(mail.Errorf(mail.NoSpace, "the index needs %d MB of free space in %s, there are %d MB", octets>>20, dir, free>>20),
			"make room: what is sealed meanwhile is safe, and is indexed when there is space")
	}
	return nil
}
