package poller

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A Drainer drains single mailboxes. Its fields are set before its first use;
// Drain may then be called for different mailboxes at once.
type Drainer struct {
	Archive  Archive
	Leaser   Leaser
	Store    Store
	Logger   *slog.Logger // nil discards
	Observer Observer     // may be nil
	Worker   string       // names this process in captures and events; may be empty

	// Sessions is the fairness slice: how many sessions one Drain may hold. 0
	// means as many as it takes to empty the mailbox.
	Sessions int
	// Uptime reads a clock that nobody sets, such as the time since the machine
	// started, and names what it counts from. It tells a wall clock that was set
	// from time that has passed (see clock). Without one, nothing is deleted for its
	// age while sessions are more than an hour apart.
	Uptime func() (boot string, up time.Duration)
	// Grace is how long a session may go on after its context is done, to commit
	// what is sealed; 20 s. Then its connection is closed without QUIT.
	Grace time.Duration
}

// DefaultGrace is the Grace of a Drainer and the StopGrace of Options.
const DefaultGrace = 20 * time.Second

// breath is the pause between two sessions of a mailbox: servers give up its
// lock a moment after they have answered QUIT.
const breath = 50 * time.Millisecond

// afterwards bounds what is still done when a session is over and its context
// may be: report, save, release.
const afterwards = 10 * time.Second

// A Result is the outcome of one Drain.
type Result struct {
	Mailbox  string
	Sessions int   // that logged in
	Listed   int   // messages in the first listing: on the server when it began
	Fetched  int   // this and the following: summed over the sessions
	Sealed   int   // receipts held, those of earlier sessions included
	Deleted  int   // DELE answered +OK, and QUIT sent
	Octets   int64 // fetched
	Held     int   // of the last session: left on the server on purpose
	Last     mail.Drain
	// Vanished sums what was gone without our asking.
	Vanished mail.Vanished
	// WaitingSince is since when the message has been listed that waits longest for
	// its seal, as the last session left it; zero if none waits, or if no session
	// read the listing.
	WaitingSince time.Time
	// BreakerSince is since when the breaker on the blast radius is open, zero if
	// it is closed; Last.Breaker says why.
	BreakerSince time.Time
	Outcome      Outcome
	Err          error // what ended the last session; nil if Outcome is "ok"
	// CertExpiry is until when the certificate of the server is valid, as the last
	// session that saw one saw it; zero if none did.
	CertExpiry time.Time
	// More says that there is work left and that the last session made progress,
	// so that another one is worth while.
	More bool
	// LoginDelay is the minimum between logins that the server announced
	// (RFC 2449 section 6.5); 0 if none.
	LoginDelay time.Duration
	Took       time.Duration
}

func (d *Drainer) logger() *slog.Logger {
	if d.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Logger
}

func (d *Drainer) grace() time.Duration { return or(d.Grace, DefaultGrace) }

// Drain holds sessions until the mailbox is empty, nothing more can be done, or
// the slice is used. After a session that failed it returns: when to come back is
// for the caller to decide. When ctx is done, no further message is fetched, what is
// sealed is committed, and the session ends within Grace.
//
// The error is that of Result.Err. Its Outcome is given by OutcomeOf.
func (d *Drainer) Drain(ctx context.Context, m Mailbox) (Result, error) {
	started := time.Now()
	m = m.withDefaults()
	res := Result{Mailbox: m.Name}
	err := m.validate()
	if err == nil {
		err = d.drainLeased(ctx, m, &res)
	}
	res.Err, res.Outcome, res.Took = err, OutcomeOf(err), time.Since(started)
	return res, err
}

// drainLeased holds the sessions under one lease.
func (d *Drainer) drainLeased(ctx context.Context, m Mailbox, res *Result) error {
	lease, err := d.Leaser.Lease(ctx, m.Name)
	if err != nil {
		return leaseFailure(err)
	}
	defer d.release(ctx, m, lease)
	hard, end := d.extend(ctx, lease)
	defer end()
	early, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(hard, cancel)()

	keeper := d.load(early, m.Name)
	keeper.recover()
	for {
		err = d.hold(early, hard, m, keeper, lease, res)
		res.More = res.More && ctx.Err() == nil
		if err != nil || !res.More || d.Sessions > 0 && res.Sessions >= d.Sessions || !pause(early, max(res.LoginDelay, breath)) {
			return err
		}
	}
}

