package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// ledger copies what is new of a ledger, and sees that it continues what was
// copied before.
func (m *maker) ledger(ctx context.Context, p uint16, extents []ledger.Extent) error {
	dir := LedgerPath(p)
	sealed := make(map[string]ledger.Extent, len(extents))
	for _, e := range extents {
		sealed[path.Join(dir, e.Name)] = e
		if e.Open { // what was open then may be sealed now, and the other way it may not
			sealed[path.Join(dir, e.SealedName())] = e
		}
	}
	if err := m.continues(ctx, dir, sealed); err != nil {
		return err
	}
	records := uint64(0)
	for _, e := range extents {
		if err := m.segment(ctx, dir, e); err != nil {
			return err
		}
		records = e.Next
	}
	m.next.Ledgers = append(m.next.Ledgers, Ledger{Partition: p, Records: records})
	return nil
}

// continues compares the segments of the manifest before with what is there.
func (m *maker) continues(ctx context.Context, dir string, now map[string]ledger.Extent) error {
	if m.before == nil {
		return nil
	}
	for _, f := range m.before.Files {
		if path.Dir(f.Path) != dir || f.Seal == nil && !f.Open {
			continue
		}
		e, ok := now[f.Path]
		if f.Open && !ok {
			e, ok = now[f.Path[:len(f.Path)-len(".open")]]
		}
		switch {
		case !ok:
			return m.forked(f.Path, "it is not in the archive any more")
		case f.Seal != nil && (e.Open || e.Sum != *f.Seal || e.Octets != f.Octets):
			return m.forked(f.Path, "the archive has another segment in its place")
		case f.Open && e.Octets < f.Octets:
			return m.forked(f.Path, "the archive has less of it")
		}
		if f.Open {
			if err := m.begins(ctx, dir, e, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// begins compares what was open with the beginning of what has its place.
func (m *maker) begins(ctx context.Context, dir string, e ledger.Extent, f File) error {
	file, err := openExtent(m.archive.FS, dir, e)
	if err != nil {
		return err
	}
	c := copier{buf: m.store.copy.buf}
	got, err := c.digestOf(ctx, file, f.Octets)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if got != f.Digest {
		return m.forked(f.Path, "the archive has other records in its place")
	}
	return nil
}

func (m *maker) forked(name, what string) error {
	return mail.WithHint(mail.Errorf(mail.Corrupt, "the archive does not continue the backup %d of %s: %s: %s", m.before.Number, m.before.Made.Format("2006-01-02 15:04"), name, what),
		"The archive was rolled back, damaged, or restored from an older backup. Nothing was written over. If you know why, back up to another directory; else run mailkeep verify.")
}

// segment copies a segment, unless it was copied before.
func (m *maker) segment(ctx context.Context, dir string, e ledger.Extent) error {
	to := File{Path: path.Join(dir, e.Name), Octets: e.Octets, Mode: 0o600, Open: e.Open}
	if !e.Open {
		to.Mode, to.Seal = 0o444, &e.Sum
		if m.before != nil {
			if f, ok := m.before.find(to.Path); ok && m.store.has(f) {
				m.next.Files = append(m.next.Files, f)
				return nil
			}
		}
	}
	file, err := openExtent(m.archive.FS, dir, e)
	if err != nil {
		return err
	}
	defer file.Close()
	if e.Open {
		return m.put(ctx, to, file, nil)
	}
	return m.put(ctx, to, file, &judge{e.Covered, e.Sum})
}

// openExtent opens a segment, which may have been sealed meanwhile: what it had
// is the beginning of what it has.
func openExtent(fsys durable.FS, dir string, e ledger.Extent) (durable.File, error) {
	f, err := fsys.Open(path.Join(dir, e.Name))
	if e.Open && errors.Is(err, fs.ErrNotExist) {
		return fsys.Open(path.Join(dir, e.SealedName()))
	}
	return f, err
}
