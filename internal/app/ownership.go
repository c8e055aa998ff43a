package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/mailkeep/mailkeep/internal/bus"
	"github.com/mailkeep/mailkeep/internal/web"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/catalog"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// ownEvery is how often a process that waits for a ledger asks for it.
const ownEvery = time.Second

// An ownership is the lease of a ledger, which is taken again when it was lost:
// the process goes on unless another has taken the ledger meanwhile.
type ownership struct {
	app   *App
	name  string
	lease atomic.Pointer[bus.Lease]
}

var _ ledger.Fence = (*ownership)(nil)

// Epoch implements ledger.Fence.
func (o *ownership) Epoch() uint64 { return o.lease.Load().Token() }

// Held implements ledger.Fence.
func (o *ownership) Held() error {
	select {
	case <-o.lease.Load().Lost():
		return mail.Errorf(mail.InUse, "the lease of %s is lost", o.name)
	default:
		return nil
	}
}

// own waits until this process owns the ledger of a partition. With the embedded
// NATS server there is no other process, and no lease: the locks of the files are
// enough.
func (a *App) own(ctx context.Context, p *partition) (*ownership, error) {
	if a.cfg.NATS.URL == "" {
		return nil, nil
	}
	o := &ownership{app: a, name: fmt.Sprintf("the ledger of partition %d", p.number)}
	lease, err := a.awaitLease(ctx, o.name, func() error { return nil })
	if err != nil {
		return nil, fmt.Errorf("own the ledger: %w", err)
	}
	o.lease.Store(lease)
	a.life.onStop("ownership", func(ctx context.Context) error { return o.lease.Load().Release(ctx) })
	return o, nil
}

// keep takes the lease again whenever it was lost. It returns an error, which
// ends the process, once another process has taken the ledger.
func (o *ownership) keep(ctx context.Context, taken func() error) error {
	for {
		select {
		case <-o.lease.Load().Lost():
		case <-ctx.Done():
			return ctx.Err()
		}
		o.app.log.WarnContext(ctx, "the lease of the ledger is lost; nothing is sealed before it is taken again", slog.String("lease", o.name))
		lease, err := o.app.awaitLease(ctx, o.name, taken)
		if err != nil {
			return err
		}
		o.lease.Store(lease)
		if err := taken(); err != nil {
			return err
		}
	}
}

// awaitLease asks for the lease until it is given, or the check fails.
func (a *App) awaitLease(ctx context.Context, name string, check func() error) (*bus.Lease, error) {
	tick := time.NewTicker(ownEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		lease, err := a.bus.Lease(ctx, name)
		if err == nil || mail.KindOf(err) != mail.InUse && mail.KindOf(err) != mail.Temporary {
			return lease, err
		}
		if err := check(); err != nil {
			return nil, err
		}
		if first {
			a.log.InfoContext(ctx, "waiting for the lease of the ledger", slog.Any("why", err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// listen makes the control socket of a role. That of an archive whose leases this
// process holds is taken from one that was stopped and does not answer.
func (a *App) listen(ctx context.Context, r Role) (net.Listener, error) {
	path := web.SocketPath(a.dir.Path, string(r))
	l, err := web.ListenSocket(ctx, path)
	if mail.KindOf(err) != mail.InUse || r != RoleArchive || a.cfg.NATS.URL == "" {
		return l, err
	}
	a.log.WarnContext(ctx, "a process without the lease holds the control socket; it is replaced", slog.String("socket", path))
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("replace the control socket: %w", err)
	}
	return web.ListenSocket(ctx, path)
}

// openCatalog opens the catalog of a partition. With a lease, a catalog that
// another process holds is set aside and made anew: that process was stopped, has
// lost the lease, and must not be waited for.
func (a *App) openCatalog(ctx context.Context, p uint16, leased bool) (*catalog.Catalog, error) {
	o := catalog.Options{Partition: p, Identity: a.dir.Identity.Archive, Logger: a.log}
	var c *catalog.Catalog
	err := patiently(ctx, func() bool { return leased || a.dir.answered(ctx, RoleArchive) }, func() (err error) {
		c, err = catalog.Open(a.dir.catalog(p), o)
		return err
	})
	if mail.KindOf(err) != mail.InUse || !leased {
		return c, err
	}
	name := fmt.Sprintf("%s/%04d.bolt", catalogDir, p)
	a.log.WarnContext(ctx, "a process without the lease holds the catalog; it is rebuilt from the ledger", slog.String("file", name))
	for _, file := range []string{name + ".state", name, name + ".lock"} {
		if err := a.dir.root.Rename(file, file+".fenced"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("set the catalog aside: %w", err)
		}
	}
	return catalog.Open(a.dir.catalog(p), o)
}
