package indexer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	index "github.com/blevesearch/bleve_index_api"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// A finding is the Found of an engine.
type finding struct {
	engine *engine
	snap   *snapshot
	docs   *roaring.Bitmap // not to be changed
	tally  Tally
}

// find evaluates q on the present state of the engine. Documents at the hidden
// positions are not found.
//
// If known is not nil, what was found is kept there under the name of the
// shard, which must not change then.
func (e *engine) find(ctx context.Context, q *query.Query, hidden []uint64, known *results, shard string) (*finding, error) {
	s, err := e.snapshot()
	if err != nil {
		return nil, err
	}
	f := &finding{engine: e, snap: s}
	err = e.sane(func() error { return f.recall(ctx, q, hidden, known, shard) })
	if err != nil {
		return nil, errors.Join(err, e.sane(s.r.Close))
	}
	return f, nil
}

// recall has what was found before, or finds it.
func (f *finding) recall(ctx context.Context, q *query.Query, hidden []uint64, known *results, shard string) error {
	if known == nil {
		return f.evaluate(ctx, q, hidden)
	}
	key := resultKey(shard, q, hidden)
	if r, ok := known.get(key); ok {
		f.docs, f.tally = r.docs, r.tally
		return nil
	}
	if err := f.evaluate(ctx, q, hidden); err != nil {
		return err
	}
	// The set may share memory with the mapped file, which the cache outlives.
	f.docs.CloneCopyOnWriteContainers()
	known.put(key, result{f.docs, f.tally})
	return nil
}

// evaluate finds the documents and counts them.
func (f *finding) evaluate(ctx context.Context, q *query.Query, hidden []uint64) (err error) {
	if f.tally.Position, err = readNumber(f.snap.r, keyPosition); err != nil {
		return err
	}
	without, err := f.snap.positions(ctx, hidden)
	if err != nil {
		return err
	}
	ev := newEvaluator(f.snap)
	found, err := ev.asked(ctx, q)
	if err != nil {
		return err
	}
	f.docs = roaring.AndNot(found, without)
	f.tally.Total = f.docs.GetCardinality()
	f.tally.Partly, err = ev.partly(ctx, q, without)
	f.tally.Warnings = ev.warnings
	return err
}

// resultKey tells queries apart by all that they ask for, and the states of a
// shard by how much of it is hidden, which only grows.
func resultKey(shard string, q *query.Query, hidden []uint64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %t %#v", len(hidden), q.Partly, q.Root))
	return shard + string(sum[:])
}

// matches returns the documents of a query; one that asks for nothing matches
// all.
func (e *evaluator) matches(ctx context.Context, q *query.Query, as reading) (*roaring.Bitmap, error) {
	if q.Root != nil {
		if found, err := e.find(ctx, q.Root, as); found != nil || err != nil {
			return found, err
		}
	}
	return e.all(ctx)
}

// partly counts the documents in the scope of q that could not be fully read:
// those that q may match for all that is known of them, but for the ones that
// are hidden. A document counts once for each of its statuses.
func (e *evaluator) partly(ctx context.Context, q *query.Query, hidden *roaring.Bitmap) (map[mail.TextStatus]uint64, error) {
	var scope *roaring.Bitmap
	var out map[mail.TextStatus]uint64
	for _, status := range partlyStatuses() {
		docs, err := e.snap.term(ctx, fieldStatus, string(status))
		if err != nil {
			return nil, err
		}
		if docs.AndNot(hidden); docs.IsEmpty() {
			continue
		}
		if scope == nil {
			if scope, err = e.matches(ctx, q, possible); err != nil {
				return nil, err
			}
		}
		if n := docs.AndCardinality(scope); n > 0 {
			if out == nil {
				out = map[mail.TextStatus]uint64{}
			}
			out[status] = n
		}
	}
	return out, nil
}

// Tally implements Found.
func (f *finding) Tally() Tally {
	t := f.tally
	t.Partly, t.Warnings = maps.Clone(t.Partly), slices.Clone(t.Warnings)
	return t
}

// Keys implements Found.
func (f *finding) Keys(ctx context.Context, before string, limit int) (keys []string, err error) {
	err = f.engine.sane(func() error {
		keys, err = f.snap.newest(ctx, f.docs, before, limit)
		return err
	})
	return keys, err
}

// Hits implements Found.
func (f *finding) Hits(ctx context.Context, keys []string) (hits []mail.Hit, err error) {
	err = f.engine.sane(func() error {
		hits, err = f.snap.hits(ctx, keys)
		return err
	})
	return hits, err
}

// Close implements Found.
func (f *finding) Close() error {
	return f.engine.sane(f.snap.r.Close)
}

// sane runs f, which reads. A panic means that what is in memory or on disk is
// damaged, and so does an error that is neither the query's nor the context's:
// it poisons the engine.
func (e *engine) sane(f func() error) error {
	err := guard(f)
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch mail.KindOf(err) {
	case mail.Invalid, mail.Temporary:
	default:
		e.fail(err)
	}
	return err
}

// hits reads the stored hits of the keys.
func (s *snapshot) hits(ctx context.Context, keys []string) ([]mail.Hit, error) {
	out := make([]mail.Hit, 0, len(keys))
	for _, k := range keys {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r, err := rankOf(k)
		if err != nil {
			return nil, err
		}
		_, js, err := s.stored(docID(r.seq))
		if err != nil {
			return nil, err
		}
		var h mail.Hit
		if err := json.Unmarshal(js, &h); err != nil {
			return nil, mail.Errorf(mail.Corrupt, "document %d of the index: %w", r.seq, err)
		}
		out = append(out, h)
	}
	return out, nil
}

// stored returns the content hash and the hit of a document.
func (s *snapshot) stored(id string) (sum, hit []byte, err error) {
	d, err := s.r.Document(id)
	if err != nil {
		return nil, nil, err
	}
	var value []byte
	if d != nil {
		d.VisitFields(func(f index.Field) {
			if f.Name() == fieldHit {
				value = f.Value()
			}
		})
	}
	if len(value) < sumSize {
		return nil, nil, mail.Errorf(mail.Corrupt, "document %s of the index is not there as stored", id)
	}
	return value[:sumSize], value[sumSize:], nil
}
