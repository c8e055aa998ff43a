package poller

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

// A Probe is what a look at a mailbox found. It is filled in as far as the look
// came; Err says why it went no further.
type Probe struct {
	Mailbox string
	Host    string // host:port
	User    string
	Started time.Time
	Took    time.Duration
	Outcome Outcome
	Err     error // nil if Outcome is "ok"

	Connected  bool
	TLS        string            // protocol version and cipher suite; "" on a plain connection
	CertExpiry time.Time         // of the server's own certificate; zero on a plain connection
	Before     pop3.Capabilities // announced before login

	LoggedIn  bool
	Mechanism string            // that logged in: "USER", "APOP" or the name of a SASL mechanism
	After     pop3.Capabilities // announced after login, or before where the server does not say it again

	Messages int   // as STAT counts them
	Octets   int64 // as STAT sums them up

	Listing  *ProbedListing // nil if the look did not come so far
	Forecast *Forecast      // nil if the archive could not be asked
	// NoForecast is why the archive could not be asked.
	NoForecast error
	// Consuming says that the server may delete or hide what was merely retrieved.
	Consuming bool

	// Quit is how the session ended: by QUIT with nothing retrieved and nothing
	// marked, which deletes nothing, or by closing the connection after an error.
	Quit mail.Quit

	sealed int  // rows that the archive vouches for
	dialed bool // the server was asked for
}

// A ProbedListing sums up LIST and UIDL.
type ProbedListing struct {
	Messages     int   // in both
	Octets       int64 // of those with a size
	Largest      int64
	UnknownSizes int
	Uidl         bool // the server has unique-ids
	Repeated     int  // messages whose unique-id another one has too
	Nameless     int  // messages without a usable unique-id
	Oversize     int  // messages over Mailbox.MaxMessage
}

// A Forecast is what a drain would do now, with no limit on what one session
// handles. What the server does when it comes to that is not foreseen.
type Forecast struct {
	Sealed  int   // of the messages listed, those that the archive has
	Delete  int   // of these: would be deleted after a check
	Fetch   int   // would be fetched, and then treated by the policy
	Octets  int64 // of these, as listed
	Unasked int   // beyond the most that a look asks for
	// Left counts the others, which a drain would leave for now, by why.
	Left map[mail.Fate]int
	// Breaker is why nothing is deleted although Delete says so: the breaker on
	// the blast radius is open. "" if it is closed.
	Breaker string
}

// mostProbed bounds the messages that a Forecast looks up.
const mostProbed = 100_000

// Probe looks at a mailbox as a session would, under its lease, and changes
// nothing: it connects, logs in, lists, asks the archive what it has, and QUITs.
// It retrieves no message and marks none, so that QUIT deletes nothing even
// where the server consumes what was retrieved. Of the mailbox's state nothing is
// written but what follows.
//
// A login counts like that of a session: for the credentials breaker, which may
// refuse it, and for LOGIN-DELAY. With force the breaker refuses nothing; it
// counts all the same.
//
// The error is that of Probe.Err. mail.InUse says that a session is going on.
func (d *Drainer) Probe(ctx context.Context, m Mailbox, force bool) (Probe, error) {
	m = m.withDefaults()
	p := Probe{Mailbox: m.Name, Host: m.Host, User: m.User, Started: time.Now(), Quit: mail.QuitNone}
	err := m.validate()
	if err == nil {
		err = d.probeLeased(ctx, m, force, &p)
	}
	p.Took, p.Err, p.Outcome = time.Since(p.Started), err, OutcomeOf(err)
	return p, err
}

func (d *Drainer) probeLeased(ctx context.Context, m Mailbox, force bool, p *Probe) error {
	lease, err := d.Leaser.Lease(ctx, m.Name)
	if err != nil {
		return leaseFailure(err)
	}
	defer d.release(ctx, m, lease)
	ctx, end := d.extend(ctx, lease)
	defer end()
	k := d.load(ctx, m.Name)
	if left := remaining(k.state.Visit.Login, k.state.Visit.Delay, d.wall()); left > 0 {
		return gateError(WaitLoginDelay, left, &m)
	}
	attempt, err := d.admitSecret(ctx, &m, k)
	if err != nil && !(force && attempt != nil && OutcomeOf(err) == OutcomeCredentials) {
		return err
	}
	counting := &Drainer{
		Archive: countingArchive{d.Archive, &p.sealed}, Leaser: d.Leaser, Store: d.Store, Logger: d.Logger,
		Worker: d.Worker, Grace: d.Grace, clock: d.clock,
	}
	s := counting.newSession(m, d.load(ctx, m.Name).state, lease, ctx.Done())
	s.probed, s.attempt, p.dialed = p, attempt, true
	err = s.connect(ctx)
	d.countLogin(ctx, k, s, err)
	if err != nil {
		return err
	}
	defer s.tx.Close()
	p.LoggedIn, p.Mechanism, p.After, p.Consuming = true, s.tx.Mechanism(), s.tx.Capabilities(), s.consuming
	if err := s.probe(ctx, p); err != nil {
		return err
	}
	p.Quit, err = s.tx.Quit(ctx)
	return err
}

