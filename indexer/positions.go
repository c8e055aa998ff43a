package indexer

import (
	"context"
	"slices"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// Positions returns the positions of all documents that q matches, ascending.
// Other than a search it gives no part of them: a shard that cannot answer is an
// error of kind mail.Temporary. It takes 26 octets for each while it runs.
func (x *Index) Positions(ctx context.Context, q *query.Query) ([]uint64, error) {
	q, err := q.Resolve(x.outside(ctx))
	if err != nil {
		return nil, err
	}
	view, err := x.view()
	if err != nil {
		return nil, err
	}
	defer view.close()
	var out []uint64
	for _, s := range view.shards {
		if out, err = x.positionsIn(ctx, s, q, out); err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return out, nil
}

// positionsIn appends the positions that q matches in one shard.
func (x *Index) positionsIn(ctx context.Context, s Shard, q *query.Query, out []uint64) ([]uint64, error) {
	asked := x.ask(ctx, []Shard{s}, q)[0]
	if asked.err != nil {
		if ctx.Err() != nil || mail.KindOf(asked.err) == mail.Invalid {
			return nil, asked.err
		}
		x.rouse()
		return nil, halfWay(asked.err)
	}
	keys, err := asked.found.Keys(ctx, "", int(asked.found.Tally().Total))
	_ = asked.found.Close() // it was read
	if err != nil {
		return nil, halfWay(err)
	}
	for _, k := range keys {
		r, err := rankOf(k)
		if err != nil {
			return nil, err
		}
		out = append(out, r.seq)
	}
	return out, nil
}
