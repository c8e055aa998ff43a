package indexer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A slowFound lets a call of Keys do what a test wants; its state belongs to that.
type slowFound struct {
	Found
	keys   func() ([]string, error)
	closed bool
}

func (f *slowFound) Keys(context.Context, string, int) ([]string, error) { return f.keys() }
func (f *slowFound) Close() error                                        { f.closed = true; return nil }

// TestReadingHangs: a shard that hangs while hits are read holds nobody up. It is
// taken for dead after a while, and closed when it ends.
func TestReadingHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release, roused := make(chan struct{}), make(chan bool, 1)
		shard := &faultyShard{failed: make(chan error, 1)}
		f := &slowFound{keys: func() ([]string, error) { <-release; return []string{"late"}, nil }}
		w := &watched{found: f, shard: shard, rouse: func() { roused <- true }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if keys, err := w.Keys(ctx, "", 1); !errors.Is(err, context.DeadlineExceeded) || keys != nil {
			t.Errorf("%v, %v", keys, err)
		}
		if err := w.Close(); err != nil || f.closed {
			t.Errorf("closed under way: %v, %v", f.closed, err)
		}
		time.Sleep(hangLimit - time.Second)
		synctest.Wait()
		if len(shard.failed) != 0 || len(roused) != 0 {
			t.Error("it was taken for dead at once")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(shard.failed) != 1 || len(roused) != 1 {
			t.Error("it was not taken for dead")
		}
		close(release)
		synctest.Wait()
		if !f.closed {
			t.Error("what it found was not closed when it ended")
		}
	})
}

// TestReadingPanics: a call that panics is an error, and its shard is told.
func TestReadingPanics(t *testing.T) {
	t.Parallel()
	shard := &faultyShard{failed: make(chan error, 1)}
	f := &slowFound{keys: func() ([]string, error) { panic("index out of range") }}
	w := &watched{found: f, shard: shard}
	if _, err := w.Keys(t.Context(), "", 1); mail.KindOf(err) != mail.Corrupt || len(shard.failed) != 1 {
		t.Errorf("error %v, told %d times", err, len(shard.failed))
	}
	if err := w.Close(); err != nil || !f.closed {
		t.Errorf("not closed: %v", err)
	}
}
