package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// A CheckReport is the result of reading a backup.
type CheckReport struct {
	Archive   string    `json:"archive"`
	Manifests int       `json:"manifests"`
	Objects   int       `json:"objects"`
	Octets    int64     `json:"octets"`
	Findings  []Finding `json:"findings"`
}

// A Finding is something of a backup that is not as it was written.
type Finding struct {
	Object  string   `json:"object"` // below the backup's directory
	Files   []string `json:"files"`  // of the archive that need it
	Problem string   `json:"problem"`
}

// Check reads every manifest and every object of a backup and compares them with
// their hashes. What is wrong is in the report; the error is of what kept it from
// looking: mail.NotFound if there is no backup.
func Check(ctx context.Context, fsys durable.FS, progress func(octets int)) (CheckReport, error) {
	c := checker{fs: fsys, copy: newCopier(progress), seen: map[mail.Digest]File{}, bad: map[mail.Digest]int{}}
	c.report.Findings = []Finding{}
	err := c.check(ctx)
	return c.report, wrap("check the backup", err)
}

type checker struct {
	fs     durable.FS
	copy   *copier
	seen   map[mail.Digest]File
	bad    map[mail.Digest]int // index of the finding
	report CheckReport
}

func (c *checker) check(ctx context.Context) (err error) {
	if c.report.Archive, err = openBackup(c.fs); err != nil {
		return err
	}
	all, err := listManifests(c.fs)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return noManifest()
	}
	for i, n := range all {
		if i > 0 && n.number != all[i-1].number+1 {
			c.found(fmt.Sprintf("%s/%08d-*", manifestsDir, all[i-1].number+1), "the manifest is missing")
		}
		m, err := readManifest(c.fs, n)
		if mail.KindOf(err) == mail.Corrupt {
			c.found(n.path(), err.Error())
			continue
		}
		if err != nil {
			return err
		}
		c.report.Manifests++
		if i > 0 && m.Before != all[i-1].digest && n.number == all[i-1].number+1 {
			c.found(n.path(), "it does not follow the manifest before")
		}
		if err := c.files(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) found(object, problem string, files ...string) {
	c.report.Findings = append(c.report.Findings, Finding{object, files, problem})
}

func (c *checker) files(ctx context.Context, m *Manifest) error {
	for _, f := range m.Files {
		if i, bad := c.bad[f.Digest]; bad {
			c.name(i, f.Path)
			continue
		}
		if _, done := c.seen[f.Digest]; done {
			continue
		}
		c.seen[f.Digest] = f
		problem, err := c.object(ctx, f)
		if err != nil {
			return err
		}
		if problem != "" {
			c.bad[f.Digest] = len(c.report.Findings)
			c.found(f.object(), problem, f.Path)
			continue
		}
		c.report.Objects++
		c.report.Octets += f.Octets
	}
	return nil
}

// name adds a file to a finding.
func (c *checker) name(i int, path string) {
	f := &c.report.Findings[i]
	if slices.Contains(f.Files, path) {
		return
	}
	f.Files = append(f.Files, path)
}

// object says what is wrong with one object.
func (c *checker) object(ctx context.Context, f File) (problem string, err error) {
	got, n, err := c.copy.digest(ctx, c.fs, f.object(), -1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "it is missing", nil
	case err != nil:
		return "", err
	case n != f.Octets:
		return fmt.Sprintf("it has %d octets, not %d", n, f.Octets), nil
	case got != f.Digest:
		return "its octets do not have the hash of its name", nil
	}
	return "", nil
}

// openBackup returns the UUID of the archive of a backup.
func openBackup(fsys durable.FS) (string, error) {
	id, err := readIdentity(fsys)
	if errors.Is(err, fs.ErrNotExist) {
		return "", mail.WithHint(mail.Errorf(mail.NotFound, "the directory holds no backup"), "name the directory that mailkeep backup was given")
	}
	return id, err
}

func noManifest() error {
	return mail.Errorf(mail.NotFound, "the directory holds no backup that was completed")
}

// Find returns a manifest by its number, or the newest one if number is 0.
// Errors: mail.NotFound; mail.Corrupt if it is damaged.
func Find(fsys durable.FS, number int) (*Manifest, error) {
	if _, err := openBackup(fsys); err != nil {
		return nil, err
	}
	all, err := listManifests(fsys)
	if err != nil {
		return nil, wrap("list the manifests", err)
	}
	if len(all) == 0 {
		return nil, noManifest()
	}
	if number == 0 {
		return readManifest(fsys, all[len(all)-1])
	}
	var have []string
	for _, n := range all {
		if n.number == number {
			return readManifest(fsys, n)
		}
		have = append(have, fmt.Sprint(n.number))
	}
	return nil, mail.WithHint(mail.Errorf(mail.NotFound, "there is no backup %d", number), "there are %s", strings.Join(have, ", "))
}

// Open opens a file of a manifest by its path in the archive; fs.ErrNotExist if it
// is not in it. What is read is not compared with its hash: see Check.
func Open(fsys durable.FS, m *Manifest, path string) (durable.File, error) {
	f, ok := m.find(path)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return fsys.Open(f.object())
}
