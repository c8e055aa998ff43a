package store

import (
	"context"
	"errors"
	"io/fs"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// A Mirror copies the files of a directory that change, key files, to a store, where
// each copy replaces the one before. The store must keep no versions: what was
// destroyed in the directory must not live on there. One goroutine uses it.
type Mirror struct {
	FS     durable.FS
	Store  Store
	Prefix string // ends with a slash
	Wanted func(name string) bool

	copied map[string]mail.Digest
}

// Pass copies what has changed since the pass before; the first one asks the store
// what it has. It stops at the first error.
func (m *Mirror) Pass(ctx context.Context) error {
	entries, err := m.FS.ReadDir(".")
	if err != nil {
		return classifyFile(err)
	}
	if m.copied == nil {
		m.copied = map[string]mail.Digest{}
	}
	for _, e := range entries {
		if !m.Wanted(e.Name()) {
			continue
		}
		data, err := durable.ReadFile(m.FS, e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // it is being replaced; the next pass has it
		}
		if err != nil {
			return classifyFile(err)
		}
		if err := m.copy(ctx, e.Name(), data); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mirror) copy(ctx context.Context, name string, data []byte) error {
	sum := mail.DigestOf(data)
	have, known := m.copied[name]
	if !known {
		o, err := m.Store.Stat(ctx, Ref{Name: m.Prefix + name})
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
		have = o.Sum
	}
	if have != sum {
		if err := m.Store.Replace(ctx, m.Prefix+name, data); err != nil {
			return err
		}
	}
	m.copied[name] = sum
	return nil
}
