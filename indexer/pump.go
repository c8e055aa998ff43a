package indexer

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	batchDocs  = 2000
	jobsQueued = 256
	// flightBatches is how many batches' worth of octets may be between the
	// ledger and the commit: one being committed, and one being collected or in
	// the hands of the workers. A message counts as one batch at most: parsers
	// hold a window of a large one only, and its text is capped. What is collected
	// holds less than one batch, so there is always room to come for a message.
	flightBatches = 2
)

// A pump moves records from a ledger into a shard, and into the next when that
// is full:
//
//	feed --jobs--> workers (parse, analyse)
//	  \--jobs, in order--> collect --batches--> commit
//
// feed walks the ledger; the workers take any job, and collect waits for them
// in the order of the ledger, so that the cursor of a batch never passes a
// document that is not in it or in one before. A batch ends when it is full, or
// when the ledger has no more for now. One batch is committed while the
// next is collected. Octets in flight are bounded by a semaphore.
type pump struct {
	opts      *Options
	writer    *writer
	src       Source
	parse     ParseFunc
	date      DateFunc
	progress  func(mail.Cursor)
	committed func(position uint64)
	hurry     <-chan struct{} // a token ends the wait for a still ledger

	from    uint64 // set by run, to the writer's cursor, unless the writer has none
	endless bool
	target  uint64 // where to end, unless endless

	room  *semaphore.Weighted
	jobs  chan *job // to the workers
	order chan *job // to collect; nil says that this is all for now
	fed   error     // how feed ended; set before order is closed
}

// A job is one record on its way.
type job struct {
	record mail.Record
	held   int64         // of the pump's budget
	done   chan struct{} // closed when doc and err are set
	doc    *document     // nil for a record that is not a document
	err    error
}

// run returns when all records before target are committed, or with the first
// failure, or, with ctx's error, when ctx ends. All its goroutines have ended
// then.
func (p *pump) run(ctx context.Context) error {
	if !p.writer.keep {
		p.from = p.writer.engine.position
	}
	p.room = semaphore.NewWeighted(int64(flightBatches * p.opts.BatchBytes))
	p.jobs = make(chan *job, jobsQueued)
	p.order = make(chan *job, jobsQueued)

	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(p.order)
		defer close(p.jobs)
		p.fed = p.feed(ctx)
	})
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var made analysis // its memory is good for all documents of a worker
			for j := range p.jobs {
				p.work(ctx, j, &made)
			}
		})
	}
	err := p.collect(ctx)
	cancel()
	wg.Wait()
	return err
}

