package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/telemetry"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/store"
)

// openStore makes the way to the store, if there is one; it does not speak to it
// yet. Segments that are there alone are read from it.
func (d *directory) openStore(c *configs.Config) (err error) {
	switch c.Store.Kind {
	case "dir":
		if d.storeDir, err = durable.MakeDir(c.Store.Dir); err != nil {
			return mail.WithHint(fmt.Errorf("open the store: %w", err), "correct store.dir, or the permissions of the directory")
		}
		d.store = store.NewDir(d.storeDir, c.Store.Dir, c.Store.Immutable, nil)
	case "s3":
		s, err := newS3(c, c.Store.S3.Bucket)
		if err != nil {
			return err
		}
		d.store = s
	}
	if c.IsDirect() {
		if d.direct, err = d.openDirectStore(c); err != nil {
			return err
		}
		d.direct.uuid = d.Identity.Archive
		return d.wrapKeys()
	}
	return nil
}

// wrapKeys lets the truth of key files be in the store. A copy of one that was left
// here may have keys that are destroyed by now.
func (d *directory) wrapKeys() error {
	for _, k := range d.library.keys {
		files := d.keyFiles(k.Partition, k.FS)
		k.FS = files
		if err := files.Forget(); err != nil {
			return err
		}
	}
	return nil
}

func newS3(c *configs.Config, bucket string) (*store.S3, error) {
	access, secret := c.StoreKeys()
	return s3At(c.Store.S3, bucket, access, secret)
}

func s3At(o configs.S3, bucket string, access, secret configs.Secret) (*store.S3, error) {
	return store.NewS3(store.S3Options{
		Endpoint: o.Endpoint, Region: o.Region, Bucket: bucket, Prefix: o.Prefix, AllowPlain: o.AllowPlain, CAFile: o.CAFile,
		PathStyle: o.PathStyle, Timeout: time.Duration(o.Timeout),
		Secret: func() (string, string, error) {
			a, err := access.Reveal()
			if err != nil {
				return "", "", err
			}
			s, err := secret.Reveal()
			return a, s, err
		},
	})
}

// closeStore ends what openStore has opened.
func (d *directory) closeStore() error {
	if d.storeDir == nil {
		return nil
	}
	return d.storeDir.Close()
}

// storePolicy is the retention of what is stored.
func storePolicy(c *configs.Config) (store.Policy, error) {
	r := c.Store.Retention
	years, days, err := r.Length()
	if err != nil {
		return store.Policy{}, mail.Errorf(mail.Invalid, "store.retention.period: %w", err)
	}
	p := store.Policy{Mode: store.Mode(r.Mode), Period: store.Period{Years: years, Days: days}, EndOfYear: r.Start == "end-of-year"}
	if r.Mode == "none" {
		p.Mode = store.None
	}
	for _, class := range c.Retention.Classes {
		years, days, err := class.Length()
		if err != nil {
			return store.Policy{}, mail.Errorf(mail.Invalid, "retention.classes: %s: %w", class.Name, err)
		}
		p.Classes = append(p.Classes, store.Term{Period: store.Period{Years: years, Days: days}, EndOfYear: class.Start == "end-of-year"})
	}
	return p, nil
}

// startStores tries what the store keeps, and has the sealed segments of all ledgers
// uploaded from now on.
func (a *App) startStores(ctx context.Context) error {
	if !a.has(RoleArchive) || a.dir.store == nil {
		return nil
	}
	policy, err := storePolicy(a.cfg)
	if err != nil {
		return err
	}
	if a.dir.direct == nil { // else it was tried before anything was sealed there
		if err := a.probeStore(ctx, policy.Mode); err != nil {
			return err
		}
	}
	for i, p := range a.partitions {
		if err := a.startSpool(ctx, p, policy); err != nil {
			return fmt.Errorf("partition %d: %w", p.number, err)
		}
		if a.dir.direct != nil {
			continue // key files are in the store before they are used
		}
		if err := a.startMirror(ctx, i, p); err != nil {
			return fmt.Errorf("partition %d: %w", p.number, err)
		}
	}
	return nil
}

// probeStore refuses a store that does not keep what is required of it.
func (a *App) probeStore(ctx context.Context, mode store.Mode) error {
	if s, ok := a.dir.store.(*store.S3); ok && a.cfg.Store.S3.CreateBucket {
		if err := s.MakeBucket(ctx); err != nil {
			return err
		}
	}
	if a.cfg.Store.WORM == "off" {
		return nil
	}
	required := a.cfg.Store.WORM == "required"
	f, err := store.Probe(ctx, a.dir.store, a.storePrefix(), mode, time.Now())
	where := slog.String("store", a.dir.store.String())
	switch {
	case err != nil && required:
		return fmt.Errorf("probe whether the store is write-once: %w", err)
	case err != nil:
		a.log.WarnContext(ctx, "the store could not be probed", where, slog.Any("error", err))
		f = store.Finding{}
	case required && !f.WORM():
		return f.Refused(a.dir.store)
	case !f.WORM():
		a.log.WarnContext(ctx, "the store is not write-once", where, slog.String("why", f.Problem()))
	default:
		a.log.InfoContext(ctx, "the store is write-once: delete, shorten and overwrite were refused", where, slog.String("mode", string(mode)))
	}
	a.storeFinding.Store(&f)
	return nil
}

