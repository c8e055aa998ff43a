package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller"
)

// DrainOnce polls the named mailboxes, or all, until each is empty or has
// failed, and returns when what was fetched is sealed and, where this process
// owns the index, searchable. With an external NATS it takes the role poller
// alone: the other roles run elsewhere.
func DrainOnce(ctx context.Context, c *configs.Config, names []string, console Console) (DrainResult, error) {
	if err := checkNames(c, names); err != nil {
		return DrainResult{}, err
	}
	roles := Roles()
	if c.NATS.URL != "" {
		roles = []Role{RolePoller}
	}
	a, err := New(ctx, c, roles, console)
	if err != nil {
		return DrainResult{}, err
	}
	result, err := a.drainOnce(ctx, names)
	return result, errors.Join(err, a.Stop(ctx))
}

func checkNames(c *configs.Config, names []string) error {
	var unknown []string
	for _, n := range names {
		if !slices.ContainsFunc(c.Mailboxes, func(m configs.Mailbox) bool { return m.Name == n }) {
			unknown = append(unknown, fmt.Sprintf("%q", n))
		}
	}
	if len(unknown) > 0 {
		return mail.WithHint(mail.Errorf(mail.NotFound, "no mailbox is configured by the name %s", strings.Join(unknown, ", ")),
			"the configuration has %s", someNames(c.Mailboxes))
	}
	return nil
}

// someNames lists the mailboxes as far as fits a line or two.
func someNames(all []configs.Mailbox) string {
	const most = 10
	var names []string
	for _, m := range all[:min(len(all), most)] {
		names = append(names, m.Name)
	}
	text := strings.Join(names, ", ")
	if more := len(all) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func (a *App) drainOnce(ctx context.Context, names []string) (DrainResult, error) {
	results, err := a.pollOnce(ctx, names)
	out := DrainResult{Mailboxes: make([]DrainedMailbox, len(results))}
	for i, r := range results {
		out.Mailboxes[i] = drained(r)
	}
	if err != nil {
		return out, err
	}
	if err := a.drainQueue(ctx); err != nil {
		return out, err
	}
	return out, a.catchUp(ctx)
}

// drainWait bounds how long drainQueue waits: a ledger that cannot be written
// leaves in the queue what the next process takes from it.
const drainWait = 10 * time.Second

// drainQueue waits until the owner of the ledger has taken everything from the
// queue, the events of the sessions included: nobody waits for their receipts,
// but an index that ends before them has not covered the whole ledger.
func (a *App) drainQueue(ctx context.Context) error {
	if !a.has(RoleArchive) {
		return nil
	}
	limit := time.NewTimer(drainWait)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		d, err := a.bus.Depth(ctx)
		if err != nil || d.Messages == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-limit.C:
			a.log.WarnContext(ctx, "the queue is not empty yet", slog.Uint64("messages", d.Messages))
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.life.fatal:
			return a.life.fatalErr
		}
	}
}

// pollOnce ends early if a part of this process fails for good: nothing would
// be sealed any more.
func (a *App) pollOnce(ctx context.Context, names []string) ([]poller.Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	watch.Go(func() {
		select {
		case <-a.life.fatal:
			cancel(a.life.fatalErr)
		case <-ctx.Done():
		}
	})
	results, err := a.poller.Once(ctx, names...)
	select {
	case <-a.life.fatal:
		return results, a.life.fatalErr
	default:
		return results, err
	}
}

func drained(r poller.Result) DrainedMailbox {
	m := DrainedMailbox{
		Name: r.Mailbox, Sessions: r.Sessions, Listed: r.Listed, Fetched: r.Fetched, Sealed: r.Sealed,
		Deleted: r.Deleted, Held: r.Held, Octets: r.Octets, Took: r.Took, Outcome: string(r.Outcome),
	}
	if r.Err != nil {
		m.Error, m.Hint = r.Err.Error(), mail.HintOf(r.Err)
	}
	return m
}

// indexPatience is how long an index may stand still before nobody waits for it.
const indexPatience = time.Minute

// catchUp waits until the indexes of this process have everything that is
// sealed now.
func (a *App) catchUp(ctx context.Context) error {
	const step = 10 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	for _, p := range a.partitions {
		if p.index == nil {
			continue
		}
		p.index.Hurry()
		moved, last := time.Now(), uint64(0)
		for goal := p.source.Size(); ; {
			pos := p.index.Position()
			if pos > last {
				moved, last = time.Now(), pos
			}
			a.console.progress(PhaseIndex, p.number, pos, goal)
			if pos >= goal {
				break
			}
			if time.Since(moved) > indexPatience {
				return mail.WithHint(mail.Errorf(mail.Temporary, "the index of partition %d stands at %d of %d and does not go on", p.number, pos, goal),
					"all that was drained is sealed; the log tells why it is not indexed, the next process catches up")
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-a.life.fatal:
				return a.life.fatalErr
			}
		}
	}
	return nil
}

// progress tells how far the work on a partition has come.
func (c Console) progress(phase Phase, partition uint16, done, total uint64) {
	if c.Progress != nil {
		c.Progress(Progress{Phase: phase, Subject: fmt.Sprintf("partition %d", partition), Done: int64(done), Total: int64(total), Finished: done >= total})
	}
}
