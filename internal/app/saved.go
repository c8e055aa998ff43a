package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// savedDir holds the saved searches, a file each, below the archive's directory. They
// are no evidence and can be made again, so they are not in the ledger. Beside
// NAME.json, which who saves writes, is NAME.told with how far alerts were delivered,
// which the process with the role index writes alone: neither overwrites the other.
const savedDir = "searches"

// maxSaved bounds a file of a saved search, in octets.
const maxSaved = 64 << 10

var savedName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// A savedFiles is the directory of saved searches.
type savedFiles struct{ dir durable.FS }

// SaveSearch keeps a search under its name, in the place of one that has the name. It is
// asked once before, so that a query that cannot be read is not kept; what it finds then
// is not told again. Errors: mail.Invalid for a name that is none, or for the query.
func SaveSearch(ctx context.Context, c *configs.Config, s mail.SavedSearch, console Console) (mail.SavedSearch, error) {
	if err := checkSaved(s.Name); err != nil {
		return s, err
	}
	cl, err := Open(ctx, c, console)
	if err != nil {
		return s, err
	}
	a, err := cl.Search(ctx, mail.SearchRequest{Query: s.Query, Zone: s.Zone, Count: true})
	if err = errors.Join(err, cl.Close()); err != nil {
		return s, err
	}
	if len(a.Coverage.Cursors) != cl.dir.Identity.Partitions {
		return s, mail.WithHint(mail.Errorf(mail.Temporary, "not all partitions answer: it cannot be said from where on alerts are due"), "try again later")
	}
	s.From = map[uint16]uint64{}
	for _, k := range a.Coverage.Cursors {
		s.From[k.Partition] = k.Position
	}
	s.Created = time.Now().UTC()
	return s, withSaved(c, func(f savedFiles) error { return f.put(s) })
}

// SavedSearches returns the saved searches by name.
func SavedSearches(_ context.Context, c *configs.Config) (all []mail.SavedSearch, err error) {
	err = withSaved(c, func(f savedFiles) (err error) {
		all, err = f.all()
		return err
	})
	return all, err
}

// DropSearch forgets a saved search; mail.NotFound if there is none of the name.
func DropSearch(_ context.Context, c *configs.Config, name string) error {
	if err := checkSaved(name); err != nil {
		return err
	}
	return withSaved(c, func(f savedFiles) error { return f.drop(name) })
}

func checkSaved(name string) error {
	if savedName.MatchString(name) && !strings.Contains(name, "..") {
		return nil
	}
	return mail.WithHint(mail.Errorf(mail.Invalid, "%.80q is no name of a saved search", name), "take up to 64 of a-z, 0-9, hyphen, underscore and dot")
}

// withSaved calls f with the saved searches of an archive that exists.
func withSaved(c *configs.Config, f func(savedFiles) error) error {
	d, err := openDirectory(c.Archive.Dir)
	if err != nil {
		return err
	}
	files, err := d.savedFiles()
	if err != nil {
		return errors.Join(err, d.Close())
	}
	return errors.Join(f(files), files.close(), d.Close())
}

func (d *directory) savedFiles() (savedFiles, error) {
	dir, err := durable.MakeDir(filepath.Join(d.Path, savedDir))
	return savedFiles{dir}, err
}

func (f savedFiles) close() error { return f.dir.(*durable.Dir).Close() }

func (f savedFiles) put(s mail.SavedSearch) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if len(b) > maxSaved {
		return mail.Errorf(mail.Invalid, "the search is too long to be saved")
	}
	return durable.WriteFile(f.dir, s.Name+".json", b)
}

// all returns the saved searches with how far their alerts were delivered: those that
// can be read, and an error about the others.
func (f savedFiles) all() ([]mail.SavedSearch, error) {
	entries, err := f.dir.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var out []mail.SavedSearch
	var bad error
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || checkSaved(name) != nil {
			continue
		}
		s, err := f.get(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was dropped meanwhile
		}
		if err != nil {
			bad = errors.Join(bad, err)
			continue
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b mail.SavedSearch) int { return cmp.Compare(a.Name, b.Name) })
	return out, bad
}

func (f savedFiles) get(name string) (s mail.SavedSearch, err error) {
	b, err := durable.ReadBounded(f.dir, name+".json", maxSaved)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil || s.Name != name {
		return s, mail.WithHint(mail.Errorf(mail.Corrupt, "the saved search %s cannot be read: %w", name, errors.Join(err)), "delete it and save it again")
	}
	if s.From == nil {
		s.From = map[uint16]uint64{}
	}
	told, err := f.told(name)
	if err != nil {
		return s, err
	}
	if told.Created.Equal(s.Created) { // else it is of one that had the name before
		for p, at := range told.Until {
			s.From[p] = max(s.From[p], at)
		}
	}
	return s, nil
}

// A told says how far the alerts of a saved search were delivered.
type told struct {
	Created time.Time         `json:"created"` // of the search
	Until   map[uint16]uint64 `json:"until"`
}

func (f savedFiles) told(name string) (t told, err error) {
	b, err := durable.ReadBounded(f.dir, name+".told", maxSaved)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	if json.Unmarshal(b, &t) != nil {
		return told{}, nil // alerts come again rather than not
	}
	return t, nil
}

// tell notes that alerts of a search were delivered up to a position.
func (f savedFiles) tell(s mail.SavedSearch, partition uint16, until uint64) error {
	t, err := f.told(s.Name)
	if err != nil {
		return err
	}
	if !t.Created.Equal(s.Created) || t.Until == nil {
		t = told{Created: s.Created, Until: map[uint16]uint64{}}
	}
	t.Until[partition] = max(t.Until[partition], until)
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return durable.WriteFile(f.dir, s.Name+".told", b)
}

func (f savedFiles) drop(name string) error {
	err := f.dir.Remove(name + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return mail.WithHint(mail.Errorf(mail.NotFound, "there is no saved search %q", name), "mailkeep saved list shows those that there are")
	}
	if e := f.dir.Remove(name + ".told"); !errors.Is(e, fs.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return errors.Join(err, f.dir.SyncDir("."))
}
