package indexer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/mapping"
	index "github.com/blevesearch/bleve_index_api"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/mailkeep/mailkeep/indexer/segments"
	"github.com/mailkeep/mailkeep/mail"
)

const (
	engineDir = "bleve"
	// cleanFile says that the engine was closed and not killed. It is removed
	// before the engine is opened.
	cleanFile = "clean"

	commitLimit = 60 * time.Second // a batch that takes longer has hung
	closeLimit  = 20 * time.Second
)

// The keys of the values that are committed with the documents.
var (
	keyPosition = []byte("mailkeep/position") // cursor, 8 octets, big endian
	keyFormat   = []byte("mailkeep/format")   // formatVersion, likewise
	keyBegun    = []byte("mailkeep/begun")    // when the first record was appended, Unix seconds, likewise
)

// An engine is one open Bleve index, that of a shard. Any failure of a batch, in the background
// or of a reader leaves it poisoned: its state in memory can no longer be
// trusted, what is on disk can. A poisoned engine answers nothing; it is closed
// and the index opened again.
type engine struct {
	path     string
	bleve    bleve.Index
	scorch   index.Index
	format   uint64
	readOnly bool
	columns  columns

	// The owner is who commits: one goroutine.
	position uint64
	begun    uint64 // Unix seconds; 0 before the first record
	docs     uint64 // when opened

	poison sync.Once
	broken chan struct{} // closed when poisoned
	cause  error         // set before broken is closed
}

// asyncErrors hands the engines' background errors to the engines, by path:
// Bleve looks callbacks up in a global table.
var asyncErrors struct {
	register sync.Once
	engines  sync.Map // store path -> *engine
}

const asyncName = "mailkeep"

func registerAsyncErrors() {
	asyncErrors.register.Do(func() {
		scorch.RegistryAsyncErrorCallbacks[asyncName] = func(err error, path string) {
			if e, ok := asyncErrors.engines.Load(path); ok {
				e.(*engine).fail(fmt.Errorf("in the background: %w", err))
			}
		}
		segments.Register()
	})
}

// settings are given when the index is made and at each opening.
func settings() map[string]any {
	return map[string]any{
		"unsafe_batch":           false,
		"numSnapshotsToKeep":     1,
		"bolt_timeout":           "5s",
		"asyncErrorCallbackName": asyncName,
		"scorchPersisterOptions": map[string]any{
			"persisterNapTimeMSec": 0, "persisterNapUnderNumFiles": 200,
			// More workers have written internal values ahead of their
			// segments (blevesearch/bleve#2363).
			"numPersisterWorkers": 1,
		},
		"scorchMergePlanOptions": map[string]any{
			"maxSegmentsPerTier": 10, "segmentsPerMergeTask": 10, "tierGrowth": 10, "maxSegmentSize": 2 * batchDocs,
			// Half of maxSegmentSize is a full batch. It is not merged before its
			// shard is sealed: that would cost as much as to make it. Few documents
			// at a time are merged, by tens and up to that size; less than this many
			// count as if there were as many.
			"floorSegmentSize": 200,
		},
	}
}

// fieldless is the mapping that Bleve insists on. Documents come analysed, so
// it maps nothing.
func fieldless() mapping.IndexMapping {
	m := bleve.NewIndexMapping()
	m.DefaultMapping = bleve.NewDocumentDisabledMapping()
	m.StoreDynamic, m.IndexDynamic, m.DocValuesDynamic = false, false, false
	return m
}

// openEngine opens the index below the directory of a shard. Unless it was
// closed properly, its segments are checked before, through a read-only engine:
// one that writes could merge a damaged segment into one with a good checksum
// meanwhile.
func openEngine(dir string) (*engine, error) {
	path := filepath.Join(dir, engineDir)
	if clean := os.Remove(filepath.Join(dir, cleanFile)) == nil; !clean {
		e, err := openWith(path, true)
		if err != nil {
			return nil, err
		}
		err = guard(e.checkSegments)
		if err = errors.Join(err, e.abandon()); err != nil {
			return nil, classify("check the index", err)
		}
	}
	return openWith(path, false)
}

// createEngine makes an empty index below the directory of a shard, whose
// cursor stands at position.
func createEngine(dir string, position uint64) (e *engine, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, classify("make the directory of a shard", err)
	}
	e = newEngine(filepath.Join(dir, engineDir))
	err = guard(func() error {
		b, err := bleve.NewUsing(e.path, fieldless(), scorch.Name, scorch.Name, settings())
		if err != nil {
			return err
		}
		e.bleve = b
		batch := b.NewBatch()
		batch.SetInternal(keyFormat, number(formatVersion))
		batch.SetInternal(keyPosition, number(position))
		return b.Batch(batch)
	})
	if err == nil {
		err = e.attach()
	}
	if err != nil {
		return nil, errors.Join(classify("make the index", err), e.abandon())
	}
	return e, nil
}

