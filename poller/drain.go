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

	clock     func() time.Time // of the wall; nil is time.Now
	stretcher stretcher
	recall    recall
}

// wall returns what the clock on the wall shows, for what is stored and for what
// came from the Store.
func (d *Drainer) wall() time.Time {
	if d.clock != nil {
		return d.clock().Round(0)
	}
	return time.Now().Round(0)
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
	// Rest is how long the mailbox should be left alone, and Waits why: by its
	// schedule, by how it failed, or by what the server wants.
	Rest  time.Duration
	Waits Wait
	// Breaker is how the credentials breaker stands for the present secret, and
	// Refusals how many logins it counts.
	Breaker  BreakerState
	Refusals int
	Took     time.Duration

	breakerLeft time.Duration // until an open breaker half opens; 0 if only another secret closes it
	dialed      bool          // the server was asked for
	spared      bool          // it was not yet time
	visit       visit         // as it is stored now
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
// for the caller to decide, and Result.Rest says what is advised. When ctx is done,
// no further message is fetched, what is sealed is committed, and the session ends
// within Grace.
//
// What the server demands is heeded over processes and restarts: LOGIN-DELAY, the
// daily limit and the credentials breaker may end a Drain before it connects.
//
// The error is that of Result.Err. Its Outcome is given by OutcomeOf.
func (d *Drainer) Drain(ctx context.Context, m Mailbox) (Result, error) {
	res := d.drain(ctx, m, occasion{asked: true})
	return res, res.Err
}

// drain is Drain on the occasion given.
func (d *Drainer) drain(ctx context.Context, m Mailbox, o occasion) Result {
	started := time.Now()
	m = m.withDefaults()
	res := Result{Mailbox: m.Name}
	err := m.validate()
	if err == nil {
		err = d.drainLeased(ctx, m, o, &res)
	}
	res.Err, res.Outcome, res.Took = err, OutcomeOf(err), time.Since(started)
	return res
}

// drainLeased holds the sessions under one lease.
func (d *Drainer) drainLeased(ctx context.Context, m Mailbox, o occasion, res *Result) error {
	if !o.asked && d.spares(d.load(ctx, m.Name), &m, o, res) {
		return nil // without a lease: another process has done it
	}
	lease, err := d.Leaser.Lease(ctx, m.Name)
	if err != nil {
		return notLeased(err, res)
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
		err = d.hold(early, hard, m, keeper, lease, o, res)
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

// notLeased says why there is no lease, and when to try again.
func notLeased(err error, res *Result) error {
	err = leaseFailure(err)
	res.Rest, res.Waits = backoff(OutcomeArchive, 1), WaitBackoff
	if OutcomeOf(err) == OutcomeBusy {
		res.Rest, res.Waits = between(leaseRetry/2, leaseRetry), WaitLease
	}
	return err
}

// spares reports whether it is not yet time for a session.
func (d *Drainer) spares(k *keeper, m *Mailbox, o occasion, res *Result) bool {
	left, why := k.state.Visit.gate(m, o, d.Worker, d.wall())
	res.spared = why != ""
	if res.spared {
		res.Rest, res.Waits, res.visit = left, why, k.state.Visit
	}
	return res.spared
}

// hold holds one session and draws its conclusions.
func (d *Drainer) hold(early, hard context.Context, m Mailbox, keeper *keeper, lease Lease, o occasion, res *Result) error {
	res.More = false
	if d.spares(keeper, &m, o, res) {
		if o.asked {
			return gateError(res.Waits, res.Rest, &m)
		}
		return nil
	}
	attempt, err := d.prepare(early, &m, keeper)
	if err != nil {
		d.conclude(hard, &m, keeper, attempt, conclusion{err: err}, res)
		return err
	}
	s := d.newSession(m, keeper.state, lease, early.Done())
	s.save = keeper.save
	s.attempt, s.pace = attempt, o.pace
	err = s.run(early, hard)
	s.learn(err)
	s.enter(PhaseDone)
	res.CertExpiry = cmp.Or(s.certExpiry, res.CertExpiry)
	if s.loggedIn() {
		s.remember()
		s.tell(hard)
		keeper.state.Draft = nil
		s.addTo(res)
	} else {
		attempt.settle(err)
		res.Last = s.report
	}
	d.conclude(hard, &m, keeper, attempt, s.conclusion(err, res.More), res)
	s.logEnd(hard, err)
	return err
}

// prepare does what comes before a connection: the events of earlier sessions
// are delivered, and the breaker is asked about the secret, which m then holds.
// The attempt is nil if it did not come to that.
func (d *Drainer) prepare(ctx context.Context, m *Mailbox, k *keeper) (*attempt, error) {
	if err := d.settleReports(ctx, m.Name, k); err != nil {
		return nil, err
	}
	return d.admitSecret(ctx, m, k)
}

// admitSecret asks the breaker about the secret as it is now, which m then holds.
func (d *Drainer) admitSecret(ctx context.Context, m *Mailbox, k *keeper) (*attempt, error) {
	secret, err := m.secret(ctx)
	if err != nil {
		return nil, err
	}
	if m.Tokens == nil {
		m.Password = func(context.Context) (string, error) { return secret, nil }
	}
	return d.admit(ctx, secret, k)
}

// conclude draws the conclusions for the next session, and saves the state.
func (d *Drainer) conclude(ctx context.Context, m *Mailbox, k *keeper, t *attempt, c conclusion, res *Result) {
	if t != nil {
		res.Breaker, res.breakerLeft, res.Refusals = t.state()
		c.breaker, c.left = res.Breaker, res.breakerLeft
	}
	v := &k.state.Visit
	res.Rest = v.conclude(m, c, d.Worker, d.wall())
	res.Waits, res.visit, res.dialed = v.Why, *v, c.dialed
	k.save(ctx)
	d.recall.keep(k)
}

// conclusion is what the session means for the next one.
func (s *session) conclusion(err error, more bool) conclusion {
	return conclusion{err: err, dialed: true, loggedIn: s.entered, delay: s.loginDelay, more: more, octets: s.octets}
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
	res.LoginDelay = s.loginDelay
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
		if (s.report.Listed > 0 || s.ahead) && s.report.Quit != mail.QuitRefused {
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
