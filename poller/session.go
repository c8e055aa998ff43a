package poller

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

// A session is one POP3 connection and what it does. It is used by one
// goroutine; only receipts wait elsewhere.
type session struct {
	d     *Drainer
	m     Mailbox
	st    *state
	lease Lease
	log   *slog.Logger
	stop  <-chan struct{}       // closed when no further message is to be fetched
	save  func(context.Context) // stores st
	now   time.Time             // of the begin, to reckon ages by

	tx          *pop3.Transaction
	budget      int   // messages
	octetBudget int64 // LIST octets to fetch
	fetchUntil  time.Time
	consuming   bool // the server may delete what was merely retrieved

	census     *census // of this listing; nil before it is read
	plan       plan
	unplanned  int              // plan.left before anything was fetched
	byNumber   map[int]*message // the messages of plan
	pending    *receipts
	window     int  // RETRs outstanding; grows up to mostWindow
	ahead      bool // the session broke off in commands that were sent ahead
	mostWindow int

	report    mail.Drain
	sealedNew int // receipts of this session that are not duplicates
	gone      int // what an earlier session asked to delete and is gone
	back      int // and what is still there although QUIT was acknowledged
	refusals  []*message
	phase     Phase
	octets    int64
	probed    *Probe // set if the session only looks

	certExpiry time.Time // of the server's certificate; zero without TLS

	// trouble is why the session fetches no more although the connection is
	// sound: what is sealed may still be deleted.
	trouble error

	attempt    *attempt
	pace       *pace         // nil where no schedule listens
	entered    time.Time     // by the clock on the wall, when the login was accepted
	loginDelay time.Duration // as announced; 0 if not
}

// newSession prepares a session under the lease.
func (d *Drainer) newSession(m Mailbox, st *state, lease Lease, stop <-chan struct{}) *session {
	now := time.Now()
	id := now.UTC().Format("20060102T150405") + "-" + rand.Text()[:10]
	s := &session{
		d: d, m: m, st: st, lease: lease, stop: stop, now: d.wall(), byNumber: make(map[int]*message),
		log: d.logger().With(slog.String("mailbox", m.Name), slog.String("session", id)),
	}
	s.report = mail.Drain{
		Session: id, Mailbox: m.Name, Host: m.Host, Worker: d.Worker, Started: now, Quit: mail.QuitNone,
	}
	s.fetchUntil = now.Add(m.BatchTime - min(m.ReceiptWait, m.BatchTime/2))
	return s
}

// loggedIn reports whether the session came as far as the mailbox.
func (s *session) loggedIn() bool { return s.tx != nil }

// stopping reports whether the process wants to end.
func (s *session) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// enter begins a phase.
func (s *session) enter(p Phase) {
	s.phase = p
	s.progress()
}

// progress tells the observer where the session is.
func (s *session) progress() {
	s.pace.moved(s.octets)
	if s.d.Observer == nil {
		return
	}
	s.d.Observer.Progress(Progress{
		Mailbox: s.m.Name, Session: s.report.Session, Phase: s.phase, Listed: s.report.Listed,
		Planned: len(s.plan.known) + len(s.plan.fetch), Left: s.unplanned, Fetched: s.report.Fetched,
		Sealed: s.report.Sealed, Deleted: s.report.Deleted, Octets: s.octets,
	})
}

// run holds the session. early ends with the caller's context, so that nothing
// is begun that could not be finished; ctx goes on for the grace period. When
// run returns, the connection is closed and no goroutine is left.
func (s *session) run(early, ctx context.Context) error {
	s.enter(PhaseConnect)
	err := s.connect(early)
	if err == nil {
		err = s.work(early, ctx)
		s.tx.Close()
	}
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	} else if early.Err() != nil && err != nil {
		err = failed(OutcomeStopped, err)
	}
	s.report.Ended = time.Now()
	s.report.Outcome = string(OutcomeOf(err))
	if err != nil {
		s.report.Error = bounded(err.Error())
	}
	return err
}

