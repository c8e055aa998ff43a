package sink

import (
	"context"
	"log/slog"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	// maxLinger is how long a batch waits for items that are being prepared. It
	// waits at most half as long as the last append took: longer costs more than
	// the sync that it may save.
	maxLinger = 2 * time.Millisecond

	minPause = 100 * time.Millisecond
	maxPause = 5 * time.Second
)

// A committer is the state of the one goroutine that appends.
type committer struct {
	*Sink
	first   []*item       // what the next batch begins with
	took    time.Duration // the last append
	began   time.Time     // the last append
	broken  int           // appends that failed in a row
	lagging int           // attempts of the catalog to catch up that failed in a row
}

// commit seals what is prepared until there is no more. Appending does not end
// with ctx: what is prepared is verified and in memory, and a sync is short.
func (s *Sink) commit(ctx context.Context) {
	c := &committer{Sink: s}
	for {
		c.pause(ctx)
		if !c.await(ctx) {
			return
		}
		batch := c.collect()
		if err := c.level(ctx); err != nil {
			c.giveBack(batch, again(err))
			continue
		}
		if len(batch) > 0 {
			c.seal(ctx, batch)
		}
	}
}

// pause waits after a failure, longer after each, so that a disk that is full
// is not asked all the time. What is accepted meanwhile stays in the queue.
func (c *committer) pause(ctx context.Context) {
	n := max(c.broken, c.lagging)
	if n == 0 {
		return
	}
	t := time.NewTimer(min(minPause<<min(n-1, 10), maxPause))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// await waits for something to do and reports whether there can be more.
func (c *committer) await(ctx context.Context) bool {
	select {
	case t := <-c.turns: // also while nothing can be sealed
		c.give(ctx, t)
		return true
	default:
	}
	if len(c.first) > 0 || c.follow.behind() && ctx.Err() == nil {
		return true
	}
	select {
	case it, ok := <-c.prepared:
		if ok {
			c.take(it)
		}
		return ok
	case t := <-c.turns:
		c.give(ctx, t)
		return true
	case <-c.follow.wake:
		return true
	}
}

func (c *committer) take(it *item) {
	c.coming.Add(-1)
	c.first = append(c.first, it)
}

// collect returns the next batch: what is there, and what comes within the
// linger as long as something is on its way. A large message is a batch of its
// own, so that its failure and its time are. What does not fit stays first.
func (c *committer) collect() []*item {
	linger := time.NewTimer(c.linger())
	defer linger.Stop()
	var batch []*item
	var octets int64
	for len(batch) < c.o.BatchCount {
		if len(c.first) == 0 && !c.next(linger.C) {
			break
		}
		it := c.first[0]
		if len(batch) > 0 && (it.large() || octets+it.size() > c.o.BatchBytes) {
			break
		}
		batch, c.first = append(batch, it), c.first[1:]
		if octets += it.size(); it.large() {
			break
		}
	}
	return batch
}

// linger is how long the next batch waits for more.
func (c *committer) linger() time.Duration {
	if c.o.Pace > 0 {
		return c.o.Pace - c.o.Now().Sub(c.began)
	}
	return min(maxLinger, c.took/2)
}

// next takes one more item if there is one or comes before the linger ends.
func (c *committer) next(linger <-chan time.Time) bool {
	select {
	case it, ok := <-c.prepared:
		if ok {
			c.take(it)
		}
		return ok
	default:
	}
	if c.coming.Load() == 0 && c.o.Pace == 0 {
		return false
	}
	select {
	case it, ok := <-c.prepared:
		if ok {
			c.take(it)
		}
		return ok
	case <-linger:
		return false
	}
}

// level brings the catalog up to the ledger if it is behind.
func (c *committer) level(ctx context.Context) error {
	if !c.follow.behind() {
		return nil
	}
	err := c.follow.catchUp(ctx)
	c.health.follow(err)
	if err == nil {
		c.lagging = 0
		return nil
	}
	c.lagging++
	if ctx.Err() == nil {
		c.log.ErrorContext(ctx, "catalog cannot follow the ledger",
			slog.Uint64("partition", uint64(c.o.Partition)), slog.Int("attempt", c.lagging), slog.Any("error", err))
	}
	return err
}

func (c *committer) giveBack(batch []*item, err error) {
	for _, it := range batch {
		c.refuse(it, err)
	}
}

// seal decides about a batch, appends what is new, tells the catalog and
// acknowledges.
func (c *committer) seal(ctx context.Context, batch []*item) {
	start := c.o.Now()
	reading, cancel := ctx, context.CancelFunc(func() {})
	if batch[0].large() {
		reading, cancel = context.WithTimeout(ctx, readTimeout(batch[0].size()))
	}
	defer cancel()
	p, err := c.decide(reading, batch)
	if err != nil {
		// Nothing was appended, so it may all come again once the catalog is
		// repaired.
		c.follow.lost(err)
		c.lagging++
		c.giveBack(batch, mail.Errorf(mail.Temporary, "ask the catalog: %w", err))
		return
	}
	c.lagging = 0
	if len(p.entries) > 0 {
		c.append(context.WithoutCancel(ctx), p)
	}
	b := c.acknowledge(ctx, p)
	if b.Took = c.o.Now().Sub(start); c.o.Observe != nil {
		c.o.Observe(b)
	}
}

// append makes the entries of the plan durable and tells the catalog.
func (c *committer) append(ctx context.Context, p *plan) {
	start := c.o.Now()
	c.began = start
	sealed, err := c.o.Log.Append(ctx, p.entries)
	for _, v := range p.verdicts {
		if v.second != nil {
			v.second.close()
		}
	}
	if err == nil && len(sealed) != len(p.entries) {
		err = mail.Errorf(mail.Temporary, "the ledger answered %d of %d entries", len(sealed), len(p.entries))
	}
	c.health.append(err)
	if err != nil {
		// Part of the batch may be durable all the same. The catalog reads what
		// there is before anything is decided again.
		c.follow.uncertain()
		c.broken++
		c.log.ErrorContext(ctx, "batch was not sealed and is given back",
			slog.Uint64("partition", uint64(c.o.Partition)), slog.Int("entries", len(p.entries)),
			slog.Int("attempt", c.broken), slog.Any("error", err))
		p.fail(err)
		return
	}
	c.broken, c.took = 0, c.o.Now().Sub(start)
	// If we die from here on, the batch is sealed, the catalog reads it from the
	// ledger at the next start, and what comes again is a duplicate.
	if err := c.follow.tell(ctx, p.settle(sealed), p.streams()); err != nil {
		c.log.ErrorContext(ctx, "catalog did not take in a sealed batch",
			slog.Uint64("partition", uint64(c.o.Partition)), slog.Any("error", err))
	}
}

// acknowledge gives each item of the plan its answer, in order; what is deferred
// begins the next batch.
func (c *committer) acknowledge(ctx context.Context, p *plan) Batch {
	var b Batch
	var later []*item
	for _, v := range p.verdicts {
		b.count(v)
		switch v.action {
		case deferred:
			later = append(later, v.item)
		case refused:
			c.log.WarnContext(ctx, "item is refused", slog.String("mailbox", v.item.mailbox()), slog.Any("error", v.err))
			c.refuse(v.item, v.err)
		default:
			c.grant(v.item, v.known)
		}
	}
	c.first = append(later, c.first...)
	return b
}

func (b *Batch) count(v verdict) {
	switch {
	case v.action == refused:
		b.Refused++
	case v.action == duplicate || v.action == twin:
		b.Duplicates++
	case v.action == deferred:
	case v.record.Kind == mail.KindEvent:
		b.Events++
	case v.record.Kind == mail.KindReference:
		b.References++
	default:
		b.Messages++
		b.Octets += v.record.Delivery.Size
	}
}
