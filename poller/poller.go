package poller

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// Options configure a Poller. Zero fields have the default named.
type Options struct {
	Mailboxes []Mailbox
	Archive   Archive
	Leaser    Leaser
	Store     Store

	MaxSessions     int // at once; 32
	PerHost         int // sessions at once on one host, unless a Mailbox says otherwise; 4
	LoginsPerMinute int // on one host, likewise; 30
	// StopGrace is how long sessions may go on when the Poller stops, to commit
	// what is sealed; 20 s.
	StopGrace time.Duration

	Logger   *slog.Logger // nil discards
	Observer Observer     // may be nil
	// Uptime is as Drainer.Uptime; nil is a clock of this process alone.
	Uptime func() (boot string, up time.Duration)
	// Ended is told how each drain ended, those that did not come to a login
	// included; it must not block. Nil tells nobody.
	Ended  func(Result)
	Worker string // names this process in captures and events

	rounds int // of stretcher
}

// Defaults of Options.
const (
	DefaultMaxSessions     = 32
	DefaultPerHost         = 4
	DefaultLoginsPerMinute = 30
)

// A Poller drains mailboxes on a schedule.
type Poller struct {
	o        Options
	drainer  *Drainer
	accounts []*account
	byName   map[string]*account
	hosts    []*host
	tickets  chan *ticket  // to the schedule of Run
	kicks    chan *account // to it: due now
	turn     chan struct{} // held by the one schedule that is active

	mu     sync.Mutex    // guards what follows, and the status of accounts and hosts
	active chan struct{} // closed when Run ends; nil while it is not running
}

// New returns a Poller, or an error that names every fault of the options.
func New(o Options) (*Poller, error) {
	if o.Archive == nil || o.Leaser == nil || o.Store == nil {
		return nil, mail.Errorf(mail.Invalid, "a poller needs an archive, a leaser and a store")
	}
	if o.MaxSessions <= 0 {
		o.MaxSessions = DefaultMaxSessions
	}
	if o.PerHost <= 0 {
		o.PerHost = DefaultPerHost
	}
	if o.LoginsPerMinute <= 0 {
		o.LoginsPerMinute = DefaultLoginsPerMinute
	}
	if o.Uptime == nil {
		o.Uptime = processClock()
	}
	p := &Poller{
		o: o, byName: make(map[string]*account), tickets: make(chan *ticket), kicks: make(chan *account), turn: make(chan struct{}, 1),
		drainer: &Drainer{
			Archive: o.Archive, Leaser: o.Leaser, Store: o.Store, Logger: o.Logger, Observer: o.Observer,
			Worker: o.Worker, Sessions: 1, Grace: o.StopGrace, Uptime: o.Uptime,
			stretcher: stretcher{rounds: o.rounds},
		},
	}
	return p, p.addMailboxes()
}

// addMailboxes makes the accounts and their hosts.
func (p *Poller) addMailboxes() error {
	hosts := make(map[string]*host)
	var faults []error
	for _, m := range p.o.Mailboxes {
		m = m.withDefaults()
		faults = append(faults, m.validate())
		if p.byName[m.Name] != nil {
			faults = append(faults, mail.Errorf(mail.Invalid, "mailbox %q is named twice", m.Name))
			continue
		}
		if hosts[m.HostKey] == nil {
			hosts[m.HostKey] = newHost(m.HostKey, or(m.PerHost, p.o.PerHost), or(m.LoginsPerMinute, p.o.LoginsPerMinute))
			p.hosts = append(p.hosts, hosts[m.HostKey])
		}
		a := &account{mailbox: m, host: hosts[m.HostKey], index: -1}
		a.status = MailboxStatus{Name: m.Name, Breaker: BreakerClosed, DailyLimit: m.DailyLimit}
		p.accounts = append(p.accounts, a)
		p.byName[m.Name] = a
	}
	return errors.Join(faults...)
}

