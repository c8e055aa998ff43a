package indexer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"iter"
	"slices"

	"github.com/mailkeep/mailkeep/mail"
)

// Summary identifies the content of the index: Digest is the SHA-256 over, for
// each document by position, the position in 8 octets, big endian, and the first
// 16 octets of the SHA-256 of what was indexed. An index that was rebuilt from
// the same ledger has the same summary.
//
// The files of the shards are compared with their checksums before. Errors:
// mail.Temporary if a shard cannot be read now, because it is being built again
// for example.
func (x *Index) Summary(ctx context.Context) (mail.ViewSummary, error) {
	var v mail.ViewSummary
	sum := sha256.New()
	position, err := x.walk(ctx, true, func(s *snapshot, seq uint64) (bool, error) {
		content, _, err := s.stored(docID(seq))
		if err != nil {
			return false, err
		}
		sum.Write(append(binary.BigEndian.AppendUint64(nil, seq), content...))
		v.Entries++
		return true, nil
	})
	v.Position = position
	sum.Sum(v.Digest[:0])
	return v, err
}

// Documents yields the positions of all documents, ascending. An error ends the
// sequence. The index cannot be closed meanwhile.
func (x *Index) Documents(ctx context.Context) iter.Seq2[uint64, error] {
	return func(yield func(uint64, error) bool) {
		stopped := false
		_, err := x.walk(ctx, false, func(_ *snapshot, seq uint64) (bool, error) {
			stopped = !yield(seq, nil)
			return !stopped, nil
		})
		if err != nil && !stopped {
			yield(0, err)
		}
	}
}

// walk calls f with the position of each document, ascending, for as long as it
// wants more, and returns the cursor. check says to compare checksums before.
func (x *Index) walk(ctx context.Context, check bool, f func(*snapshot, uint64) (bool, error)) (position uint64, err error) {
	v, err := x.view()
	if err != nil {
		return 0, err
	}
	defer v.close()
	more := true
	for _, s := range v.shards {
		p, ok := s.(*part)
		if !ok || !more {
			break
		}
		if check && p.sealed {
			if err := checkSealed(ctx, p.dir, p.describe().Files, 0); err != nil {
				x.doubt(p, err)
				return 0, err
			}
		}
		if position, err = p.walk(ctx, func(s *snapshot, seq uint64) (bool, error) {
			more, err = f(s, seq)
			return more, err
		}); err != nil {
			return 0, err
		}
	}
	return position, nil
}

// walk calls f with the position of each document of the part, ascending, and
// returns the cursor.
func (p *part) walk(ctx context.Context, f func(*snapshot, uint64) (bool, error)) (position uint64, err error) {
	e, err := p.open()
	if err != nil {
		return 0, err
	}
	hidden := map[uint64]bool{}
	for _, seq := range p.hiddenNow() {
		hidden[seq] = true
	}
	s, err := e.snapshot()
	if err != nil {
		return 0, err
	}
	err = e.sane(func() error {
		if position, err = readNumber(s.r, keyPosition); err != nil {
			return err
		}
		return s.documents(ctx, func(seq uint64) (bool, error) {
			if hidden[seq] {
				return true, nil
			}
			return f(s, seq)
		})
	})
	return position, errors.Join(err, e.sane(s.r.Close))
}

// documents calls f with the positions of the documents, ascending, for as long
// as it wants more.
func (s *snapshot) documents(ctx context.Context, f func(uint64) (bool, error)) error {
	docs, err := s.all(ctx)
	if err != nil {
		return err
	}
	seqs, err := s.seqs(ctx, docs)
	if err != nil {
		return err
	}
	slices.Sort(seqs)
	for n, seq := range seqs {
		if err := poll(ctx, n); err != nil {
			return err
		}
		if more, err := f(seq); err != nil || !more {
			return err
		}
	}
	return nil
}
