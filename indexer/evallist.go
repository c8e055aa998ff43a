package indexer

import (
	"context"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/mailkeep/mailkeep/indexer/query"
)

// either returns the documents that any of the alternatives matches. Values of
// one field are looked up together: the sets of hundreds of mailboxes are united
// at once, not each with all before it.
func (e *evaluator) either(ctx context.Context, n query.Or, as reading) (*roaring.Bitmap, error) {
	lists, others := lists(n)
	out, err := e.combine(ctx, others, as, (*roaring.Bitmap).Or)
	if err != nil {
		return nil, err
	}
	for _, l := range lists {
		docs, err := e.readLeaf(ctx, l, as)
		switch {
		case err != nil:
			return nil, err
		case out == nil:
			out = docs
		default:
			out.Or(docs)
		}
	}
	return out, nil
}

// lists takes, of alternatives, those apart that are two or more values of one
// keyword field.
func lists(kids query.Or) (lists []query.Or, others []query.Node) {
	count, at := map[string]int{}, map[string]int{}
	for _, k := range kids {
		if x, ok := k.(query.Exact); ok && exactFields[x.Name] != "" {
			count[x.Name]++
		}
	}
	for _, k := range kids {
		x, ok := k.(query.Exact)
		if !ok || count[x.Name] < 2 {
			others = append(others, k)
			continue
		}
		i, begun := at[x.Name]
		if !begun {
			i = len(lists)
			at[x.Name] = i
			lists = append(lists, nil)
		}
		lists[i] = append(lists[i], x)
	}
	return lists, others
}

// values returns the terms of a list of values.
func values(list query.Or) []string {
	out := make([]string, len(list))
	for i, k := range list {
		out[i] = clip(k.(query.Exact).Value, maxKeyword)
	}
	return out
}
