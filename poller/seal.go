package poller

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	// noopEvery keeps an idle session alive while receipts are awaited; servers
	// are known to close after less than the 10 minutes of RFC 1939 section 3.
	noopEvery = 30 * time.Second
	// leastWait is what receipts get even where the time budget is used up.
	leastWait = 5 * time.Second
	// roomWait is how long a full pipeline may stand still.
	roomWait = 30 * time.Second
)

// poll takes the answers that are there.
func (s *session) poll() {
	for {
		select {
		case a := <-s.pending.answers:
			s.settle(a)
		default:
			return
		}
	}
}

// waitForRoom waits for one answer. If none comes the archive is too slow.
func (s *session) waitForRoom(ctx context.Context) {
	slow := time.NewTimer(roomWait)
	defer slow.Stop()
	select {
	case a := <-s.pending.answers:
		s.settle(a)
	case <-slow.C:
		s.archiveTrouble(mail.Errorf(mail.Temporary, "no receipt within %s, with %d messages under way", roomWait, s.pending.count))
	case <-s.stop:
		s.trouble = failed(OutcomeStopped, context.Canceled)
	case <-ctx.Done():
		s.trouble = context.Cause(ctx)
	}
}

// settle takes one answer; what it means for the message is judged at the end.
func (s *session) settle(a answer) {
	m := a.message
	s.pending.taken(a)
	if !a.committed {
		s.unfetched(m)
		s.rejected(m, a.err)
		return
	}
	m.answered, m.receipt, m.answer = true, a.receipt, a.err
	switch kind := mail.KindOf(a.err); {
	case a.err == nil:
		if m.suspect == "" && m.receipt.Covers(s.m.Name, m.got.Fingerprint()) == nil {
			s.report.Sealed++
		}
	case kind == mail.Invalid, kind == mail.Corrupt:
	case errors.Is(a.err, context.Canceled), errors.Is(a.err, context.DeadlineExceeded):
	default:
		s.archiveTrouble(mail.Errorf(kind, "seal a message: %w", a.err))
	}
}

