package poller

import (
	"context"
	"log/slog"

	"github.com/mailkeep/mailkeep/mail"
)

// tell leaves the session's event in the ledger, or keeps it for later. A session
// that has nothing to tell leaves none (see quietSpan).
func (s *session) tell(ctx context.Context) {
	s.report.Held = s.plan.held + s.heldBack()
	if s.st.Told.quiet(&s.report) {
		return
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
	for _, m := range s.plan.fetch {
		if m.refusal || m.fetched && m.suspect != "" {
			n++
		}
	}
	return n
}

// rows tells the fate of each message that the session handled.
func (s *session) rows() []mail.DrainRow {
	var rows []mail.DrainRow
	for _, list := range [][]*message{s.plan.known, s.plan.fetch} {
		for _, m := range list {
			r := mail.DrainRow{Number: m.number, UIDL: mail.Octets(m.uidl), Size: m.size, Deleted: m.deleted, Why: m.why}
			if m.sealed || m.answered && m.answer == nil {
				r.ID = new(m.receipt.ID)
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// logEnd leaves one line per session.
func (s *session) logEnd(ctx context.Context, err error) {
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("outcome", s.report.Outcome), slog.Int("listed", s.report.Listed), slog.Int("fetched", s.report.Fetched),
		slog.Int("sealed", s.report.Sealed), slog.Int("deleted", s.report.Deleted), slog.Int("held", s.report.Held),
		slog.String("quit", string(s.report.Quit)), slog.Duration("took", s.report.Ended.Sub(s.report.Started)),
	}
	if err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.Any("error", err))
	}
	s.log.LogAttrs(ctx, level, "session ended", attrs...)
}
