package poller

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/mailkeep/mailkeep/mail"
)

// A keeper keeps a mailbox's state between sessions and in the Store.
type keeper struct {
	d       *Drainer
	mailbox string
	state   *state
	rev     uint64
	lost    bool // the Store cannot be relied on: nothing is saved
}

// load reads the state. Where it cannot be read, the mailbox is drained without:
// the state is there to spare retries.
func (d *Drainer) load(ctx context.Context, mailbox string) *keeper {
	k := &keeper{d: d, mailbox: mailbox}
	data, rev, err := d.Store.Load(ctx, mailbox)
	ok := true
	if k.state, ok = parseState(data); !ok {
		err = errors.New("it is not a state of this version")
	} else if err != nil {
		k.lost = true
	}
	k.rev = rev
	if err != nil || rev == 0 {
		d.recall.restore(k)
	}
	if err != nil {
		d.logger().LogAttrs(ctx, slog.LevelWarn, "a mailbox's state is lost, which costs retries",
			slog.String("mailbox", mailbox), slog.Any("error", err))
	}
	return k
}

// recover takes up what a session left behind whose worker died while it deleted.
func (k *keeper) recover() {
	if k.state.Draft != nil {
		k.state.owe(*k.state.Draft)
		k.state.Draft = nil
	}
}

// save writes the state, even where ctx is done.
func (k *keeper) save(ctx context.Context) {
	if k.lost {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	if err := k.trySave(ctx); err != nil {
		k.lost = true
		k.d.logger().LogAttrs(ctx, slog.LevelWarn, "a mailbox's state was not saved, which costs retries",
			slog.String("mailbox", k.mailbox), slog.Any("error", err))
	}
}

// trySave writes the state.
func (k *keeper) trySave(ctx context.Context) error {
	data, err := k.state.encode()
	if err != nil {
		return err
	}
	rev, err := k.d.Store.Save(ctx, k.mailbox, data, k.rev)
	if err == nil {
		k.rev = rev
	}
	return err
}

// A recall remembers what counts most of the states that this process has saved,
// where the Store loses them or cannot be reached: the strikes against secrets,
// and when a mailbox may be polled.
type recall struct {
	mu  sync.Mutex
	all map[string]recollection // by mailbox; those without anything to remember left out
}

type recollection struct {
	access access
	visit  visit
}

// keep remembers what k holds.
func (r *recall) keep(k *keeper) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, v := k.state.Access, k.state.Visit
	if len(a.Refused) == 0 && v.Failures == 0 && v.Delay == 0 && len(v.Fetched) == 0 {
		delete(r.all, k.mailbox)
		return
	}
	if r.all == nil {
		r.all = make(map[string]recollection)
	}
	a.Refused, v.Fetched = slices.Clone(a.Refused), slices.Clone(v.Fetched)
	r.all[k.mailbox] = recollection{a, v}
}

// forget drops what is remembered of a mailbox.
func (r *recall) forget(mailbox string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, mailbox)
}

// restore puts what is remembered into k.
func (r *recall) restore(k *keeper) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.all[k.mailbox]; ok {
		k.state.Access, k.state.Visit = old.access, old.visit
		k.state.Access.Refused, k.state.Visit.Fetched = slices.Clone(old.access.Refused), slices.Clone(old.visit.Fetched)
	}
}

// settleReports delivers the events that earlier sessions could not. While that
// fails the archive is not there, and there is no point in connecting.
func (d *Drainer) settleReports(ctx context.Context, mailbox string, k *keeper) error {
	for len(k.state.Reports) > 0 {
		if err := d.report(ctx, mailbox, &k.state.Reports[0]); err != nil {
			return failed(OutcomeArchive, mail.Errorf(mail.KindOf(err), "report an earlier session: %w", err))
		}
		k.state.Reports = k.state.Reports[1:]
	}
	return nil
}
