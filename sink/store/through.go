package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// ThroughOptions are what a Through needs to know.
type ThroughOptions struct {
	FS     durable.FS // the local directory; nothing in it needs to survive
	Store  Store      // which should keep no versions: what is replaced must be gone
	Prefix string     // ends with a slash
	// Wanted tells the files that are in the store; others are local.
	Wanted func(name string) bool
}

// A Through is a flat directory of files that change, key files, whose truth is in a
// store: a file is there before it has its name in the local directory, and is
// fetched from there when it is asked for. Making a file never replaces one that
// another process has made: fs.ErrExist.
type Through struct {
	durable.FS
	o  ThroughOptions
	mu sync.Mutex // held while a file is fetched
}

var _ durable.FS = (*Through)(nil)

// fetchSuffix ends the names of files that are being fetched.
const fetchSuffix = ".fetch"

// NewThrough returns the directory; it does not speak to the store yet. What is in
// the local directory and Wanted must be removed first if it may be old: see Forget.
func NewThrough(o ThroughOptions) *Through {
	o.FS = Scratch(o.FS)
	return &Through{FS: o.FS, o: o}
}

// Forget removes the local copies, and what a crash left of fetching. Whoever uses the directory fetches them again.
func (t *Through) Forget() error {
	entries, err := t.FS.ReadDir(".")
	if err != nil {
		return classifyFile(err)
	}
	for _, e := range entries {
		if t.o.Wanted(e.Name()) || strings.HasSuffix(e.Name(), fetchSuffix) {
			if err := ignoreMissing(t.FS.Remove(e.Name())); err != nil {
				return classifyFile(err)
			}
		}
	}
	return nil
}

// Open implements durable.FS.
func (t *Through) Open(name string) (durable.File, error) { return fetched(t, name, t.FS.Open) }

// Stat implements durable.FS.
func (t *Through) Stat(name string) (fs.FileInfo, error) { return fetched(t, name, t.FS.Stat) }

// fetched does what needs a file, if need be after it was fetched.
func fetched[T any](t *Through, name string, do func(string) (T, error)) (T, error) {
	v, err := do(name)
	if !errors.Is(err, fs.ErrNotExist) || !t.o.Wanted(name) {
		return v, err
	}
	if err := t.fetch(name); err != nil {
		return v, err
	}
	return do(name)
}

// fetch copies a file from the store; fs.ErrNotExist if it is not there either.
func (t *Through) fetch(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := t.FS.Stat(name); err == nil {
		return nil // another has fetched it meanwhile
	}
	b, err := Fetch(context.Background(), t.o.Store, t.o.Prefix+name)
	if mail.KindOf(err) == mail.NotFound {
		return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return err
	}
	return t.place(name, b)
}

// place gives a file that was fetched its name, unless it has one by now: who
// replaces it at this moment, perhaps another process, has the newer one, and a
// temporary file of its own.
func (t *Through) place(name string, data []byte) error {
	tmp := name + "." + rand.Text() + fetchSuffix
	if err := durable.WriteFile(t.FS, tmp, data); err != nil {
		return err
	}
	if err := t.FS.Link(tmp, name); err != nil && !errors.Is(err, fs.ErrExist) {
		// Not as fs.ErrNotExist, if another process has called Forget: the file is there.
		return mail.Errorf(mail.Temporary, "%s was fetched and got no name: %v", name, err)
	}
	return ignoreMissing(t.FS.Remove(tmp))
}

// ReadDir implements durable.FS.
func (t *Through) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := t.FS.ReadDir(name)
	if err != nil || name != "." {
		return entries, err
	}
	for o, err := range t.o.Store.List(context.Background(), t.o.Prefix) {
		if err != nil {
			return nil, err
		}
		if base := strings.TrimPrefix(o.Name, t.o.Prefix); t.o.Wanted(base) {
			entries = append(entries, fileInfo{base, note{Octets: o.Size, Ref: o.Ref, Sealed: o.Stored}})
		}
	}
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return slices.CompactFunc(entries, func(a, b fs.DirEntry) bool { return a.Name() == b.Name() }), nil
}

// Link implements durable.FS: it makes a file, in the store first.
func (t *Through) Link(old, name string) error {
	if !t.o.Wanted(name) {
		return t.FS.Link(old, name)
	}
	data, err := durable.ReadFile(t.FS, old)
	if err != nil {
		return err
	}
	_, err = t.o.Store.PutIfAbsent(context.Background(), t.o.Prefix+name, Content{ReaderAt: bytes.NewReader(data), Size: int64(len(data)), Sum: mail.DigestOf(data)}, Retention{})
	if mail.KindOf(err) == mail.InUse {
		return &fs.PathError{Op: "link", Path: name, Err: fs.ErrExist} // whoever opens it fetches it
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	// If we die here, the file is fetched when it is asked for.
	return t.FS.Link(old, name)
}

// Rename implements durable.FS: it replaces a file, in the store first.
func (t *Through) Rename(old, name string) error {
	if t.o.Wanted(name) {
		data, err := durable.ReadFile(t.FS, old)
		if err != nil {
			return err
		}
		if err := t.o.Store.Replace(context.Background(), t.o.Prefix+name, data); err != nil {
			return fmt.Errorf("store %s: %w", name, err)
		}
	}
	return t.FS.Rename(old, name)
}

// Remove implements durable.FS: from the store first.
func (t *Through) Remove(name string) error {
	if !t.o.Wanted(name) {
		return t.FS.Remove(name)
	}
	err := t.o.Store.DeleteVersion(context.Background(), Ref{Name: t.o.Prefix + name})
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return err
	}
	if lerr := t.FS.Remove(name); err != nil || !errors.Is(lerr, fs.ErrNotExist) {
		return lerr
	}
	return nil
}

// Sub implements durable.FS and fails: the directory is flat.
func (t *Through) Sub(dir string) (durable.FS, error) {
	return nil, &fs.PathError{Op: "sub", Path: path.Clean(dir), Err: errors.ErrUnsupported}
}

// mostFetched bounds what Fetch gives, in octets.
const mostFetched = 64 << 20

// Fetch returns the newest version of a small object; mail.NotFound if there is none.
func Fetch(ctx context.Context, s Store, name string) ([]byte, error) {
	return fetch(ctx, s, Ref{Name: name})
}

// FetchFirst returns the oldest version of a small object, which PutIfAbsent has let
// in: whoever puts another one over it, or a mark that it is deleted, changes nothing.
func FetchFirst(ctx context.Context, s Store, name string) ([]byte, error) {
	for o, err := range firstVersions(s.List(ctx, name)) {
		if err != nil {
			return nil, err
		}
		if o.Name == name {
			return fetch(ctx, s, o.Ref)
		}
	}
	return nil, noObject(s, Ref{Name: name})
}

func fetch(ctx context.Context, s Store, ref Ref) ([]byte, error) {
	body, err := s.GetRange(ctx, ref, 0, -1)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(withContext(ctx, body), mostFetched+1))
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	if len(b) > mostFetched {
		return nil, mail.Errorf(mail.Corrupt, "%s in %s has more than %d octets", ref, s, mostFetched)
	}
	return b, nil
}
