package tlog

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// tilePath is the name of a tile by c2sp.org/tlog-tiles: that of
// golang.org/x/mod without the height, and with "entries" for "data".
func tilePath(t tlog.Tile) string {
	_, rest, _ := strings.Cut(strings.TrimPrefix(t.Path(), "tile/"), "/")
	if t.L == entriesLevel {
		rest = "entries/" + strings.TrimPrefix(rest, "data/")
	}
	return "tile/" + rest
}

// tileLength is how many octets a tile has.
func tileLength(t tlog.Tile) int {
	if t.L == entriesLevel {
		return t.W * leafEntry
	}
	return t.W * tlog.HashSize
}

// widen is the complete tile in the place of a partial one.
func widen(t tlog.Tile) tlog.Tile {
	t.W = tileWidth
	return t
}

// tiles are the tiles of a log on disk.
type tiles struct {
	fs    durable.FS
	known map[string]bool // directories that are durable
	dirty map[string]bool // directories with names that are not
}

func newTiles(fsys durable.FS) *tiles {
	return &tiles{fs: fsys, known: map[string]bool{".": true}, dirty: map[string]bool{}}
}

var _ tlog.TileReader = (*tiles)(nil)

// read returns a tile. Where the partial one is gone, the complete one in its
// place begins with it. An error is mail.Corrupt, but for those of reading.
func (s *tiles) read(t tlog.Tile) ([]byte, error) {
	b, err := durable.ReadFile(s.fs, tilePath(t))
	if errors.Is(err, fs.ErrNotExist) && t.W < tileWidth {
		b, err = durable.ReadFile(s.fs, tilePath(widen(t)))
		if err == nil && len(b) == tileLength(widen(t)) {
			b = b[:tileLength(t)]
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, mail.Errorf(mail.Corrupt, "%s is missing", tilePath(t))
	}
	if err != nil {
		return nil, err
	}
	if len(b) != tileLength(t) {
		return nil, mail.Errorf(mail.Corrupt, "%s has %d octets", tilePath(t), len(b))
	}
	return b, nil
}

// Height implements tlog.TileReader.
func (s *tiles) Height() int { return tileHeight }

// ReadTiles implements tlog.TileReader.
func (s *tiles) ReadTiles(all []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(all))
	for i, t := range all {
		var err error
		if out[i], err = s.read(t); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// SaveTiles implements tlog.TileReader: there is nothing to keep.
func (s *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// write places a tile. It is durable after sync.
func (s *tiles) write(t tlog.Tile, data []byte) error {
	name := tilePath(t)
	dir := path.Dir(name)
	if !s.known[dir] {
		if err := s.fs.MkdirAll(dir); err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
		for d := dir; !s.known[d]; d = path.Dir(d) {
			s.known[d] = true
			s.dirty[path.Dir(d)] = true
		}
	}
	s.dirty[dir] = true
	return durable.PlaceFile(s.fs, name, data)
}

// sync makes the names of all tiles durable that were written.
func (s *tiles) sync() error {
	for d := range s.dirty {
		if err := s.fs.SyncDir(d); err != nil {
			return fmt.Errorf("sync %s: %w", d, err)
		}
		delete(s.dirty, d)
	}
	return nil
}

// prune removes the partial tiles of the tree of size old that are complete in
// one of size now. It is best effort: what stays is in nobody's way.
func (s *tiles) prune(old, now uint64) {
	for level := 0; old>>(tileHeight*level) > 0; level++ {
		n := old >> (tileHeight * (level + 1))
		if n >= now>>(tileHeight*(level+1)) {
			continue
		}
		t := tlog.Tile{H: tileHeight, L: level, N: int64(n), W: tileWidth}
		s.removeDir(tilePath(t) + ".p")
		if t.L = entriesLevel; level == 0 {
			s.removeDir(tilePath(t) + ".p")
		}
	}
}

func (s *tiles) removeDir(dir string) {
	delete(s.known, dir)
	delete(s.dirty, dir)
	entries, err := s.fs.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		_ = s.fs.Remove(path.Join(dir, e.Name()))
	}
	_ = s.fs.Remove(dir)
}
