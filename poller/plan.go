package poller

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

// lookupPage bounds the rows of one Archive.Lookup. A mailbox with more is asked
// for in pages, and only until the session has enough to do.
const lookupPage = 10_000

// pageSize is the number of rows to look up at a time: one page is enough for
// the session, unless much of it has a record or stays on the server.
func (s *session) pageSize() int {
	if s.leaves() {
		return lookupPage
	}
	return min(2*s.budget+100, lookupPage)
}

// An entry is one message of a listing.
type entry struct {
	number int
	size   int64 // -1 if unknown
	uidl   string
	unique bool // uidl is not empty and occurs once
}

func (e entry) key() rowKey {
	if e.unique {
		return rowKey{uidl: e.uidl, size: e.size}
	}
	return rowKey{uidl: e.uidl, size: e.size, number: e.number}
}

// anySize stands for the size of a message whose size changes.
const anySize = -2

// changingKey is the key of the record that the message has under its unique-id
// alone.
func (e entry) changingKey() rowKey {
	if !e.unique {
		return e.key()
	}
	return rowKey{uidl: e.uidl, size: anySize}
}

// intersect joins LIST and UIDL, both in ascending order of number. A message
// that is in one of them only came or went between the two commands and is left
// to the next session. Without UIDL the listing is that of LIST.
func intersect(rows []pop3.Row, uidls []pop3.UidlRow, hasUidl bool) []entry {
	names := make(map[string]int, len(uidls))
	for _, u := range uidls {
		names[u.UIDL]++
	}
	listing := make([]entry, 0, len(rows))
	for _, r := range rows {
		if n := len(listing); n > 0 && listing[n-1].number == r.Number {
			continue
		}
		e := entry{number: r.Number, size: r.Size}
		if hasUidl {
			for len(uidls) > 0 && uidls[0].Number < r.Number {
				uidls = uidls[1:]
			}
			if len(uidls) == 0 || uidls[0].Number != r.Number {
				continue
			}
			e.uidl = uidls[0].UIDL
			e.unique = e.uidl != "" && names[e.uidl] == 1
		}
		listing = append(listing, e)
	}
	return listing
}

// A message is an entry that the session handles, and its fate.
type message struct {
	entry
	known mail.Receipt // of an earlier session; zero if there is none
	other bool         // known is of another size: the UIDL is sealed, the message is not
	// doubted says that the server shows another header than known has.
	doubted bool

	sent     bool // RETR was, or may have been, sent
	refusal  bool // RETR was answered -ERR: the server did not hand it out
	transfer Transfer
	shape    *structure // set where sizes are worth nothing
	writeErr error      // of transfer
	got      pop3.Retrieved
	fetched  bool // confirmed and committed
	suspect  string
	changed  int // how often it came with other content than is sealed, this time included

	answered bool // receipt or answerErr is set
	receipt  mail.Receipt
	answer   error

	sealed  bool // a receipt is held that covers the bytes
	warrant pop3.Warrant
	deleted bool
	fate    mail.Fate // where it is not that of the flags above; see session.fateOf
	why     string
}

// end sets the fate of m, and the details.
func (m *message) end(f mail.Fate, why string) { m.fate, m.why = f, bounded(why) }

// A plan is what a session is to do.
type plan struct {
	known  []*message        // sealed before: delete after a check
	fetch  []*message        // retrieve, in this order
	held   int               // left on the server for a fault of their own
	left   int               // not planned for want of budget
	octets int64             // LIST octets of fetch
	spent  bool              // a message did not fit into the budget of octets
	made   bool              // all messages of the listing are accounted for
	fates  map[mail.Fate]int // of the messages on neither list, but for those left
}

// leave accounts for a message that is not handled.
func (p *plan) leave(f mail.Fate) {
	if p.fates == nil {
		p.fates = make(map[mail.Fate]int)
	}
	p.fates[f]++
	switch f {
	case mail.FateKept, mail.FateYoung, mail.FateSealed, mail.FateBreaker, mail.FateLater:
	default:
		p.held++
	}
}

// assumedSize stands for a size that LIST does not tell.
const assumedSize = 64 << 10

// makePlan chooses what the session handles. Rows without a record come first in
// the order of the listing, then those with one, the fewest failures first: so
// no bad row can be all that a small plan has.
func (s *session) makePlan(ctx context.Context, listing []entry) error {
	now := time.Now()
	rows := s.st.index()
	todo := make([]entry, 0, len(listing))
	var marked []entry
	for _, e := range listing {
		if rows[e.key()] == nil {
			todo = append(todo, e)
		} else {
			marked = append(marked, e)
		}
	}
	slices.SortStableFunc(marked, func(a, b entry) int {
		return cmp.Compare(rows[a.key()].Tries, rows[b.key()].Tries)
	})
	todo = append(todo, marked...)
	for page := range slices.Chunk(todo, s.pageSize()) {
		if s.full() {
			s.plan.left += len(page)
			continue
		}
		if err := s.planPage(ctx, page, rows, now); err != nil {
			return err
		}
	}
	s.plan.made = true
	s.reconsider(listing)
	return nil
}

