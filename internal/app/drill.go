package app

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	// drillDelay is how long after the start the first drill is.
	drillDelay = 10 * time.Minute
	// drillEvery is the time from one drill to the next.
	drillEvery = 24 * time.Hour
)

// recall reads up to so many messages of a partition, from a position on, and looks
// for each in the index.
func (p *partition) recall(ctx context.Context, from uint64, most int) (mail.Recalled, error) {
	out := mail.Recalled{Next: from}
	end := p.index.Position()
	for r, err := range p.source.Records(ctx, from) {
		if err != nil {
			return out, err
		}
		if r.ID.Seq >= end {
			break
		}
		if out.Next = r.Next; !r.Searchable() {
			continue
		}
		if err := p.recallOne(ctx, r, &out); err != nil {
			return out, err
		}
		if most--; most <= 0 {
			return out, nil
		}
	}
	out.End = true
	return out, nil
}

// recallOne adds what comes of one message. One that cannot be read is skipped: that
// it cannot is for the verification to find.
func (p *partition) recallOne(ctx context.Context, r mail.Record, out *mail.Recalled) error {
	m, err := p.reading.open(ctx, p.source, r)
	var lost []string
	if err == nil {
		lost, err = p.index.Recall(ctx, r, m)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		out.Skipped++
		return nil
	}
	out.Asked++
	if len(lost) > 0 {
		out.Lost = append(out.Lost, mail.Lost{ID: r.ID, Why: strings.Join(lost, "; ")})
	}
	return nil
}

func (a *App) recall(ctx context.Context, o mail.RecallOrder) (mail.Recalled, error) {
	p, err := a.partition(o.Partition)
	if err != nil {
		return mail.Recalled{}, err
	}
	if o.Most < 1 {
		return mail.Recalled{}, mail.Errorf(mail.Invalid, "%d messages cannot be looked for", o.Most)
	}
	return p.recall(ctx, o.From, o.Most)
}

// startDrills has some messages of each partition looked for in the index once a
// day, unless that is switched off.
func (a *App) startDrills(ctx context.Context) {
	if !a.has(RoleIndex) || a.cfg.Verify.Drill == 0 {
		return
	}
	for _, p := range a.partitions {
		a.life.work(ctx, "drill", func(ctx context.Context) error {
			wait := time.NewTimer(drillDelay)
			defer wait.Stop()
			for {
				select {
				case <-wait.C:
				case <-ctx.Done():
					return ctx.Err()
				}
				a.drill(ctx, p, a.cfg.Verify.Drill)
				wait.Reset(drillEvery)
			}
		})
	}
}

// drill looks for n messages of a partition, chosen by chance, and tells what came of
// it: in the metrics, the log and the ledger.
func (a *App) drill(ctx context.Context, p *partition, n int) {
	d, box, err := p.drill(ctx, n)
	if ctx.Err() != nil || d.Asked+d.Skipped == 0 && err == nil {
		return
	}
	log := a.log.With(slog.Int("partition", int(p.number)), slog.Uint64("asked", d.Asked), slog.Uint64("skipped", d.Skipped), slog.Uint64("lost", d.Lost))
	a.metrics.Drill(p.number, d)
	if err == nil {
		err = a.recordDrill(ctx, p, box, d)
	}
	switch {
	case err != nil:
		log.WarnContext(ctx, "the drill of the search did not end in order", slog.Any("error", err))
	case d.Lost > 0:
		log.ErrorContext(ctx, "the search does not find archived messages", slog.String("first", d.First[0].ID.String()), slog.String("why", d.First[0].Why),
			slog.String("hint", "run mailkeep verify --index, then mailkeep reindex"))
	default:
		log.InfoContext(ctx, "drill of the search")
	}
}

// drill draws n positions and looks for the message at or behind each, once. It also
// returns the mailbox of one of them.
func (p *partition) drill(ctx context.Context, n int) (d mail.Drill, box string, err error) {
	d.Started = time.Now().UTC()
	end, drawn := p.index.Position(), map[mail.ID]bool{}
	var all mail.Recalled
	for range n {
		if end == 0 || err != nil {
			break
		}
		var r mail.Record
		if r, err = p.messageFrom(ctx, rand.Uint64N(end), end); err != nil || r.Kind == 0 || drawn[r.ID] {
			continue
		}
		drawn[r.ID], box = true, r.Delivery.Mailbox
		err = p.recallOne(ctx, r, &all)
	}
	d.Asked, d.Skipped, d.Lost = all.Asked, all.Skipped, uint64(len(all.Lost))
	d.First = all.Lost[:min(len(all.Lost), mail.MaxLost)]
	d.Ended = time.Now().UTC()
	return d, box, err
}

// messageFrom returns the first message from a position on and before end; of kind 0 if
// there is none.
func (p *partition) messageFrom(ctx context.Context, from, end uint64) (mail.Record, error) {
	for r, err := range p.source.Records(ctx, from) {
		if err != nil {
			return mail.Record{}, err
		}
		if r.ID.Seq >= end {
			break
		}
		if r.Searchable() {
			return r, nil
		}
	}
	return mail.Record{}, nil
}

// recordDrill has the result sealed in the ledger: by this process, or by the one that
// owns it, which gets it as it gets the reports of the mailbox.
func (a *App) recordDrill(ctx context.Context, p *partition, box string, d mail.Drill) error {
	e := mail.Event{Type: mail.EventDrill, Drill: &d}
	switch {
	case p.sink != nil:
		return appendEvent(ctx, p, e)
	case box != "":
		return a.bus.Report(ctx, e, box)
	}
	return nil
}

// recallBatch is how many messages are looked for at a time.
const recallBatch = 50

// recallAll looks for all messages of a partition.
func (v *verifier) recallAll(ctx context.Context, number uint16) error {
	ask, err := v.recaller(number)
	if err != nil {
		return err
	}
	tell := func(done uint64, finished bool) {
		if v.client.console.Progress != nil {
			v.client.console.Progress(Progress{Phase: PhaseRecall, Subject: fmt.Sprintf("partition %d", number), Done: int64(done),
				Total: int64(v.client.sources[number].Size()), Finished: finished})
		}
	}
	for from := uint64(0); ; {
		r, err := ask(ctx, mail.RecallOrder{Partition: number, From: from, Most: recallBatch})
		if err != nil {
			return err
		}
		for _, l := range r.Lost {
			v.found(Finding{Partition: number, ID: &l.ID, Where: "index", Problem: l.Why, Hint: viewHint})
		}
		v.skipped += r.Skipped
		if r.End {
			tell(r.Next, true)
			break
		}
		from = r.Next
		tell(from, false)
	}
	if v.skipped > 0 {
		v.report.Notes = append(v.report.Notes, Finding{Partition: number, Where: "index",
			Problem: fmt.Sprintf("%d messages could not be looked for: they cannot be read, or their part of the index is being built", v.skipped)})
		v.skipped = 0
	}
	return nil
}

// recaller asks the process that has the index, or the index itself.
func (v *verifier) recaller(number uint16) (func(context.Context, mail.RecallOrder) (mail.Recalled, error), error) {
	if door := v.client.indexDoor; door != nil {
		return door.Recall, nil
	}
	parts, err := v.client.offline()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, o mail.RecallOrder) (mail.Recalled, error) {
		return parts[number].recall(ctx, o.From, o.Most)
	}, nil
}
