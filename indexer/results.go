package indexer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// checkResults refuses what cannot be asked for.
func checkResults(req mail.SearchRequest) error {
	for _, f := range req.Facets {
		if !slices.Contains(mail.FacetNames(), f) {
			return mail.WithHint(mail.Errorf(mail.Invalid, "hits cannot be counted by %q", f), "what they are counted by: %s", strings.Join(mail.FacetNames(), ", "))
		}
	}
	switch {
	case !slices.Contains([]string{"", mail.ByDate, mail.ByRelevance}, req.By):
		return mail.Errorf(mail.Invalid, "hits are ordered by %s or %s, not by %q", mail.ByDate, mail.ByRelevance, req.By)
	case !slices.Contains([]string{"", mail.GroupThread, mail.GroupCopy}, req.Group):
		return mail.Errorf(mail.Invalid, "hits are grouped by %s or %s, not by %q", mail.GroupThread, mail.GroupCopy, req.Group)
	case req.Group != "" && req.By == mail.ByRelevance:
		return mail.Errorf(mail.Invalid, "groups are ordered by date, not by relevance")
	case req.FacetValues < 0 || req.FacetValues > mail.MaxFacetValues:
		return mail.Errorf(mail.Invalid, "a facet shows 1 to %d values, not %d", mail.MaxFacetValues, req.FacetValues)
	}
	return nil
}

// goOn sets where the page begins.
func (w *wantedPage) goOn(after string) error {
	switch {
	case after == "":
		return nil
	case w.req.By == mail.ByRelevance:
		var err error
		w.behind, err = readRelevant(after, len(w.words))
		return err
	}
	_, err := rankOf(after)
	w.after = after
	return err
}

// results puts into a what was asked of the hits: the set as a whole, what is
// counted, and the page.
func (x *Index) results(ctx context.Context, a *mail.SearchAnswer, all []asked, w wantedPage) (err error) {
	if w.req.Evidence {
		set, err := x.resultSet(ctx, all)
		if err != nil {
			return err
		}
		a.Sets = []mail.ResultSet{set}
		a.Result = ResultOf(a.Sets, a.Coverage)
	}
	if a.Facets, err = facets(ctx, all, w); err != nil {
		return err
	}
	if err := x.page(ctx, a, all, w); err != nil {
		return err
	}
	if w.req.Partly {
		return x.sayWhy(ctx, a.Hits, all)
	}
	return nil
}

// page fills the page in the order that was asked for.
func (x *Index) page(ctx context.Context, a *mail.SearchAnswer, all []asked, w wantedPage) error {
	if w.req.Count {
		w.limit = 0
	}
	var err error
	switch {
	case w.req.Group != "":
		err = x.fillGroups(ctx, a, all, w)
	case w.limit == 0:
	case w.req.By == mail.ByRelevance:
		err = fillBest(ctx, a, all, w)
	default:
		err = fill(ctx, a, all, w)
		for i := range a.Hits {
			a.Hits[i].After = orderKey(a.Hits[i].Date, a.Hits[i].ID.Seq)
		}
	}
	if a.Hits == nil {
		a.Hits = []mail.Hit{}
	}
	return err
}

// resultSet makes the digest over the positions of all hits.
func (x *Index) resultSet(ctx context.Context, all []asked) (mail.ResultSet, error) {
	out := mail.ResultSet{Partition: x.opts.Partition}
	sum := sha256.New()
	var seqs []uint64
	var buf []byte
	for _, s := range all { // in the order of their ranges
		if s.found == nil || s.found.Tally().Total == 0 {
			continue
		}
		var err error
		if seqs, err = s.found.Positions(ctx, seqs[:0]); err != nil {
			return out, halfWay(err)
		}
		buf = buf[:0]
		for _, seq := range seqs {
			buf = binary.BigEndian.AppendUint64(buf, seq)
		}
		sum.Write(buf)
		out.Total += uint64(len(seqs))
	}
	sum.Sum(out.Digest[:0])
	return out, nil
}

// ResultOf returns the digest that stands for sets, one for each partition that
// answered, and for the coverage that they have: SHA-256 of one line for each set,
// one for each cursor, one for each gap, and one that says whether the coverage is
// complete. docs/search.md has their form.
func ResultOf(sets []mail.ResultSet, c mail.Coverage) mail.Digest {
	var b []byte
	for _, s := range sets {
		b = fmt.Appendf(b, "set %d %d %s\n", s.Partition, s.Total, s.Digest)
	}
	for _, k := range c.Cursors {
		b = fmt.Appendf(b, "searched %d %d\n", k.Partition, k.Position)
	}
	for _, g := range c.Missing {
		b = fmt.Appendf(b, "missing %d %d %d\n", g.Partition, g.From, g.To)
	}
	return mail.DigestOf(fmt.Appendf(b, "complete %t\n", c.Complete))
}

// fingerprint stands for the question. Days are written without their zone, so that
// is part of it.
func fingerprint(req mail.SearchRequest, q *query.Query) mail.Digest {
	by := req.By
	if by == "" {
		by = mail.ByDate
	}
	return mail.DigestOf(fmt.Appendf(nil, "query %s\nzone %s\nby %s\ngroup %s\npartly %t\nformat %d\n",
		q, q.Zone, by, req.Group, req.Partly, formatVersion))
}

// Positions implements Found.
func (f *finding) Positions(ctx context.Context, into []uint64) ([]uint64, error) {
	from := len(into)
	err := f.engine.sane(func() error {
		return f.snap.eachRank(ctx, f.docs, func(_ uint32, r rank) { into = append(into, r.seq) })
	})
	ascending(into[from:])
	return into, err
}
