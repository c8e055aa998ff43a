package indexer

import (
	"cmp"
	"context"
	"slices"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// Since finds what a query matches at positions from <= position < to: how many, and
// the newest of them, at most limit, without snippets. Only the shards that have such
// positions are asked. to must not be beyond Position. Errors: mail.Invalid for a query
// that cannot be read, mail.Temporary if a shard cannot answer: there is no answer in
// part.
func (x *Index) Since(ctx context.Context, req mail.SearchRequest, from, to uint64, limit int) (total uint64, hits []mail.Hit, err error) {
	q, err := readQuery(req, x.opts.Now())
	if err == nil {
		q, err = q.Resolve(x.outside(ctx))
	}
	if err != nil {
		return 0, nil, err
	}
	view, err := x.view()
	if err != nil {
		return 0, nil, err
	}
	defer view.close()
	shards := slices.DeleteFunc(slices.Clone(view.shards), func(s Shard) bool {
		begin, end := s.Range()
		return begin >= to || end != 0 && end <= from
	})
	for _, s := range shards {
		n, some, err := x.sinceIn(ctx, s, q, from, to, limit)
		if err != nil {
			return 0, nil, err
		}
		total, hits = total+n, append(hits, some...)
	}
	slices.SortFunc(hits, compareNewest)
	return total, hits[:min(len(hits), limit)], nil
}

func compareNewest(a, b mail.Hit) int {
	return cmp.Or(b.Date.Compare(a.Date), cmp.Compare(b.ID.Seq, a.ID.Seq))
}

func (x *Index) sinceIn(ctx context.Context, s Shard, q *query.Query, from, to uint64, limit int) (uint64, []mail.Hit, error) {
	a := x.ask(ctx, []Shard{s}, q)[0]
	if a.err != nil {
		if ctx.Err() != nil || mail.KindOf(a.err) == mail.Invalid {
			return 0, nil, a.err
		}
		x.rouse()
		return 0, nil, halfWay(a.err)
	}
	defer func() { _ = a.found.Close() }() // it was read
	if p := a.found.Tally().Position; p < to {
		if _, end := s.Range(); end == 0 || p < min(to, end) {
			return 0, nil, mail.Errorf(mail.Temporary, "the index has come to %d, not to %d", p, to)
		}
	}
	seqs, err := a.found.Positions(ctx, nil)
	if err != nil {
		return 0, nil, halfWay(err)
	}
	begin, _ := slices.BinarySearch(seqs, from)
	end, _ := slices.BinarySearch(seqs, to)
	if seqs = seqs[begin:end]; len(seqs) == 0 {
		return 0, nil, nil
	}
	return x.newestOf(ctx, a.found, seqs, limit)
}

// newestOf reads the newest of the hits at the positions.
func (x *Index) newestOf(ctx context.Context, found Found, seqs []uint64, limit int) (uint64, []mail.Hit, error) {
	var keys []string
	wanted := make(map[uint64]bool, len(seqs))
	for _, seq := range seqs {
		wanted[seq] = true
	}
	all, err := found.Keys(ctx, "", int(found.Tally().Total))
	if err != nil {
		return 0, nil, halfWay(err)
	}
	for _, k := range all {
		r, err := rankOf(k)
		if err != nil {
			return 0, nil, err
		}
		if wanted[r.seq] && len(keys) < limit {
			keys = append(keys, k)
		}
	}
	hits, err := found.Hits(ctx, keys)
	if err != nil {
		return 0, nil, halfWay(err)
	}
	return uint64(len(seqs)), hits, nil
}