// Run polls until ctx is done. Then it starts no session, and returns nil when
// those in flight have ended, StopGrace later at most. The first polls of a
// host's mailboxes are spread at the pace of its logins.
func (p *Poller) Run(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
	default:
		return mail.Errorf(mail.InUse, "the poller is running already")
	}
	defer func() { <-p.turn }()
	defer p.activate()()
	sch := p.newSchedule()
	now := time.Now()
	placed := make(map[*host]time.Duration)
	for _, a := range p.accounts {
		at := placed[a.host]
		sch.plan(a, now.Add(at%a.mailbox.Interval), "")
		placed[a.host] = at + a.host.rate
	}
	sch.loop(ctx, false)
	return nil
}

// activate opens the door to tickets, and returns how to close it.
func (p *Poller) activate() func() {
	active := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active = active
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.active = nil
		close(active)
	}
}

// Once drains the named mailboxes, or all, until each is empty or cannot go on,
// and returns their results in the order of the names. While Run is active it
// drains them ahead of their time, within the limits of Run. The error says that
// the round did not take place or was cut off; how each mailbox fared is in its
// result.
func (p *Poller) Once(ctx context.Context, names ...string) ([]Result, error) {
	tickets, err := p.issue(names)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	active := p.active
	p.mu.Unlock()
	if active != nil {
		return p.ask(ctx, active, tickets)
	}
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-p.turn }()
	sch := p.newSchedule()
	for _, t := range tickets {
		sch.admit(t)
	}
	sch.loop(ctx, true)
	return results(tickets), context.Cause(ctx)
}

// ask hands tickets to the schedule of Run and waits until they are settled.
func (p *Poller) ask(ctx context.Context, active <-chan struct{}, tickets []*ticket) ([]Result, error) {
	stopped := mail.Errorf(mail.Temporary, "the poller has stopped")
	for _, t := range tickets {
		select {
		case p.tickets <- t:
		case <-active:
			return nil, stopped
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	for _, t := range tickets {
		select {
		case <-t.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return results(tickets), nil
}

// issue makes the tickets for names, or for all mailboxes.
func (p *Poller) issue(names []string) ([]*ticket, error) {
	var tickets []*ticket
	var faults []error
	for _, name := range names {
		a := p.byName[name]
		if a == nil {
			faults = append(faults, mail.Errorf(mail.NotFound, "no mailbox is named %q", name))
			continue
		}
		tickets = append(tickets, newTicket(a))
	}
	if len(names) == 0 {
		for _, a := range p.accounts {
			tickets = append(tickets, newTicket(a))
		}
	}
	return tickets, errors.Join(faults...)
}

func newTicket(a *account) *ticket {
	return &ticket{of: a, result: Result{Mailbox: a.mailbox.Name}, done: make(chan struct{})}
}

func results(tickets []*ticket) []Result {
	rs := make([]Result, len(tickets))
	for i, t := range tickets {
		rs[i] = t.result
	}
	return rs
}

// poll is a worker's task: one session of a, if its host may be asked.
func (p *Poller) poll(ctx context.Context, a *account, o occasion) ended {
	e := ended{mailbox: a}
	if e.paused, e.probing = p.paused(ctx, a.host); e.paused > 0 {
		e.result = Result{Mailbox: a.mailbox.Name, Outcome: OutcomeOK, Rest: e.paused + between(0, time.Minute), Waits: WaitHost, spared: true}
		if o.asked {
			e.result.Outcome, e.result.Err = OutcomeTemp, hostPaused(a.host.key, e.paused)
		}
		return e
	}
	e.result = p.drainer.drain(ctx, a.mailbox, o)
	e.paused, e.probing = p.noted(ctx, a.host, e.result)
	return e
}

// hostPaused is what they are told who ask for a mailbox of a host that pauses.
func hostPaused(key string, left time.Duration) error {
	return failed(OutcomeTemp, mail.WithHint(
		mail.Errorf(mail.Temporary, "the host %s is left alone for another %s, after failures of several mailboxes", key, left.Round(time.Second)),
		"see what the other mailboxes of the host report; it may be down, or refuse this address"))
}
