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
	// Epoch is greater than that of every lease before, as long as the bus keeps
	// count. The ledger makes sure that its own epochs grow in any case.
	Epoch() uint64
	// Held returns nil while the lease is held, or why it is not. A lease that was
	// lost may be taken again: as long as nobody else has taken the ledger
	// meanwhile, it can be appended to again.
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

// maxClaim bounds the file, in octets.
const maxClaim = 64 << 10

// lockOrFence takes the lock of the ledger. With a lease it goes on without: who
// holds the lock and no lease is fenced off by the claim.
func (l *Ledger) lockOrFence() error {
	lock, err := l.fs.Lock(LockName)
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
	// A bus that lost its store counts its leases from the start.
	l.claim = claim{Epoch: max(l.opts.Fence.Epoch(), found.Epoch+1), ID: rand.Text(), Host: l.opts.Host}
	b, err := json.Marshal(l.claim)
	if err != nil {
		return err
	}
	return durable.WriteFile(l.fs, ownerName, append(b, '\n'))
}

func readClaim(fsys durable.FS) (c claim, err error) {
	b, err := durable.ReadBounded(fsys, ownerName, maxClaim)
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

// errFenced says that this process is not the owner, or cannot know that it is.
var errFenced = mail.WithHint(mail.Errorf(mail.InUse, "this process does not own the ledger"),
	"Nothing is lost: what was not acknowledged is sealed by the owner. Restart this process, so that it waits for its turn.")

// owns returns nil while this process may append, or errFenced.
func (l *Ledger) owns() error {
	if l.opts.Fence != nil {
		if err := l.opts.Fence.Held(); err != nil {
			return fmt.Errorf("%w: %w", errFenced, err)
		}
	}
	return l.Taken()
}

// Taken returns nil as long as nobody has taken the ledger from this process, and
// a mail.InUse error once somebody has: that is for good, and only another Open
// takes it back.
func (l *Ledger) Taken() error {
	if err := l.isLost(); err != nil {
		return err
	}
	now, err := readClaim(l.fs)
	if err == nil && now != l.claim {
		err = fmt.Errorf("%w since epoch %d", errFenced, now.Epoch)
	}
	return err
}
