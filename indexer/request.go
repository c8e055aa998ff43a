package indexer

import (
	"context"
	"time"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// readQuery reads the query of a request, which is asked at the time now.
func readQuery(req mail.SearchRequest, now time.Time) (*query.Query, error) {
	zone, err := readZone(req.Zone)
	if err != nil {
		return nil, err
	}
	return query.Parse(req.Query, query.Options{Now: now, Zone: zone, Strict: req.Strict})
}

// readZone returns the zone that a request names.
func readZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	if t, err := time.Parse("-07:00", name); err == nil {
		_, offset := t.Zone()
		return time.FixedZone(name, offset), nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" { // which depends on the machine
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "there is no time zone %q", name),
			"write it as Europe/Berlin or as +02:00")
	}
	return zone, nil
}

// outside tells what the fields mean that documents do not have: thread: and class:
// are known here, the others Options.Outside knows.
func (x *Index) outside(ctx context.Context) func(query.Exact) (query.Node, error) {
	return func(n query.Exact) (query.Node, error) {
		switch {
		case n.Name == "thread":
			return x.thread(n)
		case n.Name == "class":
			return x.class(n)
		case x.opts.Outside == nil:
			return nil, mail.Errorf(mail.Invalid, "%s: cannot be searched for in this archive", n.Name)
		}
		return x.opts.Outside(ctx, n)
	}
}

// class returns the node itself. Documents of a format before 3 have no class, so it
// is mail.Temporary while an index of one is built anew: a search for class:none, or
// for what is not in a class, would find anything.
func (x *Index) class(n query.Exact) (query.Node, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.serving.format < classFormat {
		return nil, mail.WithHint(mail.Errorf(mail.Temporary, "class: cannot be searched for while the index is built anew: it is of an older version, which knows no classes"),
			"wait until mailkeep status tells that the index is complete, or leave class: out")
	}
	return n, nil
}

// describe says in the answer what was asked.
func describe(a *mail.SearchAnswer, req mail.SearchRequest, q *query.Query) {
	a.Query, a.Understood = req.Query, q.String()
	a.Fingerprint = fingerprint(req, q)
	if req.Explain {
		a.Explanation = q.Explain()
	}
}
