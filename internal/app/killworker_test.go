package app

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/bus/bustest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller"
)

// The environment of a worker: a process of this test binary that drains once.
const (
	envConfig = "MAILKEEP_WORKER_CONFIG" // its configuration file
	envRoles  = "MAILKEEP_WORKER_ROLES"  // its roles, with spaces between; none is all
	envPoint  = "MAILKEEP_WORKER_POINT"  // where it kills itself; see fuse
)

// TestMain lets the test binary be a worker, or a NATS server of its own.
func TestMain(m *testing.M) {
	if status, ours := ExtractWorker(os.Args); ours {
		os.Exit(status)
	}
	if file := os.Getenv(envConfig); file != "" {
		if err := work(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(bustest.Main(m))
}

// work drains all mailboxes once, as the program does, but for the fuse in all
// that the poller touches. How the drains end is for the parent to see. A worker
// that has roles, and not the poller's, works until it is killed.
func work(file string) error {
	ctx := context.Background()
	c, err := configs.Load(configs.Sources{File: file})
	if err != nil {
		return err
	}
	var roles []Role
	for r := range strings.FieldsSeq(os.Getenv(envRoles)) {
		roles = append(roles, Role(r))
	}
	if len(roles) > 0 && !slices.Contains(roles, RolePoller) {
		return Run(ctx, c, roles, Console{Logs: os.Stderr})
	}
	a, err := New(ctx, c, roles, Console{Logs: os.Stderr})
	if err != nil {
		return err
	}
	o, err := a.pollerOptions()
	if err != nil {
		return err
	}
	newFuse(os.Getenv(envPoint)).into(&o)
	if a.poller, err = poller.New(o); err != nil {
		return err
	}
	results, err := a.drainOnce(ctx, nil)
	for _, m := range results.Mailboxes {
		a.log.Info("drained", slog.String("mailbox", m.Name), slog.String("outcome", m.Outcome), slog.String("error", m.Error))
	}
	if err != nil {
		return err
	}
	return a.Stop(ctx)
}

// A fuse burns down when the n-th pass of a point is reached: "commit.after 2".
// Without a point it never does.
type fuse struct {
	point string
	left  atomic.Int64
	blow  func() // what happens then: its own process dies by SIGKILL
}

func newFuse(at string) *fuse {
	f := &fuse{blow: suicide}
	if at == "" {
		return f
	}
	n := int64(1)
	point, count, found := strings.Cut(at, " ")
	if _, err := fmt.Sscan(count, &n); found && err != nil {
		panic(fmt.Sprintf("point %q: %v", at, err))
	}
	f.point = point
	f.left.Store(n)
	return f
}

// reach passes a point.
func (f *fuse) reach(point string) {
	if point == f.point && f.left.Add(-1) == 0 {
		f.blow()
	}
}

func suicide() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL) //nolint:errcheck // it cannot fail on oneself
	select {}                                  // until the signal is here
}

// into puts the fuse between the poller and its archive, leases, store and
// connections.
func (f *fuse) into(o *poller.Options) {
	o.Archive = frailArchive{o.Archive, f}
	o.Leaser = frailLeaser{o.Leaser, f}
	o.Store = frailStore{o.Store, f}
	for i := range o.Mailboxes {
		dial := o.Mailboxes[i].DialContext
		if dial == nil {
			dial = new(net.Dialer).DialContext
		}
		o.Mailboxes[i].DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			f.reach("connected")
			return frailConn{c, f}, nil
		}
	}
}

type frailArchive struct {
	poller.Archive
	f *fuse
}

func (a frailArchive) Lookup(ctx context.Context, mailbox string, rows []mail.Listing) ([]mail.Receipt, error) {
	a.f.reach("lookup.before")
	found, err := a.Archive.Lookup(ctx, mailbox, rows)
	a.f.reach("lookup.after")
	return found, err
}

func (a frailArchive) Begin(ctx context.Context, mailbox string, size int64) (poller.Transfer, error) {
	t, err := a.Archive.Begin(ctx, mailbox, size)
	if err != nil {
		return nil, err
	}
	return frailTransfer{t, a.f}, nil
}

func (a frailArchive) Report(ctx context.Context, mailbox string, e mail.Event) error {
	a.f.reach("report.before")
	err := a.Archive.Report(ctx, mailbox, e)
	a.f.reach("report.after")
	return err
}

type frailTransfer struct {
	poller.Transfer
	f *fuse
}

func (t frailTransfer) Write(p []byte) (int, error) {
	n, err := t.Transfer.Write(p)
	t.f.reach("write")
	return n, err
}

func (t frailTransfer) Commit(ctx context.Context, d mail.Delivery) (poller.Pending, error) {
	t.f.reach("commit.before")
	p, err := t.Transfer.Commit(ctx, d)
	if err != nil {
		return nil, err
	}
	t.f.reach("commit.after")
	return frailPending{p, t.f}, nil
}

type frailPending struct {
	poller.Pending
	f *fuse
}

func (p frailPending) Receipt(ctx context.Context) (mail.Receipt, error) {
	r, err := p.Pending.Receipt(ctx)
	if err == nil {
		p.f.reach("receipt")
	}
	return r, err
}

type frailLeaser struct {
	poller.Leaser
	f *fuse
}

func (l frailLeaser) Lease(ctx context.Context, mailbox string) (poller.Lease, error) {
	lease, err := l.Leaser.Lease(ctx, mailbox)
	if err != nil {
		return nil, err
	}
	l.f.reach("leased")
	return frailLease{lease, l.f}, nil
}

type frailLease struct {
	poller.Lease
	f *fuse
}

func (l frailLease) Check(ctx context.Context) error {
	err := l.Lease.Check(ctx)
	l.f.reach("checked")
	return err
}

func (l frailLease) Release(ctx context.Context) error {
	l.f.reach("release.before")
	return l.Lease.Release(ctx)
}

type frailStore struct {
	poller.Store
	f *fuse
}

// Save has three points: before, while the store works on it, and after. What is
// saved before DELE tells what is about to be deleted; its points are called
// "ask", those of all else "save".
func (s frailStore) Save(ctx context.Context, mailbox string, data []byte, rev uint64) (uint64, error) {
	what := "save"
	if bytes.Contains(data, []byte(`"draft":`)) {
		what = "ask"
	}
	s.f.reach(what + ".before")
	if s.f.point == what+".during" {
		go s.f.reach(what + ".during")
	}
	rev, err := s.Store.Save(ctx, mailbox, data, rev)
	s.f.reach(what + ".after")
	return rev, err
}

// A frailConn has a point before each command that begins a write, and one
// behind the answer to QUIT.
type frailConn struct {
	net.Conn
	f *fuse
}

func (c frailConn) Write(p []byte) (int, error) {
	verb, _, _ := bytes.Cut(p, []byte(" "))
	c.f.reach("send." + string(bytes.TrimSpace(verb)))
	return c.Conn.Write(p)
}
