package app

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/docs"
	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// signingKeyFile is the private key of the checkpoints, in keysDir.
const signingKeyFile = "checkpoint.key"

// openSigningKey loads the key that signs checkpoints. It is made where the
// archive has published none; one that is gone is not replaced.
func (a *App) openSigningKey(ctx context.Context) error {
	where := signingKeyPath(a.cfg, a.dir.Path)
	dir, err := durable.MakeDir(filepath.Dir(where))
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	defer dir.Close()
	published, err := tlog.HasKey(a.dir.root)
	if err != nil {
		return err
	}
	id, name := a.dir.Identity.Archive, filepath.Base(where)
	if published {
		if err := (keyChange{dir: a.dir, files: dir, name: name}).settle(); err != nil {
			return err
		}
	}
	a.signing, err = tlog.LoadKey(dir, name, id)
	switch {
	case errors.Is(err, fs.ErrNotExist) && published:
		return mail.WithHint(mail.Errorf(mail.Denied, "the signing key %s of the archive is missing", where),
			"restore it from a copy, or set transparency.key_file to where it is; it is never made anew beside the key that the archive publishes")
	case errors.Is(err, fs.ErrNotExist):
		if a.signing, err = tlog.NewKey(id); err == nil {
			err = tlog.SaveKey(dir, name, a.signing)
		}
		if err == nil {
			a.log.InfoContext(ctx, "made the key that signs checkpoints", slog.String("file", where))
		}
	}
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	if err := tlog.PublishKey(a.dir.root, a.signing, a.dir.Identity.Partitions); err != nil {
		return err
	}
	return placeVerifier(a.dir.root)
}

func signingKeyPath(c *configs.Config, dir string) string {
	if c.Transparency.KeyFile != "" {
		return c.Transparency.KeyFile
	}
	return filepath.Join(dir, keysDir, signingKeyFile)
}

// placeVerifier keeps in the archive what a reader needs to verify it without
// mailkeep, as this version writes it.
func placeVerifier(root durable.FS) error {
	for name, want := range map[string][]byte{"verify.py": tlog.Script, "FORMAT.md": docs.ArchiveFormat} {
		if have, err := durable.ReadFile(root, name); err == nil && bytes.Equal(have, want) {
			continue
		}
		if err := durable.WriteFile(root, name, want); err != nil {
			return err
		}
	}
	return nil
}

// openLog opens the transparency log of a partition, before its ledger, so that
// its end comes after the ledger's: the last checkpoint covers the seal.
func (a *App) openLog(p *partition, leased bool) error {
	trust, err := tlog.LoadTrust(a.dir.root, a.dir.Identity.Archive, p.number)
	if err != nil {
		return err
	}
	files, err := a.dir.log(p.number)
	if err != nil {
		return err
	}
	o := tlog.Options{
		FS: files, Key: a.signing, Trust: trust, Interval: time.Duration(a.cfg.Transparency.CheckpointInterval), Logger: a.log,
	}
	p.log, err = tlog.Open(o)
	if mail.KindOf(err) == mail.InUse && leased {
		// A process without the lease holds it, and has what this one has read of
		// the ledger, or less.
		if err = files.Rename("lock", "lock.fenced"); err == nil {
			p.log, err = tlog.Open(o)
		}
	}
	if err != nil {
		return err
	}
	p.view = tlog.NewView(files, trust)
	a.life.onStop("transparency log", func(ctx context.Context) error {
		return errors.Join(a.finishLog(ctx, p), p.log.Close(), files.Close())
	})
	return nil
}

// finishLog signs the end of a ledger that was closed in order.
func (a *App) finishLog(ctx context.Context, p *partition) (err error) {
	if !p.closed {
		return nil // the next start recovers it first
	}
	files, err := a.dir.ledger(p.number)
	if err != nil {
		return err
	}
	r, err := ledger.OpenReader(files, a.ledgerOptions(p.number))
	if err != nil {
		return errors.Join(err, files.Close())
	}
	defer func() { err = errors.Join(err, r.Close(), files.Close()) }()
	size, root, err := r.Root()
	if err != nil {
		return err
	}
	if err := p.log.Extend(ctx, r, size, root); err != nil {
		return err
	}
	_, err = p.log.Sign(ctx)
	return err
}

// followLog lets the log follow its ledger. A ledger that contradicts what was
// signed about it is refused before anything is sealed in it.
func (a *App) followLog(ctx context.Context, p *partition) error {
	size, root := p.ledger.Root()
	if err := p.log.Extend(ctx, p.ledger, size, root); err != nil {
		return err
	}
	a.health.Add(fmt.Sprintf("transparency log %d", p.number), p.log.Healthy)
	a.life.work(ctx, "transparency log", func(ctx context.Context) error { return p.log.Follow(ctx, p.ledger) })
	return nil
}

