package bus

import (
	"context"
	"errors"
	"iter"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go/jetstream"
)

// LoadState returns the state that was saved for a mailbox and its revision;
// nil and 0 if there is none.
func (b *Bus) LoadState(ctx context.Context, mailbox string) ([]byte, uint64, error) {
	kv, key, err := b.state(ctx, mailbox)
	if err != nil {
		return nil, 0, err
	}
	e, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, classify(ctx, "load the state of a mailbox", err)
	}
	return e.Value(), e.Revision(), nil
}

// SaveState saves the state of a mailbox in the place of revision rev, 0 for a
// mailbox without one, and returns the new revision. mail.InUse says that
// somebody else has saved since; mail.Invalid that data exceeds the payload.
func (b *Bus) SaveState(ctx context.Context, mailbox string, data []byte, rev uint64) (uint64, error) {
	kv, key, err := b.state(ctx, mailbox)
	if err != nil {
		return 0, err
	}
	if rev == 0 {
		rev, err = kv.Create(ctx, key, data)
	} else {
		rev, err = kv.Update(ctx, key, data, rev)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || wrongSequence(err) {
		return 0, mail.Errorf(mail.InUse, "the state of mailbox %q was changed by another process", mailbox)
	}
	return rev, classify(ctx, "save the state of a mailbox", err)
}

func (b *Bus) state(ctx context.Context, mailbox string) (jetstream.KeyValue, string, error) {
	key, err := tokenOf(mailbox)
	if err != nil {
		return nil, "", err
	}
	kv, err := b.js.KeyValue(ctx, bucketState)
	return kv, key, classify(ctx, "open the states", err)
}

// A State is the saved state of one mailbox.
type State struct {
	Mailbox  string
	Data     []byte
	Revision uint64
}

// States yields the saved states of all mailboxes, and what else was saved under
// names that begin with NUL, as they are at about the
// time of the call, in no order. An error ends the sequence.
func (b *Bus) States(ctx context.Context) iter.Seq2[State, error] {
	return func(yield func(State, error) bool) {
		if err := b.states(ctx, yield); err != nil {
			yield(State{}, err)
		}
	}
}

func (b *Bus) states(ctx context.Context, yield func(State, error) bool) error {
	ctx, cancel := b.bind(ctx)
	defer cancel()
	kv, err := b.js.KeyValue(ctx, bucketState)
	if err != nil {
		return classify(ctx, "open the states", err)
	}
	w, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return classify(ctx, "list the states", err)
	}
	defer w.Stop() //nolint:errcheck // an ordered consumer expires by itself
	for {
		select {
		case <-ctx.Done():
			return classify(ctx, "list the states", ctx.Err())
		case e, ok := <-w.Updates():
			if e == nil && ok {
				return nil // the mark behind the last key
			}
			if !ok {
				return mail.Errorf(mail.Temporary, "the listing of states was interrupted")
			}
			mailbox, err := mailboxOf(e.Key())
			if err != nil {
				continue // not a key of ours
			}
			if !yield(State{Mailbox: mailbox, Data: e.Value(), Revision: e.Revision()}, nil) {
				return nil
			}
		}
	}
}
