package indexer

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"github.com/blevesearch/bleve/v2/index/scorch"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/mailkeep/mailkeep/mail"
)

// How long to wait for the engine to remove files that nothing rests on any more.
// It looks for such files only when it has written something.
const (
	removalTries = 200
	removalWait  = 50 * time.Millisecond
)

// purge removes deleted documents from the segments, and the segments with them
// from the disk, while others may write. Errors: mail.Temporary if a reader still
// needs a file after some seconds.
func (e *engine) purge(ctx context.Context) error {
	old, err := e.segmentFiles()
	if err != nil {
		return err
	}
	if err := e.mergeDeleted(ctx); err != nil {
		return err
	}
	for range removalTries {
		left, err := e.unused(old)
		if err != nil || len(left) == 0 {
			return err
		}
		if err := e.unpad(); err != nil { // writes something
			return err
		}
		if !pause(ctx, removalWait) {
			return ctx.Err()
		}
	}
	return mail.Errorf(mail.Temporary, "the engine keeps files of the index that hold deleted documents")
}

// mergeDeleted merges segments until none holds a deleted document.
func (e *engine) mergeDeleted(ctx context.Context) error {
	for range maxMerges {
		single, clean, err := e.shape()
		if err != nil || clean {
			return err
		}
		if single {
			if err := e.pad(); err != nil {
				return err
			}
		}
		if err := errors.Join(e.merge(ctx), e.unpad()); err != nil {
			return err
		}
	}
	return mail.Errorf(mail.Temporary, "the segments of the index hold deleted documents after %d merges", maxMerges)
}

// segmentFiles lists the files of segments on the disk.
func (e *engine) segmentFiles() ([]string, error) {
	return filepath.Glob(filepath.Join(e.storePath(), "*.zap"))
}

// unused returns those of the files that are on the disk and that no segment of
// the present state rests on.
func (e *engine) unused(files []string) (left []string, err error) {
	now, err := e.segmentFiles()
	if err != nil {
		return nil, err
	}
	r, err := e.scorch.Reader()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	snapshot, ok := r.(*scorch.IndexSnapshot)
	if !ok {
		return nil, mail.Errorf(mail.Other, "the reader of the index is a %T", r)
	}
	used := map[string]bool{}
	for _, s := range snapshot.Segments() {
		if p, ok := s.Segment().(segment.PersistedSegment); ok {
			used[filepath.Base(p.Path())] = true
		}
	}
	for _, f := range now {
		if !used[filepath.Base(f)] && slices.Contains(files, f) {
			left = append(left, f)
		}
	}
	return left, nil
}
