package indexer

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/mailkeep/mailkeep/mail"
)

// A generation is one whole set of shards, in the order of the ledger. Its
// slice of parts is replaced and never changed; Index.mu guards which it is.
type generation struct {
	number uint64
	format uint64
	parts  []*part
}

// last returns the part that grows.
func (g *generation) last() *part { return g.parts[len(g.parts)-1] }

// replace puts a part in the place of another.
func (g *generation) replace(old, with *part) {
	parts := slices.Clone(g.parts)
	parts[slices.Index(parts, old)] = with
	g.parts = parts
}

func (g *generation) has(p *part) bool { return g != nil && slices.Contains(g.parts, p) }

func (g *generation) describe() *generationInfo {
	if g == nil {
		return nil
	}
	info := &generationInfo{Number: g.number, Format: g.format}
	for _, p := range g.parts {
		info.Shards = append(info.Shards, p.describe())
	}
	return info
}

// load makes the parts of a generation and opens those that can grow.
func (x *Index) load(info *generationInfo) (*generation, error) {
	if info == nil {
		return nil, nil
	}
	g := &generation{number: info.Number, format: info.Format}
	for _, s := range info.Shards {
		p, err := x.loadPart(info, s)
		if err != nil {
			return nil, errors.Join(err, g.shut())
		}
		g.parts = append(g.parts, p)
	}
	return g, nil
}

// loadPart makes a part. One that should be writable and cannot be opened is set
// aside: it is to be built anew, and if it is the last, an empty one takes its
// place.
func (x *Index) loadPart(g *generationInfo, s shardInfo) (*part, error) {
	p := x.newPart(s)
	if s.Dir == "" || s.Sealed {
		return p, nil
	}
	e, err := openEngine(p.dir)
	if err == nil && e.format != g.Format {
		err = errors.Join(mail.Errorf(mail.Corrupt, "its format is %d, not %d", e.format, g.Format), e.abandon())
	}
	if err == nil {
		p.engine = e
		return p, nil
	}
	if passing(err) {
		return nil, err
	}
	return x.hollowOut(p, err)
}

// passing reports whether an error of opening or reading says nothing of what is
// in the files.
func passing(err error) bool {
	switch mail.KindOf(err) {
	case mail.InUse, mail.NoSpace, mail.Denied:
		return true
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || starved(err)
}

// starved reports whether the machine had no file descriptor or memory to spare.
// The engine passes on the words of such an error only.
func starved(err error) bool {
	for _, no := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if err != nil && (errors.Is(err, no) || strings.Contains(err.Error(), no.Error())) {
			return true
		}
	}
	return false
}

// hollowOut sets a shard aside and returns what takes its place in the
// manifest: a part to be built from the ledger, or, for the last, one that is
// empty. The caller saves the manifest; if we die before, the directory is
// missing and the next start comes here again.
func (x *Index) hollowOut(p *part, cause error) (*part, error) {
	info := p.describe()
	aside, err := x.setAside(&info)
	if err != nil {
		return nil, errors.Join(cause, err)
	}
	x.opts.Logger.Error("shard of the index taken out, will be rebuilt from the ledger",
		x.opts.logPartition(), slog.Uint64("from", info.From), slog.Uint64("to", info.To),
		slog.String("cause", cause.Error()), slog.String("moved_to", aside))
	if info.To == 0 {
		fresh := x.newPart(shardInfo{From: info.From, Dir: x.nextDir()})
		fresh.engine, err = createEngine(fresh.dir, info.From)
		return fresh, err
	}
	return x.newPart(shardInfo{From: info.From, To: info.To, Why: cause.Error()}), nil
}

// asideSuffix marks the one shard that is kept for a look at what broke it.
const asideSuffix = ".broken"

// setAside renames the directory of a shard, whose new name it returns, and removes
// one that was set aside earlier. A directory that is not there is no error: we died
// after the rename. One that holds what was erased is removed; there is no name then.
func (x *Index) setAside(s *shardInfo) (string, error) {
	if err := x.removeAside(); err != nil {
		return "", err
	}
	dir := filepath.Join(x.opts.Dir, s.Dir)
	if s.tainted() {
		if err := os.RemoveAll(dir); err != nil {
			return "", classify("remove a shard that holds what was erased", err)
		}
		return "", nil
	}
	if err := os.Rename(dir, dir+asideSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", classify("set a shard aside", err)
	}
	return dir + asideSuffix, nil
}

// removeAside removes a shard that was set aside.
func (x *Index) removeAside() error {
	old, err := filepath.Glob(filepath.Join(x.opts.Dir, "*"+asideSuffix))
	for _, o := range old {
		err = errors.Join(err, os.RemoveAll(o))
	}
	if err != nil {
		return classify("remove a shard that was set aside", err)
	}
	return nil
}

func (g *generation) shut() error {
	if g == nil {
		return nil
	}
	var errs []error
	for _, p := range g.parts {
		errs = append(errs, p.shut())
	}
	return errors.Join(errs...)
}

// empty makes a generation that is to hold what like holds: the same ranges, to
// be built from the ledger, and a live shard behind them. Ranges beyond size
// are not taken over, and none if like is nil. The caller saves the manifest.
func (x *Index) empty(like *generation, size uint64) (*generation, error) {
	g := &generation{number: x.manifest.Next, format: formatVersion}
	x.manifest.Next++
	from := uint64(0)
	if like != nil {
		for _, p := range like.parts {
			info := p.describe()
			if info.To == 0 || info.To > size {
				break
			}
			g.parts = append(g.parts, x.newPart(shardInfo{From: info.From, To: info.To, Why: "the index is being built anew"}))
			from = info.To
		}
	}
	live := x.newPart(shardInfo{From: from, Dir: x.nextDir()})
	var err error
	if live.engine, err = createEngine(live.dir, from); err != nil {
		return nil, err
	}
	g.parts = append(g.parts, live)
	return g, nil
}
