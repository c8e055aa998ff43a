package poller

import (
	"context"
	"log/slog"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

// compare tells what has happened to the mailbox since the last listing: whether
// what we asked to delete is gone, and whether something else is.
func (s *session) compare(ctx context.Context, listing []entry, torn bool) {
	s.census = takeCensus(listing, s.now)
	ch := s.census.follow(s.st.Listed.census(), s.st.Asked)
	if torn {
		ch = change{} // what one of the two lists lacks may be there all the same
	}
	if ch.renamed {
		s.st.Epoch++
		s.remark(mail.NoteEpoch)
		s.log.LogAttrs(ctx, slog.LevelWarn, "the server has given all messages other unique-ids; they are recognised by their content",
			slog.Int("epoch", s.st.Epoch))
	}
	s.report.Epoch = s.st.Epoch
	s.tellVanished(ctx, ch.vanished)
	s.report.Confirmed = s.st.reconcile(listing, ch.renamed, s.now)
	if c := s.report.Confirmed; c != nil {
		s.gone = c.Gone
		if c.Quit == mail.QuitAcked {
			s.back = c.Back
		}
	}
	if s.back > 0 {
		s.log.LogAttrs(ctx, slog.LevelWarn, "messages are listed again although QUIT was acknowledged",
			slog.Int("back", s.back), slog.Int("gone", s.gone), slog.Int("times", s.st.Stuck))
	}
	if s.st.gaveUp > 0 {
		s.log.LogAttrs(ctx, slog.LevelError, "messages cannot be deleted: the server acknowledges it each time, and lists them again; they are left alone for a while",
			slog.Int("messages", s.st.gaveUp), slog.Int("times", maxCommits))
	}
}

// stand notes the standing of a message, where the listing was counted.
func (s *session) stand(m *message, standing uint8) {
	if s.census != nil {
		s.census.stand(m.entry, standing)
	}
}

// tellVanished raises the alarm for mail that went without our asking.
func (s *session) tellVanished(ctx context.Context, v mail.Vanished) {
	if v == (mail.Vanished{}) {
		return
	}
	s.report.Vanished = &v
	if v.Unsealed > 0 {
		s.log.LogAttrs(ctx, slog.LevelError, "mail is gone from the server that is not known to be sealed; another client may drain the mailbox, or the server's retention",
			slog.Int("unsealed", v.Unsealed), slog.Int("sealed", v.Sealed))
		return
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "mail is gone from the server that we did not delete; all of it is sealed",
		slog.Int("sealed", v.Sealed))
}

// checkExpire compares the server's retention (EXPIRE, RFC 2449 section 6.7) with
// a policy that leaves mail there.
func (s *session) checkExpire() error {
	caps := s.tx.Capabilities()
	if !s.leaves() || !caps.Known || caps.Expire == pop3.ExpireNever {
		return nil
	}
	if caps.Expire == 0 && !s.keep() {
		return failed(OutcomePerm, mail.WithHint(
			mail.Errorf(mail.Invalid, "the server keeps nothing that was fetched (EXPIRE 0), the policy is to leave mail there"),
			"set delete: after-seal, or never, for mailbox %q", s.m.Name))
	}
	if s.keep() || time.Duration(caps.Expire)*24*time.Hour < s.m.DeleteAge {
		s.remark(mail.NoteExpire)
	}
	return nil
}

// remember keeps what the next session compares its listing with.
func (s *session) remember() {
	s.st.answered(s.report.Session, s.report.Quit)
	if s.census == nil {
		return
	}
	for _, list := range [][]*message{s.plan.known, s.plan.fetch} {
		for _, m := range list {
			if m.deleted && m.unique && s.report.Quit == mail.QuitAcked {
				s.census.named--
				s.census.octets -= max(m.size, 0)
			}
		}
	}
	s.st.Listed = s.census.store()
}
