package ledger

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// A Fence is the right to append to a ledger that several processes could write,
// as a lease of their common message bus gives it. Its methods may be called by
// many goroutines at once, and do not block.
type Fence interface {
	// Epoch is greater than that of every lease before. It is written into each
	// segment. It is at least 1.
	Epoch() uint64
	// Held returns nil while the lease is held, or why it is not.
	Held() error
}

// A claim is the content of the file "owner": which of the processes that had a
// lease was the last to take the ledger.
//
// It closes the gap that a lease alone leaves. A process may be stopped between
// its look at the lease and its write, for longer than the lease lives. Whoever
// takes the ledger over writes the claim first, durably, and reads the open
// segment then. Whoever appends looks at the claim after its sync: if it is still
// its own, the new owner has yet to read the segment, and finds the records; if
// not, nobody is given a receipt.
type claim struct {
	Epoch uint64 `json:"epoch"`
	ID    string `json:"id"` // random
	Host  string `json:"host,omitempty"`
}

const ownerName = "owner"

// lockOrFence takes the lock of the ledger. With a lease it goes on without: who
// holds the lock and no lease is fenced off by the claim.
func (l *Ledger) lockOrFence() error {
	lock, err := l.fs.Lock(lockName)
	if mail.KindOf(err) == mail.InUse && l.opts.Fence != nil {
		l.log.Warn("a process without the lease holds the lock of the ledger; it is fenced off", slog.Int("partition", int(l.partition)))
		return nil
	}
	if err == nil {
		l.lock = lock
	}
	return err
}

// take writes the claim of this process, before anything else is changed or the
// open segment is read.
func (l *Ledger) take() error {
	found, err := readClaim(l.fs)
	if err != nil {
		return err
	}
	l.claim = found
	if l.opts.Fence == nil {
		return nil
	}
	if err := l.opts.Fence.Held(); err != nil {
		return fmt.Errorf("%w: %w", errFenced, err)
	}
	epoch := l.opts.Fence.Epoch()
	if last := max(found.Epoch, l.newestEpoch()); last > epoch {
		return mail.Errorf(mail.InUse, "the ledger was written in epoch %d, and this process has the lease of epoch %d", last, epoch)
	}
	l.claim = claim{Epoch: epoch, ID: rand.Text(), Host: l.opts.Host}
	b, err := json.Marshal(l.claim)
	if err != nil {
		return err
	}
	return durable.WriteFile(l.fs, ownerName, append(b, '\n'))
}

// newestEpoch returns the epoch in which the newest segment was begun, 0 if it
// tells none.
func (l *Ledger) newestEpoch() uint64 {
	segs, err := newestFirst(l.fs)
	if err != nil {
		return 0 // recovery meets the same error
	}
	for _, s := range segs {
		f, err := l.fs.Open(s.name())
		if err != nil {
			continue
		}
		_, note := readOpen(f)
		_ = f.Close() // it was only read
		if note != nil {
			return note.Epoch
		}
	}
	return 0
}

func readClaim(fsys durable.FS) (c claim, err error) {
	b, err := durable.ReadFile(fsys, ownerName)
	if errors.Is(err, fs.ErrNotExist) {
		return claim{}, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return claim{}, fmt.Errorf("read who owns the ledger: %w", err)
	}
	return c, nil
}

// errFenced says that this process is not the owner any more. It is for good:
// only another Open takes the ledger again.
var errFenced = mail.WithHint(mail.Errorf(mail.InUse, "another process owns the ledger"),
	"Nothing is lost: what was not acknowledged is sealed by the owner. Restart this process, so that it waits for its turn.")

// owns returns nil while this process may append, or errFenced.
func (l *Ledger) owns() error {
	if l.opts.Fence != nil {
		if err := l.opts.Fence.Held(); err != nil {
			return fmt.Errorf("%w: %w", errFenced, err)
		}
	}
	now, err := readClaim(l.fs)
	if err != nil {
		return err
	}
	if now != l.claim {
		return fmt.Errorf("%w since epoch %d", errFenced, now.Epoch)
	}
	return nil
}