// feed sends the records from the engine's position on.
func (p *pump) feed(ctx context.Context) error {
	at := p.from
	if size := p.src.Size(); at > size {
		return mail.WithHint(mail.Errorf(mail.Corrupt, "the index is at %d, beyond the ledger's size %d", at, size),
			"if the ledger was restored from an older copy, rebuild the index with: mailkeep reindex")
	}
	for p.endless || at < p.target {
		next, err := p.feedFrom(ctx, at)
		switch {
		case err != nil:
			return err
		case next > at:
			at = next
			continue
		case p.writer.keep: // a record that was asked for is none
			return nil
		case !p.endless:
			return mail.Errorf(mail.Corrupt, "the ledger shows no record at %d, before its size %d", at, p.target)
		}
		select {
		case p.order <- nil:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := p.src.Wait(ctx, at); err != nil {
			return err
		}
		p.settle(ctx)
	}
	return nil
}

// settle waits until the ledger is still, patience ends, or somebody waits.
func (p *pump) settle(ctx context.Context) {
	patience := time.NewTimer(p.opts.Patience)
	defer patience.Stop()
	still := time.NewTicker(p.opts.Linger)
	defer still.Stop()
	for size := p.src.Size(); ; {
		select {
		case <-still.C:
			now := p.src.Size()
			if now == size {
				return
			}
			size = now
		case <-patience.C:
			return
		case <-p.hurry:
			return
		case <-ctx.Done():
			return
		}
	}
}

// feedFrom sends the records that are there now and returns the position
// behind the last.
func (p *pump) feedFrom(ctx context.Context, at uint64) (uint64, error) {
	for r, err := range p.src.Records(ctx, at) {
		if err == nil {
			err = p.send(ctx, r)
		}
		if err != nil {
			return at, err
		}
		at = r.Next
		if !p.endless && at >= p.target {
			break
		}
	}
	return at, nil
}

func (p *pump) send(ctx context.Context, r mail.Record) error {
	j := &job{record: r, done: make(chan struct{})}
	if r.Searchable() {
		j.held = min(max(r.Delivery.Size, 1), int64(p.opts.BatchBytes))
		if err := p.room.Acquire(ctx, j.held); err != nil {
			return err
		}
	}
	select {
	case p.order <- j:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !r.Searchable() {
		close(j.done)
		return nil
	}
	select {
	case p.jobs <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// work makes the document of j. Octets that turned out to be no text are given
// back at once; the rest when the document is committed.
func (p *pump) work(ctx context.Context, j *job, made *analysis) {
	defer close(j.done)
	if j.err = ctx.Err(); j.err != nil {
		return
	}
	j.doc, j.err = p.document(ctx, j.record, made)
	if j.doc == nil {
		return
	}
	if spare := j.held - int64(j.doc.octets); spare > 0 {
		j.held -= spare
		p.room.Release(spare)
	}
}

// collect puts finished jobs into batches and commits them.
func (p *pump) collect(ctx context.Context) error {
	c := committer{pump: p}
	for {
		select {
		case j, ok := <-p.order:
			switch {
			case !ok:
				return p.finish(ctx, &c)
			case j == nil:
				if err := c.flush(); err != nil {
					return err
				}
				continue
			}
			if err := c.add(ctx, j); err != nil {
				return errors.Join(err, c.wait())
			}
		case err := <-c.committing: // the ledger may be still for long after a failure
			if c.committing = nil; err != nil {
				return err
			}
		case <-p.writer.engine.broken:
			return errors.Join(p.writer.engine.cause, c.wait())
		}
	}
}

// finish commits the rest, unless ctx ended, and returns how feed ended.
func (p *pump) finish(ctx context.Context, c *committer) error {
	if ctx.Err() != nil {
		return errors.Join(p.fed, c.wait())
	}
	return errors.Join(c.flush(), c.wait(), p.fed)
}

// A committer gathers a batch while the one before it is committed.
type committer struct {
	pump *pump

	docs     []*document
	octets   int
	held     int64
	position uint64 // behind the last record taken; 0 if there is none

	committing chan error // nil if nothing is
}

func (c *committer) empty() bool { return c.position == 0 }

func (c *committer) add(ctx context.Context, j *job) error {
	select {
	case <-j.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if j.err != nil {
		return j.err
	}
	if err := c.prepare(ctx, j.record); err != nil {
		return err
	}
	c.position = j.record.Next
	if j.doc != nil {
		c.docs = append(c.docs, j.doc)
		c.pump.writer.docs++
		c.octets += j.doc.octets
		c.held += j.held
	}
	if c.octets >= c.pump.opts.BatchBytes || len(c.docs) >= batchDocs {
		return c.flush()
	}
	return nil
}

// prepare does what must be done before r is taken, with nothing uncommitted:
// begin another shard, or take documents out that r says were destroyed. The
// cursor passes r after that, so whatever the moment we die at, it is done.
func (c *committer) prepare(ctx context.Context, r mail.Record) error {
	w := c.pump.writer
	if w.full(r) {
		if err := errors.Join(c.flush(), c.wait()); err != nil {
			return err
		}
		if err := w.roll(); err != nil {
			return err
		}
	}
	w.begin(r)
	if e := erasure(r); e != nil && w.grows != nil {
		if err := errors.Join(c.flush(), c.wait()); err != nil {
			return err
		}
		return c.pump.erase(ctx, e)
	}
	return nil
}

// flush waits for the commit in progress and starts the next.
func (c *committer) flush() error {
	if err := c.wait(); err != nil || c.empty() {
		return err
	}
	docs, position, held, p := c.docs, c.position, c.held, c.pump
	c.docs, c.octets, c.held, c.position = nil, 0, 0, 0
	c.committing = make(chan error, 1)
	go func(done chan<- error) {
		err := p.writer.commit(docs, position)
		p.room.Release(held)
		if err == nil {
			p.report(position)
		}
		done <- err
	}(c.committing)
	return nil
}

// wait returns the outcome of the commit in progress.
func (c *committer) wait() error {
	if c.committing == nil {
		return nil
	}
	err := <-c.committing
	c.committing = nil
	return err
}

func (p *pump) report(position uint64) {
	p.committed(position)
	if p.progress != nil {
		p.progress(mail.Cursor{Partition: p.opts.Partition, Position: position, Size: p.src.Size()})
	}
}
