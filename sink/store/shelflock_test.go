package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/store"
)

func newShelf(t *testing.T, s store.Store) *store.Shelf {
	t.Helper()
	shelf, err := store.NewShelf(s, "backup")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shelf.Close(); err != nil {
			t.Error(err)
		}
	})
	return shelf
}

// locksIn returns what the objects below backup/lock say, by name.
func locksIn(t *testing.T, s store.Store) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for o, err := range s.List(t.Context(), "backup/lock") {
		if err != nil {
			t.Fatal(err)
		}
		says := map[string]any{}
		if err := json.Unmarshal(read(t, s, store.Ref{Name: o.Name}, 0, -1), &says); err != nil {
			t.Fatal(err)
		}
		all[o.Name] = says
	}
	return all
}

// leave makes the lock of a backup that was killed: one as ours is, but for changes.
func leave(t *testing.T, s store.Store, changes map[string]any) {
	t.Helper()
	lock, err := newShelf(t, s).Lock("lock")
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range locksIn(t, s) {
		maps.Copy(says, changes)
		b, err := json.Marshal(says)
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, "backup/lock/LEFT", b, store.Retention{})
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
}

// older is a store whose object of a name was stored some time ago.
type older struct {
	store.Store
	name string
	by   time.Duration
}

func (o older) List(ctx context.Context, prefix string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		for object, err := range o.Store.List(ctx, prefix) {
			if object.Name == o.name {
				object.Stored = object.Stored.Add(-o.by)
			}
			if !yield(object, err) {
				return
			}
		}
	}
}

// TestShelfLockOfTheDead: what a backup that was killed has left keeps others out while
// it may be running, and no longer.
func TestShelfLockOfTheDead(t *testing.T) {
	child := exec.CommandContext(t.Context(), "true")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	for name, s := range kinds(t) {
		for _, c := range []struct {
			what    string
			changes map[string]any
			age     time.Duration
			held    bool
		}{
			{"it runs", nil, 0, true},
			{"it runs, and was not heard of for 9 minutes", nil, 9 * time.Minute, true},
			{"it was not heard of for 11 minutes", map[string]any{"space": "elsewhere"}, 11 * time.Minute, false},
			{"it is gone", map[string]any{"process": child.Process.Pid}, 0, false},
			{"its number is another's", map[string]any{"started": "1"}, 0, false},
			{"it may be gone, elsewhere", map[string]any{"process": child.Process.Pid, "space": "elsewhere"}, 0, true},
			{"it is not known where it is", map[string]any{"process": child.Process.Pid, "space": ""}, 0, true},
		} {
			t.Run(name+"/"+c.what, func(t *testing.T) {
				leave(t, s, c.changes)
				shelf := newShelf(t, older{s, "backup/lock/LEFT", c.age})
				lock, err := shelf.Lock("lock")
				if c.held {
					wantKind(t, "the lock", err, mail.InUse)
					if !strings.Contains(mail.HintOf(err), "ends by itself") {
						t.Errorf("the hint is %q", mail.HintOf(err))
					}
					if err := newShelf(t, s).Remove("lock/LEFT"); err != nil {
						t.Fatal(err)
					}
				} else if err != nil || len(locksIn(t, s)) != 1 {
					t.Fatalf("%d locks are there: %v", len(locksIn(t, s)), err)
				} else if err := lock.Close(); err != nil {
					t.Fatal(err)
				}
				if left := locksIn(t, s); len(left) != 0 {
					t.Errorf("locks are left: %v", slices.Collect(maps.Keys(left)))
				}
			})
		}
	}
}

// TestShelfLockUnknown: an object that does not say who holds the lock is not judged.
func TestShelfLockUnknown(t *testing.T) {
	s := newDir(t, durabletest.New())
	put(t, s, "backup/lock/x", []byte("held by somebody\n"), store.Retention{})
	_, err := newShelf(t, older{s, "backup/lock/x", time.Hour}).Lock("lock")
	wantKind(t, "the lock", err, mail.InUse)
	if !strings.Contains(mail.HintOf(err), "remove the object backup/lock/x") {
		t.Errorf("the hint is %q", mail.HintOf(err))
	}
}

// TestShelfLockAtOnce: of many who want a lock at the same moment at most one has it.
func TestShelfLockAtOnce(t *testing.T) {
	s := newDir(t, durabletest.New())
	taken := make(chan io.Closer, 8)
	for range cap(taken) {
		shelf := newShelf(t, s)
		go func() {
			lock, err := shelf.Lock("lock")
			if err != nil && mail.KindOf(err) != mail.InUse {
				t.Error(err)
			}
			taken <- lock
		}()
	}
	var held []io.Closer
	for range cap(taken) {
		if l := <-taken; l != nil {
			held = append(held, l)
		}
	}
	if len(held) > 1 {
		t.Errorf("%d hold the lock", len(held))
	}
	for _, l := range held {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// fails is a store that does not replace anything while it is down.
type fails struct {
	store.Store
	down *atomic.Bool
}

func (f fails) Replace(ctx context.Context, name string, data []byte) error {
	if f.down.Load() {
		return errors.New("the store is away")
	}
	return f.Store.Replace(ctx, name, data)
}

// TestShelfLockIsRenewed: a long backup keeps its lock; one that cannot renew it ends
// before another may begin.
func TestShelfLockIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDir(t, durabletest.New())
		var down atomic.Bool
		shelf := newShelf(t, fails{s, &down})
		lock, err := shelf.Lock("lock")
		if err != nil {
			t.Fatal(err)
		}
		beat := func() (at any) {
			for _, says := range locksIn(t, s) {
				at = says["beat"]
			}
			return at
		}
		first := beat()
		time.Sleep(time.Hour) //nolint:forbidigo // of the bubble
		synctest.Wait()
		if last := beat(); last == nil || last == first {
			t.Errorf("an hour later the lock says %v, as at first %v", last, first)
		}
		if err := durable.WriteFile(shelf, "objects/one", []byte("x")); err != nil {
			t.Error(err)
		}
		down.Store(true)
		time.Sleep(4 * time.Minute) //nolint:forbidigo // of the bubble
		if err := durable.WriteFile(shelf, "objects/two", []byte("x")); err != nil {
			t.Errorf("a short fault of the store: %v", err)
		}
		time.Sleep(2 * time.Minute) //nolint:forbidigo // of the bubble
		wantKind(t, "store", durable.WriteFile(shelf, "objects/three", []byte("x")), mail.InUse)
		wantKind(t, "remove", shelf.Remove("objects/one"), mail.InUse)
		if err := lock.Close(); err != nil {
			t.Error(err)
		}
		if left := locksIn(t, s); len(left) != 0 {
			t.Errorf("locks are left: %v", left)
		}
	})
}
