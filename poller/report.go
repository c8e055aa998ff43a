package poller

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// tell leaves the session's event in the ledger, or keeps it for later. A session
// that has nothing to tell leaves none (see quietSpan).
func (s *session) tell(ctx context.Context) {
	s.report.Held = s.plan.held + s.heldBack()
	s.report.Fates = s.fates()
	if s.st.Told.quiet(&s.report) {
		return
	}
	if slices.Contains(s.report.Notes, mail.NoteExpire) {
		s.log.LogAttrs(ctx, slog.LevelWarn, "the server deletes mail by itself, sooner than the policy does (EXPIRE)",
			slog.Int("days", s.tx.Capabilities().Expire))
	}
	s.report.Rows = s.rows()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	err := s.d.report(ctx, s.m.Name, &s.report)
	if err == nil {
		return
	}
	dropped := s.st.owe(s.report)
	s.log.LogAttrs(ctx, slog.LevelWarn, "the session's event is kept for later", slog.Any("error", err), slog.Int("dropped", dropped))
}

// report hands an event to the archive. One that it will never take is tried
// without its rows, which are what can be too much, and then given up: kept for
// later it would stand in the way of every session to come.
func (d *Drainer) report(ctx context.Context, mailbox string, drain *mail.Drain) error {
	e := mail.Event{Type: mail.EventDrain, Drain: drain}
	err := d.Archive.Report(ctx, mailbox, e)
	if !hopeless(err) {
		return err
	}
	if drain.Rows != nil {
		brief := *drain
		brief.Rows = nil
		e.Drain = &brief
		err = d.Archive.Report(ctx, mailbox, e)
	}
	if !hopeless(err) {
		return err
	}
	d.logger().LogAttrs(ctx, slog.LevelError, "the archive refuses a session's event, which is given up",
		slog.String("mailbox", mailbox), slog.String("session", drain.Session), slog.Any("error", err))
	return nil
}

// hopeless reports whether err says that the archive will never take it.
func hopeless(err error) bool {
	k := mail.KindOf(err)
	return k == mail.Invalid || k == mail.Corrupt
}

// heldBack counts what this session found reason to leave on the server.
func (s *session) heldBack() int {
	n := 0
	for _, list := range [][]*message{s.plan.known, s.plan.fetch} {
		for _, m := range list {
			switch s.fateOf(m) {
			case mail.FatePoison, mail.FateShort, mail.FateOversize, mail.FateUnvouched:
				n++
			}
		}
	}
	return n
}

// fateOf returns what became of a message that the session handled.
func (s *session) fateOf(m *message) mail.Fate {
	switch {
	case m.deleted && s.report.Quit == mail.QuitNone:
		return mail.FateRolledBack
	case m.deleted && m.suspect != "":
		return mail.FateDeletedShort
	case m.deleted:
		return mail.FateDeleted
	case m.fate != "":
		return m.fate
	case !m.sealed && m.isKnown() && !m.doubted && s.open():
		return mail.FateBreaker
	case !m.sealed && (!m.isKnown() || m.doubted):
		return mail.FateLater
	case m.sealed && !s.dooms(m) && s.keep():
		return mail.FateKept
	case m.sealed && !s.dooms(m):
		return mail.FateYoung
	}
	return mail.FateSealed
}

// fates counts the messages of the listing by their fate; nil if not all of them
// have one.
func (s *session) fates() map[mail.Fate]int {
	if !s.plan.made || s.report.Listed == 0 {
		return nil
	}
	fates := maps.Clone(s.plan.fates)
	if fates == nil {
		fates = make(map[mail.Fate]int)
	}
	if s.unplanned > 0 {
		fates[mail.FateLater] += s.unplanned
	}
	for _, list := range [][]*message{s.plan.known, s.plan.fetch} {
		for _, m := range list {
			fates[s.fateOf(m)]++
		}
	}
	return fates
}

// rows tells the fate of each message that the session handled.
func (s *session) rows() []mail.DrainRow {
	var rows []mail.DrainRow
	for _, list := range [][]*message{s.plan.known, s.plan.fetch} {
		for _, m := range list {
			r := mail.DrainRow{Number: m.number, UIDL: mail.Octets(m.uidl), Size: m.size, Fate: s.fateOf(m), Deleted: m.deleted, Why: m.why}
			switch {
			case m.sealed || m.answered && m.answer == nil:
				r.ID = new(m.receipt.ID)
			case m.isKnown() && !m.doubted:
				r.ID = new(m.known.ID)
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// draft keeps the report as it is before the first DELE, in case that the worker
// does not live to make it.
func (s *session) draft() {
	d := s.report
	d.Ended, d.Quit, d.Outcome = time.Now(), mail.QuitUnknown, string(OutcomeTemp)
	d.Error = "the worker died before it could tell how the session ended"
	d.Fates = s.fates()
	if d.Rows = s.rows(); len(d.Rows) > maxFates {
		d.Rows = nil
	}
	s.st.Draft = &d
}

// logEnd leaves one line per session. One without anything to tell is for those
// who look for trouble: of ten thousand mailboxes thirty are polled in a second.
func (s *session) logEnd(ctx context.Context, err error) {
	level := slog.LevelInfo
	if s.report.Fetched == 0 && s.report.Deleted == 0 {
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("outcome", s.report.Outcome), slog.Int("listed", s.report.Listed), slog.Int("fetched", s.report.Fetched),
		slog.Int("sealed", s.report.Sealed), slog.Int("deleted", s.report.Deleted), slog.Int("held", s.report.Held),
		slog.String("quit", string(s.report.Quit)), slog.Duration("took", s.report.Ended.Sub(s.report.Started)),
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	if err != nil && OutcomeOf(err) != OutcomeStopped {
		level = slog.LevelWarn
	}
	s.log.LogAttrs(ctx, level, "session ended", attrs...)
}