// countLogin stores what a login means for the next one, where it means anything.
func (d *Drainer) countLogin(ctx context.Context, k *keeper, s *session, err error) {
	switch {
	case err != nil:
		s.attempt.settle(err)
	case s.loginDelay > 0:
		k.state.Visit.Login, k.state.Visit.Delay = s.entered, s.loginDelay
	default:
		return
	}
	k.save(ctx)
	d.recall.keep(k)
}

// probe asks for sizes and names, and what a drain would make of them.
func (s *session) probe(ctx context.Context, p *Probe) (err error) {
	if p.Messages, p.Octets, err = s.tx.Stat(ctx); err != nil {
		return err
	}
	listing, hasUidl, err := s.probeListing(ctx, p.Messages)
	if err != nil {
		return err
	}
	p.Listing = sumListing(listing, s.m.MaxMessage)
	p.Listing.Uidl = hasUidl
	s.budget, s.octetBudget = mostProbed, math.MaxInt64
	if err := s.makePlan(ctx, listing); err != nil {
		if ctx.Err() != nil {
			return err
		}
		p.NoForecast = err // the archive's trouble, not the mailbox's
		return nil
	}
	p.Forecast = s.forecast()
	return nil
}

// probeListing is readListing where a mailbox without UIDL is no failure.
func (s *session) probeListing(ctx context.Context, messages int) (listing []entry, hasUidl bool, err error) {
	if messages == 0 {
		return nil, s.tx.Capabilities().Uidl, nil
	}
	rows, err := s.tx.List(ctx)
	if err != nil {
		return nil, false, err
	}
	uidls, err := s.tx.Uidl(ctx)
	if hasUidl = !errors.Is(err, pop3.ErrUnsupported); hasUidl && err != nil {
		return nil, true, err
	}
	return intersect(rows, uidls, hasUidl), hasUidl, nil
}

func sumListing(listing []entry, most int64) *ProbedListing {
	l := &ProbedListing{Messages: len(listing)}
	for _, e := range listing {
		switch {
		case e.uidl == "":
			l.Nameless++
		case !e.unique:
			l.Repeated++
		}
		if e.size < 0 {
			l.UnknownSizes++
			continue
		}
		l.Octets += e.size
		l.Largest = max(l.Largest, e.size)
		if e.size > most {
			l.Oversize++
		}
	}
	return l
}

// forecast tells what the plan means.
func (s *session) forecast() *Forecast {
	f := &Forecast{Sealed: s.probed.sealed, Delete: len(s.plan.known), Unasked: s.plan.left, Left: s.plan.fates, Breaker: s.st.Blast.Why}
	for _, m := range s.plan.fetch {
		if m.isKnown() {
			f.Delete++ // it is fetched to be compared
			continue
		}
		f.Fetch++
		f.Octets += max(m.size, 0)
	}
	return f
}

// saw notes what a connection shows before login.
func (p *Probe) saw(auth *pop3.Auth) {
	if p != nil {
		p.Connected, p.TLS, p.CertExpiry, p.Before = true, auth.TLSState(), auth.PeerCertificateExpiry(), auth.Capabilities()
	}
}

// A countingArchive counts the rows that the archive vouches for.
type countingArchive struct {
	Archive
	sealed *int
}

func (a countingArchive) Lookup(ctx context.Context, mailbox string, rows []mail.Listing) ([]mail.Receipt, error) {
	receipts, err := a.Archive.Lookup(ctx, mailbox, rows)
	for _, r := range receipts {
		if !r.SealedAt.IsZero() && r.Suspect == "" {
			*a.sealed++
		}
	}
	return receipts, err
}
