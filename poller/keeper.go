package poller

import (
	"context"
	"errors"
	"log/slog"

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
	data, err := k.state.encode()
	if err == nil {
		k.rev, err = k.d.Store.Save(ctx, k.mailbox, data, k.rev)
	}
	if err != nil {
		k.lost = true
		k.d.logger().LogAttrs(ctx, slog.LevelWarn, "a mailbox's state was not saved, which costs retries",
			slog.String("mailbox", k.mailbox), slog.Any("error", err))
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
