package store

import (
	"context"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// heldEvery is how often the hold of an object is looked at, and renewed if need be.
const heldEvery = 24 * time.Hour

// lookHeld asks which segments are held. While that is not known, nothing is released
// and nothing is removed.
func (s *Spool) lookHeld(ctx context.Context, segments []*spooled, end uint64) error {
	if s.o.Held == nil {
		return nil
	}
	firsts := make([]uint64, len(segments))
	for i, seg := range segments {
		firsts[i] = firstOf(seg.name)
	}
	held, err := s.o.Held(ctx, firsts, end)
	for i, seg := range segments {
		seg.held, seg.unsure = held[firsts[i]], err != nil
	}
	return err
}

// hold sets or lifts the legal hold of an object, and keeps its retention ahead while
// it stands.
func (s *Spool) hold(ctx context.Context, seg *spooled) error {
	n, now := *seg.note, s.o.Now()
	switch want := len(seg.held) > 0; {
	case s.o.Held == nil || seg.unsure || want == n.Held && (!want || now.Sub(s.looked[seg.name]) < heldEvery):
		return nil
	case !want:
		if err := Release(ctx, s.o.Store, n.Ref); err != nil {
			return err
		}
		s.log.InfoContext(ctx, "segment is released from hold", slog.String("segment", seg.name), slog.String("store", s.o.Store.String()))
	default:
		err := s.keepHeld(ctx, seg, now)
		if mail.KindOf(err) == mail.NotFound { // the next pass holds what is stored again
			return s.lost(ctx, seg, err)
		}
		if err != nil {
			return err
		}
	}
	n.Held = len(seg.held) > 0
	o, err := s.o.Store.Stat(ctx, n.Ref)
	if err != nil {
		return err
	}
	n.Retention = o.Retention
	if n != *seg.note {
		if err := s.keepNote(seg.name, n); err != nil {
			return err
		}
		seg.note = &n
	}
	s.looked[seg.name] = now
	return nil
}

// keepHeld makes sure that an object is held. Somebody may have lifted the hold.
func (s *Spool) keepHeld(ctx context.Context, seg *spooled, now time.Time) error {
	o, err := s.o.Store.Stat(ctx, seg.note.Ref)
	if err != nil {
		return err
	}
	if o.Hold {
		_, err := KeepHeld(ctx, s.o.Store, seg.note.Ref, now)
		return err
	}
	if seg.note.Held {
		s.log.ErrorContext(ctx, "the hold of a segment was lifted in the store by somebody else, and is set again",
			slog.String("segment", seg.name), slog.String("store", s.o.Store.String()))
	}
	mode := s.o.Policy.Mode
	if o.Retention.Mode.strength() > mode.strength() {
		mode = o.Retention.Mode
	}
	if mode == None {
		mode = Governance
	}
	if err := Hold(ctx, s.o.Store, seg.note.Ref, mode, now); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "segment is held", slog.String("segment", seg.name), slog.String("store", s.o.Store.String()),
		slog.String("matters", strings.Join(seg.held, ", ")))
	return nil
}

// keptHere reports whether the local file of a segment stays because of a hold, or
// because nobody knows whether there is one.
func (seg *spooled) keptHere() bool { return len(seg.held) > 0 || seg.unsure }

// firstOf is the first record of a segment, by its name.
func firstOf(name string) uint64 {
	first, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSuffix(name, openSuffix), segmentSuffix), 16, 64)
	if err != nil {
		return math.MaxUint64
	}
	return first
}
