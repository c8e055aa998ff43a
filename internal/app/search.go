package app

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/indexer"
	"github.com/mailkeep/mailkeep/mail"
)

// defaultLimit is the page size of a request that names none.
const defaultLimit = 20

// searchPartitions asks every partition for a page, all at once, and merges the pages. A
// partition that cannot answer makes the answer partial, which its coverage
// says; if none can, that is the error.
func searchPartitions(ctx context.Context, parts []searcher, r mail.SearchRequest, maxLimit int, timeout time.Duration) (mail.SearchAnswer, error) {
	if r.Limit == 0 {
		r.Limit = min(defaultLimit, maxLimit)
	}
	if r.Limit < 0 || r.Limit > maxLimit {
		return mail.SearchAnswer{}, mail.WithHint(mail.Errorf(mail.Invalid, "a page of %d hits was asked for; 1 to %d are possible", r.Limit, maxLimit),
			"ask for further pages with the token of the last one, or raise search.max_limit")
	}
	// The rest is for those who ask, so that they hear what the others have found when
	// one partition does not answer.
	ctx, cancel := context.WithTimeout(ctx, timeout*9/10)
	defer cancel()
	after, err := readPages(r.After, len(parts))
	if err != nil {
		return mail.SearchAnswer{}, err
	}
	m := merge{by: r.By, evidence: r.Evidence, limit: r.Limit, values: r.FacetValues, answers: make([]mail.SearchAnswer, len(parts)), failed: make([]bool, len(parts)), pages: after}
	if len(parts) > 1 {
		r.FacetValues = mail.MaxFacetValues // so that what the merge shows is exact
	}
	asked := make([]partitionAnswer, len(parts))
	var wg sync.WaitGroup
	for i, ask := range parts {
		ri := r
		if ri.After = m.pages[i]; m.ended(i) { // it still counts in the total and the coverage
			ri.After, ri.Count = "", true
		}
		wg.Go(func() { asked[i].SearchAnswer, asked[i].err = ask(ctx, ri) })
	}
	wg.Wait()
	for i, a := range asked {
		m.add(i, a)
	}
	return m.answer()
}

// A searcher answers the searches of one partition, in this process or in the one
// that has its index.
type searcher func(context.Context, mail.SearchRequest) (mail.SearchAnswer, error)

type partitionAnswer struct {
	mail.SearchAnswer
	err error
}

func (p *partition) search(ctx context.Context, r mail.SearchRequest) (mail.SearchAnswer, error) {
	return p.index.Search(ctx, r, p.source.Size(), func(ctx context.Context, id mail.ID) (*mail.Message, error) {
		_, m, err := p.reading.message(ctx, p.source, id)
		return m, err
	})
}

// searchers are those of partitions whose indexes are all here.
func searchers(parts []*partition) []searcher {
	out := make([]searcher, len(parts))
	for i, p := range parts {
		out[i] = p.search
	}
	return out
}

// pagesEnd is the page token of a partition that has no further hits.
const pagesEnd = "end"

// readPages decodes the page tokens of the partitions, which start at "".
func readPages(token string, n int) ([]string, error) {
	pages := make([]string, n)
	if token == "" {
		return pages, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(b, &pages)
	}
	if err != nil || len(pages) != n {
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "the page token is not one of this archive"), "give the token that the page before printed, unchanged")
	}
	return pages, nil
}

