package indexer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// A view is the shards of the serving generation at one time. It must be closed.
type view struct {
	shards []Shard
	old    bool // they are of a format before the present one
	close  func()
}

// view takes the present shards into use.
func (x *Index) view() (*view, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return nil, mail.Errorf(mail.Other, "the index is closed")
	}
	parts := x.serving.parts
	v := &view{old: x.serving.format != formatVersion}
	for _, p := range parts {
		p.pin()
		v.shards = append(v.shards, p)
	}
	x.running.Add(1)
	v.close = func() {
		defer x.running.Done()
		for _, p := range parts {
			p.unpin()
		}
		x.trim(parts)
	}
	return v, nil
}

// trim closes the shards that were used least recently, if too many are open.
func (x *Index) trim(parts []*part) {
	if len(parts) <= x.opts.OpenShards {
		return
	}
	open := slices.DeleteFunc(slices.Clone(parts), func(p *part) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return !p.sealed || p.engine == nil
	})
	slices.SortFunc(open, func(a, b *part) int { return cmp.Compare(b.lastUse(), a.lastUse()) })
	for _, p := range open[min(len(open), x.opts.OpenShards):] {
		_ = p.rest() // a read-only engine has nothing to lose
	}
}

func (p *part) lastUse() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// An asked shard is one and what it answered.
type asked struct {
	Shard
	found Found // nil if it did not answer
	err   error
}

// answer makes everything of an answer but the snippets.
func (x *Index) answer(ctx context.Context, v *view, q *query.Query, w wantedPage, size uint64) (mail.SearchAnswer, error) {
	all := x.ask(ctx, v.shards, q)
	defer func() {
		for _, a := range all {
			if a.found != nil {
				_ = a.found.Close() // it was read
			}
		}
	}()
	a := mail.SearchAnswer{Warnings: slices.Clone(q.Warnings)}
	if err := x.count(ctx, &a, all, size); err != nil {
		return mail.SearchAnswer{}, err
	}
	if n := len(q.Warnings); q.Strict && len(a.Warnings) > n {
		return mail.SearchAnswer{}, query.Refusal(a.Warnings[n])
	}
	if v.old {
		a.Coverage.Complete = false
		a.Warnings = append(a.Warnings, mail.Warning{Text: "the index is of an older version and is being built anew; until then this search may miss what that version did not know"})
	}
	return a, x.results(ctx, &a, all, w)
}

// ask lets all shards evaluate q, several at once. It returns when all have
// answered or ctx has ended.
func (x *Index) ask(ctx context.Context, shards []Shard, q *query.Query) []asked {
	out := make([]asked, len(shards))
	var wg sync.WaitGroup
	for i, s := range shards {
		out[i].Shard = s
		select {
		case x.evaluations <- struct{}{}:
		case <-ctx.Done():
			out[i].err = ctx.Err()
			continue
		}
		wg.Go(func() { out[i].found, out[i].err = x.askOne(ctx, s, q) })
	}
	wg.Wait()
	return out
}

// askOne lets a shard evaluate q and gives the token for it back. When ctx ends
// it does not wait; a shard that then goes on for hangLimit is taken for dead.
func (x *Index) askOne(ctx context.Context, s Shard, q *query.Query) (Found, error) {
	type outcome struct {
		found Found
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		o.err = mail.Errorf(mail.Corrupt, "it panicked")
		if err := guard(func() error { o.found, o.err = s.Find(ctx, q); return nil }); err != nil {
			s.Fail(err)
			o.err = err
		}
		done <- o
	}()
	select {
	case o := <-done:
		<-x.evaluations
		if o.found == nil {
			return nil, o.err
		}
		return &watched{found: o.found, shard: s, rouse: x.rouse}, o.err
	case <-ctx.Done():
	}
	go func() {
		defer func() { <-x.evaluations }()
		limit := time.NewTimer(hangLimit)
		defer limit.Stop()
		select {
		case o := <-done:
			if o.found != nil {
				_ = o.found.Close()
			}
		case <-limit.C:
			s.Fail(mail.Errorf(mail.Other, "a search did not end within %v after its time", hangLimit))
			x.rouse()
		}
	}()
	return nil, ctx.Err()
}

