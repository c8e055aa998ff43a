package app

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/indexer"
	"github.com/mailkeep/mailkeep/mail"
)

// defaultLimit is the page size of a request that names none.
const defaultLimit = 20

// searchPartitions asks every partition for a page and merges the pages. A
// partition that cannot answer makes the answer partial, which its coverage
// says; if none can, that is the error.
func searchPartitions(ctx context.Context, parts []*partition, r mail.SearchRequest, maxLimit int, timeout time.Duration) (mail.SearchAnswer, error) {
	if r.Limit == 0 {
		r.Limit = min(defaultLimit, maxLimit)
	}
	if r.Limit < 0 || r.Limit > maxLimit {
		return mail.SearchAnswer{}, mail.WithHint(mail.Errorf(mail.Invalid, "a page of %d hits was asked for; 1 to %d are possible", r.Limit, maxLimit),
			"ask for further pages with the token of the last one, or raise search.max_limit")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	after, err := readPages(r.After, len(parts))
	if err != nil {
		return mail.SearchAnswer{}, err
	}
	m := merge{limit: r.Limit, answers: make([]mail.SearchAnswer, len(parts)), failed: make([]bool, len(parts)), pages: after}
	for i, p := range parts {
		ask := r
		ask.After = m.pages[i]
		if m.ended(i) { // it still counts in the total and the coverage
			ask.After, ask.Limit = "", 1
		}
		m.add(i, p.search(ctx, ask))
	}
	return m.answer(ctx)
}

type partitionAnswer struct {
	mail.SearchAnswer
	err error
}

func (p *partition) search(ctx context.Context, r mail.SearchRequest) partitionAnswer {
	a, err := p.index.Search(ctx, r, p.source.Size(), func(ctx context.Context, id mail.ID) (*mail.Message, error) {
		_, m, err := p.reading.message(ctx, p.source, id)
		return m, err
	})
	return partitionAnswer{a, err}
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

// A merge joins the pages of the partitions, newest first.
type merge struct {
	limit   int
	answers []mail.SearchAnswer
	pages   []string
	errs    []error
	failed  []bool // by partition: it is asked again for the next page
	out     mail.SearchAnswer
	asked   int
	partial bool // an answer did not rest on all of its partition
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
	m.out.Total += a.Total
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

func (m *merge) answer(ctx context.Context) (mail.SearchAnswer, error) {
	if m.asked > 0 && len(m.errs) == m.asked {
		return mail.SearchAnswer{}, m.errs[0]
	}
	if err := context.Cause(ctx); err != nil {
		return mail.SearchAnswer{}, mail.Errorf(mail.Temporary, "the search took too long: %w", err)
	}
	m.out.Hits = []mail.Hit{}
	taken := make([]int, len(m.answers))
	for len(m.out.Hits) < m.limit {
		i := m.newest(taken)
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
			m.pages[i] = indexer.PageAfter(a.Hits[taken[i]-1])
		}
	}
	if len(m.out.Hits) > 0 { // no page follows one that only failures have left empty
		m.out.Next = writePages(m.pages)
	}
	m.out.Coverage.Complete = len(m.errs) == 0 && !m.partial
	return m.out, nil
}

// newest returns the partition whose next hit comes first; -1 if none is left.
func (m *merge) newest(taken []int) int {
	best := -1
	for i, a := range m.answers {
		if taken[i] == len(a.Hits) {
			continue
		}
		if best < 0 || compareHits(a.Hits[taken[i]], m.answers[best].Hits[taken[best]]) < 0 {
			best = i
		}
	}
	return best
}

// compareHits orders hits newest first; equal dates by position, then by
// partition.
func compareHits(a, b mail.Hit) int {
	return cmp.Or(b.Date.Compare(a.Date), cmp.Compare(b.ID.Seq, a.ID.Seq), cmp.Compare(a.ID.Partition, b.ID.Partition))
}
