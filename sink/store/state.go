package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// A State is those files of a tree that cannot be made again from a ledger, and
// change or become more: signed checkpoints, anchors. Save copies them to a store,
// where each copy replaces the one before, and Load makes the tree have what is
// there. What was removed from the tree between them is removed from the store too.
// One goroutine uses it.
type State struct {
	FS     durable.FS
	Store  Store
	Prefix string // before the names in the store; ends with a slash
	// Names are the files, by their paths in the tree, and directories, with all that
	// is below them.
	Names []string
	// Exact has Load remove what the store has not.
	Exact bool
	// Stays, if set, is a file that is in the tree for as long as the tree is: without
	// it the tree has vanished, and nothing is removed from the store.
	Stays string

	saved map[string]stamp // what the store has, as the files were then
}

// A stamp tells whether a file has changed.
type stamp struct {
	size int64
	time time.Time
}

// Save copies what has changed since the last one, or since Load.
func (s *State) Save(ctx context.Context) error {
	if s.saved == nil {
		s.saved = map[string]stamp{}
	}
	seen := map[string]bool{}
	for _, name := range s.Names {
		if err := s.walk(name, func(name string, info fs.FileInfo) error {
			seen[name] = true
			return s.save(ctx, name, info)
		}); err != nil {
			return fmt.Errorf("copy %s to %s: %w", name, s.Store, err)
		}
	}
	return s.drop(ctx, seen)
}

// drop removes from the store what the tree has no more.
func (s *State) drop(ctx context.Context, seen map[string]bool) error {
	if s.Stays != "" {
		if _, err := s.FS.Stat(s.Stays); err != nil {
			return ignoreMissing(err)
		}
	}
	for name := range s.saved {
		if seen[name] {
			continue
		}
		if _, err := s.FS.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			continue // it was being replaced
		}
		if err := s.Store.DeleteVersion(ctx, Ref{Name: s.Prefix + name}); err != nil && mail.KindOf(err) != mail.NotFound {
			return fmt.Errorf("remove %s from %s: %w", name, s.Store, err)
		}
		delete(s.saved, name)
	}
	return nil
}

// walk visits the file of a name, or all below it; nothing if there is none.
func (s *State) walk(name string, visit func(string, fs.FileInfo) error) error {
	info, err := s.FS.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it may be renamed at this moment: the next Save has it
	}
	if err != nil {
		return classifyFile(err)
	}
	if !info.IsDir() {
		if strings.HasSuffix(name, tmpSuffix) {
			return nil
		}
		return visit(name, info)
	}
	entries, err := s.FS.ReadDir(name)
	if err != nil {
		return classifyFile(err)
	}
	for _, e := range entries {
		if err := s.walk(path.Join(name, e.Name()), visit); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) save(ctx context.Context, name string, info fs.FileInfo) error {
	now := stamp{info.Size(), info.ModTime()}
	if s.saved[name] == now {
		return nil
	}
	data, err := durable.ReadFile(s.FS, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return classifyFile(err)
	}
	if err := s.Store.Replace(ctx, s.Prefix+name, data); err != nil {
		return err
	}
	s.saved[name] = now // if it grew since, its size tells the next Save
	return nil
}

// Load fetches the files that the store has, in place of those in the tree.
func (s *State) Load(ctx context.Context) error {
	s.saved = map[string]stamp{}
	for _, name := range s.Names {
		if !s.Exact {
			break
		}
		if err := s.walk(name, func(name string, _ fs.FileInfo) error { return s.FS.Remove(name) }); err != nil {
			return classifyFile(err)
		}
	}
	for o, err := range firstVersions(s.Store.List(ctx, s.Prefix)) {
		if err != nil {
			return fmt.Errorf("list %s in %s: %w", s.Prefix, s.Store, err)
		}
		name := strings.TrimPrefix(o.Name, s.Prefix)
		if !s.has(name) {
			continue
		}
		if err := s.load(ctx, name); err != nil {
			return fmt.Errorf("fetch %s from %s: %w", name, s.Store, err)
		}
	}
	return nil
}

func (s *State) has(name string) bool {
	for _, n := range s.Names {
		if name == n || strings.HasPrefix(name, n+"/") {
			return checkName(name) == nil
		}
	}
	return false
}

func (s *State) load(ctx context.Context, name string) error {
	data, err := Fetch(ctx, s.Store, s.Prefix+name)
	if mail.KindOf(err) == mail.NotFound {
		return nil // removed since it was listed
	}
	if err != nil {
		return err
	}
	if have, err := durable.ReadFile(s.FS, name); err == nil && bytes.Equal(have, data) {
		return s.note(name)
	}
	if err := s.FS.MkdirAll(path.Dir(name)); err != nil {
		return classifyFile(err)
	}
	if err := durable.WriteFile(Scratch(s.FS), name, data); err != nil {
		return classifyFile(err)
	}
	return s.note(name)
}

// note says that the store has the file as it is.
func (s *State) note(name string) error {
	info, err := s.FS.Stat(name)
	if err == nil {
		s.saved[name] = stamp{info.Size(), info.ModTime()}
	}
	return classifyFile(err)
}
