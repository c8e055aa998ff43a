package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// A LogStatus is the state of a partition's transparency log.
type LogStatus struct {
	Size   uint64    `json:"size"` // records in the last checkpoint
	Root   string    `json:"root,omitempty"`
	Signed time.Time `json:"signed,omitzero"`
	// Anchored tells of the last anchor: records, when, and who vouches for it.
	Anchored   uint64    `json:"anchored,omitempty"`
	AnchoredAt time.Time `json:"anchored_at,omitzero"`
	AnchoredBy []string  `json:"anchored_by,omitempty"`
	Problem    string    `json:"problem,omitempty"`
}

// logStatus is the state of the log of a running process.
func (a *App) logStatus(p *partition) *LogStatus {
	c := p.log.Latest()
	s := statusOf(c)
	err := p.log.Healthy()
	if anchorer := a.anchorers[p.number]; anchorer != nil {
		last := anchorer.Last()
		s.Anchored, s.AnchoredAt, s.AnchoredBy = last.Size, last.Time, last.By
		err = errors.Join(err, anchorer.Healthy())
	}
	if err != nil {
		s.Problem = err.Error()
	}
	return s
}

func statusOf(c tlog.Checkpoint) *LogStatus {
	s := &LogStatus{Size: c.Size, Signed: c.Time}
	if c.Size > 0 {
		s.Root = c.Root.String()
	}
	return s
}

// Proof proves that a message is in the archive, by the first anchored
// checkpoint that it is in, or the latest one if it is in none. It is
// mail.NotFound if there is no such message, or no checkpoint over it yet.
func (c *Client) Proof(ctx context.Context, id mail.ID) (tlog.Bundle, error) {
	s, err := c.source(id)
	if err != nil {
		return tlog.Bundle{}, err
	}
	rec, err := findRecord(ctx, s, id)
	if err != nil {
		return tlog.Bundle{}, err
	}
	trust, err := tlog.LoadTrust(c.dir.root, c.dir.Identity.Archive, id.Partition)
	if err != nil {
		return tlog.Bundle{}, err
	}
	leaf := rec.Next - 1 // the commitment to a large message is in its last record
	key, err := s.CommitmentKey(ctx, leaf)
	if err != nil {
		return tlog.Bundle{}, fmt.Errorf("disclose the commitment key of %s: %w", id, err)
	}
	b := tlog.Bundle{
		ID: id, Origin: trust.Origin, Key: trust.Current(),
		Opening: tlog.Opening{Digest: rec.Delivery.Digest, Size: uint64(rec.Delivery.Size), Key: key},
	}
	if err := c.prove(&b, leaf, trust); err != nil {
		return b, err
	}
	// What is handed out was verified as its reader will do it.
	text, err := b.Marshal()
	if err != nil {
		return b, err
	}
	if b, err = tlog.ParseBundle(text); err != nil {
		return b, err
	}
	_, err = b.Check(trust, func(response, data []byte) (tlog.Stamp, error) { return tlog.OpenStamp(response, data, nil) })
	return b, err
}

// prove fills in the leaf and the way from it to a checkpoint.
func (c *Client) prove(b *tlog.Bundle, leaf uint64, trust tlog.Trust) (err error) {
	files, err := c.dir.log(b.ID.Partition)
	if errors.Is(err, fs.ErrNotExist) {
		return mail.WithHint(mail.Errorf(mail.NotFound, "partition %d has no transparency log yet", b.ID.Partition), "it is made when mailkeep runs on the archive")
	}
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, files) }()
	v := tlog.NewView(files, trust)
	cp, anchored, err := c.anchored(b, leaf, trust)
	if err == nil && !anchored {
		cp, err = v.Latest()
	}
	if err != nil {
		return err
	}
	if b.Leaf, err = v.Leaf(leaf, cp); err != nil {
		return err
	}
	proof, err := v.Inclusion(leaf, cp)
	b.Proof = string(proof.Marshal())
	return err
}

// anchored looks for an anchor over the leaf, and takes its time stamps.
func (c *Client) anchored(b *tlog.Bundle, leaf uint64, trust tlog.Trust) (tlog.Checkpoint, bool, error) {
	dir, err := c.dir.root.Sub(path.Join(anchorsDir, tlog.AnchorPath(b.ID.Partition)))
	if errors.Is(err, fs.ErrNotExist) {
		return tlog.Checkpoint{}, false, nil
	}
	if err != nil {
		return tlog.Checkpoint{}, false, err
	}
	cp, stamps, ok, err := tlog.FindAnchor(dir, trust, leaf)
	b.Stamps = stamps
	return cp, ok, joinClose(err, dir)
}

// log compares a partition's ledger with all that was ever signed about it.
func (v *verifier) log(ctx context.Context, p uint16) error {
	c := v.client
	trust, err := tlog.LoadTrust(c.dir.root, c.dir.Identity.Archive, p)
	if mail.KindOf(err) == mail.NotFound {
		v.unpublished(p)
		return nil // nothing was signed yet
	}
	if mail.KindOf(err) == mail.Corrupt {
		v.found(Finding{Partition: p, Where: tlog.VKeyName, Problem: err.Error(), Hint: "restore the file from a copy of the archive"})
		return nil
	}
	if err != nil {
		return err
	}
	files, err := c.dir.log(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer files.Close()
	found := v.logFinding(p)
	claims, err := v.anchors(p, trust, found)
	if err != nil {
		return err
	}
	claims = append(claims, v.claims(p, trust)...)
	source := c.sources[p]
	_, err = tlog.Check(ctx, tlog.CheckOptions{
		FS: files, Trust: trust, Source: source, Claims: claims, Found: found,
		Size: func() (uint64, error) { return leavesOf(source) },
	})
	return err
}

func leavesOf(r *ledger.Reader) (uint64, error) {
	if err := r.Refresh(); err != nil {
		return 0, err
	}
	size, _, err := r.Root()
	return size, err
}

func (v *verifier) logFinding(p uint16) func(tlog.Finding) {
	return func(f tlog.Finding) {
		where := Finding{Partition: p, Where: fmt.Sprintf("%s/%04d/%s", logDir, p, f.Where), Problem: f.Detail}
		if f.Note {
			v.report.Notes = append(v.report.Notes, where)
			return
		}
		where.Hint = "compare the archive with a copy, and with the checkpoints that others hold; change nothing"
		v.found(where)
	}
}

// anchors returns the heads that others vouch for.
func (v *verifier) anchors(p uint16, trust tlog.Trust, found func(tlog.Finding)) ([]tlog.Claim, error) {
	dir, err := v.client.dir.root.Sub(path.Join(anchorsDir, tlog.AnchorPath(p)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	roots, witnesses, err := vouchers(v.client.cfg.Transparency)
	if err != nil {
		return nil, joinClose(err, dir)
	}
	claims, err := tlog.Anchors(tlog.AnchorCheck{FS: dir, Trust: trust, Partition: p, Roots: roots, Witnesses: witnesses, Found: found})
	return claims, joinClose(err, dir)
}