// count adds up what the shards say, and states what was searched.
func (x *Index) count(ctx context.Context, a *mail.SearchAnswer, all []asked, size uint64) error {
	cursor := mail.Cursor{Partition: x.opts.Partition}
	for _, s := range all {
		from, to := s.Range()
		switch {
		case s.err == nil:
			addTally(a, s.found.Tally())
			cursor.Position = max(cursor.Position, s.found.Tally().Position)
		case mail.KindOf(s.err) == mail.Invalid:
			return s.err
		case ctx.Err() != nil:
			return ctx.Err()
		case to == 0: // the cursor tells
			cursor.Position = max(cursor.Position, from)
			x.rouse()
		default:
			a.Coverage.Missing = append(a.Coverage.Missing, mail.Gap{Partition: x.opts.Partition, From: from, To: to, Why: s.err.Error()})
			cursor.Position = max(cursor.Position, to)
			x.rouse()
		}
	}
	cursor.Size = max(size, cursor.Position)
	a.Coverage.Cursors = []mail.Cursor{cursor}
	a.Coverage.Complete = cursor.Position >= size && len(a.Coverage.Missing) == 0
	return nil
}

// addTally adds what one shard counted. What several warn of is said once.
func addTally(a *mail.SearchAnswer, t Tally) {
	a.Total += t.Total
	for status, n := range t.Partly {
		if a.Coverage.Partly == nil {
			a.Coverage.Partly = map[mail.TextStatus]uint64{}
		}
		a.Coverage.Partly[status] += n
	}
	for _, w := range t.Warnings {
		if !slices.Contains(a.Warnings, w) {
			a.Warnings = append(a.Warnings, w)
		}
	}
}

// fill puts the hits of the page into a. It asks the shards that can have the
// newest first, and stops when none that is left can have a newer one.
func fill(ctx context.Context, a *mail.SearchAnswer, all []asked, w wantedPage) error {
	order := slices.DeleteFunc(slices.Clone(all), func(s asked) bool { return s.found == nil || s.found.Tally().Total == 0 })
	slices.SortStableFunc(order, func(a, b asked) int { return strings.Compare(b.Newest(), a.Newest()) })
	var top []hitKey
	for i, s := range order {
		if len(top) > w.limit && top[w.limit].key > s.Newest() {
			break
		}
		keys, err := s.found.Keys(ctx, w.after, w.limit+1)
		if err != nil {
			return halfWay(err)
		}
		for _, k := range keys {
			top = append(top, hitKey{k, i})
		}
		slices.SortFunc(top, func(a, b hitKey) int { return strings.Compare(b.key, a.key) })
		top = top[:min(len(top), w.limit+1)]
	}
	if len(top) > w.limit {
		top = top[:w.limit]
		a.Next = top[w.limit-1].key
	}
	var err error
	a.Hits, err = read(ctx, order, top)
	return err
}

// A hitKey is the order key of a hit and the number of its shard.
type hitKey struct {
	key   string
	shard int
}

// read reads the hits of the keys.
func read(ctx context.Context, shards []asked, keys []hitKey) ([]mail.Hit, error) {
	out := make([]mail.Hit, len(keys))
	for i, s := range shards {
		var mine []string
		var at []int
		for n, k := range keys {
			if k.shard == i {
				mine, at = append(mine, k.key), append(at, n)
			}
		}
		if len(mine) == 0 {
			continue
		}
		hits, err := s.found.Hits(ctx, mine)
		if err != nil {
			return nil, halfWay(err)
		}
		for n, h := range hits {
			out[at[n]] = h
		}
	}
	return out, nil
}

// halfWay is the error of a search whose shard failed after it had counted: the
// same search would be partial now.
func halfWay(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return mail.WithHint(mail.Errorf(mail.Temporary, "a shard of the index failed: %w", err), "search again: the answer will say what is missing")
}