// storePrefix is before the names of all that this archive stores.
func (a *App) storePrefix() string { return a.dir.Identity.Archive + "/" }

// heldInterval is between two looks at holds where segments are stored otherwise: each
// goes over all of them.
const heldInterval = 10 * time.Minute

func (a *App) startSpool(ctx context.Context, p *partition, policy store.Policy) error {
	files, err := a.dir.ledgerFiles(p.number)
	if err != nil {
		return err
	}
	a.life.onStop("spooled segments", func(context.Context) error { return files.Close() })
	held := &heldSegments{size: p.ledger.Size, catalog: p.catalog}
	cut := &cutter{p: p, after: time.Duration(a.cfg.Store.SealAfter)}
	o := store.SpoolOptions{
		FS: files, Store: a.dir.store, Prefix: a.dir.segmentPrefix(p.number),
		Policy: policy, Terms: promised(p.ledger), KeepLocal: time.Duration(a.cfg.Store.KeepLocal), Cut: cut.due, Logger: a.log,
		Held: held.of, Observe: func(t store.Transfer) { a.metrics.Uploaded(t.Octets) },
		Passed: func(s store.SpoolStatus, err error) {
			a.metrics.Stored(p.number, telemetry.StorePass{Waiting: s.Waiting, Held: s.Held, Oldest: s.Oldest, Failed: err != nil})
		},
		Record: func(ctx context.Context, s mail.Stored) error {
			return cut.record(ctx, mail.Event{Type: mail.EventStored, Stored: &s})
		},
	}
	if a.dir.direct != nil { // what is left to do is to hold, and to retain for longer
		o.FS, o.Direct, o.Cut, o.KeepLocal, o.Interval = store.Scratch(files), true, nil, 0, heldInterval
	}
	p.spool = store.NewSpool(o)
	a.health.Add(fmt.Sprintf("store of partition %d", p.number), p.spool.Healthy)
	a.life.work(ctx, "spool", p.spool.Run)
	return nil
}

// mirrorInterval is how often key files are looked at.
const mirrorInterval = time.Minute

// startMirror has the key files of a partition copied, if there is a place for them.
func (a *App) startMirror(ctx context.Context, i int, p *partition) error {
	if a.cfg.Store.Kind != "s3" || a.cfg.Store.S3.KeysBucket == "" || i >= len(a.dir.library.keys) {
		return nil
	}
	to, err := newS3(a.cfg, a.cfg.Store.S3.KeysBucket)
	if err != nil {
		return err
	}
	m := &store.Mirror{
		FS: a.dir.library.keys[i].FS, Store: to, Prefix: fmt.Sprintf("%s%s/%04d/", a.storePrefix(), keysDir, p.number),
		Wanted: isKeyFile,
	}
	a.life.work(ctx, "key mirror", func(ctx context.Context) error {
		tick := time.NewTicker(mirrorInterval)
		defer tick.Stop()
		for {
			if err := m.Pass(ctx); err != nil && ctx.Err() == nil {
				a.log.WarnContext(ctx, "key files are not copied to the store", slog.String("store", to.String()), slog.Any("error", err))
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return nil
}

// A cutter has the open segment of a ledger sealed when what is in it has waited
// long enough. It is used by one goroutine.
type cutter struct {
	p     *partition
	after time.Duration // 0: never

	idle  uint64    // up to here nothing waits: it is sealed, or an event of the store alone
	since time.Time // when something was seen to wait; zero if nothing is
}

// due seals the segment if it is time.
func (c *cutter) due(context.Context) error {
	size := c.p.ledger.Size()
	switch now := time.Now(); {
	case c.after == 0 || size == c.idle:
		c.since = time.Time{}
	case c.since.IsZero():
		c.since = now
	case now.Sub(c.since) >= c.after:
		if err := c.p.ledger.Cut(); err != nil {
			return err
		}
		c.idle, c.since = size, time.Time{}
	}
	return nil
}

// record seals an event. If nothing else waited, nothing waits after it: else each
// stored segment would make the next one.
func (c *cutter) record(ctx context.Context, e mail.Event) error {
	idle := c.p.ledger.Size() == c.idle
	if err := appendEvent(ctx, c.p, e); err != nil {
		return err
	}
	if idle {
		c.idle = c.p.ledger.Size()
	}
	return nil
}

// A StoreStatus is what is known of the store of segments.
type StoreStatus struct {
	Place string `json:"place"` // such as s3://bucket/prefix
	// WORM says that the store refused to delete, shorten and overwrite when it was
	// tried at the start. Problem says what it did, or why it was not tried.
	WORM    bool      `json:"worm"`
	Probed  time.Time `json:"probed,omitzero"`
	Problem string    `json:"problem,omitempty"`
}

// storeStatus is nil without a store.
func (a *App) storeStatus() *StoreStatus {
	if a.dir == nil || a.dir.store == nil {
		return nil
	}
	s := &StoreStatus{Place: a.dir.store.String(), Problem: "it was not probed"}
	if f := a.storeFinding.Load(); f != nil && !f.At.IsZero() {
		s.WORM, s.Probed, s.Problem = f.WORM(), f.At, f.Problem()
	}
	return s
}

// spoolStatus is nil if the partition's segments are not stored by this process.
func (p *partition) spoolStatus() (*store.SpoolStatus, error) {
	if p.spool == nil {
		return nil, nil
	}
	s := p.spool.Status()
	return &s, errors.Join(p.spool.Healthy())
}
