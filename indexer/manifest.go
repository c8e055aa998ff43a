package indexer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

const (
	manifestFile = "manifest.json"
	// maxManifest bounds what is read of one: some 100,000 shards.
	maxManifest     = 64 << 20
	manifestVersion = 1
)

// A manifest names the shards of an index. It is the only file that says which
// directories belong to the index: it is replaced as a whole by a rename, after
// what it names is durable, and what it does not name is removed.
type manifest struct {
	Version int `json:"version"`
	// Next numbers the next directory, so that no name is used twice.
	Next uint64 `json:"next"`
	// Serving is searched; Building takes its place when it has as much.
	Serving  *generationInfo `json:"serving"`
	Building *generationInfo `json:"building,omitempty"`
}

// A generationInfo is one whole set of shards: their ranges follow one another
// from position 0, the last has no end.
type generationInfo struct {
	Number uint64      `json:"number"`
	Format uint64      `json:"format"` // formatVersion of its documents
	Shards []shardInfo `json:"shards"`
}

// A shardInfo describes a shard: the documents of the records From <= position
// < To.
type shardInfo struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to,omitempty"` // 0: the live one, which has no end yet
	// Dir is where it is; empty if it is to be built from the ledger.
	Dir string `json:"dir,omitempty"`
	// Rebuild is where it is being built, if Dir is empty.
	Rebuild string `json:"rebuild,omitempty"`
	// Sealed shards do not change: Files are complete, one segment, read-only.
	Sealed bool            `json:"sealed,omitempty"`
	Docs   uint64          `json:"docs,omitempty"`   // with Sealed
	Newest string          `json:"newest,omitempty"` // the largest order key, with Sealed
	Files  map[string]file `json:"files,omitempty"`  // by path below Dir, with Sealed
	// Checked is when the files were last compared with Files, with Sealed.
	Checked time.Time `json:"checked,omitzero"`
	// Gone are documents that no search shows: they are removed from the files
	// when the shard is written anew. Redo are made again from the ledger then.
	Gone []uint64 `json:"gone,omitempty"`
	Redo []uint64 `json:"redo,omitempty"`
	// Dirty says that the segments of a shard that is not sealed hold what was
	// erased, until they are merged.
	Dirty bool `json:"dirty,omitempty"`
	// Why says what made the shard unusable, if Dir is empty.
	Why string `json:"why,omitempty"`
}

// A file is what is known of a file of a sealed shard.
type file struct {
	Size int64  `json:"size"`
	CRC  uint32 `json:"crc"` // IEEE, of the whole file
}

// readManifest returns fs.ErrNotExist if there is none and mail.Corrupt if it
// cannot be used.
func readManifest(dir string) (*manifest, error) {
	root, err := durable.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	b, err := durable.ReadBounded(root, manifestFile, maxManifest)
	if err != nil {
		return nil, err
	}
	return parseManifest(b)
}

func parseManifest(b []byte) (*manifest, error) {
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, mail.Errorf(mail.Corrupt, "the manifest of the index: %w", err)
	}
	if m.Version != manifestVersion || m.Serving == nil {
		return nil, mail.Errorf(mail.Corrupt, "the manifest of the index is of version %d", m.Version)
	}
	for _, g := range []*generationInfo{m.Serving, m.Building} {
		if g == nil {
			continue
		}
		if err := g.check(m.Next); err != nil {
			return nil, mail.Errorf(mail.Corrupt, "the manifest of the index, generation %d: %w", g.Number, err)
		}
	}
	return &m, nil
}

// check verifies what the program relies on.
func (g *generationInfo) check(next uint64) error {
	at := uint64(0)
	for i, s := range g.Shards {
		last := i == len(g.Shards)-1
		switch {
		case s.From != at:
			return fmt.Errorf("a shard begins at %d and not at %d", s.From, at)
		case last != (s.To == 0), !last && s.To <= s.From:
			return fmt.Errorf("the shard at %d ends at %d", s.From, s.To)
		case last && (s.Dir == "" || s.Sealed):
			return fmt.Errorf("the shard at %d is not one that grows", s.From)
		}
		for _, name := range []string{s.Dir, s.Rebuild} {
			if n, ok := numberOf(name); name != "" && (!ok || n >= next) {
				return fmt.Errorf("the shard at %d is in %q", s.From, name)
			}
		}
		at = s.To
	}
	if len(g.Shards) == 0 {
		return errors.New("it has no shard")
	}
	return nil
}

// The directories of shards are numbered.
func dirName(n uint64) string { return fmt.Sprintf("%08d", n) }

var shardDir = regexp.MustCompile(`^[0-9]{8,20}$`)

func numberOf(name string) (n uint64, ok bool) {
	if !shardDir.MatchString(name) {
		return 0, false
	}
	_, err := fmt.Sscanf(name, "%d", &n)
	return n, err == nil && dirName(n) == name
}

// save makes m durable in place of what was there.
func (m *manifest) save(dir string) error {
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	root, err := durable.OpenDir(dir)
	if err != nil {
		return classify("open the index directory", err)
	}
	defer root.Close()
	if err := durable.WriteFile(root, manifestFile, append(b, '\n')); err != nil {
		return classify("write the manifest of the index", err)
	}
	return nil
}

// names lists the directories that the manifest names.
func (m *manifest) names() []string {
	var out []string
	for _, g := range []*generationInfo{m.Serving, m.Building} {
		if g == nil {
			continue
		}
		for _, s := range g.Shards {
			out = append(out, s.Dir, s.Rebuild)
		}
	}
	return out
}

// sweep removes what the manifest does not name: the directories of shards that a
// crash left half made, or had not yet removed, and the index of an older program.
func (m *manifest) sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return classify("list the index directory", err)
	}
	keep := m.names()
	for _, e := range entries {
		_, shard := numberOf(e.Name())
		// A program from before there were shards was run over this index.
		old := e.Name() == engineDir || e.Name() == cleanFile
		if !old && (!shard || slices.Contains(keep, e.Name())) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return classify("remove a shard that is not of the index", err)
		}
	}
	return nil
}

// adopt makes the manifest of a directory that has none: of one that an older
// version of the program filled, whose only index becomes the live shard, or of
// an empty one.
func adopt(o *Options) (*manifest, error) {
	m := &manifest{Version: manifestVersion, Next: 2}
	first := dirName(1)
	old := filepath.Join(o.Dir, engineDir)
	if _, err := os.Stat(old); err == nil {
		// If we die after the first rename, there is no index and no manifest:
		// the next Open finds the directory made and goes on from there.
		to := filepath.Join(o.Dir, first)
		if err := os.MkdirAll(to, 0o700); err != nil {
			return nil, classify("make the directory of a shard", err)
		}
		for _, name := range []string{cleanFile, engineDir} {
			err := os.Rename(filepath.Join(o.Dir, name), filepath.Join(to, name))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, classify("move an index of an older version", err)
			}
		}
	}
	format := uint64(formatVersion)
	e, err := openEngine(filepath.Join(o.Dir, first))
	if _, missing := os.Stat(filepath.Join(o.Dir, first, engineDir)); missing != nil {
		e, err = createEngine(filepath.Join(o.Dir, first), 0)
	}
	switch {
	case err == nil:
		format = e.format
		if err := e.close(); err != nil {
			return nil, err
		}
	case passing(err):
		return nil, err
	}
	m.Serving = &generationInfo{Number: 1, Format: format, Shards: []shardInfo{{Dir: first}}}
	return m, m.save(o.Dir)
}