// collect waits for the receipts under way, not longer than the session's budget
// allows. On a sound connection it sends NOOP now and then; its error means that
// the connection is lost.
func (s *session) collect(ctx context.Context, broken bool) error {
	s.enter(PhaseSeal)
	limit := s.receiptLimit(broken)
	deadline := time.NewTimer(time.Until(limit))
	defer deadline.Stop()
	noop := time.NewTicker(noopEvery)
	defer noop.Stop()
	stop := s.stop
	for s.pending.count > 0 {
		select {
		case a := <-s.pending.answers:
			s.settle(a)
			s.progress()
		case <-noop.C:
			if broken {
				continue
			}
			if err := s.tx.Noop(ctx); err != nil {
				return err
			}
		case <-stop:
			stop = nil
			deadline.Reset(min(time.Until(limit), s.d.grace()/2))
		case <-deadline.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// receiptLimit is until when receipts are awaited.
func (s *session) receiptLimit(broken bool) time.Time {
	if broken {
		return time.Now().Add(leastWait)
	}
	rest := time.Until(s.report.Started.Add(s.m.BatchTime))
	return time.Now().Add(min(s.m.ReceiptWait, max(rest, leastWait)))
}

// drainLate ends the waiting: the context of the receipts is done. Answers that
// came at the last moment count.
func (s *session) drainLate() {
	s.pending.waiters.Wait()
	s.poll()
}

// judge turns receipts into warrants, and their lack into records.
func (s *session) judge() {
	s.confirmRefusals()
	missing := 0
	for _, m := range s.plan.fetch {
		if !m.fetched {
			continue
		}
		switch {
		case m.answer != nil:
			missing++
			m.end(mail.FateUnsealed, "no receipt: "+m.answer.Error())
			s.unanswered(m)
		case m.suspect != "":
			s.acceptShort(m)
		default:
			s.accept(m)
		}
	}
	if missing > 0 && s.trouble == nil {
		s.archiveTrouble(mail.Errorf(mail.Temporary, "%d messages have no seal receipt", missing))
	}
}

// unanswered records a message that was handed over and not sealed.
func (s *session) unanswered(m *message) {
	switch mail.KindOf(m.answer) {
	case mail.Invalid, mail.Corrupt:
		m.fate = mail.FateRefused
		s.st.strike(m.key(), refused, time.Now())
		s.log.Error("the archive refuses a message", slog.Int("number", m.number), slog.Any("error", m.answer))
	default:
		if s.report.Sealed > 0 {
			// The archive works, so it may be this message.
			s.st.strike(m.key(), unsealed, time.Now())
		}
	}
}

// accept asks for the warrant that a receipt earns. A receipt for other bytes
// than those fetched is the archive contradicting the server: an alarm.
func (s *session) accept(m *message) {
	w, err := s.tx.WarrantFetched(s.m.Name, m.got, m.receipt)
	if err != nil {
		m.end(mail.FateMismatch, "receipt: "+err.Error())
		s.st.strike(m.key(), refused, time.Now())
		s.log.Error("a receipt does not match what the server sent; the message stays on the server",
			slog.Int("number", m.number), slog.Any("error", err))
		s.archiveTrouble(mail.WithHint(mail.Errorf(mail.Corrupt, "receipt for message %d: %w", m.number, err),
			"the archive sealed other bytes than the server sent: run mailkeep verify"))
		return
	}
	m.warrant, m.sealed = w, true
	if !m.receipt.Duplicate {
		s.sealedNew++
	}
	s.stand(m, standSealed)
	s.acceptRecord(m)
}

// acceptRecord drops the record of a message that is sealed, or makes the one
// that it needs: a message whose content changes from session to session must
// not be sealed anew by each of them.
func (s *session) acceptRecord(m *message) {
	switch {
	case !m.known.SealedAt.IsZero() && m.known.Digest != m.got.Fingerprint().Digest:
		k := m.key()
		if m.other {
			k = m.changingKey()
		}
		s.st.strike(k, changing, time.Now())
		m.changed = s.st.at(k).Tries
		if m.changed > 1 {
			s.remark(mail.NoteChanging)
		}
	case s.leaves() && !m.unique:
		s.st.absolve(m.key())
		s.st.strike(m.key(), kept, time.Now())
	default:
		s.st.absolve(m.key())
	}
}

// A message that comes short is deleted, where the operator wants that, when it
// came with the same bytes so often, over so long. This proves nothing: some
// servers repeat the same short bytes. But what they do not hand out in a day of
// trying, the next session does not get either.
const (
	shortTimes = 3
	shortSpan  = 24 * time.Hour
)

// acceptShort records a message that is sealed as suspect. It stays on the server
// unless the operator wants otherwise.
func (s *session) acceptShort(m *message) {
	m.end(mail.FateShort, m.suspect)
	s.st.strike(m.key(), short, time.Now())
	r := s.st.at(m.key())
	if digest := m.got.Fingerprint().Digest; r.Digest != digest {
		r.Digest, r.Same, r.From = digest, 0, s.now
	}
	r.Same++
	log := s.log.With(slog.Int("number", m.number), slog.String("reason", m.suspect), slog.String("record", m.receipt.ID.String()))
	if s.m.OnShort == ShortDeleted && r.Same >= shortTimes && s.now.Sub(r.From) >= shortSpan {
		w, err := s.tx.WarrantShort(s.m.Name, m.got, m.receipt)
		if err == nil {
			m.warrant, m.sealed, m.fate = w, true, ""
			log.Warn("a message always comes shorter than announced; it is deleted as configured")
			return
		}
		log = log.With(slog.Any("error", err))
	}
	log.Warn("a message is shorter than announced; it is sealed as suspect and stays on the server")
}
