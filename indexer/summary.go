package indexer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"iter"
	"strconv"

	index "github.com/blevesearch/bleve_index_api"

	"github.com/mailkeep/mailkeep/mail"
)

// Summary identifies the content of the index: Digest is the SHA-256 over, for
// each document by position, the position in 8 octets, big endian, and the first
// 16 octets of the SHA-256 of what was indexed. An index that was rebuilt from
// the same ledger has the same summary.
func (x *Index) Summary(ctx context.Context) (mail.ViewSummary, error) {
	var v mail.ViewSummary
	err := x.withReader(func(r index.IndexReader) (err error) {
		if v.Position, err = readNumber(r, keyPosition); err != nil {
			return err
		}
		s := &snapshot{r: r}
		sum := sha256.New()
		for seq, err := range s.documents(ctx) {
			if err != nil {
				return err
			}
			content, _, err := s.stored(docID(seq))
			if err != nil {
				return err
			}
			sum.Write(append(binary.BigEndian.AppendUint64(nil, seq), content...))
			v.Entries++
		}
		sum.Sum(v.Digest[:0])
		return nil
	})
	return v, err
}

// Documents yields the positions of all documents, ascending. An error ends the
// sequence. The index cannot be closed meanwhile.
func (x *Index) Documents(ctx context.Context) iter.Seq2[uint64, error] {
	return func(yield func(uint64, error) bool) {
		stopped := false
		err := x.withReader(func(r index.IndexReader) error {
			s := &snapshot{r: r}
			for seq, err := range s.documents(ctx) {
				if err != nil {
					return err
				}
				if stopped = !yield(seq, nil); stopped {
					return nil
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(0, err)
		}
	}
}

// withReader calls f with a reader of the present state.
func (x *Index) withReader(f func(index.IndexReader) error) error {
	e, r, err := x.reader()
	if err != nil {
		return err
	}
	defer x.running.Done()
	return e.read(r, func() error { return f(r) })
}

// documents walks the dictionary of document ids, which is in their order.
func (s *snapshot) documents(ctx context.Context) iter.Seq2[uint64, error] {
	return func(yield func(uint64, error) bool) {
		stopped := false
		err := s.walk(ctx, func(seq uint64, err error) bool {
			stopped = !yield(seq, err)
			return !stopped
		})
		if err != nil && !stopped {
			yield(0, err)
		}
	}
}

func (s *snapshot) walk(ctx context.Context, yield func(uint64, error) bool) (err error) {
	ids, err := s.r.FieldDict("_id")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ids.Close()) }()
	for n := 0; ; n++ {
		if err := poll(ctx, n); err != nil {
			return err
		}
		e, err := ids.Next()
		if err != nil || e == nil {
			return err
		}
		seq, err := strconv.ParseUint(e.Term, 16, 64)
		if err != nil {
			return mail.Errorf(mail.Corrupt, "document id %q of the index: %w", e.Term, err)
		}
		if !yield(seq, nil) {
			return nil
		}
	}
}
