package indexer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// The limits of a page of hits.
const (
	DefaultLimit = 20
	MaxLimit     = 200
)

// hangLimit is how long after the end of its context a shard may go on before
// it is taken for dead.
const hangLimit = 20 * time.Second

// Search answers req. Hits are ordered by effective date, newest first, and by
// position where dates are equal, unless the request asks for another order. size is the ledger's size, for the statement
// of coverage; text, unless nil, gives the messages that snippets are cut from,
// and a message that it cannot give goes without.
//
// A shard that cannot answer makes the answer partial: its coverage names the
// positions that are missing. Search returns when ctx ends, at the latest.
// Errors: mail.Invalid for a query or page that cannot be read or asks for too
// much, mail.Temporary if ctx ended first or a shard failed half-way.
func (x *Index) Search(ctx context.Context, req mail.SearchRequest, size uint64, text TextFunc) (mail.SearchAnswer, error) {
	asked, w, err := readRequest(req, x.opts.Now())
	if err != nil {
		return mail.SearchAnswer{}, err
	}
	q, err := asked.Resolve(x.outside(ctx))
	if err != nil {
		return mail.SearchAnswer{}, err
	}
	select {
	case x.searches <- struct{}{}:
	case <-ctx.Done():
		return mail.SearchAnswer{}, outOfTime(ctx.Err())
	}
	view, err := x.view()
	if err != nil {
		<-x.searches
		return mail.SearchAnswer{}, err
	}
	var answer mail.SearchAnswer
	done := make(chan error, 1)
	go func() {
		var err error
		answer, err = x.answer(ctx, view, q, w, size)
		view.close()
		<-x.searches
		done <- err
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err() // the goroutine sees it soon; what it does is not waited for
	}
	if err != nil {
		return mail.SearchAnswer{}, outOfTime(err)
	}
	describe(&answer, req, asked)
	x.addThreads(answer.Hits)
	x.addSnippets(ctx, answer.Hits, asked, text)
	return answer, nil
}

// outOfTime gives the end of a context a kind and a hint.
func outOfTime(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	return mail.WithHint(mail.Errorf(mail.Temporary, "the search did not end in time: %w", err),
		"narrow it, for example with mailbox: or after:")
}

// A wantedPage says which hits are wanted, and what else.
type wantedPage struct {
	req    mail.SearchRequest
	after  string // the order key before it; empty for the first
	limit  int
	zone   *time.Location
	words  []scored  // that count for the relevance
	behind *relevant // of the page before, by relevance; nil for the first
}

func readRequest(req mail.SearchRequest, now time.Time) (*query.Query, wantedPage, error) {
	q, err := readQuery(req, now)
	if err != nil {
		return nil, wantedPage{}, err
	}
	w := wantedPage{req: req, limit: req.Limit, zone: q.Zone}
	if err := checkResults(req); err != nil {
		return nil, wantedPage{}, err
	}
	switch {
	case w.limit < 0 || w.limit > MaxLimit:
		return nil, wantedPage{}, mail.Errorf(mail.Invalid, "a page has 1 to %d hits, not %d", MaxLimit, w.limit)
	case w.limit == 0:
		w.limit = DefaultLimit
	}
	if req.By == mail.ByRelevance {
		w.words = scoredOf(q.Root)
	}
	if err := w.goOn(req.After); err != nil {
		return nil, wantedPage{}, mail.Errorf(mail.Invalid, "%q does not name a page: give the value of next of the page before", req.After)
	}
	q.Partly = req.Partly
	return q, w, nil
}

// addSnippets cuts the snippets of the hits, for as long as ctx lasts.
func (x *Index) addSnippets(ctx context.Context, hits []mail.Hit, q *query.Query, text TextFunc) {
	if text == nil {
		return
	}
	w := wantedOf(q.Root)
	for i := range hits {
		if ctx.Err() != nil {
			return
		}
		m, err := text(ctx, hits[i].ID)
		if err != nil {
			x.opts.Logger.Warn("no snippets for a hit", slog.String("id", hits[i].ID.String()), slog.Any("error", err))
			continue
		}
		hits[i].Snippets = snippets(m, w)
	}
}
