package tlog

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// clockSkew is how much later than a time stamp a record before it may say that
// it was written: the clocks of two organisations differ.
const clockSkew = 10 * time.Minute

// A Claim is a tree head that somebody else holds or has vouched for: of an
// anchor, of an anchor event, or one that an auditor has brought.
type Claim struct {
	Size  uint64
	Root  mail.Digest
	Where string // for people
	// Before is when the head existed by other clocks than the archive's; zero if
	// that is not known.
	Before time.Time
}

// CheckOptions say what to check a log against.
type CheckOptions struct {
	FS    durable.FS // the directory of the log
	Trust Trust
	// Source and Size are the ledger. Its records are verified apart; what is
	// compared here is what it says now with what was signed about it.
	Source Leaves
	Size   uint64
	Claims []Claim // of Anchors and others
	// Progress, if set, is told how many leaves are done.
	Progress func(done, total uint64)
	// Found is told each finding as it is made.
	Found func(Finding)
}

// A Finding is something that is not as it was signed.
type Finding struct {
	Where  string // file, or what Claim.Where says
	Detail string
	Note   bool // it is no damage
}

// A CheckReport sums up a check.
type CheckReport struct {
	Size        uint64 // leaves that were read
	Root        mail.Digest
	Checkpoints int // of the history, that hold
	Claims      int // that hold
	Damaged     int // findings that are no notes
}

// Check compares a ledger with every checkpoint that was ever signed of it, with
// every claim, and with its tiles. It reads each header of the ledger once and
// holds a few hundred hashes, and the claims. What is wrong is a Finding; the
// error is of reading, or that of ctx.
func Check(ctx context.Context, o CheckOptions) (CheckReport, error) {
	c := &checker{o: o, tiles: newTiles(o.FS), edge: &frontier{}}
	if err := c.gather(); err != nil {
		return c.report, err
	}
	if err := c.walk(ctx); err != nil {
		return c.report, err
	}
	c.beyond()
	err := c.published()
	c.report.Size = c.edge.size
	if root, rerr := c.edge.root(); rerr == nil {
		c.report.Root = root
	}
	return c.report, err
}

// A checker goes over a ledger once.
type checker struct {
	o      CheckOptions
	tiles  *tiles
	edge   *frontier
	report CheckReport
	heads  []head // to be compared, by size
	latest Checkpoint
	time   int64 // of the record before edge.size, nanoseconds
	torn   bool  // a tile was found wrong: one finding is enough
	halted bool  // the ledger could not be read to its end
}

// A head is a size at which the root is known.
type head struct {
	Claim
	own bool // of the log's history
}

func (c *checker) found(where, format string, args ...any) {
	c.report.Damaged++
	c.tell(Finding{Where: where, Detail: fmt.Sprintf(format, args...)})
}

func (c *checker) tell(f Finding) {
	if c.o.Found != nil {
		c.o.Found(f)
	}
}

// gather reads the history and the claims.
func (c *checker) gather() error {
	key := 0
	v := NewView(c.o.FS, c.o.Trust)
	for e, err := range entries(c.o.FS) {
		if err != nil {
			if !errors.Is(err, errTorn) {
				return err
			}
			c.tell(Finding{Where: e.file, Detail: "it ends within a checkpoint that a crash kept from being signed", Note: true})
			continue
		}
		cp, k, err := v.open(e)
		if err != nil {
			c.found(e.file, "%v", err)
			continue
		}
		switch {
		case cp.Size < c.latest.Size:
			c.found(e.file, "a checkpoint of %d records follows one of %d", cp.Size, c.latest.Size)
		case k < key:
			c.found(e.file, "the checkpoint of %d records is signed by a key that was changed before", cp.Size)
		}
		key = max(key, k)
		if cp.Size >= c.latest.Size {
			c.latest = cp
		}
		c.heads = append(c.heads, head{Claim{Size: cp.Size, Root: cp.Root, Where: e.file}, true})
	}
	for _, claim := range c.o.Claims {
		c.heads = append(c.heads, head{claim, false})
	}
	slices.SortStableFunc(c.heads, func(a, b head) int {
		switch {
		case a.Size < b.Size:
			return -1
		case a.Size > b.Size:
			return 1
		}
		return 0
	})
	return nil
}

