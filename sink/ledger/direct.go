package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/mailkeep/mailkeep/mail"
)

// A pending is a sealed segment that may have its final name or not: the attempt
// to give it one has failed, and a store can fail after it has stored.
type pending struct {
	name  string // of the file
	first uint64
	chain chain // behind its seal
}

// errGrown is for a batch that was decided about before the records of a pending
// segment became visible.
var errGrown = mail.WithHint(mail.Errorf(mail.Temporary, "the ledger has grown by a batch whose end was not known"),
	"Nothing is lost: what is in that batch is found, and all else is sealed when it comes again.")

// appendSealed makes the batch a segment of its own (Options.SealEach). Nothing of
// it is visible, nor counted by Root, before the segment has its final name.
func (l *Ledger) appendSealed(ctx context.Context, batch []*Entry) ([]Sealed, error) {
	before := l.chain.seq
	if err := l.openSegment(ctx); err != nil {
		return nil, err
	}
	opened := l.chain.seq
	out, err := l.addAll(batch)
	if err != nil {
		return nil, err
	}
	if l.chain.seq == opened { // every entry was refused
		return out, l.abandon(before)
	}
	if err := l.seg.seal(&l.chain, sealNote{Why: "commit"}, l.opts.Now); err != nil {
		return nil, err
	}
	if err := l.seg.f.Close(); err != nil {
		return nil, err
	}
	l.pending = &pending{name: l.seg.name, first: l.seg.first, chain: l.chain}
	if l.seg.tree != nil {
		l.seg.tree.Wipe()
	}
	l.seg = nil
	return out, l.publishPending()
}

// publishPending gives the pending segment its final name, which makes it durable
// where the file system has the means. If we die anywhere in it, the next process
// finds the segment under that name, with all records of the batch, or not at all.
//
// Whether the lease is still held is not asked again: the name is given once, so
// that nobody else can have begun a segment with these numbers.
func (l *Ledger) publishPending() error {
	p := l.pending
	err := publish(l.fs, p.name, p.first)
	switch {
	case mail.KindOf(err) == mail.InUse:
		return l.lose(fmt.Errorf("%w: %w", errFenced, err))
	case errors.Is(err, fs.ErrNotExist):
		// Whether these octets have the name cannot be found out without them.
		return l.lose(mail.WithHint(mail.Errorf(mail.InUse, "the batch that was being sealed is gone from the local directory: %w", err),
			"Restart this process: it reads from the store what was sealed. Nothing was acknowledged that is not there."))
	case err != nil:
		return err
	}
	l.pending = nil
	l.chain = p.chain
	l.synced = synced{chain: p.chain.clone()}
	l.setLast(segment{first: p.first}, p.chain.visible)
	l.files.forget(p.first)
	return nil
}

// lose ends all appending by this Ledger: what follows the records that it has is
// not its own.
func (l *Ledger) lose(err error) error {
	l.health.Lock()
	defer l.health.Unlock()
	l.lost = err
	return err
}

func (l *Ledger) isLost() error {
	l.health.Lock()
	defer l.health.Unlock()
	return l.lost
}

// abandon takes back a segment that was begun and got no record.
func (l *Ledger) abandon(seq uint64) error {
	name := l.seg.name
	err := l.seg.f.Close()
	if l.seg.tree != nil {
		l.seg.tree.Wipe()
	}
	l.seg, l.chain = nil, l.synced.chain.clone()
	if err == nil && l.chain.seq != seq {
		err = fmt.Errorf("the ledger ends with record %d and not with %d", l.chain.seq, seq)
	}
	if err == nil {
		err = l.fs.Remove(name)
	}
	return err
}

// settlePending tries again what an append has left, with the same octets. It is
// errGrown if that has made records visible.
func (l *Ledger) settlePending() error {
	first := l.pending.first
	if err := l.publishPending(); err != nil {
		return err
	}
	l.log.Info("a batch whose end was not known is sealed", slog.Uint64("segment", first), slog.Int("partition", int(l.partition)))
	return errGrown
}

// discard removes segments that never got their final name: nobody has a receipt
// for what is in them.
func (l *Ledger) discard(open []uint64) error {
	for _, first := range open {
		if err := l.fs.Remove(openName(first)); err != nil {
			return err
		}
	}
	return nil
}
