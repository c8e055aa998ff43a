package query

import (
	"slices"

	"github.com/mailkeep/mailkeep/mail"
)

// MaxRecords is how many positions a Records may list.
const MaxRecords = 100_000

// Resolve returns the query with each Exact of a field in Outside replaced by
// what means gives for it: a tree of other nodes, such as Records, or nil for
// what no message matches. The canonical form and the explanation of q stay
// those to show. Errors are those of means.
func (q *Query) Resolve(means func(Exact) (Node, error)) (*Query, error) {
	if q.Root == nil {
		return q, nil
	}
	root, err := resolve(q.Root, means)
	if err != nil {
		return nil, err
	}
	out := *q
	out.Root = root
	return &out, nil
}

func resolve(n Node, means func(Exact) (Node, error)) (Node, error) {
	switch n := n.(type) {
	case And:
		kids, err := resolveAll(n, means)
		return And(kids), err
	case Or:
		kids, err := resolveAll(n, means)
		return Or(kids), err
	case Not:
		kid, err := resolve(n.Node, means)
		return Not{kid}, err
	case Exact:
		if outside(n.Name) {
			return meaning(n, means)
		}
	}
	return n, nil
}

func resolveAll(kids []Node, means func(Exact) (Node, error)) ([]Node, error) {
	out := make([]Node, len(kids))
	for i, k := range kids {
		var err error
		if out[i], err = resolve(k, means); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func meaning(n Exact, means func(Exact) (Node, error)) (Node, error) {
	if means == nil {
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "%s: cannot be searched for here", n.Name), "leave it out")
	}
	to, err := means(n)
	if err != nil {
		return nil, err
	}
	if to == nil {
		return Records{For: n}, nil
	}
	if r, ok := to.(Records); ok && len(r.Seqs) > MaxRecords {
		return nil, mail.Errorf(mail.Invalid, "%s:%s stands for %d messages, at most %d are possible", n.Name, n.Value, len(r.Seqs), MaxRecords)
	}
	return to, nil
}

func outside(name string) bool { return slices.Contains(Outside, name) }