// planPage looks one page up and takes what fits.
func (s *session) planPage(ctx context.Context, page []entry, rows map[rowKey]*row, now time.Time) error {
	receipts, err := s.lookup(ctx, page)
	if err != nil {
		return err
	}
	for i, e := range page {
		m := newMessage(e, receipts[i])
		r := rows[e.key()]
		if m.other {
			r = rows[e.changingKey()]
		}
		if m.isKnown() {
			s.stand(m, standSealed)
			s.planKnown(m, r, now)
		} else {
			s.planUnknown(m, r, now)
		}
	}
	return nil
}

// planUnknown takes a message that is not sealed as it is listed, unless its
// record says that it is not time.
func (s *session) planUnknown(m *message, r *row, now time.Time) {
	if r == nil || r.due(now, s.st.Sessions) || r.Trouble == kept && !s.leaves() {
		s.take(&s.plan.fetch, m)
		return
	}
	s.plan.leave(fates[r.Trouble])
	if r.Trouble == kept {
		s.stand(m, standSealed)
	}
}

// planKnown takes a message that an earlier session sealed if it is to be deleted
// now.
func (s *session) planKnown(m *message, r *row, now time.Time) {
	switch {
	case s.keep():
		s.plan.leave(mail.FateKept)
	case !s.old(m.known):
		s.plan.leave(mail.FateYoung)
	case r != nil && r.held(now):
		s.plan.leave(mail.FateUndeletable)
	case r != nil && (r.Trouble == cut || r.Trouble == changing) && !r.due(now, s.st.Sessions):
		s.plan.leave(fates[r.Trouble])
	case s.st.Stuck >= maxCommits && len(s.plan.known) > 0:
		// Nothing this server promises to delete goes: one probe is enough.
		s.plan.leave(mail.FateUndeletable)
	case s.m.VerifyByDigest, r != nil && (r.Trouble == cut || s.consuming && r.Commits > 0):
		// Where asking for the header broke a session, fetching may not; and a
		// server that hides what was fetched may ignore DELE (Gmail does).
		s.take(&s.plan.fetch, m)
	default:
		s.take(&s.plan.known, m)
	}
}

// newMessage makes the message of a row and of what the archive has under its
// UIDL.
func newMessage(e entry, found mail.Receipt) *message {
	if found.SealedAt.IsZero() || found.Suspect != "" {
		return &message{entry: e}
	}
	return &message{entry: e, known: found, other: e.size < 0 || found.ListSize != e.size}
}

// isKnown reports whether an earlier session's receipt may allow a deletion.
func (m *message) isKnown() bool { return !m.known.SealedAt.IsZero() && !m.other }

// lookup asks the archive for the rows of the page that UIDL identifies; the
// others have a zero receipt.
func (s *session) lookup(ctx context.Context, page []entry) ([]mail.Receipt, error) {
	receipts := make([]mail.Receipt, len(page))
	var asked []mail.Listing
	var at []int
	for i, e := range page {
		if e.unique {
			asked = append(asked, mail.Listing{UIDL: mail.Octets(e.uidl), Size: e.size})
			at = append(at, i)
		}
	}
	if len(asked) == 0 {
		return receipts, nil
	}
	ctx, cancel := context.WithTimeout(ctx, archiveWait)
	defer cancel()
	found, err := s.d.Archive.Lookup(ctx, s.m.Name, asked)
	if err == nil && len(found) != len(asked) {
		err = mail.Errorf(mail.Corrupt, "%d answers to %d rows", len(found), len(asked))
	}
	if err != nil {
		return nil, failed(OutcomeArchive, mail.Errorf(mail.KindOf(err), "look up what is sealed: %w", err))
	}
	for i, r := range found {
		receipts[at[i]] = r
	}
	return receipts, nil
}

// full reports whether a budget is used.
func (s *session) full() bool {
	return s.plan.spent || len(s.plan.known)+len(s.plan.fetch) >= s.budget
}

// take puts m on the list if the budgets allow; one message always fits.
func (s *session) take(list *[]*message, m *message) {
	size := m.size
	if size < 0 {
		size = assumedSize
	}
	fetch := list == &s.plan.fetch
	if fetch && m.size > s.m.MaxMessage {
		s.plan.leave(mail.FateOversize)
		return
	}
	s.plan.spent = s.plan.spent || fetch && len(s.plan.fetch) > 0 && s.plan.octets+size > s.octetBudget
	if s.full() {
		s.plan.left++
		return
	}
	*list = append(*list, m)
	s.byNumber[m.number] = m
	if fetch {
		s.plan.octets += size
	}
}
