package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/web"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/catalog"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/retention"
)

// retention is what orders to hold and to erase are given to, in a running process.
func (a *App) retention() (retention.Archive, error) {
	out := retention.Archive{Partitions: make([]retention.Partition, len(a.partitions))}
	for i, p := range a.partitions {
		out.Partitions[i] = retention.Partition{Ledger: p.ledger, Catalog: p.catalog, Turn: p.sink.Turn}
	}
	rules, err := classRules(a.cfg)
	if err == nil {
		out.Until = rules.Until
	}
	return out, err
}

// orders answers the control routes for holds and erasures.
func (a *App) hold(ctx context.Context, h mail.Hold) (mail.Matter, error) {
	archive, err := a.retention()
	if err == nil {
		err = checkHeldMailboxes(a.cfg, archive, h.Mailboxes)
	}
	if err != nil {
		return mail.Matter{}, err
	}
	return archive.Hold(ctx, h)
}

func (a *App) matters(ctx context.Context) ([]mail.Matter, error) {
	archive, err := a.retention()
	if err != nil {
		return nil, err
	}
	return archive.Matters(ctx)
}

// indexWait is how long an erasure waits for the index to follow.
const indexWait = 20 * time.Second

func (a *App) erase(ctx context.Context, o mail.EraseOrder) (mail.Erased, error) {
	archive, err := a.retention()
	if err != nil {
		return mail.Erased{}, err
	}
	done, err := archive.Erase(ctx, o)
	if err != nil || o.DryRun {
		return done, err
	}
	wait, cancel := context.WithTimeout(ctx, indexWait)
	defer cancel()
	done.Unindexed = !a.has(RoleIndex) || a.catchUp(wait) != nil
	return done, nil
}

// checkHeldMailboxes refuses a name that neither configuration nor archive knows: a
// hold with a slip in it holds nothing.
func checkHeldMailboxes(c *configs.Config, a retention.Archive, names []string) error {
	if len(names) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, m := range c.Mailboxes {
		known[m.Name] = true
	}
	for _, p := range a.Partitions {
		all, err := p.Catalog.Mailboxes()
		if err != nil {
			return err
		}
		for _, m := range all {
			known[m.Mailbox] = true
		}
	}
	if at := slices.IndexFunc(names, func(n string) bool { return !known[n] }); at >= 0 {
		return mail.WithHint(mail.Errorf(mail.NotFound, "neither the configuration nor the archive has a mailbox %q", names[at]), "mailkeep status prints the mailboxes")
	}
	return nil
}

// Hold places a legal hold, or releases one: in the running process, or on an archive
// that no process works on.
func Hold(ctx context.Context, c *configs.Config, h mail.Hold, console Console) (m mail.Matter, err error) {
	if door, closeDoor, err := archiveDoor(ctx, c); err != nil {
		return m, err
	} else if door != nil {
		m, err := door.Hold(ctx, h)
		return m, errors.Join(err, closeDoor())
	}
	err = withRetention(ctx, c, console, func(a retention.Archive) error {
		if err := checkHeldMailboxes(c, a, h.Mailboxes); err != nil {
			return err
		}
		m, err = a.Hold(ctx, h)
		return err
	})
	return m, err
}

// HoldFound places a hold on what a query finds now. mail.Temporary if the index has
// not covered the whole ledger: the hold would miss what is not indexed yet. It tells
// of how many messages not all text could be searched.
func HoldFound(ctx context.Context, c *configs.Config, h mail.Hold, console Console) (m mail.Matter, partly uint64, err error) {
	cl, err := Open(ctx, c, console)
	if err != nil {
		return m, 0, err
	}
	found, partly, err := cl.allIDs(ctx, h.Query)
	if err = errors.Join(err, cl.Close()); err != nil {
		return m, partly, err
	}
	h.Records = append(h.Records, found...)
	if len(h.Records)+len(h.Mailboxes) == 0 {
		return m, partly, mail.Errorf(mail.NotFound, "the query finds no messages")
	}
	m, err = Hold(ctx, c, h, console)
	return m, partly, err
}

// allIDs returns the ids of all hits of a query.
func (c *Client) allIDs(ctx context.Context, query string) (ids []mail.ID, partly uint64, err error) {
	// A slip in the query must not become a hold on something else.
	r := mail.SearchRequest{Query: query, Limit: c.cfg.Search.MaxLimit, Strict: true}
	for {
		a, err := c.Search(ctx, r)
		if err != nil {
			return nil, 0, err
		}
		if !a.Coverage.Complete {
			return nil, 0, mail.WithHint(mail.Errorf(mail.Temporary, "the index has not covered the whole archive yet"), "Wait until mailkeep status tells that the index is complete, and order again.")
		}
		for _, h := range a.Hits {
			ids = append(ids, h.ID)
		}
		if r.After = a.Next; r.After == "" {
			for _, n := range a.Coverage.Partly {
				partly += n
			}
			return ids, partly, nil
		}
	}
}

