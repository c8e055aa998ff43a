package store

import "github.com/mailkeep/mailkeep/internal/durable"

// A scratch is a directory in which nothing is synced: all that matters of it is in
// a store before anybody rests on it.
type scratch struct{ durable.FS }

// Scratch returns a directory without its syncs.
func Scratch(fsys durable.FS) durable.FS {
	if _, ok := fsys.(scratch); ok {
		return fsys
	}
	return scratch{fsys}
}

// Create implements durable.FS.
func (s scratch) Create(name string) (durable.File, error) {
	f, err := s.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return unsynced{f}, nil
}

// SyncDir implements durable.FS and does nothing.
func (scratch) SyncDir(string) error { return nil }

// Sub implements durable.FS.
func (s scratch) Sub(dir string) (durable.FS, error) {
	sub, err := s.FS.Sub(dir)
	if err != nil {
		return nil, err
	}
	return scratch{sub}, nil
}

type unsynced struct{ durable.File }

// Sync implements durable.File and does nothing.
func (unsynced) Sync() error { return nil }
