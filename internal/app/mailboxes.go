package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/web"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller"
	"github.com/mailkeep/mailkeep/sink/catalog"
)

// A mailboxWorker does single pieces of work on mailboxes: it is the process
// that runs on the archive, or, where none does, one that is made for the work.
type mailboxWorker interface {
	// probe looks at a mailbox. What the look met is in the report; the error is
	// for what kept it from looking.
	probe(ctx context.Context, name string, force bool) (ProbeReport, error)
	// reset makes the next session begin as if nothing had gone wrong.
	reset(ctx context.Context, name string) error
	// stop ends the worker.
	stop(ctx context.Context) error
}

// ProbeMailboxes looks at each of the named mailboxes as a session would, and
// changes nothing on the server. While a process runs on the archive it does the
// looking, within its limits of sessions and logins; a mailbox that is in a
// session is reported as busy. With force, credentials are tried even though the
// breaker is open. What kept a mailbox from being looked at is in its report; the
// error is for what stopped the round. A name that is not configured is
// mail.NotFound before anything is done.
func ProbeMailboxes(ctx context.Context, c *configs.Config, names []string, force bool, console Console) ([]ProbeReport, error) {
	if err := checkNames(c, names); err != nil {
		return nil, err
	}
	w, err := openWorker(ctx, only(c, names), console)
	if err != nil {
		return nil, err
	}
	reports := make([]ProbeReport, 0, len(names))
	for _, name := range names {
		var r ProbeReport
		if r, err = w.probe(ctx, name, force); err != nil {
			break
		}
		reports = append(reports, r)
	}
	return reports, errors.Join(err, w.stop(ctx))
}

