package tlog

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// AnchorCheck says how anchors are verified.
type AnchorCheck struct {
	FS    durable.FS // the directory of the log's anchors; see AnchorPath
	Trust Trust      // of the log that is anchored
	// Partition is that of the log, for what is said of its anchors.
	Partition uint16
	// Roots are those who vouch for time stamp authorities. Without them the
	// signature of a stamp is verified, and not who made it.
	Roots     *x509.CertPool
	Witnesses []*Witness
	Found     func(Finding)
}

// Anchors verifies all anchors and returns their heads as claims for Check,
// which a ledger that was rolled back or forked contradicts. The error is of
// reading.
func Anchors(o AnchorCheck) ([]Claim, error) {
	dirs, err := o.FS.ReadDir(".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var claims []Claim
	for _, d := range dirs {
		if !d.IsDir() || isAnchorPath(d.Name()) {
			continue
		}
		c, ok, err := o.anchor(d.Name())
		if err != nil {
			return claims, err
		}
		if ok {
			claims = append(claims, c)
		}
	}
	return claims, nil
}

func (o AnchorCheck) tell(where, detail string, note bool) {
	if o.Found != nil {
		o.Found(Finding{Where: o.where(where), Detail: detail, Note: note})
	}
}

// where is the path of a file of an anchor below the archive's directory.
func (o AnchorCheck) where(name string) string {
	return path.Join("anchors", AnchorPath(o.Partition), name)
}

// anchor verifies one anchor.
func (o AnchorCheck) anchor(dir string) (Claim, bool, error) {
	b, err := durable.ReadFile(o.FS, dir+"/"+checkpointName)
	if errors.Is(err, fs.ErrNotExist) {
		o.tell(dir, "it has no checkpoint: a crash came before it was written", true)
		return Claim{}, false, nil
	}
	if err != nil {
		return Claim{}, false, err
	}
	c, _, err := o.Trust.Open(b)
	if err != nil {
		o.tell(dir, err.Error(), false)
		return Claim{}, false, nil
	}
	claim := Claim{Size: c.Size, Root: c.Root, Where: o.where(dir)}
	files, err := o.FS.ReadDir(dir)
	if err != nil {
		return claim, false, err
	}
	for _, f := range files {
		where := dir + "/" + f.Name()
		content, err := durable.ReadFile(o.FS, where)
		if err != nil {
			return claim, false, err
		}
		at, err := o.voucher(f.Name(), content, b)
		switch {
		case err != nil:
			o.tell(where, err.Error(), false)
		case !at.IsZero() && (claim.Before.IsZero() || at.Before(claim.Before)):
			claim.Before = at
		}
	}
	return claim, true, nil
}

// voucher verifies one file of an anchor, and returns the time that it tells.
func (o AnchorCheck) voucher(name string, content, checkpoint []byte) (time.Time, error) {
	switch {
	case strings.HasSuffix(name, ".tsr"):
		s, err := OpenStamp(content, checkpoint, o.Roots)
		return s.Time, err
	case name == "cosigned":
		if !bytes.HasPrefix(content, checkpoint) {
			return time.Time{}, mail.Errorf(mail.Corrupt, "what witnesses have signed is another checkpoint")
		}
		return o.cosigned(content)
	}
	return time.Time{}, nil
}

// cosigned verifies the cosignatures of the witnesses that are known and are
// there, and returns the first time.
func (o AnchorCheck) cosigned(content []byte) (time.Time, error) {
	var first time.Time
	for _, w := range o.Witnesses {
		if !bytes.Contains(content, fmt.Appendf(nil, "\n— %s ", w.Name())) {
			continue
		}
		at, err := w.OpenCosigned(content)
		if err != nil {
			return first, err
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first, nil
}

// FindAnchor returns the first anchored checkpoint that the leaf with the index
// is in, with its time stamps: the earliest date that can be proved. It reports
// whether there is one. Nothing but the checkpoint's signature is verified.
func FindAnchor(fsys durable.FS, trust Trust, index uint64) (Checkpoint, []BundleStamp, bool, error) {
	dirs, err := fsys.ReadDir(".")
	if err != nil {
		return Checkpoint{}, nil, false, err
	}
	for _, d := range dirs {
		b, err := durable.ReadFile(fsys, d.Name()+"/"+checkpointName)
		if err != nil {
			continue // made by a crash, or no anchor
		}
		c, _, err := trust.Open(b)
		if err != nil || c.Size <= index {
			continue
		}
		stamps, err := stampsIn(fsys, d.Name())
		if err != nil {
			return c, nil, false, err
		}
		if len(stamps) > 0 {
			return c, stamps, true, nil
		}
	}
	return Checkpoint{}, nil, false, nil
}

func stampsIn(fsys durable.FS, dir string) ([]BundleStamp, error) {
	files, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []BundleStamp
	for _, f := range files {
		by, ok := strings.CutSuffix(f.Name(), ".tsr")
		if !ok {
			continue
		}
		response, err := durable.ReadFile(fsys, dir+"/"+f.Name())
		if err != nil {
			return nil, err
		}
		chain, err := durable.ReadFile(fsys, dir+"/"+by+".pem")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		out = append(out, BundleStamp{By: by, Response: response, Chain: string(chain)})
	}
	return out, nil
}
