package poller

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// A park is many mailboxes on many hosts, and a Poller over them.
type park struct {
	t     *testing.T
	srv   *pop3test.Server
	arc   *archive
	o     Options
	logs  *logs
	conns sync.WaitGroup

	mu     sync.Mutex
	opened map[string][]time.Time // times of connections, by host
	now    map[string]int         // connections open, by host
	most   map[string]int
	down   map[string]bool // hosts that cannot be reached
}

func newPark(t *testing.T, mailboxes, hosts int) *park {
	p := &park{
		t: t, srv: &pop3test.Server{Mailboxes: make(map[string]*pop3test.Mailbox)}, arc: newArchive(t), logs: new(logs),
		opened: make(map[string][]time.Time), now: make(map[string]int), most: make(map[string]int), down: make(map[string]bool),
	}
	for i := range mailboxes {
		user := fmt.Sprintf("user%d", i)
		p.srv.Mailboxes[user] = &pop3test.Mailbox{Password: secret}
		p.o.Mailboxes = append(p.o.Mailboxes, Mailbox{
			Name: user + "@example.org", Host: fmt.Sprintf("pop%d.example.org:110", i%hosts), User: user,
			Security: pop3.Plain, DialContext: p.dial, Jitter: 0.1, Password: func(context.Context) (string, error) { return secret, nil },
		})
	}
	p.o.Archive, p.o.Leaser, p.o.Store = p.arc, &leases{t: t}, new(store)
	p.o.rounds = fewRounds
	p.o.Logger = slog.New(slog.NewTextHandler(p.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return p
}

// tracked counts an open connection.
type tracked struct {
	net.Conn
	closed func()
}

func (c tracked) Close() error {
	c.closed()
	return c.Conn.Close()
}

func (p *park) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened[addr] = append(p.opened[addr], time.Now())
	if p.down[addr] {
		return nil, fmt.Errorf("connect to %s: refused", addr)
	}
	p.now[addr]++
	p.most[addr] = max(p.most[addr], p.now[addr])
	client, server := net.Pipe()
	p.conns.Go(func() { p.srv.ServeConn(context.WithoutCancel(ctx), server) })
	var once sync.Once
	return tracked{client, func() {
		once.Do(func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.now[addr]--
		})
	}}, nil
}

// polling runs a Poller for a while and waits until it has stopped.
func (p *park) polling(d time.Duration, during func(*Poller)) *Poller {
	p.t.Helper()
	pl, err := New(p.o)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	var run sync.WaitGroup
	run.Go(func() {
		if err := pl.Run(ctx); err != nil {
			p.t.Errorf("Run: %v", err)
		}
	})
	if during != nil {
		during(pl)
	}
	elapse(d)
	cancel()
	run.Wait()
	p.conns.Wait()
	p.check()
	return pl
}

// check holds the oracles over all mailboxes.
func (p *park) check() {
	p.t.Helper()
	checkDeleted(p.t, p.arc, func(user string) string { return user + "@example.org" }, p.srv)
	checkQuit(p.t, p.srv)
	checkOnce(p.t, p.arc)
	checkSecret(p.t, p.logs.String(), "user0", secret)
}

func (p *park) box(i int) *pop3test.Mailbox { return p.srv.Mailboxes[fmt.Sprintf("user%d", i)] }

func TestThousandsOfMailboxes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, hosts = 1000, 50
		p := newPark(t, n, hosts)
		for i := range n {
			p.box(i).Messages = pop3test.Messages(letter(fmt.Sprint(i), 60))
		}
		pl := p.polling(20*time.Minute, nil)
		for _, s := range pl.Status() {
			if s.Outcome != OutcomeOK || s.Deleted != 1 || s.Running {
				t.Fatalf("status %+v", s)
			}
			if late := s.NextDue.Sub(s.LastEnd); late < 13*time.Minute || late > 17*time.Minute {
				t.Fatalf("next due %s after the last end", late)
			}
		}
		// 20 minutes hold a first poll of all and a second of most.
		if got := p.srv.Sessions(); got < n*5/4 || got > 2*n {
			t.Errorf("%d sessions", got)
		}
		for host, most := range p.most {
			if most > DefaultPerHost {
				t.Errorf("%s: %d sessions at once", host, most)
			}
		}
	})
}

func TestLoginsPerMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 60, 1)
		p.o.LoginsPerMinute = 10
		for i := range p.o.Mailboxes {
			p.o.Mailboxes[i].Interval = time.Minute // more than the host allows
		}
		p.polling(30*time.Minute, nil)
		times := p.opened["pop0.example.org:110"]
		if len(times) < 290 {
			t.Errorf("%d logins in 30 minutes at 10 a minute", len(times))
		}
		const burst = DefaultPerHost
		for i := range times {
			if j := i + 10 + burst; j < len(times) && times[j].Sub(times[i]) < time.Minute {
				t.Fatalf("%d logins within %s", 11+burst, times[j].Sub(times[i]))
			}
		}
		for _, s := range p.countBy() {
			if s < 4 || s > 6 {
				t.Errorf("a mailbox had %d sessions of 300", s)
			}
		}
	})
}

// TestHostHasItsOwnLimits: what is set for the mailboxes of a host goes before the
// limits of all.
func TestHostHasItsOwnLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 40, 2)
		p.o.LoginsPerMinute, p.o.PerHost = 20, 4
		for i := range p.o.Mailboxes {
			m := &p.o.Mailboxes[i]
			m.Interval = time.Minute
			if i%2 == 1 {
				m.LoginsPerMinute, m.PerHost = 2, 1
			}
		}
		p.polling(30*time.Minute, nil)
		wide, narrow := len(p.opened["pop0.example.org:110"]), len(p.opened["pop1.example.org:110"])
		if narrow < 58 || narrow > 62 || wide < 400 {
			t.Errorf("%d logins at 2 a minute, %d at 20, in 30 minutes", narrow, wide)
		}
		expect(t, "at once", p.most["pop1.example.org:110"], 1)
	})
}

// countBy returns the number of logins by user.
func (p *park) countBy() map[string]int {
	n := make(map[string]int)
	for _, c := range p.srv.Commands() {
		if c.Verb == "PASS" {
			n[c.User]++
		}
	}
	return n
}

// TestRow100Fairness has one huge mailbox among small ones on the same host.
func TestRow100Fairness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 101, 1)
		p.o.LoginsPerMinute = 60
		p.o.MaxSessions = 2
		p.o.Mailboxes[0].BatchMessages = 20
		for i := range 3000 {
			p.box(0).Add(pop3test.Message{UIDL: fmt.Sprint("m", i), Raw: fmt.Appendf(nil, "Subject: %d\r\n\r\n", i)})
		}
		p.srv.SetHooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb != "QUIT" {
				return nil
			}
			return &pop3test.Action{Delay: time.Second, Run: true}
		}})
		pl := p.polling(35*time.Minute, nil)
		all := pl.Status()
		if all[0].Deleted < 2500 {
			t.Errorf("the huge mailbox had %d messages deleted", all[0].Deleted)
		}
		for user, n := range p.countBy() {
			if user != "user0" && n < 2 {
				t.Errorf("%s was polled %d times in 35 minutes", user, n)
			}
		}
	})
}

func TestRow23CredentialsBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 1, 1)
		password := "wrong"
		asked := 0
		p.o.Mailboxes[0].Password = func(context.Context) (string, error) { asked++; return password, nil }
		pl := p.polling(48*time.Hour, nil)
		expect(t, "attempts", len(p.opened["pop0.example.org:110"]), 3)
		s := pl.Status()[0]
		expect(t, "blocked", s.Blocked, true)
		expect(t, "outcome", s.Outcome, OutcomeCredentials)
		if s.Hint == "" || asked < 20 {
			t.Errorf("hint %q, password asked for %d times", s.Hint, asked)
		}
	})
}

func TestRow98RotatedSecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 1, 1)
		p.box(0).Messages = pop3test.Messages(letters(2)...)
		var mu sync.Mutex
		password := "wrong"
		p.o.Mailboxes[0].Password = func(context.Context) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			return password, nil
		}
		pl := p.polling(time.Hour, func(*Poller) {
			elapse(24 * time.Hour)
			mu.Lock()
			defer mu.Unlock()
			password = secret
		})
		s := pl.Status()[0]
		expect(t, "blocked", s.Blocked, false)
		expect(t, "deleted", s.Deleted, 2)
		expect(t, "failures", s.Failures, 0)
	})
}