func openWith(path string, readOnly bool) (*engine, error) {
	e := newEngine(path)
	e.readOnly = readOnly
	err := guard(func() error {
		s := settings()
		s["read_only"] = readOnly
		b, err := bleve.OpenUsing(path, s)
		if err != nil {
			return err
		}
		e.bleve = b
		return e.attach()
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		err = inUse(path)
	}
	if err != nil {
		return nil, errors.Join(classify("open the index", err), e.abandon())
	}
	return e, nil
}

func newEngine(path string) *engine {
	registerAsyncErrors()
	e := &engine{path: path, broken: make(chan struct{})}
	asyncErrors.engines.Store(e.storePath(), e)
	return e
}

func (e *engine) storePath() string { return filepath.Join(e.path, "store") }

// attach reads what the open index says of itself.
func (e *engine) attach() error {
	var err error
	if e.scorch, err = e.bleve.Advanced(); err != nil {
		return err
	}
	r, err := e.scorch.Reader()
	if err != nil {
		return err
	}
	defer r.Close()
	if e.format, err = readNumber(r, keyFormat); err != nil {
		return err
	}
	if e.begun, err = readOptional(r, keyBegun); err != nil {
		return err
	}
	if e.docs, err = r.DocCount(); err != nil {
		return err
	}
	e.position, err = readNumber(r, keyPosition)
	return err
}

// readOptional is readNumber of a value that may be missing: it is 0 then.
func readOptional(r index.IndexReader, key []byte) (uint64, error) {
	if b, err := r.GetInternal(key); err != nil || b == nil {
		return 0, err
	}
	return readNumber(r, key)
}

func number(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func readNumber(r index.IndexReader, key []byte) (uint64, error) {
	b, err := r.GetInternal(key)
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("it has no value %s", key)
	}
	return binary.BigEndian.Uint64(b), nil
}

// commit makes the documents and the cursor durable, together. Any error
// poisons the engine.
func (e *engine) commit(docs []*document, position uint64) error {
	err := e.apply(func(b *bleve.Batch) error {
		b.SetInternal(keyPosition, number(position))
		b.SetInternal(keyBegun, number(e.begun))
		return addAll(b, docs)
	})
	if err == nil {
		e.position = position
	}
	return err
}

// change removes documents and puts others in the place of those with their
// ids, durably and together. The cursor stays.
func (e *engine) change(gone []uint64, docs []*document) error {
	return e.apply(func(b *bleve.Batch) error {
		for _, seq := range gone {
			b.Delete(docID(seq))
		}
		return addAll(b, docs)
	})
}

func addAll(b *bleve.Batch, docs []*document) error {
	for _, d := range docs {
		if err := b.IndexAdvanced(d.bleve()); err != nil {
			return err
		}
	}
	return nil
}

// apply runs one batch.
func (e *engine) apply(fill func(*bleve.Batch) error) error {
	if err := e.poisoned(); err != nil {
		return classify("commit to the index", err)
	}
	if e.readOnly { // the engine would wait for ever
		return mail.Errorf(mail.Other, "commit to the index: it is open for reading only")
	}
	done := make(chan error, 1)
	go func() {
		done <- guard(func() error {
			b := e.bleve.NewBatch()
			if err := fill(b); err != nil {
				return err
			}
			return e.bleve.Batch(b)
		})
	}()
	limit := time.NewTimer(commitLimit)
	defer limit.Stop()
	var err error
	select {
	case err = <-done:
	case <-e.broken:
		err = e.cause
	case <-limit.C:
		err = fmt.Errorf("the batch did not end within %v", commitLimit)
	}
	if err != nil {
		e.fail(err)
		return classify("commit to the index", err)
	}
	return nil
}

// fail poisons the engine.
func (e *engine) fail(err error) {
	e.poison.Do(func() {
		e.cause = err
		close(e.broken)
	})
}

// poisoned returns why the engine cannot be used, or nil.
func (e *engine) poisoned() error {
	select {
	case <-e.broken:
		return e.cause
	default:
		return nil
	}
}

// close closes the engine and marks it clean if nothing went wrong with it.
func (e *engine) close() error {
	sound := e.poisoned() == nil
	if err := e.abandon(); err != nil || !sound {
		return err
	}
	f, err := os.Create(filepath.Join(filepath.Dir(e.path), cleanFile))
	if err != nil {
		return classify("mark the index clean", err)
	}
	return f.Close()
}

// abandon closes what is open, without waiting for ever: after a fault of the
// engine its background work may never end.
func (e *engine) abandon() error {
	defer asyncErrors.engines.CompareAndDelete(e.storePath(), e)
	if e.bleve == nil {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- guard(e.bleve.Close) }()
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		return mail.WithHint(fmt.Errorf("the index did not close within %v", closeLimit), "restart mailkeep")
	}
}

// guard turns a panic of the engine into an error, and a fault of the memory that a
// file is mapped to, as on a bad disk, too.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = mail.Errorf(mail.Corrupt, "the search engine panicked: %v", r)
		}
	}()
	return f()
}
