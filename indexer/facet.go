package indexer

import (
	"cmp"
	"context"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"golang.org/x/sync/errgroup"

	"github.com/mailkeep/mailkeep/mail"
)

// defaultFacetValues is how many values of a facet are shown.
const defaultFacetValues = 10

// facetSources are the fields that facets are counted from, and what of a term is
// the value; "" if the term is none. Years and months come from the order column.
var facetSources = map[string]struct {
	field string
	value func(term string) string
}{
	"sender":  {fieldFrom + addrSuffix, wholeAddress},
	"domain":  {fieldFrom + addrSuffix, addressDomain},
	"mailbox": {fieldMailbox, func(term string) string { return term }},
	"class":   {fieldClass, func(term string) string { return term }},
	"type":    {fieldType, fileExtension},
}

// wholeAddress keeps of addressTerms the address itself.
func wholeAddress(term string) string {
	if strings.HasPrefix(term, "@") || strings.HasSuffix(term, "@") {
		return ""
	}
	return term
}

func addressDomain(term string) string {
	addr := wholeAddress(term)
	at := strings.LastIndexByte(addr, '@')
	if at < 0 {
		return ""
	}
	return addr[at+1:]
}

// fileExtension leaves media types out: a file would count twice.
func fileExtension(term string) string {
	if strings.Contains(term, "/") {
		return ""
	}
	return term
}

// facets counts the hits of all shards, several shards at once.
func facets(ctx context.Context, all []asked, w wantedPage) ([]mail.Facet, error) {
	if len(w.req.Facets) == 0 {
		return nil, nil
	}
	counts := make([][]map[string]uint64, len(all)) // by shard and facet
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(runtime.GOMAXPROCS(0))
	for i, s := range all {
		if s.found == nil || s.found.Tally().Total == 0 {
			continue
		}
		work.Go(func() error {
			for _, name := range w.req.Facets {
				into := map[string]uint64{}
				if err := s.found.Count(ctx, name, w.zone, into); err != nil {
					return halfWay(err)
				}
				counts[i] = append(counts[i], into)
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	out := make([]mail.Facet, len(w.req.Facets))
	for n, name := range w.req.Facets {
		sum := map[string]uint64{}
		for _, shard := range counts {
			if shard != nil {
				addCounts(sum, shard[n])
			}
		}
		out[n] = mail.Facet{Name: name, Distinct: uint64(len(sum)), Values: mostFrequent(sum, cmp.Or(w.req.FacetValues, defaultFacetValues))}
	}
	return out, nil
}

func addCounts(sum, more map[string]uint64) {
	for v, n := range more {
		sum[v] += n
	}
}

// mostFrequent returns the values that have the most, at most so many.
func mostFrequent(counts map[string]uint64, most int) []mail.FacetValue {
	out := make([]mail.FacetValue, 0, len(counts))
	for _, v := range slices.Collect(maps.Keys(counts)) {
		out = append(out, mail.FacetValue{Value: v, Count: counts[v]})
	}
	slices.SortFunc(out, func(a, b mail.FacetValue) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
	})
	return slices.Clip(out[:min(len(out), most)])
}

// MergeFacets joins what partitions counted, each with the values asked of it, into
// the most frequent ones. lists has one list for each partition that answered, all
// of the same facets.
func MergeFacets(lists [][]mail.Facet, values int) []mail.Facet {
	if len(lists) == 0 {
		return nil
	}
	out := make([]mail.Facet, len(lists[0]))
	for n := range out {
		out[n].Name = lists[0][n].Name
		sum := map[string]uint64{}
		for _, list := range lists {
			f := list[n]
			for _, v := range f.Values {
				sum[v.Value] += v.Count
			}
			out[n].Distinct = max(out[n].Distinct, f.Distinct)
			if rest := f.Distinct - uint64(len(f.Values)); rest > 0 && len(f.Values) > 0 {
				out[n].Off += f.Values[len(f.Values)-1].Count
			}
		}
		if len(lists) == 1 { // what is not listed was counted too
			out[n].Off = 0
		}
		out[n].Distinct = max(out[n].Distinct, uint64(len(sum)))
		out[n].Values = mostFrequent(sum, cmp.Or(values, defaultFacetValues))
	}
	return out
}

// Count implements Found.
func (f *finding) Count(ctx context.Context, facet string, zone *time.Location, into map[string]uint64) error {
	return f.engine.sane(func() error {
		switch facet {
		case "year":
			return f.snap.countDates(ctx, f.docs, calendar{zone: zone, form: "2006", years: 1}, into)
		case "month":
			return f.snap.countDates(ctx, f.docs, calendar{zone: zone, form: "2006-01", months: 1}, into)
		}
		values := func(ctx context.Context, g segmentView) (*Ordinals, error) { return f.snap.values(ctx, g, facet) }
		return f.snap.count(ctx, f.docs, values, into)
	})
}

// A calendar tells the period that a time is in. It remembers the last one, because
// most documents are near their neighbours in time.
type calendar struct {
	zone          *time.Location
	form          string
	years, months int // its length

	from, to uint64 // seconds as in a rank
	name     string
}

func (c *calendar) of(at uint64) string {
	if at >= c.from && at < c.to {
		return c.name
	}
	t := time.Unix(int64(at)+time.Time{}.Unix(), 0).In(c.zone)
	month := time.January
	if c.months > 0 {
		month = t.Month()
	}
	from := time.Date(t.Year(), month, 1, 0, 0, 0, 0, c.zone)
	c.from, c.to = seconds(from), seconds(from.AddDate(c.years, c.months, 0))
	c.name = t.Format(c.form)
	return c.name
}

func (s *snapshot) countDates(ctx context.Context, docs *roaring.Bitmap, c calendar, into map[string]uint64) error {
	counts := map[string]*uint64{}
	name, at := "", new(uint64)
	err := s.eachRank(ctx, docs, func(_ uint32, r rank) {
		if n := c.of(r.seconds); n != name || counts[n] == nil {
			if name = n; counts[n] == nil {
				counts[n] = new(uint64)
			}
			at = counts[n]
		}
		*at++
	})
	for n, count := range counts {
		into[n] += *count
	}
	return err
}

// values returns the column of a facet's values, each once for a document. It is
// made of the column of the field, and kept in its place.
func (s *snapshot) values(ctx context.Context, g segmentView, facet string) (*Ordinals, error) {
	source := facetSources[facet]
	return s.column(ordinalKey{g.id, "facet " + facet}, func() (*Ordinals, error) {
		of, err := makeOrdinals(ctx, g.segment, source.field)
		if err != nil {
			return nil, err
		}
		return of.mapped(source.value), nil
	})
}

// mapped returns the column of what value makes of the terms; "" is left out.
func (o *Ordinals) mapped(value func(term string) string) *Ordinals {
	const none = ^uint32(0)
	out := &Ordinals{from: make([]uint32, len(o.from))}
	number, known := make([]uint32, len(o.Terms)), map[string]uint32{}
	for i, term := range o.Terms {
		v := value(term)
		n, ok := known[v]
		switch {
		case v == "":
			n = none
		case !ok:
			n = uint32(len(out.Terms))
			known[v], out.Terms = n, append(out.Terms, strings.Clone(v))
		}
		number[i] = n
	}
	for doc := range len(o.from) - 1 {
		begin := len(out.list)
		for _, term := range o.Of(uint32(doc)) {
			if n := number[term]; n != none && !slices.Contains(out.list[begin:], n) {
				out.list = append(out.list, n)
			}
		}
		out.from[doc+1] = uint32(len(out.list))
	}
	return out
}