// A ResetReport tells whether a mailbox was reset. Kind, Error and Hint are set if
// it was not.
type ResetReport struct {
	Mailbox string `json:"mailbox"`
	// Running says that a running process was told, which polls the mailbox now.
	Running bool   `json:"running"`
	Kind    string `json:"kind,omitempty"`
	Error   string `json:"error,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// ResetMailboxes makes the next session of each named mailbox begin as if nothing
// had gone wrong (see poller.Reset): both breakers close, and what waits is tried
// at once. Without an archive there is nothing to reset: mail.NotFound. A name that
// is not configured is mail.NotFound before anything is done.
func ResetMailboxes(ctx context.Context, c *configs.Config, names []string, console Console) ([]ResetReport, error) {
	if err := checkNames(c, names); err != nil {
		return nil, err
	}
	if c.NATS.URL == "" {
		d, err := openDirectory(c.Archive.Dir)
		if err != nil {
			return nil, err
		}
		if err := d.Close(); err != nil {
			return nil, err
		}
	}
	w, err := openWorker(ctx, only(c, names), console)
	if err != nil {
		return nil, err
	}
	reports := make([]ResetReport, len(names))
	for i, name := range names {
		_, remote := w.(remoteWorker)
		reports[i] = ResetReport{Mailbox: name, Running: remote}
		if err := w.reset(ctx, name); err != nil {
			reports[i].Kind, reports[i].Error, reports[i].Hint = mail.KindOf(err).String(), err.Error(), mail.HintOf(err)
		}
	}
	return reports, w.stop(ctx)
}

// only returns the configuration of the named mailboxes alone, for a process
// that serves no pages: a fault of another mailbox is not their concern, and the
// address of the pages may be another process's.
func only(c *configs.Config, names []string) *configs.Config {
	narrow := *c
	narrow.HTTP.Listen = ""
	narrow.Mailboxes = slices.DeleteFunc(slices.Clone(c.Mailboxes), func(m configs.Mailbox) bool { return !slices.Contains(names, m.Name) })
	return &narrow
}

// openWorker finds who is to do the work. With an external NATS server that is
// a poller like any other: leases and states are there.
func openWorker(ctx context.Context, c *configs.Config, console Console) (mailboxWorker, error) {
	if c.NATS.URL != "" {
		return newWorker(New(ctx, c, []Role{RolePoller}, console))
	}
	d, err := openDirectory(c.Archive.Dir)
	if mail.KindOf(err) == mail.NotFound {
		return newWorker(newLoneApp(ctx, c, console, nil))
	}
	if err != nil {
		return nil, err
	}
	running, err := door(ctx, d, RoleArchive)
	if err != nil || running != nil {
		return remoteWorker{running}, errors.Join(err, d.Close())
	}
	return newWorker(newLoneApp(ctx, c, console, d))
}

// A remoteWorker is the process that answers on the archive's control socket.
type remoteWorker struct{ door *web.Client }

func (w remoteWorker) probe(ctx context.Context, name string, force bool) (r ProbeReport, err error) {
	return r, w.door.Probe(ctx, name, force, &r)
}

func (w remoteWorker) reset(ctx context.Context, name string) error { return w.door.Reset(ctx, name) }

func (w remoteWorker) stop(context.Context) error {
	w.door.Close()
	return nil
}

// A localWorker is a process of its own.
type localWorker struct{ app *App }

func newWorker(a *App, err error) (mailboxWorker, error) {
	if err != nil {
		return nil, err
	}
	return localWorker{a}, nil
}

func (w localWorker) probe(ctx context.Context, name string, force bool) (ProbeReport, error) {
	return w.app.probe(ctx, name, force)
}

func (w localWorker) reset(ctx context.Context, name string) error { return w.app.reset(ctx, name) }

func (w localWorker) stop(ctx context.Context) error { return w.app.Stop(ctx) }

// probe looks at a mailbox of this process.
func (a *App) probe(ctx context.Context, name string, force bool) (ProbeReport, error) {
	if !a.opened.Load() {
		return ProbeReport{}, errStarting
	}
	p, err := a.poller.Probe(ctx, name, force)
	if err != nil {
		return ProbeReport{}, ofThisProcess(err)
	}
	i := slices.IndexFunc(a.boxes, func(m configs.ResolvedMailbox) bool { return m.Name == name })
	return probeReport(a.boxes[i], p), nil
}

// reset resets a mailbox of this process.
func (a *App) reset(ctx context.Context, name string) error {
	if !a.opened.Load() {
		return errStarting
	}
	if err := a.poller.Reset(ctx, name); err != nil {
		if mail.KindOf(err) == mail.InUse {
			return mail.WithHint(err, "a session is going on: try again when it has ended")
		}
		return ofThisProcess(err)
	}
	a.seen.forget(name)
	a.log.InfoContext(ctx, "mailbox reset", slog.String("mailbox", name))
	return nil
}

var errStarting = mail.WithHint(mail.Errorf(mail.Temporary, "the running process is still starting"), "ask again in a moment")

// ofThisProcess explains why a mailbox that is configured is not found.
func ofThisProcess(err error) error {
	if mail.KindOf(err) != mail.NotFound {
		return err
	}
	return mail.WithHint(mail.Errorf(mail.NotFound, "the running process: %w", err), "it reads the configuration when it starts: start it again")
}

// newLoneApp makes a process that can work on mailboxes and does nothing else:
// it owns leases and states of the archive in d, and reads its catalogs. Without
// an archive (d is nil) there are no states, and nothing is sealed.
func newLoneApp(ctx context.Context, c *configs.Config, console Console, d *directory) (*App, error) {
	a, err := newApp(c, nil, console)
	if err != nil {
		return nil, errors.Join(err, closeDirectory(d))
	}
	a.life.onStop("directory", func(context.Context) error { return closeDirectory(d) })
	if err := a.openLone(ctx, d); err != nil {
		return nil, a.giveUp(ctx, err)
	}
	return a, nil
}

func closeDirectory(d *directory) error {
	if d == nil {
		return nil
	}
	return d.Close()
}

func (a *App) openLone(ctx context.Context, d *directory) error {
	o, err := a.pollerOptions()
	if err != nil {
		return err
	}
	o.Archive, o.Leaser, o.Store = loneArchive{}, noLeases{}, noStates{}
	if d != nil {
		a.dir = d
		if err := a.openBus(ctx); err != nil {
			return err
		}
		catalogs, err := a.readCatalogs()
		if err != nil {
			return err
		}
		o.Archive, o.Leaser, o.Store = loneArchive{catalogs}, busLeaser{a.bus}, busStore{a.bus}
	}
	if a.poller, err = poller.New(o); err != nil {
		return err
	}
	a.opened.Store(true)
	return nil
}

// readCatalogs opens the catalogs as they are: what the ledger has behind their
// cursors they do not know of.
func (a *App) readCatalogs() ([]*catalog.Catalog, error) {
	var all []*catalog.Catalog
	for _, p := range a.dir.partitions() {
		k, err := catalog.Open(a.dir.catalog(p), catalog.Options{Partition: p, Identity: a.dir.Identity.Archive, Logger: a.log})
		if err != nil {
			return nil, err
		}
		a.life.onStop("catalog", func(context.Context) error { return k.Close() })
		all = append(all, k)
	}
	return all, nil
}

// A loneArchive answers what is sealed from the catalogs, and takes nothing.
// Without catalogs nothing is sealed.
type loneArchive struct{ catalogs []*catalog.Catalog }

func (l loneArchive) Lookup(_ context.Context, mailbox string, rows []mail.Listing) ([]mail.Receipt, error) {
	if len(l.catalogs) == 0 {
		return make([]mail.Receipt, len(rows)), nil
	}
	return l.catalogs[mail.Partition(mailbox, len(l.catalogs))].Lookup(mailbox, rows)
}

func (l loneArchive) Begin(context.Context, string, int64) (poller.Transfer, error) {
	return nil, errLone
}

func (l loneArchive) Report(context.Context, string, mail.Event) error { return errLone }

var errLone = mail.Errorf(mail.Invalid, "this process only looks at mailboxes and archives nothing")

// noLeases leases every mailbox to everybody: before there is an archive there
// is nobody else.
type noLeases struct{}

func (noLeases) Lease(context.Context, string) (poller.Lease, error) { return noLease{}, nil }

type noLease struct{}

func (noLease) Check(context.Context) error   { return nil }
func (noLease) Lost() <-chan struct{}         { return nil }
func (noLease) Release(context.Context) error { return nil }

// noStates keeps nothing.
type noStates struct{}

func (noStates) Load(context.Context, string) ([]byte, uint64, error) { return nil, 0, nil }

func (noStates) Save(context.Context, string, []byte, uint64) (uint64, error) { return 1, nil }
