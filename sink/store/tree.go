package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// A Tree is the directory of a ledger whose older segments may be in a store alone:
// it lists and opens them as if they were there. Notes are not listed. All else is
// the directory's.
type Tree struct {
	durable.FS
	store Store // nil: none is configured
	// sealed hides segments that are not sealed.
	sealed bool

	mu    sync.Mutex
	notes map[string]note // those of segments that were looked at; they never change in what is used here
}

var _ durable.FS = (*Tree)(nil)

// NewTree returns the tree of a directory. Without a store, opening a segment that
// is there alone is mail.Invalid.
func NewTree(fsys durable.FS, s Store) *Tree {
	return &Tree{FS: fsys, store: s, notes: map[string]note{}}
}

// NewSealedTree returns the tree of a directory that a Direct works in, for those
// who read beside it: of what has not got its final name they see nothing.
func NewSealedTree(fsys durable.FS, s Store) *Tree {
	t := NewTree(fsys, s)
	t.sealed = true
	return t
}

// away returns the note of a segment that is not in the directory; fs.ErrNotExist if
// it is nowhere.
func (t *Tree) away(name string) (note, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, ok := t.notes[name]; ok {
		return n, nil
	}
	n, err := readNote(t.FS, name)
	if err == nil {
		t.notes[name] = n
	}
	return n, err
}

// Open implements durable.FS.
func (t *Tree) Open(name string) (durable.File, error) {
	f, err := t.FS.Open(name)
	if !errors.Is(err, fs.ErrNotExist) || !isSegment(name) {
		return f, err
	}
	n, nerr := t.away(name)
	if errors.Is(nerr, fs.ErrNotExist) {
		return nil, err
	}
	if nerr != nil {
		return nil, nerr
	}
	if t.store == nil {
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "segment %s is in %s, and no store is configured", name, n.Store),
			"Configure the section store as it was when the segment was stored.")
	}
	return openRemote(t.store, fileInfo{name, n}), nil
}

// Stat implements durable.FS.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	info, err := t.FS.Stat(name)
	if !errors.Is(err, fs.ErrNotExist) || !isSegment(name) {
		return info, err
	}
	n, nerr := t.away(name)
	if errors.Is(nerr, fs.ErrNotExist) {
		return nil, err
	}
	return fileInfo{name, n}, nerr
}

// ReadDir implements durable.FS.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := t.FS.ReadDir(name)
	if err != nil || name != "." {
		return entries, err
	}
	here := make(map[string]bool, len(entries))
	for _, e := range entries {
		here[e.Name()] = true
	}
	out := entries[:0:0]
	for _, e := range entries {
		segment, isNote := strings.CutSuffix(e.Name(), NoteSuffix)
		switch {
		case t.sealed && ofSegment(e.Name()) && !isNote && !isSegment(e.Name()):
		case !isNote || !isSegment(segment):
			if !strings.HasSuffix(e.Name(), NoteSuffix+tmpSuffix) {
				out = append(out, e)
			}
		case !here[segment]:
			out = append(out, awayEntry{tree: t, name: segment})
		}
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return out, nil
}

// An awayEntry is a segment in the store; its note is read when it is asked for.
type awayEntry struct {
	tree *Tree
	name string
}

func (e awayEntry) Name() string               { return e.name }
func (e awayEntry) IsDir() bool                { return false }
func (e awayEntry) Type() fs.FileMode          { return 0 }
func (e awayEntry) Info() (fs.FileInfo, error) { return e.tree.Stat(e.name) }

// Link implements durable.FS: a segment in the store has its name too.
func (t *Tree) Link(old, new string) error {
	if isSegment(new) {
		if _, err := t.FS.Stat(new + NoteSuffix); err == nil {
			return fmt.Errorf("link %s: %w", new, fs.ErrExist)
		}
	}
	return t.FS.Link(old, new)
}
