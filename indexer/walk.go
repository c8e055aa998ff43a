package indexer

import (
	"context"

	"github.com/RoaringBitmap/roaring/v2"
)

// inSegments calls f with each segment that has some of the documents, and an
// iterator that stands before the first of them there.
func (s *snapshot) inSegments(ctx context.Context, docs *roaring.Bitmap, f func(g segmentView, it roaring.IntPeekable) error) error {
	for _, g := range s.segments {
		if err := ctx.Err(); err != nil {
			return err
		}
		it := docs.Iterator()
		if it.AdvanceIfNeeded(g.offset); !it.HasNext() || it.PeekNext() >= g.end() {
			continue
		}
		if err := f(g, it); err != nil {
			return err
		}
	}
	return nil
}

// eachRank calls f with each of the documents, by its number in the snapshot, and
// its rank.
func (s *snapshot) eachRank(ctx context.Context, docs *roaring.Bitmap, f func(doc uint32, r rank)) error {
	return s.inSegments(ctx, docs, func(g segmentView, it roaring.IntPeekable) error {
		column, err := s.orderOf(ctx, g)
		if err != nil {
			return err
		}
		for n := 0; it.HasNext() && it.PeekNext() < g.end(); n++ {
			if err := poll(ctx, n); err != nil {
				return err
			}
			doc := it.Next()
			f(doc, column.rank(doc-g.offset))
		}
		return nil
	})
}