func leaseFailure(err error) error {
	outcome := OutcomeArchive
	if mail.KindOf(err) == mail.InUse {
		outcome = OutcomeBusy
	}
	return failed(outcome, mail.Errorf(mail.KindOf(err), "lease the mailbox: %w", err))
}

// pause waits for d and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// extend returns a context that outlives ctx by the grace period and ends at
// once when the lease is lost. The function returned ends it and waits.
func (d *Drainer) extend(ctx context.Context, lease Lease) (context.Context, func()) {
	hard, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	var watch sync.WaitGroup
	watch.Go(func() {
		done := ctx.Done()
		var grace <-chan time.Time
		for {
			select {
			case <-done:
				done = nil
				grace = time.After(d.grace())
			case <-grace:
				cancel(failed(OutcomeStopped, context.Cause(ctx)))
				return
			case <-lease.Lost():
				cancel(errLeaseLost)
				return
			case <-hard.Done():
				return
			}
		}
	})
	return hard, func() {
		cancel(context.Canceled)
		watch.Wait()
	}
}

// release gives the lease back, even where ctx is done.
func (d *Drainer) release(ctx context.Context, m Mailbox, lease Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	if err := lease.Release(ctx); err != nil {
		d.logger().LogAttrs(ctx, slog.LevelWarn, "the lease was not released; it will expire",
			slog.String("mailbox", m.Name), slog.Any("error", err))
	}
}

// hold holds one session and draws its conclusions.
func (d *Drainer) hold(early, hard context.Context, m Mailbox, keeper *keeper, lease Lease, res *Result) error {
	res.More = false
	if err := d.settleReports(early, m.Name, keeper); err != nil {
		return err
	}
	s := d.newSession(m, keeper.state, lease, early.Done())
	s.save = keeper.save
	err := s.run(early, hard)
	s.learn(err)
	s.enter(PhaseDone)
	res.CertExpiry = cmp.Or(s.certExpiry, res.CertExpiry)
	if s.loggedIn() {
		s.remember()
		s.tell(hard)
		keeper.state.Draft = nil
		keeper.save(hard)
		s.addTo(res)
	} else {
		res.Last = s.report
	}
	s.logEnd(hard, err)
	return err
}

// addTo sums the session into res.
func (s *session) addTo(res *Result) {
	if res.Sessions == 0 {
		res.Listed = s.report.Listed
	}
	res.Sessions++
	res.Held = s.report.Held
	res.Fetched += s.report.Fetched
	res.Sealed += s.report.Sealed
	if s.report.Quit != mail.QuitNone {
		res.Deleted += s.report.Deleted
	}
	res.Octets += s.octets
	res.Last = s.report
	if v := s.report.Vanished; v != nil {
		res.Vanished.Sealed += v.Sealed
		res.Vanished.Unsealed += v.Unsealed
	}
	res.BreakerSince = s.st.Blast.Since
	res.WaitingSince = time.Time{}
	if s.census != nil {
		res.WaitingSince = s.census.oldest()
	}
	res.More = s.more()
	res.LoginDelay = s.tx.Capabilities().LoginDelay
}

// more reports whether another session is worth while: something is left and
// this one brought the mailbox forward, or a server that shows its messages in
// portions may show the next.
func (s *session) more() bool {
	if !s.progressed() {
		return false
	}
	switch Outcome(s.report.Outcome) {
	case OutcomeOK, OutcomeTemp, OutcomeProtocol, OutcomeRate:
	default:
		return false
	}
	undone := s.plan.left > 0 || s.report.Outcome != string(OutcomeOK)
	for _, m := range s.plan.fetch {
		undone = undone || !m.fetched && m.why == "" || s.dooms(m) && !m.deleted
	}
	return undone || s.consuming && s.report.Deleted > 0
}

// progressed reports whether the session brought the mailbox forward.
func (s *session) progressed() bool {
	return s.sealedNew > 0 || s.gone > 0 || s.back == 0 && s.report.Deleted > 0 && s.report.Quit != mail.QuitNone
}

// learn sets the reach of the next session by how this one ended.
func (s *session) learn(err error) {
	if !s.loggedIn() {
		return
	}
	switch OutcomeOf(err) {
	case OutcomeTemp, OutcomeProtocol:
		if s.report.Listed > 0 && s.report.Quit != mail.QuitRefused {
			s.st.broke(s.budget, s.window)
		}
	case OutcomeArchive:
		s.st.Probe = s.st.Probe || s.report.Fetched > 0
	case OutcomeOK:
		if !s.st.Probe {
			s.st.ran(s.budget, s.window, s.m.BatchMessages)
		}
		s.st.Probe = false
	}
}