// Matters returns all matters by name, the released ones too.
func Matters(ctx context.Context, c *configs.Config, console Console) (all []mail.Matter, err error) {
	if door, closeDoor, err := archiveDoor(ctx, c); err != nil {
		return nil, err
	} else if door != nil {
		all, err := door.Matters(ctx)
		return all, errors.Join(err, closeDoor())
	}
	err = withRetention(ctx, c, console, func(a retention.Archive) error {
		all, err = a.Matters(ctx)
		return err
	})
	return all, err
}

// Erase erases records for good: in the running process, or on an archive that no
// process works on.
func Erase(ctx context.Context, c *configs.Config, o mail.EraseOrder, console Console) (done mail.Erased, err error) {
	if door, closeDoor, err := archiveDoor(ctx, c); err != nil {
		return done, err
	} else if door != nil {
		done, err := door.Erase(ctx, o)
		return done, errors.Join(err, closeDoor())
	}
	err = withRetention(ctx, c, console, func(a retention.Archive) error {
		done, err = a.Erase(ctx, o)
		return err
	})
	return done, err
}

// archiveDoor connects to the process that owns the archive; nil if there is none.
func archiveDoor(ctx context.Context, c *configs.Config) (d *web.Client, closeDoor func() error, err error) {
	dir, err := openDirectory(c.Archive.Dir)
	if err != nil {
		return nil, nil, err
	}
	d, err = door(ctx, dir, RoleArchive)
	if err = errors.Join(err, dir.Close()); err != nil || d == nil {
		return nil, nil, err
	}
	return d, func() error { d.Close(); return nil }, nil
}

// withRetention runs work on an archive that no process works on, and brings the
// views up to what it sealed.
func withRetention(ctx context.Context, c *configs.Config, console Console, work func(retention.Archive) error) (err error) {
	dir, err := openDirectory(c.Archive.Dir)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, dir) }()
	if err := errors.Join(dir.openKeys(ctx, c, false), dir.openStore(c)); err != nil {
		return err
	}
	b, err := newRebuild(c, dir, console)
	if err != nil {
		return err
	}
	rules, err := classRules(c)
	if err != nil {
		return err
	}
	archive := retention.Archive{Until: rules.Until}
	for _, p := range dir.partitions() {
		part, closePart, err := b.custody(ctx, p)
		if err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
		defer func() { err = errors.Join(err, closePart()) }()
		archive.Partitions = append(archive.Partitions, part)
	}
	before := sizes(archive)
	err = work(archive)
	for p, size := range sizes(archive) {
		if size != before[p] {
			err = errors.Join(err, b.followIndex(ctx, uint16(p), archive.Partitions[p].Ledger))
		}
	}
	return err
}

func sizes(a retention.Archive) []uint64 {
	all := make([]uint64, len(a.Partitions))
	for i, p := range a.Partitions {
		all[i] = p.Ledger.Size()
	}
	return all
}

// custody opens the ledger of a partition and its catalog, which it brings up to it.
func (r rebuild) custody(ctx context.Context, p uint16) (part retention.Partition, closeAll func() error, err error) {
	l, closeLedger, err := r.open(p)
	if err != nil {
		return part, nil, err
	}
	k, err := catalog.Open(r.dir.catalog(p), catalog.Options{Partition: p, Identity: r.dir.Identity.Archive, Logger: r.log})
	if err != nil {
		return part, nil, errors.Join(err, closeLedger())
	}
	closeAll = func() error { return errors.Join(k.Close(), closeLedger()) }
	part = retention.Partition{Ledger: l, Catalog: k}
	part.Turn = func(ctx context.Context, work func(context.Context) error) error {
		return errors.Join(work(ctx), level(ctx, k, l))
	}
	if err := level(ctx, k, l); err != nil {
		return part, nil, errors.Join(err, closeAll())
	}
	return part, closeAll, nil
}

// level brings a catalog up to its ledger, from the start if it is damaged or ahead.
func level(ctx context.Context, k *catalog.Catalog, l *ledger.Ledger) error {
	if k.Cursor() <= l.Size() {
		if err := fold(ctx, k, l, l.Size()); mail.KindOf(err) != mail.Corrupt {
			return err
		}
	}
	if err := k.Reset(); err != nil {
		return err
	}
	return fold(ctx, k, l, l.Size())
}