// TestRow24HostBreaker: when several mailboxes of a host are refused at once it
// is not their passwords, and no account's lock-out counter must be burnt.
func TestRow24HostBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 40, 1)
		p.srv.SetHooks(pop3test.Hooks{OnCommand: on("PASS", 0, pop3test.Action{Raw: "-ERR [AUTH] no\r\n"})})
		p.polling(20*time.Minute, nil)
		if n := len(p.opened["pop0.example.org:110"]); n < 3 || n > refusedLimit+DefaultPerHost {
			t.Errorf("%d logins in 20 minutes", n)
		}
	})
}

func TestHostDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 40, 2)
		p.down["pop0.example.org:110"] = true
		pl := p.polling(2*time.Hour, func(*Poller) {
			elapse(2 * time.Hour)
			p.mu.Lock()
			defer p.mu.Unlock()
			if n := len(p.opened["pop0.example.org:110"]); n > 30 {
				t.Errorf("%d connections to a host that is down, in 2 hours", n)
			}
			p.down["pop0.example.org:110"] = false
		})
		for _, s := range pl.Status() {
			if s.Outcome != OutcomeOK || s.Error != "" {
				t.Errorf("%s: %s %s", s.Name, s.Outcome, s.Error)
			}
		}
	})
}

func TestRow16BusyIsNoStrike(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 1, 1)
		p.srv.SetHooks(pop3test.Hooks{OnCommand: on("PASS", 0, pop3test.Action{Delay: 11 * time.Second, Raw: "-ERR [IN-USE] locked\r\n"})})
		var s MailboxStatus // before the stop, which may meet a session that waits for its answer
		p.polling(0, func(pl *Poller) {
			elapse(6 * time.Hour)
			s = pl.Status()[0]
		})
		expect(t, "outcome", s.Outcome, OutcomeBusy)
		expect(t, "blocked", s.Blocked, false)
		if n := p.srv.Sessions(); n < 20 || n > 120 {
			t.Errorf("%d attempts in 6 hours", n)
		}
	})
}

func TestRow17LoginDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 1, 1)
		p.srv.Caps = []string{"TOP", "UIDL", "USER", "LOGIN-DELAY 300"}
		p.o.Mailboxes[0].Interval = time.Minute
		p.o.Mailboxes[0].BatchMessages = 2
		p.box(0).Messages = pop3test.Messages(letters(20)...)
		p.polling(time.Hour, nil)
		times := p.opened["pop0.example.org:110"]
		for i := 1; i < len(times); i++ {
			if times[i].Sub(times[i-1]) < 5*time.Minute {
				t.Errorf("login after %s", times[i].Sub(times[i-1]))
			}
		}
		expect(t, "left", len(p.box(0).Left()), 0)
	})
}

func TestRow22CloseAfterPassIsHalfAStrike(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 1, 1)
		p.srv.SetHooks(pop3test.Hooks{OnCommand: on("PASS", 0, pop3test.Action{End: pop3test.FIN})})
		pl := p.polling(12*time.Hour, nil)
		s := pl.Status()[0]
		expect(t, "outcome", s.Outcome, OutcomeTemp)
		expect(t, "blocked", s.Blocked, false)
		if p.srv.Sessions() < 10 {
			t.Errorf("%d sessions in 12 hours", p.srv.Sessions())
		}
	})
}

func TestOrderlyStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 3, 3)
		p.o.StopGrace = 15 * time.Second
		for i := range 3 {
			p.box(i).Messages = pop3test.Messages(letters(50)...)
		}
		p.srv.SetHooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			switch {
			case c.Verb == "RETR" && c.User == "user2" && c.Arg == "5":
				return &pop3test.Action{End: pop3test.Stall}
			case c.Verb == "RETR":
				return &pop3test.Action{Delay: time.Second, Run: true}
			}
			return nil
		}})
		start := time.Now()
		pl := p.polling(20*time.Second, nil)
		if took := time.Since(start); took > 36*time.Second {
			t.Errorf("stopped after %s", took)
		}
		for i, s := range pl.Status() {
			expect(t, "running", s.Running, false)
			if i < 2 && (s.Deleted < 15 || s.Deleted > 25) {
				t.Errorf("%s: %d deleted", s.Name, s.Deleted)
			}
		}
		expect(t, "deleted of the one that hangs", pl.Status()[2].Deleted, 0)
		expect(t, "left", len(p.box(2).Left()), 50)
	})
}

func TestOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 5, 2)
		for i := range 5 {
			p.box(i).Messages = pop3test.Messages(letters(30)...)
			p.o.Mailboxes[i].BatchMessages = 10
		}
		pl, err := New(p.o)
		if err != nil {
			t.Fatal(err)
		}
		p.box(1).Password = "changed"
		all, err := pl.Once(t.Context(), "user2@example.org", "user1@example.org")
		if err != nil || len(all) != 2 {
			t.Fatalf("%v, %v", all, err)
		}
		expect(t, "deleted", all[0].Deleted, 30)
		expect(t, "sessions", all[0].Sessions, 3)
		expect(t, "outcome", all[1].Outcome, OutcomeCredentials)
		if all[1].Err == nil || all[1].Mailbox != "user1@example.org" {
			t.Errorf("%+v", all[1])
		}

		_, err = pl.Once(t.Context(), "user0@example.org", "nobody@example.org")
		expect(t, "kind", mail.KindOf(err), mail.NotFound)
		expect(t, "left after a refused round", len(p.box(0).Left()), 30)

		all, err = pl.Once(t.Context())
		if err != nil || len(all) != 5 {
			t.Fatalf("%v, %v", all, err)
		}
		for i := range 5 {
			if i != 1 {
				expect(t, "left", len(p.box(i).Left()), 0)
			}
		}
		p.conns.Wait()
	})
}

func TestOnceWhileRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 3, 1)
		pl := p.polling(time.Second, func(pl *Poller) {
			elapse(5 * time.Minute)
			p.box(1).Add(pop3test.Messages(letters(4)...)...)
			start := time.Now()
			all, err := pl.Once(t.Context(), "user1@example.org")
			if err != nil || all[0].Deleted != 4 || time.Since(start) > time.Second {
				t.Errorf("%+v, %v after %s", all, err, time.Since(start))
			}
			expect(t, "second Run", mail.KindOf(pl.Run(t.Context())), mail.InUse)
		})
		all, err := pl.Once(t.Context(), "user1@example.org") // Run has ended
		if err != nil || all[0].Err != nil {
			t.Errorf("%v, %v", all, err)
		}
		p.conns.Wait()
	})
}

func TestOnceIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 10, 1)
		p.srv.SetHooks(pop3test.Hooks{OnCommand: on("STAT", 0, pop3test.Action{Delay: time.Minute, Run: true})})
		pl, err := New(p.o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		all, err := pl.Once(ctx)
		p.conns.Wait()
		if err == nil || len(all) != 10 {
			t.Fatalf("%d results, error %v", len(all), err)
		}
		for _, r := range all {
			if r.Outcome != OutcomeStopped || r.Err == nil {
				t.Errorf("%+v", r)
			}
		}
	})
}

func TestNewNamesAllFaults(t *testing.T) {
	_, err := New(Options{})
	expect(t, "kind", mail.KindOf(err), mail.Invalid)
	p := newPark(t, 2, 1)
	p.o.Mailboxes[1].Name = p.o.Mailboxes[0].Name
	p.o.Mailboxes[0].Host = "nohost"
	_, err = New(p.o)
	if err == nil || len(err.(interface{ Unwrap() []error }).Unwrap()) != 2 {
		t.Errorf("error %v", err)
	}
}

// TestLimitsOfAHost: a host has its own limits where a mailbox brings them.
func TestLimitsOfAHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPark(t, 40, 2)
		for i := range p.o.Mailboxes {
			if i%2 == 0 {
				p.o.Mailboxes[i].PerHost, p.o.Mailboxes[i].LoginsPerMinute = 1, 6
			}
		}
		p.srv.SetHooks(pop3test.Hooks{OnCommand: on("STAT", 0, pop3test.Action{Delay: 5 * time.Second, Run: true})})
		p.polling(time.Minute, nil)
		expect(t, "sessions at once on the first", p.most["pop0.example.org:110"], 1)
		if n := len(p.opened["pop0.example.org:110"]); n > 8 {
			t.Errorf("%d logins in a minute", n)
		}
		if n := len(p.opened["pop1.example.org:110"]); n != 20 {
			t.Errorf("%d logins on the other", n)
		}
	})
}
