package poller

import (
	"context"
	"log/slog"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

// checkLease asks whether the mailbox is still this session's: another session
// might have fetched and sealed what this one is about to commit, and must not
// find it half gone.
func (s *session) checkLease(ctx context.Context) error {
	select {
	case <-s.lease.Lost():
		return errLeaseLost
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, archiveWait)
	defer cancel()
	if err := s.lease.Check(ctx); err != nil {
		return failed(OutcomeBusy, mail.Errorf(mail.InUse, "check the lease: %w", err))
	}
	return nil
}

// errLeaseLost ends a session whose lease went to another.
var errLeaseLost = failed(OutcomeBusy, mail.Errorf(mail.InUse, "the lease of the mailbox is lost"))

// remove sends DELE for messages that hold a warrant. What is asked for is stored
// before: should the worker die now, whatever is gone at the next listing is gone
// because we asked.
func (s *session) remove(ctx context.Context, doomed []*message) error {
	if len(doomed) == 0 {
		return nil
	}
	s.ask(ctx, doomed)
	if err := s.checkLease(ctx); err != nil {
		return err
	}
	warrants := make([]pop3.Warrant, len(doomed))
	for i, m := range doomed {
		warrants[i] = m.warrant
	}
	answers, err := s.tx.Delete(ctx, warrants)
	if err != nil {
		return err
	}
	for i, m := range doomed {
		if answers[i] != nil {
			m.end(mail.FateUndeletable, "DELE: "+answers[i].Error())
			s.st.undeleted(m.key(), time.Now())
			continue
		}
		m.deleted = true
		s.report.Deleted++
	}
	return nil
}

// ask stores which messages are about to be deleted, and the report as it is now.
func (s *session) ask(ctx context.Context, doomed []*message) {
	keys := make([]rowKey, len(doomed))
	for i, m := range doomed {
		keys[i] = m.key()
		s.stand(m, standAsked)
	}
	s.st.ask(s.report.Session, keys)
	s.st.Listed = s.census.store()
	s.draft()
	s.save(ctx)
}

// doomed returns the messages to delete.
func (s *session) doomed() []*message {
	var doomed []*message
	for _, list := range [][]*message{s.plan.known, s.plan.fetch} {
		for _, m := range list {
			if s.dooms(m) {
				doomed = append(doomed, m)
			}
		}
	}
	return doomed
}

// quit ends the session. Its answer is kept, and believed no further than the
// next listing bears out.
func (s *session) quit(ctx context.Context) error {
	if err := s.checkLease(ctx); err != nil {
		return err
	}
	answer, err := s.tx.Quit(ctx)
	s.report.Quit = answer
	switch answer {
	case mail.QuitAcked:
		return nil
	case mail.QuitRefused:
		s.log.LogAttrs(ctx, slog.LevelWarn, "QUIT was refused; what is left is deleted by a later session", slog.Any("error", err))
	}
	if err == nil {
		err = mail.Errorf(mail.Temporary, "QUIT %s", answer)
	}
	return failed(OutcomeTemp, err)
}
