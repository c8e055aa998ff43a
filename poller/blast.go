package poller

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A blast is the breaker on the blast radius: it keeps a mailbox from deleting
// anything while more of it is in doubt than the limits of Mailbox allow. Each
// single deletion has its warrant all the same; the breaker is for the day on
// which something that all warrants rest on is wrong, such as another account
// behind the same login, or a catalog that is not the archive's.
//
// Two things open it. The server contradicts the catalog: messages whose
// unique-ids are sealed turn out, once fetched, to be other ones. Or the catalog
// does not stand by its receipts: asked again before DELE, it does not know them.
// Fetching and sealing go on. It closes when the messages that opened it are no
// longer listed, or the catalog knows them again, but for as many as the limits
// allow; or by Reset.
type blast struct {
	Since time.Time `json:"since,omitzero"` // zero is closed
	Why   string    `json:"why,omitempty"`
	Of    int       `json:"of,omitempty"` // messages that were compared
	// Keys are those in doubt, rowKey.sum of each, of 8 octets. Denied says that it
	// was the catalog which did not know them.
	Keys   []byte `json:"keys,omitempty"`
	Denied bool   `json:"denied,omitempty"`
}

// doubtFloor is how many messages may be in doubt whatever their share: one of
// three is no pattern.
const doubtFloor = 5

// tooMany reports whether n messages of those compared may not be in doubt.
func (m Mailbox) tooMany(n, compared int) bool {
	return n > m.MaxDoubt || n > doubtFloor && n*100 > m.MaxDoubtPercent*compared
}

// open reports whether the breaker is open.
func (s *session) open() bool { return !s.st.Blast.Since.IsZero() }

// trip opens the breaker for the messages in doubt.
func (s *session) trip(doubtful []*message, compared int, denied bool, what string) {
	why := fmt.Sprintf("%d of %d %s", len(doubtful), compared, what)
	b := blast{Since: s.now, Why: why, Of: compared, Denied: denied}
	for _, m := range doubtful {
		b.Keys = binary.BigEndian.AppendUint64(b.Keys, m.key().sum())
	}
	s.st.Blast = b
	s.log.Error("the breaker on the blast radius opens: nothing is deleted from the mailbox",
		slog.String("reason", why), slog.Int("in_doubt", len(doubtful)), slog.Int("compared", compared))
}

// tripped returns the error of a session whose breaker is open, nil if it is
// closed.
func (s *session) tripped() error {
	if !s.open() {
		return nil
	}
	s.report.Breaker = s.st.Blast.Why
	return failed(OutcomeBreaker, mail.WithHint(mail.Errorf(mail.Invalid, "nothing is deleted: %s", s.st.Blast.Why),
		"check that host and user are those of mailbox %[1]q and that the archive is its own (mailkeep verify), then run: mailkeep mailbox reset %[1]s", s.m.Name))
}

// reconsider closes a breaker whose reason is gone: what opened it is not in the
// listing any more, or the catalog knows it again.
func (s *session) reconsider(listing []entry) {
	if !s.open() {
		return
	}
	b := &s.st.Blast
	doubted := make(map[uint64]bool, len(b.Keys)/8)
	for k := b.Keys; len(k) >= 8; k = k[8:] {
		doubted[binary.BigEndian.Uint64(k)] = true
	}
	left := 0
	for _, e := range listing {
		known := b.Denied && s.byNumber[e.number] != nil && s.byNumber[e.number].isKnown()
		if doubted[e.key().sum()] && !known {
			left++
		}
	}
	if s.m.tooMany(left, b.Of) {
		return
	}
	s.log.Warn("the breaker on the blast radius closes", slog.Int("in_doubt", left), slog.Duration("open", s.now.Sub(b.Since)))
	*b = blast{}
}

// contradicted returns the messages that are other ones than the catalog has
// under their unique-ids, and how many could be compared.
func (s *session) contradicted() (others []*message, compared int) {
	for _, m := range s.plan.known {
		if m.sealed {
			compared++
		}
	}
	for _, m := range s.plan.fetch {
		if !m.fetched || m.known.SealedAt.IsZero() {
			continue
		}
		compared++
		if m.got.Fingerprint().Digest != m.known.Digest {
			others = append(others, m)
		}
	}
	return others, compared
}

// vouch returns those of doomed that may be deleted. If too much is in doubt it is
// none, and the error says so.
func (s *session) vouch(ctx context.Context, doomed []*message) ([]*message, error) {
	if s.keep() || len(doomed) == 0 && !s.open() {
		return doomed, nil
	}
	others, compared := s.contradicted()
	if !s.open() && s.m.tooMany(len(others), compared) {
		s.trip(others, compared, false, "messages that the catalog knows are not what the server shows")
	}
	if !s.open() && s.m.tooMany(len(doomed), s.report.Listed) {
		denied, err := s.recheck(ctx, doomed)
		if err != nil {
			return nil, err
		}
		if s.m.tooMany(len(denied), len(doomed)) {
			s.trip(denied, len(doomed), true, "messages to be deleted are not in the catalog")
		}
		doomed = s.spare(doomed, denied)
	}
	err := s.tripped()
	if err != nil {
		for _, m := range doomed {
			m.end(mail.FateBreaker, "")
		}
		doomed = nil
	}
	return doomed, err
}

// recheck asks the catalog for what is to be deleted and returns what it does not
// know by the receipt that is held. What no unique-id names it cannot be asked
// for; a copy that came short it never vouches for.
func (s *session) recheck(ctx context.Context, doomed []*message) ([]*message, error) {
	var denied, asked []*message
	var page []entry
	for _, m := range doomed {
		switch {
		case m.suspect != "":
			denied = append(denied, m)
		case m.unique && m.size >= 0:
			asked = append(asked, m)
			page = append(page, m.entry)
		}
	}
	for len(page) > 0 {
		n := min(len(page), lookupPage)
		receipts, err := s.lookup(ctx, page[:n])
		if err != nil {
			return nil, err
		}
		for i, r := range receipts {
			if r.ID != asked[i].receipt.ID || r.Fingerprint != asked[i].receipt.Fingerprint || r.SealedAt.IsZero() {
				denied = append(denied, asked[i])
			}
		}
		page, asked = page[n:], asked[n:]
	}
	return denied, nil
}

// spare returns doomed without those that the catalog denies. What came short is
// deleted by the operator's word, which no catalog can take back.
func (s *session) spare(doomed, denied []*message) []*message {
	for _, m := range denied {
		if m.suspect == "" {
			m.end(mail.FateUnvouched, "the catalog does not confirm record "+m.receipt.ID.String())
		}
	}
	return slices.DeleteFunc(doomed, func(m *message) bool { return m.fate == mail.FateUnvouched })
}