// openAnchors has the archive's checkpoints anchored, if anybody is to be asked.
// Witnesses are asked about the log of the first partition, which names the heads of
// the others; time stamp authorities about each, so that a proof carries its time.
func (a *App) openAnchors(ctx context.Context) error {
	t := a.cfg.Transparency
	if !a.has(RoleArchive) || len(t.TSAs())+len(t.Witnesses) == 0 {
		return nil
	}
	roots, witnesses, err := vouchers(t)
	if err != nil {
		return err
	}
	o := tlog.AnchorOptions{
		TSAs: t.TSAs(), Roots: roots, Post: post(&http.Client{}), Interval: time.Duration(t.AnchorInterval), Logger: a.log,
		Asked: func(_ string, err error) { a.metrics.Failed("anchor", err) },
	}
	h := &heads{partitions: a.partitions}
	var all []*tlog.Anchorer
	for i, p := range a.partitions {
		o.Head, o.Witnesses = h.anchor, witnesses
		if i > 0 {
			o.Head, o.Witnesses = func(ctx context.Context) (tlog.Checkpoint, error) { return signNow(ctx, p) }, nil
		}
		anchorer, err := a.openAnchor(p, o)
		if err != nil {
			return err
		}
		all = append(all, anchorer)
	}
	a.life.work(ctx, "anchorer", func(ctx context.Context) error { return tlog.RunAnchorers(ctx, all...) })
	return nil
}

// openAnchor makes the anchorer of a partition's log.
func (a *App) openAnchor(p *partition, o tlog.AnchorOptions) (*tlog.Anchorer, error) {
	dir, err := durable.MakeDir(filepath.Join(a.dir.Path, anchorsDir, tlog.AnchorPath(p.number)))
	if err != nil {
		return nil, err
	}
	a.life.onStop("anchors", func(context.Context) error { return dir.Close() })
	o.FS, o.View = dir, p.view
	anchorer := tlog.NewAnchorer(o)
	if a.anchorers == nil {
		a.anchorers = map[uint16]*tlog.Anchorer{}
	}
	a.anchorers[p.number] = anchorer
	return anchorer, nil
}

// vouchers reads who vouches for checkpoints.
func vouchers(t configs.Transparency) (*x509.CertPool, []*tlog.Witness, error) {
	var roots *x509.CertPool
	if t.TSACAFile != "" {
		b, err := os.ReadFile(t.TSACAFile)
		if err != nil {
			return nil, nil, fmt.Errorf("transparency.tsa_ca_file: %w", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(b) {
			return nil, nil, mail.Errorf(mail.Invalid, "transparency.tsa_ca_file: %s holds no certificate", t.TSACAFile)
		}
	}
	var witnesses []*tlog.Witness
	for _, w := range t.Witnesses {
		one, err := tlog.NewWitness(w.URL, w.VKey)
		if err != nil {
			return nil, nil, fmt.Errorf("transparency.witnesses: %w", err)
		}
		witnesses = append(witnesses, one)
	}
	return roots, witnesses, nil
}

// A heads knows the heads of all logs of the archive. It is used by one
// goroutine.
type heads struct {
	partitions []*partition
	named      []mail.LogHead // by the last anchor event
}

// anchor returns a checkpoint of the first log that vouches for all of them.
func (h *heads) anchor(ctx context.Context) (tlog.Checkpoint, error) {
	var others []mail.LogHead
	for _, p := range h.partitions[1:] {
		c, err := signNow(ctx, p)
		if err != nil {
			return c, err
		}
		others = append(others, mail.LogHead{Partition: p.number, Size: c.Size, Root: c.Root})
	}
	if !slices.Equal(others, h.named) {
		if err := appendEvent(ctx, h.partitions[0], mail.Event{Type: mail.EventAnchor, Anchor: &mail.Anchor{Heads: others}}); err != nil {
			return tlog.Checkpoint{}, err
		}
		h.named = others
	}
	return signNow(ctx, h.partitions[0])
}

// signNow signs what is durable by now.
func signNow(ctx context.Context, p *partition) (tlog.Checkpoint, error) {
	size, root := p.ledger.Root()
	if err := p.log.Extend(ctx, p.ledger, size, root); err != nil {
		return tlog.Checkpoint{}, err
	}
	return p.log.Sign(ctx)
}

// appendEvent seals an event in the ledger of a partition, and waits for that.
func appendEvent(ctx context.Context, p *partition, e mail.Event) error {
	sealed := make(chan error, 1)
	if err := p.sink.AcceptEvent(ctx, e, func(_ mail.ID, err error) { sealed <- err }); err != nil {
		return err
	}
	select {
	case err := <-sealed:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// mostAnswer bounds what is read of an answer, in octets.
const mostAnswer = 1 << 20

// post makes the way to time stamp authorities and witnesses.
func post(c *http.Client) tlog.Post {
	return func(ctx context.Context, url, contentType string, body []byte) (int, []byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return 0, nil, err
		}
		req.Header.Set("Content-Type", contentType)
		resp, err := c.Do(req)
		if err != nil {
			return 0, nil, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer+1))
		if err == nil && len(b) > mostAnswer {
			err = fmt.Errorf("the answer is larger than %d octets", mostAnswer)
		}
		return resp.StatusCode, b, err
	}
}