func writePages(pages []string) string {
	if !slices.ContainsFunc(pages, func(p string) bool { return p != pagesEnd }) {
		return ""
	}
	b, err := json.Marshal(pages)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// A merge joins the pages of the partitions.
type merge struct {
	by       string // the order of hits
	evidence bool   // the result is asked for
	limit    int
	values   int // of each facet
	facets   [][]mail.Facet
	answers  []mail.SearchAnswer
	pages    []string
	errs     []error
	failed   []bool // by partition: it is asked again for the next page
	out      mail.SearchAnswer
	asked    int
	partial  bool // an answer did not rest on all of its partition
}

func (m *merge) ended(i int) bool { return m.pages[i] == pagesEnd }

func (m *merge) add(i int, a partitionAnswer) {
	m.asked++
	if a.err != nil {
		m.errs = append(m.errs, a.err)
		m.failed[i] = true
		m.out.Coverage.Failed = append(m.out.Coverage.Failed, fmt.Sprintf("partition %d: %v", i, a.err))
		return
	}
	m.answers[i] = a.SearchAnswer
	if m.ended(i) {
		m.answers[i].Hits, m.answers[i].Next = nil, ""
	}
	m.out.Query, m.out.Understood, m.out.Explanation, m.out.Warnings = a.Query, a.Understood, a.Explanation, a.Warnings
	m.out.Fingerprint = a.Fingerprint
	m.out.Total += a.Total
	m.out.Groups += a.Groups
	m.out.Sets = append(m.out.Sets, a.Sets...)
	if len(a.Facets) > 0 {
		m.facets = append(m.facets, a.Facets)
	}
	m.out.Coverage.Cursors = append(m.out.Coverage.Cursors, a.Coverage.Cursors...)
	m.out.Coverage.Missing = append(m.out.Coverage.Missing, a.Coverage.Missing...)
	m.partial = m.partial || !a.Coverage.Complete
	for status, n := range a.Coverage.Partly {
		if m.out.Coverage.Partly == nil {
			m.out.Coverage.Partly = map[mail.TextStatus]uint64{}
		}
		m.out.Coverage.Partly[status] += n
	}
}

func (m *merge) answer() (mail.SearchAnswer, error) {
	if m.asked > 0 && len(m.errs) == m.asked {
		return mail.SearchAnswer{}, m.errs[0]
	}
	m.out.Hits = []mail.Hit{}
	taken := make([]int, len(m.answers))
	for len(m.out.Hits) < m.limit {
		i := m.first(taken)
		if i < 0 {
			break
		}
		m.out.Hits = append(m.out.Hits, m.answers[i].Hits[taken[i]])
		taken[i]++
	}
	for i, a := range m.answers {
		switch {
		case m.failed[i]:
		case taken[i] == len(a.Hits) && a.Next == "":
			m.pages[i] = pagesEnd
		case taken[i] > 0:
			m.pages[i] = a.Hits[taken[i]-1].After
		}
	}
	if len(m.out.Hits) > 0 { // no page follows one that only failures have left empty
		m.out.Next = writePages(m.pages)
	}
	for i := range m.out.Hits {
		m.out.Hits[i].After = ""
	}
	m.out.Coverage.Complete = len(m.errs) == 0 && !m.partial
	m.out.Facets = indexer.MergeFacets(m.facets, m.values)
	if m.evidence {
		m.out.Result = indexer.ResultOf(m.out.Sets, m.out.Coverage)
	}
	return m.out, nil
}

// first returns the partition whose next hit comes first; -1 if none is left.
func (m *merge) first(taken []int) int {
	best := -1
	for i, a := range m.answers {
		if taken[i] == len(a.Hits) {
			continue
		}
		if best < 0 || m.compare(a.Hits[taken[i]], m.answers[best].Hits[taken[best]]) < 0 {
			best = i
		}
	}
	return best
}

// compare orders hits as they were asked for.
func (m *merge) compare(a, b mail.Hit) int {
	if m.by == mail.ByRelevance {
		return cmp.Or(cmp.Compare(b.Score, a.Score), compareHits(a, b))
	}
	return compareHits(a, b)
}

// compareHits orders hits newest first; equal dates by position, then by
// partition.
func compareHits(a, b mail.Hit) int {
	return cmp.Or(b.Date.Compare(a.Date), cmp.Compare(b.ID.Seq, a.ID.Seq), cmp.Compare(a.ID.Partition, b.ID.Partition))
}