// walk builds the tree from the ledger.
func (c *checker) walk(ctx context.Context) error {
	if err := c.compare(); err != nil {
		return err
	}
	for leaf, err := range c.o.Source.Leaves(ctx, 0, c.o.Size) {
		if mail.KindOf(err) == mail.Corrupt {
			c.halted = true
			c.found("ledger", "the tree cannot be built beyond record %d: %v", c.edge.size, err)
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.edge.add(leaf, c.tile); err != nil {
			return err
		}
		c.time = int64(binary.BigEndian.Uint64(leaf[24:]))
		if err := c.compare(); err != nil {
			return err
		}
		if c.o.Progress != nil && (c.edge.size%4096 == 0 || c.edge.size == c.o.Size) {
			c.o.Progress(c.edge.size, c.o.Size)
		}
	}
	return nil
}

// compare compares the heads of the size at hand.
func (c *checker) compare() error {
	for len(c.heads) > 0 && c.heads[0].Size == c.edge.size {
		h := c.heads[0]
		c.heads = c.heads[1:]
		root, err := c.edge.root()
		if err != nil {
			return err
		}
		c.judge(h, root)
	}
	if c.latest.Size > 0 && c.edge.size == c.latest.Size {
		return c.edge.partials(c.tile)
	}
	return nil
}

func (c *checker) judge(h head, root mail.Digest) {
	switch {
	case h.Root != root:
		c.found(h.Where, "the first %d records have the root %s in the ledger, but %s was signed: records before %d were altered, dropped or put in another order", h.Size, root, h.Root, h.Size)
	case !h.Before.IsZero() && time.Unix(0, c.time).After(h.Before.Add(clockSkew)):
		c.found(h.Where, "record %d says that it was written %s, but a head over it existed %s", h.Size-1,
			time.Unix(0, c.time).UTC().Format(time.RFC3339), h.Before.Format(time.RFC3339))
	case h.own:
		c.report.Checkpoints++
	default:
		c.report.Claims++
	}
}

// tile compares a tile that was computed with the one on disk, as far as a
// checkpoint speaks of it.
func (c *checker) tile(t tlog.Tile, want []byte) error {
	level := max(t.L, 0)
	end := (uint64(t.N)*tileWidth + uint64(t.W)) << (tileHeight * level)
	if c.torn || end > c.latest.Size {
		return nil
	}
	got, err := c.tiles.read(t)
	if err == nil && !bytes.Equal(got, want) {
		err = mail.Errorf(mail.Corrupt, "%s is not the tile that the ledger gives", tilePath(t))
	}
	if mail.KindOf(err) == mail.Corrupt {
		c.torn = true
		c.found(tilePath(t), "%v; tiles are built again from the ledger if the directory tile is removed", err)
		return nil
	}
	return err
}

// beyond reports the heads that the ledger does not reach.
func (c *checker) beyond() {
	if len(c.heads) == 0 || c.halted {
		return
	}
	h := c.heads[len(c.heads)-1]
	c.found(h.Where, "%d records were signed, but the ledger has %d: it lost its end, or was rolled back to an older copy", h.Size, c.edge.size)
}

// published compares the published checkpoint with the history.
func (c *checker) published() error {
	b, err := durable.ReadFile(c.o.FS, checkpointName)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.latest.Size == 0:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		c.tell(Finding{Where: checkpointName, Detail: "the last checkpoint is not published; the next start does that", Note: true})
		return nil
	case err != nil:
		return err
	case bytes.Equal(b, c.latest.Note):
		return nil
	}
	p, _, err := c.o.Trust.Open(b)
	switch {
	case err != nil:
		c.found(checkpointName, "%v", err)
	case p.Size > c.latest.Size:
		c.found(checkpointName, "it is of %d records, but the history of checkpoints ends at %d: checkpoints were taken out of it", p.Size, c.latest.Size)
	case p.Size < c.latest.Size:
		c.tell(Finding{Where: checkpointName, Detail: "it is not the last checkpoint; the next start publishes that", Note: true})
	case p.Root != c.latest.Root:
		c.found(checkpointName, "it has another root than the last checkpoint of the history")
	}
	return nil
}

// AnchorCheck says how anchors are verified.
type AnchorCheck struct {
	FS    durable.FS // the directory of the anchors
	Trust Trust      // of the log that is anchored
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
		if !d.IsDir() {
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
		o.Found(Finding{Where: "anchors/" + where, Detail: detail, Note: note})
	}
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
	claim := Claim{Size: c.Size, Root: c.Root, Where: "anchors/" + dir}
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
