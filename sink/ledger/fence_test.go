package ledger_test

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// A lease is a fence that a test can take away.
type lease struct {
	epoch uint64
	lost  atomic.Bool
}

func (l *lease) Epoch() uint64 { return l.epoch }

func (l *lease) Held() error {
	if l.lost.Load() {
		return errors.New("the lease is lost")
	}
	return nil
}

func fenced(t testing.TB, l *lease) ledger.Options {
	opts := options(t)
	opts.Logger, opts.Fence = slog.New(slog.DiscardHandler), l
	return opts
}

// A pausing file system calls a function at each sync of a file, before or
// after it: where a process may be stopped.
type pausing struct {
	durable.FS
	before, after func()
}

type pausingFile struct {
	durable.File
	fs *pausing
}

func (p *pausing) Create(name string) (durable.File, error) {
	f, err := p.FS.Create(name)
	return &pausingFile{f, p}, err
}

func (f *pausingFile) Sync() error {
	if f.fs.before != nil {
		f.fs.before()
	}
	err := f.File.Sync()
	if f.fs.after != nil {
		f.fs.after()
	}
	return err
}

// A process that was stopped in an append, before its sync or behind it, while
// another took the ledger, gives no receipt, and spoils nothing.
func TestZombie(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"before", "after"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			fsys := durabletest.New()
			stopped := &pausing{FS: fsys}
			old := open(t, stopped, fenced(t, &lease{epoch: 3}))
			first := appendOK(t, old, message(t, text(1, 500)))[0]
			var next *ledger.Ledger
			take := func() {
				stopped.before, stopped.after = nil, nil
				next = open(t, fsys, fenced(t, &lease{epoch: 4}))
			}
			if where == "before" {
				stopped.before = take
			} else {
				stopped.after = take
			}
			out, err := old.Append(t.Context(), []*ledger.Entry{message(t, text(2, 500))})
			if mail.KindOf(err) != mail.InUse || mail.HintOf(err) == "" || out != nil {
				t.Fatalf("the zombie's append: %v, %v", out, err)
			}
			for range 3 {
				if _, err := old.Append(t.Context(), []*ledger.Entry{message(t, text(3, 500))}); mail.KindOf(err) != mail.InUse {
					t.Fatalf("another append of the zombie: %v", err)
				}
			}
			if mail.KindOf(old.Healthy()) != mail.InUse {
				t.Errorf("the zombie's health: %v", old.Healthy())
			}
			again := appendOK(t, next, message(t, text(2, 500)))[0]
			wantRaw(t, next, first.ID, text(1, 500))
			wantRaw(t, next, again.ID, text(2, 500))
			if err := old.Close(); mail.KindOf(err) != mail.InUse {
				t.Errorf("close of the zombie: %v", err)
			}
			wantRaw(t, next, appendOK(t, next, message(t, text(4, 500)))[0].ID, text(4, 500))
			closeOK(t, next)
			wantClean(t, fsys)
			if note := string(slurp(t, fsys, segments(t, fsys)[1])[:600]); !strings.Contains(note, `"epoch":4`) {
				t.Errorf("the new owner's segment does not tell its epoch: %q", note)
			}
		})
	}
}

// Nothing is written once the lease is lost, and nothing by an older lease.
func TestLeaseLost(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	held := &lease{epoch: 7}
	l := open(t, fsys, fenced(t, held))
	id := appendOK(t, l, message(t, text(1, 500)))[0].ID
	size, before := l.Size(), len(fsys.Ops())
	held.lost.Store(true)
	if _, err := l.Append(t.Context(), []*ledger.Entry{message(t, text(2, 500))}); mail.KindOf(err) != mail.InUse {
		t.Errorf("append without the lease: %v", err)
	}
	if n := len(fsys.Ops()); n != before || l.Size() != size {
		t.Errorf("%d operations without the lease, size %d", n-before, l.Size())
	}
	wantRaw(t, l, id, text(1, 500)) // to read is no matter of the lease
	if err := l.Close(); mail.KindOf(err) != mail.InUse {
		t.Errorf("close: %v", err)
	}
	before = len(fsys.Ops())
	if _, err := ledger.Open(fsys, fenced(t, held)); mail.KindOf(err) != mail.InUse {
		t.Errorf("open with a lost lease: %v", err)
	}
	for _, op := range fsys.Ops()[before:] {
		if op.Name != "lock" {
			t.Errorf("the refusal changed something: %+v", op)
		}
	}
	// A bus that was wiped counts from the start; the ledger does not.
	l = open(t, fsys, fenced(t, &lease{epoch: 1}))
	wantRaw(t, l, id, text(1, 500))
	appendOK(t, l, message(t, text(2, 500)))
	closeOK(t, l)
	wantClean(t, fsys)
	if owner := string(slurp(t, fsys, "owner")); !strings.Contains(owner, `"epoch":8`) {
		t.Errorf("the claim after 7 is %s", owner)
	}
}

// A lease that was lost and taken again lets the process go on, if nobody else
// had the ledger meanwhile.
func TestLeaseTakenAgain(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	held := &lease{epoch: 7}
	l := open(t, fsys, fenced(t, held))
	id := appendOK(t, l, message(t, text(1, 500)))[0].ID
	held.lost.Store(true)
	if _, err := l.Append(t.Context(), []*ledger.Entry{message(t, text(2, 500))}); mail.KindOf(err) != mail.InUse || l.Taken() != nil {
		t.Errorf("append without the lease: %v; taken: %v", err, l.Taken())
	}
	held.lost.Store(false)
	wantRaw(t, l, appendOK(t, l, message(t, text(2, 500)))[0].ID, text(2, 500))
	wantRaw(t, l, id, text(1, 500))
	next := open(t, fsys, fenced(t, &lease{epoch: 9}))
	if _, err := l.Append(t.Context(), []*ledger.Entry{message(t, text(3, 500))}); mail.KindOf(err) != mail.InUse || mail.KindOf(l.Taken()) != mail.InUse {
		t.Errorf("append after the ledger was taken: %v; taken: %v", err, l.Taken())
	}
	_ = l.Close() // it is not the owner
	closeOK(t, next)
	wantClean(t, fsys)
}

// A process without a lease, which holds the lock, is fenced off as well.
func TestLeaseOverLock(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	old := open(t, fsys, options(t))
	id := appendOK(t, old, message(t, text(1, 500)))[0].ID
	if _, err := ledger.Open(fsys, options(t)); mail.KindOf(err) != mail.InUse {
		t.Errorf("a second one without a lease: %v", err)
	}
	next := open(t, fsys, fenced(t, &lease{epoch: 1}))
	if _, err := old.Append(t.Context(), []*ledger.Entry{message(t, text(2, 500))}); mail.KindOf(err) != mail.InUse {
		t.Errorf("append of the one without: %v", err)
	}
	wantRaw(t, next, id, text(1, 500))
	closeOK(t, next)
	if err := old.Close(); mail.KindOf(err) != mail.InUse {
		t.Errorf("close of the one without: %v", err)
	}
	wantClean(t, fsys)
}
