// Package app fits the rooms together. It is the only package that knows all of
// them; what flows between them stands on one page, in pipeline.go.
//
// A process is a value: New opens everything that its roles need, Start begins
// the work, Stop ends it in order, Run does all three. What New opens it pushes
// on a stack of named steps, which Stop unwinds, and New itself when it fails
// half way. The order is the pipeline's: the poller ends first (sessions in
// flight commit what is sealed or break off without QUIT), then the doors for
// questions, the indexer, the consumer of the queue, the sink (everything
// accepted is sealed), the ledger (its segment is sealed), the catalog, the bus,
// and last the directory.
//
// Reading beside a running process needs no locks but two: Bleve and bbolt hold
// their files for one process. So Open asks a running process over its control
// socket for searches and status, and reads the ledger's files itself.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/bus"
	"github.com/mailkeep/mailkeep/internal/telemetry"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller"
	"github.com/mailkeep/mailkeep/poller/oauth"
	"github.com/mailkeep/mailkeep/sink/patrol"
	"github.com/mailkeep/mailkeep/sink/store"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// An App is one process at work.
type App struct {
	cfg     *configs.Config
	boxes   []configs.ResolvedMailbox // of cfg, in its order
	reading *reading
	roles   []Role
	console Console
	worker  string // names this process in captures, events and leases

	log     *slog.Logger
	life    *lifecycle
	metrics *telemetry.Metrics
	health  *telemetry.Health

	dir        *directory // nil if the roles need no archive
	bus        *bus.Bus
	partitions []*partition
	poller     *poller.Poller // nil without the role
	seen       *sessionsSeen
	signing    *tlog.Key                 // role archive
	anchorers  map[uint16]*tlog.Anchorer // by partition; none for those about which nobody is asked
	tokens     map[string]*oauth.Source  // by mailbox; those with a password left out
	// opened is set when all of the above is; the doors answer before.
	opened atomic.Bool
	// storeFinding is what the store was found to keep; nil: it was not tried.
	storeFinding atomic.Pointer[store.Finding]
	// patrols are those of the partitions, in order; role archive, in run. Nil: it
	// is switched off.
	patrols atomic.Pointer[[]*patrol.Patrol]
}

// New opens what the roles need. Nothing polls before Start.
func New(ctx context.Context, c *configs.Config, roles []Role, console Console) (*App, error) {
	if len(roles) == 0 {
		roles = Roles()
	}
	if err := checkRoles(c, roles); err != nil {
		return nil, err
	}
	a, err := newApp(c, roles, console)
	if err != nil {
		return nil, err
	}
	if err := a.open(ctx); err != nil {
		return nil, a.giveUp(ctx, err)
	}
	a.opened.Store(true)
	return a, nil
}

// newApp makes a process in which nothing is open.
func newApp(c *configs.Config, roles []Role, console Console) (*App, error) {
	log, err := telemetry.Logger(console.Logs, c.Log.Format, c.Log.Level)
	if err != nil {
		return nil, err
	}
	boxes, metrics := c.Resolve(), newMetrics(c)
	return &App{
		cfg: c, boxes: boxes, reading: newReading(boxes).with(newTexts(c, log, metrics)), roles: roles, console: console, worker: workerName(), log: log, life: newLifecycle(log),
		seen: newSessionsSeen(), tokens: map[string]*oauth.Source{}, metrics: metrics, health: &telemetry.Health{},
	}, nil
}

// giveUp closes what was opened before err, which it returns.
func (a *App) giveUp(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return errors.Join(err, a.life.stop(ctx))
}

// checkRoles refuses roles that cannot work: without an external NATS the
// queue lives inside this process, so all roles must.
func checkRoles(c *configs.Config, roles []Role) error {
	if c.NATS.URL != "" {
		return nil
	}
	for _, r := range Roles() {
		if !slices.Contains(roles, r) {
			return mail.WithHint(mail.Errorf(mail.Invalid, "the embedded NATS server serves one process only, so the role %s cannot be left out", r),
				"set nats.url to an external server to run the roles in processes of their own, or leave --role out")
		}
	}
	return nil
}

func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

func (a *App) has(r Role) bool { return slices.Contains(a.roles, r) }

// open is one straight function on purpose: the order of construction is the
// reverse order of stopping.
func (a *App) open(ctx context.Context) error {
	a.life.onStop("documents", func(context.Context) error { return a.reading.texts.Close() })
	if a.has(RoleArchive) || a.has(RoleIndex) {
		if err := a.openDirectory(ctx); err != nil {
			return err
		}
	}
	if err := a.openBus(ctx); err != nil {
		return err
	}
	if a.dir != nil {
		for _, p := range a.dir.partitions() {
			if err := a.openPartition(ctx, p); err != nil {
				return err
			}
		}
		if err := a.openAnchors(ctx); err != nil {
			return err
		}
		if err := a.startStores(ctx); err != nil {
			return err
		}
	}
	if err := a.openDoors(ctx); err != nil {
		return err
	}
	if a.has(RolePoller) {
		return a.openPoller()
	}
	return nil
}

