package app

import (
	"context"
	"fmt"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/bus"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller"
	"github.com/mailkeep/mailkeep/poller/oauth"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

func (a *App) openPoller() error {
	o, err := a.pollerOptions()
	if err != nil {
		return err
	}
	if a.poller, err = poller.New(o); err != nil {
		return err
	}
	for _, m := range o.Mailboxes {
		if source, ok := m.Tokens.(*oauth.Source); ok {
			a.tokens[m.Name] = source
		}
	}
	a.metrics.Watch(a.mailboxStates, a.hostStates)
	stop, err := a.bus.ServePollers(a.tellDue)
	if err != nil {
		return err
	}
	a.life.onStop("poller state service", func(context.Context) error { stop(); return nil })
	return nil
}

// pollerOptions put the poller on this side of the bus.
func (a *App) pollerOptions() (poller.Options, error) {
	mailboxes := make([]poller.Mailbox, len(a.boxes))
	access := newAccess(a.cfg, a.log)
	for i, r := range a.boxes {
		mailboxes[i] = pollerMailbox(r)
		if err := access.apply(&mailboxes[i], r); err != nil {
			return poller.Options{}, fmt.Errorf("mailbox %q: %w", r.Name, err)
		}
	}
	return poller.Options{
		Mailboxes: mailboxes,
		Archive:   busArchive{a.bus},
		Leaser:    busLeaser{a.bus},
		Store:     busStore{a.bus},

		MaxSessions: a.cfg.Poll.MaxSessions, PerHost: a.cfg.Poll.PerHost, LoginsPerMinute: a.cfg.Poll.LoginsPerMinute,
		StopGrace: time.Duration(a.cfg.Poll.StopGrace), Logger: a.log, Observer: newDrainProgress(a.console), Worker: a.worker,
		Uptime: machineClock(),
		Ended:  a.sessionEnded,
	}, nil
}

// sessionEnded takes note of a drain.
func (a *App) sessionEnded(r poller.Result) {
	a.metrics.Ended(sessionOf(r))
	a.seen.take(r)
}

// pollerMailbox is a mailbox as it is drained; how it is reached and entered is
// added by an access.
func pollerMailbox(r configs.ResolvedMailbox) poller.Mailbox {
	m := poller.Mailbox{
		Name: r.Name, Host: r.Address, User: r.User,
		Interval: r.Interval, Jitter: r.Jitter, DailyLimit: r.DailyLimit, HostKey: r.HostKey, PerHost: r.PerHost, LoginsPerMinute: r.LoginsPerMinute,
		Window: r.Window, BatchMessages: r.BatchMessages, BatchOctets: r.BatchSize, BatchTime: r.BatchTime, MaxMessage: r.MaxMessage,
		LFOnly: r.LFOnly, NoPipelining: r.NoPipelining, RetrConsuming: r.RetrConsuming,
		DeleteAge: r.DeleteAge, MaxDoubt: r.MaxDoubt, MaxDoubtPercent: r.MaxDoubtPercent,
	}
	if r.Timetable != nil { // a nil pointer in an interface is not nil
		m.Timetable = r.Timetable
	}
	switch r.Security {
	case configs.SecuritySTLS:
		m.Security = pop3.STLS
	case configs.SecurityPlain:
		m.Security = pop3.Plain
	}
	switch r.Delete {
	case configs.DeleteNever:
		m.Policy = poller.KeepAll
	case configs.DeleteAfterAge:
		m.Policy = poller.DeleteAged
	}
	// Gmail hides what was fetched and ignores DELE.
	m.VerifyByDigest = r.Profile == configs.ProfileGmail
	if r.OnShort == configs.ShortDelete {
		m.OnShort = poller.ShortDeleted
	}
	return m
}

// busArchive is the archive as the poller sees it: on the other side of the
// bus.
type busArchive struct{ bus *bus.Bus }

func (b busArchive) Lookup(ctx context.Context, mailbox string, rows []mail.Listing) ([]mail.Receipt, error) {
	return b.bus.Lookup(ctx, mailbox, rows)
}

func (b busArchive) Begin(ctx context.Context, mailbox string, size int64) (poller.Transfer, error) {
	t, err := b.bus.Begin(ctx, mailbox, size)
	if err != nil {
		return nil, err
	}
	return busTransfer{t}, nil
}

func (b busArchive) Report(ctx context.Context, mailbox string, e mail.Event) error {
	return b.bus.Report(ctx, e, mailbox)
}

type busTransfer struct{ *bus.Transfer }

// Commit ends the transfer, whatever comes of it.
func (t busTransfer) Commit(ctx context.Context, d mail.Delivery) (poller.Pending, error) {
	defer t.Abort()
	p, err := t.Transfer.Commit(ctx, d)
	if err != nil {
		return nil, err
	}
	return p, nil
}

type busLeaser struct{ bus *bus.Bus }

func (b busLeaser) Lease(ctx context.Context, mailbox string) (poller.Lease, error) {
	l, err := b.bus.Lease(ctx, mailbox)
	if err != nil {
		return nil, err
	}
	return l, nil
}

type busStore struct{ bus *bus.Bus }

func (b busStore) Load(ctx context.Context, mailbox string) ([]byte, uint64, error) {
	return b.bus.LoadState(ctx, mailbox)
}

func (b busStore) Save(ctx context.Context, mailbox string, data []byte, rev uint64) (uint64, error) {
	return b.bus.SaveState(ctx, mailbox, data, rev)
}
