package tlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
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
	// Source is the ledger. Its records are verified apart; what is compared here
	// is what it says now with what was signed about it.
	Source Leaves
	// Size is asked how many leaves there are, after everything that was signed
	// has been read: a ledger may grow meanwhile.
	Size   func() (uint64, error)
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
	// The published checkpoint is the youngest: it is read first.
	published, err := durable.ReadFile(o.FS, checkpointName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c.report, err
	}
	if err := c.gather(); err != nil {
		return c.report, err
	}
	if c.size, err = o.Size(); err != nil {
		return c.report, err
	}
	if err := c.walk(ctx); err != nil {
		return c.report, err
	}
	c.beyond()
	c.published(published)
	c.report.Size = c.edge.size
	if root, rerr := c.edge.root(); rerr == nil {
		c.report.Root = root
	}
	return c.report, nil
}

// A checker goes over a ledger once.
type checker struct {
	o      CheckOptions
	tiles  *tiles
	edge   *frontier
	report CheckReport
	size   uint64 // of the ledger
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
	for leaf, err := range c.o.Source.Leaves(ctx, 0, c.size) {
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
		if c.o.Progress != nil && (c.edge.size%4096 == 0 || c.edge.size == c.size) {
			c.o.Progress(c.edge.size, c.size)
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
func (c *checker) published(b []byte) {
	switch {
	case b == nil && c.latest.Size == 0, bytes.Equal(b, c.latest.Note):
		return
	case b == nil:
		c.tell(Finding{Where: checkpointName, Detail: "the last checkpoint is not published; the next start does that", Note: true})
		return
	}
	p, _, err := c.o.Trust.Open(b)
	switch {
	case err != nil:
		c.found(checkpointName, "%v", err)
	case p.Size > c.latest.Size:
		c.found(checkpointName, "it is of %d records, but the history of checkpoints ends at %d: checkpoints were taken out of it", p.Size, c.latest.Size)
	case p.Size == c.latest.Size && p.Root != c.latest.Root:
		c.found(checkpointName, "it has another root than the last checkpoint of the history")
	case p.Size < c.latest.Size:
		c.tell(Finding{Where: checkpointName, Detail: "it is not the last checkpoint; the next one replaces it", Note: true})
	}
}