// openDirectory makes the archive if this process is to own it. The index of
// an archive that is yet to be made waits for its owner.
func (a *App) openDirectory(ctx context.Context) (err error) {
	if a.cfg.IsDirect() && a.has(RoleArchive) {
		if err := adopt(ctx, a.cfg, true); err != nil {
			return err
		}
	}
	if a.has(RoleArchive) {
		a.dir, err = createDirectory(ctx, a.cfg.Archive.Dir, a.cfg.Partitions)
	} else {
		a.dir, err = a.awaitDirectory(ctx)
	}
	if err == nil {
		a.life.onStop("directory", func(context.Context) error { return a.dir.Close() })
		err = errors.Join(a.dir.openKeys(ctx, a.cfg, a.has(RoleArchive)), a.dir.openStore(a.cfg))
	}
	if err == nil && a.cfg.IsDirect() {
		err = a.openDirect(ctx)
	}
	if err == nil && a.has(RoleArchive) {
		err = a.openSigningKey(ctx)
	}
	return err
}

func (a *App) awaitDirectory(ctx context.Context) (*directory, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for first := true; ; first = false {
		d, err := openDirectory(a.cfg.Archive.Dir)
		if mail.KindOf(err) != mail.NotFound {
			return d, err
		}
		if first {
			a.log.InfoContext(ctx, "waiting for the archive to be made", slog.String("dir", a.cfg.Archive.Dir))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(err, context.Cause(ctx))
		}
	}
}

func (a *App) openBus(ctx context.Context) error {
	o := bus.Options{
		URL: a.cfg.NATS.URL, CredentialsFile: a.cfg.NATS.CredentialsFile,
		CAFile: a.cfg.NATS.CAFile, CertFile: a.cfg.NATS.CertFile, KeyFile: a.cfg.NATS.KeyFile,
		MaxStore: int64(a.cfg.NATS.MaxStore), RawBytes: int64(a.cfg.NATS.QueueBytes), BigBytes: int64(a.cfg.NATS.QueueBytes),
		Replicas: a.cfg.NATS.Replicas, Partitions: a.cfg.Partitions, Name: a.worker, LeaseTTL: time.Duration(a.cfg.NATS.Lease), Logger: a.log,
	}
	if o.URL == "" {
		o.Dir = a.dir.nats()
		if a.cfg.NATS.HandOver {
			o.HandOver = handOver(debug.SetMemoryLimit(-1))
		}
	}
	if a.dir != nil {
		o.Archive = a.dir.Identity.Archive
	}
	b, err := bus.Start(ctx, o)
	if err != nil {
		return err
	}
	a.bus = b
	a.life.onStop("bus", b.Close)
	a.health.Add("bus", b.Healthy)
	a.life.work(ctx, "queue gauge", a.measureQueue)
	return nil
}

// handOver is how many octets of messages may be in memory between poller and
// sink, where the process may have limit octets of heap. The sink holds some more.
func handOver(limit int64) int64 { return min(64<<20, limit/16) }

// measureQueue keeps the queue's metrics up to date.
func (a *App) measureQueue(ctx context.Context) error {
	tick := time.NewTicker(15 * time.Second)
	defer tick.Stop()
	for {
		if d, err := a.bus.Depth(ctx); err == nil {
			a.metrics.Queue(d.Messages, d.Bytes+d.Memory, d.Limit)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Start begins polling, if that is among the roles.
func (a *App) Start(ctx context.Context) {
	if a.poller != nil {
		a.life.work(ctx, "poller", a.poller.Run)
	}
	a.health.SetReady(true)
	a.log.InfoContext(ctx, "started", slog.Any("roles", a.roles), slog.Int("mailboxes", len(a.cfg.Mailboxes)))
}

// Stop ends the work in order. It is bounded by the configured grace for
// sessions in flight and half a minute for the rest.
func (a *App) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(a.cfg.Poll.StopGrace)+30*time.Second)
	defer cancel()
	a.health.SetReady(false)
	began := time.Now()
	err := a.life.stop(ctx)
	a.log.InfoContext(ctx, "stopped", slog.Duration("took", time.Since(began)))
	return err
}

// Run works until ctx ends, and returns nil if it stopped in order; or until a
// part of the process fails for good.
func Run(ctx context.Context, c *configs.Config, roles []Role, console Console) error {
	a, err := New(ctx, c, roles, console)
	if err != nil {
		return err
	}
	if err := errors.Join(a.startPatrols(ctx), a.startProtection(ctx), a.startAlerts(ctx)); err != nil {
		return a.giveUp(ctx, err)
	}
	a.startDrills(ctx)
	return a.run(ctx)
}

func (a *App) run(ctx context.Context) error {
	a.Start(ctx)
	select {
	case <-ctx.Done():
		a.log.InfoContext(ctx, "stopping", slog.String("why", context.Cause(ctx).Error()))
		return a.Stop(ctx)
	case <-a.life.fatal:
		return errors.Join(a.life.fatalErr, a.Stop(ctx))
	}
}
