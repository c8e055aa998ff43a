package poller

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A board is what all processes know of a host that refuses credentials. When
// refusedLimit mailboxes are refused within refusedSpan, likely it is not their
// passwords: the host pauses. After the pause one mailbox at a time is tried by
// each process; a refusal then pauses it again, twice as long, a login ends the
// affair. So a ban or a broken directory of accounts costs a few accounts a
// strike, and not every account all of its own.
//
// It is kept in the Store under the name of the host behind boardPrefix; losing
// it costs a few strikes. It is read once in boardAge at most, and written when
// credentials are refused or, after that, accepted.
type board struct {
	mu   sync.Mutex // held over the calls to the Store: one of a host at a time
	note notice
	rev  uint64
	read time.Time // by the monotonic clock; zero: never
}

// A notice is the board as it is stored.
type notice struct {
	Refused map[string]time.Time `json:"refused,omitempty"` // mailboxes, by when
	Since   time.Time            `json:"since,omitzero"`    // of the pause
	Pause   time.Duration        `json:"pause,omitempty"`
	Trips   int                  `json:"trips,omitempty"` // pauses without a login since
}

const (
	// boardPrefix stands before the name of a host in the Store. No mailbox has a
	// name that begins with NUL.
	boardPrefix = "\x00host/"
	boardAge    = 15 * time.Second

	refusedSpan      = 10 * time.Minute // how long a refusal counts
	refusedLimit     = 3                // mailboxes refused within it that pause the host
	refusedPause     = 30 * time.Minute
	refusedPauseMost = 4 * time.Hour
	mostNoticed      = 16 // mailboxes on a board
)

// refuse counts a refusal of the mailbox, and reports whether it begins a pause.
func (n *notice) refuse(mailbox string, now time.Time) bool {
	for name, at := range n.Refused {
		if remaining(at, refusedSpan, now) == 0 {
			delete(n.Refused, name)
		}
	}
	if n.Refused == nil {
		n.Refused = make(map[string]time.Time)
	}
	if len(n.Refused) < mostNoticed {
		n.Refused[mailbox] = now
	}
	if len(n.Refused) < refusedLimit && n.Trips == 0 || remaining(n.Since, n.Pause, now) > 0 {
		return false
	}
	ceiling := min(refusedPause<<min(n.Trips, 8), refusedPauseMost)
	n.Since, n.Pause = now, jittered(ceiling, 0.1)
	n.Trips++
	n.Refused = nil
	return true
}

// clean reports whether there is nothing on the board.
func (n *notice) clean() bool { return len(n.Refused) == 0 && n.Trips == 0 }

// parseNotice reads a notice; what is not one is none.
func parseNotice(data []byte) notice {
	var n notice
	if len(data) == 0 || json.Unmarshal(data, &n) != nil {
		return notice{}
	}
	n.Trips, n.Pause = max(0, n.Trips), min(max(0, n.Pause), 2*refusedPauseMost)
	return n
}

// paused returns how long the host's breaker keeps its mailboxes waiting, and
// whether they are to be tried one by one after it.
func (p *Poller) paused(ctx context.Context, h *host) (left time.Duration, probing bool) {
	b := &h.board
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.read.IsZero() || time.Since(b.read) >= boardAge {
		p.readBoard(ctx, h)
	}
	return remaining(b.note.Since, b.note.Pause, p.drainer.wall()), b.note.Trips > 0
}

// noted puts what a drain means for the host on its board.
func (p *Poller) noted(ctx context.Context, h *host, res Result) (left time.Duration, probing bool) {
	b := &h.board
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case res.Outcome == OutcomeCredentials && res.dialed:
		p.change(ctx, h, func(n *notice, now time.Time) {
			if n.refuse(res.Mailbox, now) {
				p.drainer.logger().LogAttrs(ctx, slog.LevelError, "the host refuses several mailboxes and is left alone for a while",
					slog.String("host", h.key), slog.Duration("pause", n.Pause), slog.Int("times", n.Trips))
			}
		})
	case res.Sessions > 0 && !b.note.clean():
		p.change(ctx, h, func(n *notice, _ time.Time) { *n = notice{} })
	}
	return remaining(b.note.Since, b.note.Pause, p.drainer.wall()), b.note.Trips > 0
}

// boardTries is how often a change is tried that other processes come before.
const boardTries = 5

// change changes the board, in the Store if that can be had. Its lock is held.
func (p *Poller) change(ctx context.Context, h *host, f func(*notice, time.Time)) {
	b := &h.board
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	for try := 1; ; try++ {
		p.readBoard(ctx, h)
		f(&b.note, p.drainer.wall())
		data, err := json.Marshal(b.note)
		if err == nil {
			var rev uint64
			if rev, err = p.o.Store.Save(ctx, boardPrefix+h.key, data, b.rev); err == nil {
				b.rev = rev
				return
			}
		}
		if mail.KindOf(err) != mail.InUse || try == boardTries {
			p.drainer.logger().LogAttrs(ctx, slog.LevelWarn, "other processes are not told about a host",
				slog.String("host", h.key), slog.Any("error", err))
			return
		}
	}
}

// readBoard takes the board from the Store; where that fails, what this process
// knows stands. Its lock is held.
func (p *Poller) readBoard(ctx context.Context, h *host) {
	b := &h.board
	b.read = time.Now()
	data, rev, err := p.o.Store.Load(ctx, boardPrefix+h.key)
	if err != nil {
		p.drainer.logger().LogAttrs(ctx, slog.LevelWarn, "cannot read what other processes know of a host",
			slog.String("host", h.key), slog.Any("error", err))
		return
	}
	b.rev = rev
	if rev != 0 {
		b.note = parseNotice(data)
	}
}