// bounded cuts a text that goes into an event.
func bounded(text string) string {
	const most = 500
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// connect dials and logs in; with a token that the server refuses, once more
// with another one.
func (s *session) connect(ctx context.Context) error {
	as, err := s.identity(ctx)
	if err != nil {
		return err
	}
	tx, err := s.login(ctx, as)
	if err != nil {
		again, ok, cause := s.renewed(ctx, as, err)
		switch {
		case cause != nil:
			return cause
		case !ok:
			return err
		}
		if tx, err = s.login(ctx, again); err != nil {
			return err
		}
	}
	s.tx = tx
	s.st.Sessions++
	s.seeClock()
	s.entered = s.d.wall()
	s.attempt.proven(ctx)
	caps := tx.Capabilities()
	s.loginDelay = caps.LoginDelay
	s.consuming = s.m.RetrConsuming || caps.Known && caps.Expire == 0
	s.setBudget(caps)
	return nil
}

// login opens a connection and logs in once.
func (s *session) login(ctx context.Context, as pop3.Identity) (*pop3.Transaction, error) {
	dialer := s.d.dialer(s.m)
	dialer.NoPipelining = dialer.NoPipelining || s.st.Window == 1
	auth, err := dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	s.report.TLS, s.certExpiry = auth.TLSState(), auth.PeerCertificateExpiry()
	s.probed.saw(auth)
	s.loginDelay = auth.Capabilities().LoginDelay
	return auth.Login(ctx, as)
}

// setBudget takes the reach of the session from what earlier ones met. Where the
// server allows few logins, each may do more.
func (s *session) setBudget(caps pop3.Capabilities) {
	s.budget, s.octetBudget = s.m.BatchMessages, s.m.BatchOctets
	if caps.LoginDelay >= time.Minute {
		s.budget, s.octetBudget = min(4*s.budget, MaxBatchMessages), 4*s.octetBudget
	}
	s.octetBudget = s.st.Visit.budget(s.m.DailyLimit, s.octetBudget, s.d.wall())
	if s.st.Messages > 0 {
		s.budget = min(s.budget, s.st.Messages)
	}
	if s.st.Probe {
		s.budget = min(s.budget, probeMessages)
	}
	s.window, s.mostWindow = min(firstWindow, s.m.Window), s.m.Window
	switch {
	case s.st.Window == 1:
		s.window, s.mostWindow = 1, 1
	case s.st.Window > 1:
		s.window = min(s.st.Window, s.m.Window)
	}
}

// probeMessages is how many messages a session handles that finds out whether
// the archive seals again.
const probeMessages = 16

// firstWindow is how many RETRs are outstanding at first in a mailbox's first
// session.
const firstWindow = 8

// work drains what one session may. It returns nil after an orderly end; after
// an error nothing was committed by this session unless report.Quit says so.
func (s *session) work(early, ctx context.Context) error {
	s.enter(PhaseList)
	if err := s.list(early); err != nil {
		if OutcomeOf(err) == OutcomeArchive {
			// Nothing was retrieved or marked, so QUIT is harmless, and it
			// unlocks the mailbox.
			s.report.Quit, _ = s.tx.Quit(early)
		}
		return err
	}
	if err := s.checkKnown(ctx); err != nil {
		return err
	}
	receiving, cancel := context.WithCancel(ctx)
	s.pending = newReceipts(len(s.plan.fetch))
	broken := s.fetch(ctx, receiving)
	if err := s.collect(ctx, broken != nil); broken == nil {
		broken = err
	}
	cancel()
	s.drainLate()
	s.judge()
	if broken != nil {
		return broken
	}
	return errors.Join(s.finish(ctx), s.trouble)
}

// finish deletes what is sealed and quits, if the session may.
func (s *session) finish(ctx context.Context) error {
	s.enter(PhaseDelete)
	doomed, alarm := s.vouch(ctx, s.doomed())
	if s.consuming && (s.exposed() || alarm != nil && s.report.Fetched > 0) {
		s.log.LogAttrs(ctx, slog.LevelWarn, "session closed without QUIT: the server deletes what is retrieved, and some of it must stay")
		return alarm
	}
	if err := s.remove(ctx, doomed); err != nil {
		return err
	}
	s.enter(PhaseQuit)
	return errors.Join(alarm, s.quit(ctx))
}

// exposed reports whether a message may have been retrieved that no receipt
// covers, or whose receipt the catalog denies. It marks such messages to be
// passed over by the next session, which can then delete the others.
func (s *session) exposed() bool {
	exposed := false
	for _, m := range s.plan.fetch {
		if m.sent && !m.refusal && (!m.sealed || m.fate == mail.FateUnvouched) {
			exposed = true
			r := s.st.at(m.key())
			r.SkipUntil = s.st.Sessions + 2
		}
	}
	return exposed || s.keep() && s.report.Fetched > 0
}

// list reads the mailbox and makes the plan.
func (s *session) list(ctx context.Context) error {
	if err := s.checkExpire(); err != nil {
		return err
	}
	count, octets, err := s.tx.Stat(ctx)
	if err != nil {
		return err
	}
	var listing []entry
	torn := false
	if count > 0 {
		if listing, torn, err = s.readListing(ctx); err != nil {
			return err
		}
	}
	s.report.Listed, s.report.Octets = len(listing), octets
	s.compare(ctx, listing, torn)
	err = s.makePlan(ctx, listing)
	s.unplanned = s.plan.left
	return err
}

// readListing returns what LIST and UIDL agree on, and whether they do not agree
// on everything.
func (s *session) readListing(ctx context.Context) (listing []entry, torn bool, err error) {
	l, err := s.tx.Listings(ctx)
	rows, uidls := l.Rows, l.Uidls
	hasUidl := !errors.Is(l.UidlErr, pop3.ErrUnsupported)
	switch {
	case err != nil:
		s.ahead = s.window > 1
		return nil, false, err
	case hasUidl && l.UidlErr != nil:
		return nil, false, l.UidlErr
	case !hasUidl && s.leaves():
		return nil, false, failed(OutcomePerm, mail.WithHint(mail.Errorf(mail.Invalid, "the server has no UIDL"),
			"without UIDL, leaving mail on the server would fetch all of it each time: set delete: after-seal"))
	}
	listing = intersect(rows, uidls, hasUidl)
	if len(listing) == 0 && len(rows) > 0 {
		return nil, false, failed(OutcomeTemp, mail.Errorf(mail.Temporary, "LIST has %d messages and UIDL none of them", len(rows)))
	}
	return listing, hasUidl && (len(listing) != len(rows) || len(listing) != len(uidls)), nil
}

// checkKnown compares what earlier sessions sealed with what the server shows
// now. A message in doubt is fetched like an unknown one.
func (s *session) checkKnown(ctx context.Context) error {
	if s.open() {
		return nil // nothing is going to be deleted
	}
	var doubtful []*message
	defer func() {
		s.plan.known = slices.DeleteFunc(s.plan.known, func(m *message) bool { return m.doubted })
		s.plan.fetch = append(s.plan.fetch, doubtful...)
	}()
	for i, m := range s.plan.known {
		if !s.mayFetch() {
			s.plan.left += len(s.plan.known) - i
			break
		}
		row := pop3.Row{Number: m.number, Size: m.size}
		w, err := s.tx.WarrantKnown(ctx, s.m.Name, row, m.uidl, m.known)
		switch {
		case errors.Is(err, pop3.ErrDoubt) && m.size > s.m.MaxMessage:
			m.end(mail.FateOversize, err.Error())
		case errors.Is(err, pop3.ErrDoubt):
			s.log.LogAttrs(ctx, slog.LevelInfo, "a sealed message is in doubt and is fetched",
				slog.Int("number", m.number), slog.Any("error", err))
			m.doubted = true
			doubtful = append(doubtful, m)
		case err != nil:
			s.st.strike(m.key(), cut, time.Now())
			m.end(mail.FateCut, err.Error())
			return err
		default:
			m.warrant, m.sealed, m.receipt = w, true, m.known
			s.report.Sealed++
		}
	}
	return nil
}
