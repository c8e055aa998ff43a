package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// maxErase bounds the records of one Erase, and so its events.
const maxErase = 10_000

// checkKeys refuses a ledger whose newest segment is encrypted under a key that
// cannot be had. It changes nothing.
func (l *Ledger) checkKeys() error {
	segs, err := newestFirst(l.fs)
	if err != nil {
		return err
	}
	for _, s := range segs {
		if read, err := l.checkKey(s); read || err != nil {
			return err
		}
	}
	return nil
}

// newestFirst lists the segments.
func newestFirst(fsys durable.FS) ([]segment, error) {
	dir, err := list(fsys)
	if err != nil {
		return nil, err
	}
	segs := make([]segment, 0, len(dir.sealed)+len(dir.open))
	for _, first := range dir.sealed {
		segs = append(segs, segment{first: first})
	}
	for _, first := range dir.open {
		segs = append(segs, segment{first: first, open: true})
	}
	slices.SortFunc(segs, func(a, b segment) int { return cmp.Compare(b.first, a.first) })
	return segs, nil
}

// checkKey reports whether the segment has an open record that can be read.
func (l *Ledger) checkKey(s segment) (read bool, err error) {
	f, err := l.fs.Open(s.name())
	if err != nil {
		return false, err
	}
	h, note := readOpen(f)
	if err := f.Close(); err != nil || note == nil {
		return false, err
	}
	switch {
	case h.stream != l.stream:
		return true, nil // recovery refuses it
	case note.Cipher == cipherNone:
		return true, nil
	case l.opts.Keys == nil:
		return true, mail.WithHint(mail.Errorf(mail.Invalid, "segment %s is encrypted, and no key is configured", s.name()),
			"Set encryption.key_file, encryption.key_env or encryption.vault to the key source that the archive was made with. Nothing was changed.")
	}
	// Open takes no context: what a key source waits for it bounds itself.
	t, err := l.opts.Keys.Load(context.Background(), s.first, h.segment)
	if err != nil {
		return true, fmt.Errorf("segment %s: %w", s.name(), err)
	}
	t.Wipe()
	return true, nil
}

// An Order says what to erase, and why.
type Order struct {
	Records []mail.ID // messages, with all their chunks, references, events
	Reason  string
	By      string
}

// Erase destroys the keys of records for good: see keys.Erase. Their headers,
// and so their leaves, stay; references to an erased message lead nowhere. An
// event tells of the order before anything is destroyed, and another of its end.
//
// On nil the keys are destroyed. After an error, or a crash, some may be; the
// same call again goes on. mail.Invalid says, before anything is changed, that a
// record is not encrypted, that there are more than 10,000, or that their keys
// cannot be destroyed, mail.NotFound that there is no such record. What is erased already is no error.
//
// A reader in another process may still have the key of a record for a minute.
func (l *Ledger) Erase(ctx context.Context, o Order) (keys.Rotation, error) {
	erasures, err := l.erasable(ctx, o.Records)
	if err != nil {
		return keys.Rotation{}, fmt.Errorf("erase: %w", err)
	}
	note := mail.Erase{Records: o.Records, Reason: o.Reason, By: o.By}
	if err := l.tell(ctx, note); err != nil {
		return keys.Rotation{}, fmt.Errorf("tell of the order to erase: %w", err)
	}
	// If we die here, an event says that records are to be erased that can be
	// read. Those who ordered it have no answer, and order again.
	done, err := keys.Erase(ctx, l.keyDirs(), erasures)
	// Whatever the end was, keys that may be gone are not used from memory.
	for _, e := range erasures {
		err = errors.Join(err, l.forgetKeys(e))
	}
	if err != nil {
		return done, fmt.Errorf("erase: %w", err)
	}
	note.Done, note.Keys, note.Epoch = true, done.Erased, done.Epoch.String()
	if err := l.tell(ctx, note); err != nil {
		return done, fmt.Errorf("the keys are destroyed; tell of it: %w", err)
	}
	return done, nil
}

// Erasable returns the error that Erase would return before it changes anything.
func (l *Ledger) Erasable(ctx context.Context, records []mail.ID) error {
	_, err := l.erasable(ctx, records)
	return err
}

func (l *Ledger) erasable(ctx context.Context, records []mail.ID) ([]keys.Erasure, error) {
	erasures, err := l.erasures(ctx, records)
	if err != nil {
		return nil, err
	}
	return erasures, keys.Erasable(ctx, l.keyDirs(), erasures)
}

func (l *Ledger) keyDirs() []*keys.Dir { return append([]*keys.Dir{l.opts.Keys}, l.opts.Others...) }

func (l *Ledger) tell(ctx context.Context, note mail.Erase) error {
	e, err := l.Maker().Event(mail.Event{Type: mail.EventErase, Erase: &note})
	if err != nil {
		return err
	}
	out, err := l.Append(ctx, []*Entry{e})
	if err != nil {
		return err
	}
	return out[0].Err
}

// erasures finds the keys of records, segment by segment.
func (l *Ledger) erasures(ctx context.Context, ids []mail.ID) ([]keys.Erasure, error) {
	switch {
	case l.opts.Keys == nil:
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "the archive is not encrypted"), "What was stored in the clear cannot be erased by destroying a key.")
	case len(ids) == 0 || len(ids) > maxErase:
		return nil, mail.Errorf(mail.Invalid, "%d records at once; 1 to %d may be", len(ids), maxErase)
	}
	var out []keys.Erasure
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, err := l.keysOf(id)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// keysOf finds the keys of a record and of the chunks behind it.
func (l *Ledger) keysOf(id mail.ID) (keys.Erasure, error) {
	e := keys.Erasure{Partition: l.partition}
	if id.Partition != l.partition || id.Seq >= l.Size() {
		return e, mail.Errorf(mail.NotFound, "the ledger has no record %s", id)
	}
	for seq := id.Seq; ; seq++ {
		h, first, err := l.headerOf(seq)
		switch {
		case err != nil:
			return e, err
		case h.firstSeq != id.Seq || !h.content():
			if seq == id.Seq {
				return e, mail.Errorf(mail.NotFound, "%s is not a record of its own", id)
			}
			return e, nil // an abandoned group
		case h.cipher == cipherNone:
			return e, mail.WithHint(mail.Errorf(mail.Invalid, "record %s is not encrypted", id), "What was stored in the clear cannot be erased by destroying a key.")
		}
		e.First, e.Keys = first, append(e.Keys, h.key)
		if h.flags&flagLast != 0 {
			return e, nil
		}
	}
}

// headerOf returns the header of a record and where its segment begins.
func (v *view) headerOf(seq uint64) (header, uint64, error) {
	p, err := v.locate(seq)
	if err != nil {
		return header{}, 0, err
	}
	defer p.release()
	h, err := v.header(newGlance(p.f), p, seq)
	return h, p.seg.first, err
}

// forgetKeys takes keys out of the trees that are in memory.
func (l *Ledger) forgetKeys(e keys.Erasure) error {
	l.write.Lock()
	defer l.write.Unlock()
	if l.seg != nil && l.seg.first == e.First && l.seg.tree != nil {
		if err := l.seg.tree.Puncture(e.Keys...); err != nil {
			return err
		}
	}
	return l.files.puncture(e.First, e.Keys)
}
