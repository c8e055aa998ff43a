package tlog

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// A View reads a log that another process may be writing. It takes nothing for
// true that does not follow from a signature by a key that it trusts. Its
// methods may be called by many goroutines at once.
type View struct {
	fs    durable.FS
	trust Trust
}

// NewView makes a View of the log in a directory.
func NewView(fsys durable.FS, trust Trust) *View { return &View{fs: fsys, trust: trust} }

// Latest is the last checkpoint that was signed; mail.NotFound if there is none.
// It is read from the history: the published file may be one behind.
func (v *View) Latest() (Checkpoint, error) {
	files, err := historyFiles(v.fs)
	if err != nil {
		return Checkpoint{}, err
	}
	for _, n := range slices.Backward(files) {
		var last entry
		for e, err := range entriesIn(v.fs, historyName(n)) {
			if err != nil && !errors.Is(err, errTorn) {
				return Checkpoint{}, err
			}
			if err == nil {
				last = e
			}
		}
		if last.signed != nil {
			c, _, err := v.open(last)
			return c, err
		}
	}
	if _, err := v.fs.Stat(checkpointName); !errors.Is(err, fs.ErrNotExist) {
		return Checkpoint{}, errors.Join(err, mail.WithHint(mail.Errorf(mail.Corrupt, "there is a checkpoint of log %s, but the history of its checkpoints is gone", v.trust.Origin),
			"restore the directory checkpoints from a copy of the archive"))
	}
	return Checkpoint{}, mail.Errorf(mail.NotFound, "the log %s has no checkpoint yet", v.trust.Origin)
}

func (v *View) open(e entry) (Checkpoint, int, error) {
	c, key, err := v.trust.Open(e.signed)
	if err != nil {
		return c, key, fmt.Errorf("%s: %w", e.file, err)
	}
	c.Time = e.time
	return c, key, nil
}

// Checkpoints are all that were signed, the oldest first. An error that is not
// the last pair is a checkpoint that does not verify (mail.Corrupt) or the torn
// end of a file, which IsTorn tells: reading goes on behind them.
func (v *View) Checkpoints() iter.Seq2[Checkpoint, error] {
	return func(yield func(Checkpoint, error) bool) {
		for e, err := range entries(v.fs) {
			var c Checkpoint
			if err == nil {
				c, _, err = v.open(e)
			} else {
				err = fmt.Errorf("%s: %w", e.file, err)
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// IsTorn reports whether err tells of a file of checkpoints that ends within
// one, as a crash leaves it. What stands there was never shown to anybody.
func IsTorn(err error) bool { return errors.Is(err, errTorn) }

// Inclusion proves that the leaf with the index is in the tree of c. It is
// mail.NotFound if the tree is smaller, and mail.Corrupt if the tiles are not
// those of c.
func (v *View) Inclusion(index uint64, c Checkpoint) (Proof, error) {
	if index >= c.Size {
		return Proof{}, mail.WithHint(mail.Errorf(mail.NotFound, "record %d is in no checkpoint yet: the latest has %d records", index, c.Size),
			"checkpoints are signed at an interval: try again in a minute")
	}
	hashes, err := tlog.ProveRecord(int64(c.Size), int64(index), tlog.TileHashReader(c.tree(), newTiles(v.fs)))
	if err != nil {
		return Proof{}, tileFault(err)
	}
	return Proof{Index: index, Hashes: digests(hashes), Checkpoint: c.Note}, nil
}

// Consistency proves that the tree of size old is the beginning of that of c
// (RFC 6962 section 2.1.2). The proof is empty if old is 0 or the size of c.
func (v *View) Consistency(old uint64, c Checkpoint) ([]mail.Digest, error) {
	if old > c.Size {
		return nil, mail.Errorf(mail.Invalid, "a checkpoint of %d records cannot begin with %d", c.Size, old)
	}
	if old == 0 || old == c.Size {
		return nil, nil
	}
	hashes, err := tlog.ProveTree(int64(c.Size), int64(old), tlog.TileHashReader(c.tree(), newTiles(v.fs)))
	return digests(hashes), tileFault(err)
}

// Leaf is the leaf with the index, as the tiles of c have it: it was compared
// with the root.
func (v *View) Leaf(index uint64, c Checkpoint) ([]byte, error) {
	if index >= c.Size {
		return nil, mail.Errorf(mail.NotFound, "record %d is in no checkpoint yet", index)
	}
	t := tlog.TileForIndex(tileHeight, tlog.StoredHashIndex(0, int64(index)))
	t.L, t.W = entriesLevel, int(min(tileWidth, c.Size-uint64(t.N)*tileWidth))
	b, err := newTiles(v.fs).read(t)
	if err != nil {
		return nil, err
	}
	i := int(index % tileWidth)
	leaf := b[i*leafEntry+2 : (i+1)*leafEntry]
	want, err := tlog.TileHashReader(c.tree(), newTiles(v.fs)).ReadHashes([]int64{tlog.StoredHashIndex(0, int64(index))})
	if err != nil {
		return nil, tileFault(err)
	}
	if tlog.RecordHash(leaf) != want[0] {
		return nil, mail.Errorf(mail.Corrupt, "%s does not hold the leaf %d of the tree", tilePath(t), index)
	}
	return leaf, nil
}

// tileFault gives the errors of golang.org/x/mod about tiles their kind.
func tileFault(err error) error {
	if err == nil || mail.KindOf(err) != mail.Other {
		return err
	}
	return mail.WithHint(mail.Errorf(mail.Corrupt, "the tiles are not those of the checkpoint: %w", err),
		"tiles are built from the ledger: remove the directory tile of this log while mailkeep is stopped")
}

func digests(hashes []tlog.Hash) []mail.Digest {
	out := make([]mail.Digest, len(hashes))
	for i, h := range hashes {
		out[i] = mail.Digest(h)
	}
	return out
}
