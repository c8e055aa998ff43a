package backup

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

const (
	identityName = "BACKUP"
	objectsDir   = "objects"
	manifestsDir = "manifests"
	lockName     = "lock"
	incoming     = objectsDir + "/incoming"

	format = 1
	// maxManifest bounds a manifest, in octets: some million files.
	maxManifest = 256 << 20
)

// An identity says what a backup is of.
type identity struct {
	Format  int    `json:"format"`
	Archive string `json:"archive"` // UUID
}

// A Manifest lists what an archive consisted of at one time.
type Manifest struct {
	Format  int       `json:"format"`
	Archive string    `json:"archive"` // UUID
	Number  int       `json:"number"`  // from 1
	Made    time.Time `json:"made"`
	// Before is the SHA-256 of the manifest before this one; zero in the first.
	Before  mail.Digest `json:"before"`
	Ledgers []Ledger    `json:"ledgers"`
	Files   []File      `json:"files"` // by path
}

// A Ledger is how far the ledger of a partition is in a backup.
type Ledger struct {
	Partition uint16 `json:"partition"`
	Records   uint64 `json:"records"` // bookkeeping included
}

// A File is one file of an archive.
type File struct {
	Path   string      `json:"path"` // below the archive's directory, with slashes
	Octets int64       `json:"octets"`
	Mode   fs.FileMode `json:"mode"` // permission bits
	Digest mail.Digest `json:"sha256"`
	// Seal is, for a sealed segment, the SHA-256 that its seal tells of what is
	// before the seal.
	Seal *mail.Digest `json:"seal,omitempty"`
	// Open says that the file is the part of an open segment that was durable.
	Open bool `json:"open,omitempty"`
}

func (f File) object() string { return objectsDir + "/" + f.Digest.String() }

// find returns the file with the path.
func (m *Manifest) find(path string) (File, bool) {
	i, ok := slices.BinarySearchFunc(m.Files, path, func(f File, p string) int { return cmp.Compare(f.Path, p) })
	if !ok {
		return File{}, false
	}
	return m.Files[i], true
}

// Octets is the size of all files.
func (m *Manifest) Octets() (n int64) {
	for _, f := range m.Files {
		n += f.Octets
	}
	return n
}

// A named manifest is one in the backup.
type named struct {
	number int
	digest mail.Digest
}

func (n named) path() string { return fmt.Sprintf("%s/%08d-%s", manifestsDir, n.number, n.digest) }

// listManifests returns the manifests by number, the oldest first.
func listManifests(fsys durable.FS) ([]named, error) {
	entries, err := fsys.ReadDir(manifestsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []named
	for _, e := range entries {
		if n, ok := parseName(e.Name()); ok {
			out = append(out, n)
		}
	}
	return out, nil
}

func parseName(name string) (n named, ok bool) {
	number, digest, _ := strings.Cut(name, "-")
	b, err := hex.DecodeString(digest)
	if err != nil || len(b) != len(n.digest) {
		return n, false
	}
	n.digest = mail.Digest(b)
	n.number, err = strconv.Atoi(number)
	return n, err == nil && n.number > 0 && n.path() == manifestsDir+"/"+name
}

// readManifest reads a manifest and compares it with its name.
func readManifest(fsys durable.FS, n named) (*Manifest, error) {
	b, err := durable.ReadBounded(fsys, n.path(), maxManifest)
	if err != nil {
		return nil, err
	}
	bad := func(err error) error {
		return mail.WithHint(mail.Errorf(mail.Corrupt, "manifest %s: %w", n.path(), err), "use the one before, or another backup")
	}
	if got := mail.DigestOf(b); got != n.digest {
		return nil, bad(fmt.Errorf("its SHA-256 is %s, not that of its name", got))
	}
	m, err := parseManifest(b)
	if err == nil && m.Number != n.number {
		err = fmt.Errorf("it is number %d", m.Number)
	}
	if err != nil {
		return nil, bad(err)
	}
	return m, nil
}

// parseManifest reads a manifest that may be anything.
func parseManifest(b []byte) (*Manifest, error) {
	m := new(Manifest)
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(m); err != nil {
		return nil, err
	}
	if m.Format != format {
		return nil, fmt.Errorf("it has format %d; this version of mailkeep reads format %d", m.Format, format)
	}
	for i, f := range m.Files {
		switch {
		case !fs.ValidPath(f.Path) || f.Path == "." || strings.ContainsAny(f.Path, "\\\x00"):
			return nil, fmt.Errorf("%q is no path", f.Path)
		case i > 0 && f.Path <= m.Files[i-1].Path:
			return nil, fmt.Errorf("%q is not in order", f.Path)
		case f.Octets < 0 || f.Mode != f.Mode.Perm():
			return nil, fmt.Errorf("%q has no size or mode", f.Path)
		}
	}
	return m, nil
}

// writeManifest makes the manifest the backup's newest.
func writeManifest(fsys durable.FS, m *Manifest) (named, error) {
	slices.SortFunc(m.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	b, err := json.Marshal(m)
	if err != nil {
		return named{}, err
	}
	b = append(b, '\n')
	n := named{m.Number, mail.DigestOf(b)}
	if err := makeDir(fsys, manifestsDir); err != nil {
		return n, err
	}
	return n, durable.WriteFile(fsys, n.path(), b)
}

// readIdentity returns the UUID of the archive that the backup is of; it is
// fs.ErrNotExist if the directory holds no backup.
func readIdentity(fsys durable.FS) (string, error) {
	b, err := durable.ReadBounded(fsys, identityName, 1<<16)
	if err != nil {
		return "", err
	}
	var id identity
	if err := json.Unmarshal(b, &id); err != nil || id.Archive == "" {
		return "", mail.Errorf(mail.Corrupt, "the file %s of the backup is damaged", identityName)
	}
	if id.Format != format {
		return "", mail.Errorf(mail.Invalid, "the backup has format %d; this version of mailkeep reads format %d", id.Format, format)
	}
	return id.Archive, nil
}

// makeDir makes a directory of the root durably.
func makeDir(fsys durable.FS, name string) error {
	if _, err := fsys.Stat(name); err == nil {
		return nil
	}
	if err := fsys.MkdirAll(name); err != nil {
		return err
	}
	return fsys.SyncDir(".")
}
