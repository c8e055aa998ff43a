package store

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"

	"github.com/mailkeep/mailkeep/mail"
)

// care looks after a segment that is stored: a policy that became longer is told to
// the store, and the local file is removed when it is due. The newest one stays, so
// that a ledger opens without its store.
func (s *Spool) care(ctx context.Context, seg *spooled, newest bool) error {
	n := *seg.note
	due := seg.here && !newest && !seg.keptHere() && s.o.KeepLocal > 0 && s.o.Now().Sub(n.Sealed) >= s.o.KeepLocal
	want := s.o.Policy.For(n.Sealed, n.Stored)
	if n.Retention.Covers(want) && !due {
		return nil
	}
	o, err := s.o.Store.ExtendRetention(ctx, n.Ref, want)
	if mail.KindOf(err) == mail.NotFound {
		return s.lost(ctx, seg, err)
	}
	if err != nil {
		return err
	}
	// The note follows the store: what is covered there is not asked again.
	if n.Retention != o.Retention {
		n.Retention = o.Retention
		if err := s.keepNote(seg.name, n); err != nil {
			return err
		}
		seg.note = &n
	}
	if !due {
		return nil
	}
	if err := o.agrees(n.content(nil), want); err != nil {
		return err
	}
	return s.prune(ctx, seg)
}

// lost is for a segment that is gone from the store: if it is here, it is stored once
// more.
func (s *Spool) lost(ctx context.Context, seg *spooled, err error) error {
	if !seg.here {
		return mail.WithHint(mail.Errorf(mail.Corrupt, "segment %s: %w", seg.name, err),
			"The segment was removed from the store, or store points at another place. Correct the configuration, or put the file back from a backup.")
	}
	s.log.ErrorContext(ctx, "a segment is gone from the store and is stored again",
		slog.String("segment", seg.name), slog.String("store", s.o.Store.String()), slog.Any("error", err))
	n, err := s.store(ctx, seg)
	if err == nil {
		seg.note = n
	}
	return err
}

// prune removes the local file of a segment, whose note is durable.
func (s *Spool) prune(ctx context.Context, seg *spooled) error {
	// The flag is cleared where there is one; if it stays, removing fails.
	if err := unflag(s.o.FS, seg.name); err != nil {
		return classifyFile(err)
	}
	if err := s.o.FS.Remove(seg.name); err != nil {
		return classifyFile(err)
	}
	seg.here = false
	// If we die here, the file is there or not; the note is either way.
	s.log.InfoContext(ctx, "segment is in the store alone", slog.String("segment", seg.name), slog.String("store", seg.note.Store))
	return classifyFile(s.o.FS.SyncDir("."))
}

func hashOf(ctx context.Context, r io.Reader) (sum mail.Digest, err error) {
	h := sha256.New()
	_, err = io.Copy(h, withContext(ctx, r))
	h.Sum(sum[:0])
	return sum, err
}
