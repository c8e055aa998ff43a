package indexer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// TestAuditFindsDamage: what nobody searches for is compared all the same, each
// shard when its time has come, and a damaged one is built again.
func TestAuditFindsDamage(t *testing.T) {
	t.Parallel()
	l := corpus(300, 5)
	dir := t.TempDir()
	var hours atomic.Int64
	x := opened(t, Options{
		Dir: dir, ShardDocs: 60, BatchBytes: 2 << 10, CheckEvery: time.Hour, CheckRate: 1 << 40,
		Now: func() time.Time { return epoch.Add(time.Duration(hours.Load()) * time.Hour) },
	})
	catchUp(t, x, l)
	want := summary(t, x)
	if p, wait := x.oldest(); p == nil || wait != time.Hour {
		t.Errorf("a new shard is to be compared in %v", wait)
	}
	hours.Store(2)
	breakShard(t, x, 1)
	damaged := 0
	for {
		p, wait := x.oldest()
		if wait > 0 {
			break
		}
		if err := x.auditOne(t.Context(), p); mail.KindOf(err) == mail.Corrupt {
			damaged++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	s := x.State()
	if damaged != 1 || len(s.Missing) != 1 {
		t.Errorf("%d damaged shards, state %+v", damaged, s)
	}
	catchUp(t, x, l)
	checkShards(t, x, dir)
	if got := summary(t, x); got != want {
		t.Errorf("rebuilt %+v, want %+v", got, want)
	}
	m, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range m.Serving.Shards {
		if s.Sealed && !s.Checked.Equal(x.opts.Now()) {
			t.Errorf("the shard at %d was compared at %v", s.From, s.Checked)
		}
	}
	if s := x.State(); !s.Checked.Equal(x.opts.Now()) {
		t.Errorf("state %+v", s)
	}
}

// TestAuditOfAReplacedShard: one that was written anew after the audit had chosen it
// is not taken for damaged because its files are gone.
func TestAuditOfAReplacedShard(t *testing.T) {
	t.Parallel()
	l := corpus(150, 5)
	x, _ := sharded(t, l, 60)
	p, _ := x.oldest()
	if err := x.renew(t.Context(), feed{l, parseJSON, headerDate}, p); err != nil {
		t.Fatal(err)
	}
	if err := x.auditOne(t.Context(), p); err != nil {
		t.Error(err)
	}
}

// TestCheckedIsOfAllShards: as long as one was never compared, the state does not
// say that all were.
func TestCheckedIsOfAllShards(t *testing.T) {
	t.Parallel()
	x, _ := sharded(t, corpus(200, 5), 60)
	for n := range 2 {
		whole := x.serving.parts[n].describe().Checked
		x.serving.parts[n].update(func(s *shardInfo) { s.Checked = time.Time{} })
		if s := x.State(); !s.Checked.IsZero() {
			t.Errorf("all compared at %v, the shard %d never was", s.Checked, n)
		}
		x.serving.parts[n].update(func(s *shardInfo) { s.Checked = whole })
	}
	if x.State().Checked.IsZero() {
		t.Error("all were compared")
	}
}

// TestAuditIsSlow: it takes the disk from nobody, and ends with its context.
func TestAuditIsSlow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "segment"), make([]byte, 5*sumChunk), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		files, err := sums(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := checkSealed(t.Context(), dir, files, sumChunk); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d != 5*time.Second {
			t.Errorf("took %v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := checkSealed(ctx, dir, files, sumChunk); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if d := time.Since(begin); d != 7*time.Second {
			t.Errorf("ended %v after the first began", d)
		}
	})
}

// TestStateIsToldWhileTheLedgerIsStill: that records cannot be searched, and that
// they can be again, is told though no other record comes.
func TestStateIsToldWhileTheLedgerIsStill(t *testing.T) {
	t.Parallel()
	l := corpus(200, 5)
	states := make(chan State, 1000)
	x := opened(t, Options{ShardDocs: 60, BatchBytes: 2 << 10, Changed: func(s State) { states <- s }})
	catchUp(t, x, l)
	p := breakShard(t, x, 1)
	follow(t, x, l)
	if s := <-states; s.Lost() != 0 {
		t.Errorf("at the beginning %+v", s)
	}
	x.doubt(p, mail.Errorf(mail.Corrupt, "not as it was written"))
	for lost := false; ; {
		s := <-states
		if lost = lost || s.Lost() > 0; lost && s.Lost() == 0 {
			break
		}
	}
}
