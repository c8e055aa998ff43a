package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/store"
)

const prefix = "ledger/0000/"

func segmentName(n int) string { return fmt.Sprintf("%016x.seg", n*16) }

// putSegments writes sealed segments, and an open one, into a directory.
func putSegments(t testing.TB, fsys durable.FS, segments [][]byte) {
	t.Helper()
	for i, b := range segments {
		if err := durable.WriteFile(fsys, segmentName(i), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.WriteFile(fsys, segmentName(len(segments))+".open", []byte("open")); err != nil {
		t.Fatal(err)
	}
}

// options are those of a Spool that removes segments after an hour.
func options(fsys durable.FS, s store.Store, j *journal) store.SpoolOptions {
	return store.SpoolOptions{
		FS: fsys, Store: s, Prefix: prefix, KeepLocal: time.Hour, Record: j.record,
		Policy: store.Policy{Mode: store.Compliance, Period: store.Period{Years: 6}},
	}
}

func here(fsys durable.FS, name string) bool {
	_, err := fsys.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// wantContent reads a segment through the Tree.
func wantContent(t testing.TB, fsys durable.FS, s store.Store, name string, want []byte) {
	t.Helper()
	got, err := durable.ReadFile(store.NewTree(fsys, s), name)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("segment %s reads as %d octets, %v; want %d", name, len(got), err, len(want))
	}
}

// TestSpool follows segments from the directory into the store, and out of the
// directory.
func TestSpool(t *testing.T) {
	s := newBucket(t, lab.StartGateway(t), "spool")
	fsys := durabletest.New()
	segments := [][]byte{randomBytes(700_000), randomBytes(2_100_000), randomBytes(10)}
	putSegments(t, fsys, segments)
	j := &journal{}
	o := options(fsys, s, j)
	now := time.Now()
	o.Now = func() time.Time { return now }
	spool := store.NewSpool(o)
	if err := spool.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := spool.Status(); got.Stored != 3 || got.Away != 0 || got.Waiting != 0 || got.Last.IsZero() || got.Problem != "" {
		t.Errorf("after the first pass it is %+v", got)
	}
	if len(j.events) != 3 {
		t.Fatalf("there are %d events", len(j.events))
	}
	for i, e := range j.events {
		if e.Segment != segmentName(i) || e.Digest != mail.DigestOf(segments[i]) || e.Octets != int64(len(segments[i])) || e.Mode != "compliance" ||
			e.Until.Before(in(6*365*24*time.Hour)) || e.Version == "" || e.Object != prefix+segmentName(i) {
			t.Errorf("event %d is %+v", i, e)
		}
		wantKind(t, "delete of a stored segment", s.DeleteVersion(t.Context(), store.Ref{Name: e.Object, Version: e.Version}), mail.Denied)
	}
	now = now.Add(2 * time.Hour)
	spool = store.NewSpool(o) // as after a restart
	if err := spool.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := spool.Status(); got.Stored != 3 || got.Away != 2 {
		t.Errorf("after the second pass it is %+v", got)
	}
	if here(fsys, segmentName(0)) || here(fsys, segmentName(1)) || !here(fsys, segmentName(2)) {
		t.Error("not all but the newest segment were removed")
	}
	if len(j.events) != 3 {
		t.Errorf("there are %d events", len(j.events))
	}
	for i, b := range segments {
		wantContent(t, fsys, s, segmentName(i), b)
	}
	if n := fsys.OpenFiles(); n != 0 {
		t.Errorf("%d files are open", n)
	}
}

// TestSpoolTerms: a segment is retained for what its records were promised; one of
// which that cannot be read is not stored, and holds back no other.
func TestSpoolTerms(t *testing.T) {
	fsys, s := durabletest.New(), newDir(t, durabletest.New())
	putSegments(t, fsys, [][]byte{{1}, {2}, {3}})
	o := options(fsys, s, &journal{})
	o.Terms = func(_ context.Context, first uint64) ([]store.Term, error) {
		if first == 0 {
			return nil, mail.Errorf(mail.NotFound, "no key file")
		}
		return []store.Term{{Period: store.Period{Years: int(first)}}}, nil
	}
	spool := store.NewSpool(o)
	if err := spool.Pass(t.Context()); mail.KindOf(err) != mail.NotFound {
		t.Errorf("the pass ended with %v", err)
	}
	if got := spool.Status(); got.Stored != 2 || got.Waiting != 1 {
		t.Errorf("it is %+v", got)
	}
	for i := 1; i < 3; i++ {
		got, err := s.Stat(t.Context(), store.Ref{Name: prefix + segmentName(i)})
		if want := time.Now().AddDate(16*i, 0, -2); err != nil || got.Retention.Until.Before(want) {
			t.Errorf("segment %d: %+v, %v", i, got, err)
		}
	}
}

// TestSpoolExtends: a longer period is told to the store for all segments, once.
func TestSpoolExtends(t *testing.T) {
	fsys, s := durabletest.New(), newDir(t, durabletest.New())
	putSegments(t, fsys, [][]byte{{1}, {2}, {3}})
	j := &journal{}
	o := options(fsys, s, j)
	now := time.Now()
	o.Now = func() time.Time { return now }
	pass := func(o store.SpoolOptions) {
		t.Helper()
		if err := store.NewSpool(o).Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	pass(o)
	now = now.Add(2 * time.Hour)
	pass(o)
	o.Policy.Period.Years = 10
	pass(o)
	for i := range 3 {
		got, err := s.Stat(t.Context(), store.Ref{Name: prefix + segmentName(i)})
		if err != nil || got.Retention.Until.Before(now.AddDate(9, 11, 0)) {
			t.Errorf("segment %d is kept %s, %v", i, got.Retention, err)
		}
	}
	o.Policy.Period.Years = 1
	pass(o)
	if got, err := s.Stat(t.Context(), store.Ref{Name: prefix + segmentName(0)}); err != nil || got.Retention.Until.Before(now.AddDate(9, 11, 0)) {
		t.Errorf("a shorter period made it %s, %v", got.Retention, err)
	}
}

// TestSpoolConflict: what another writer has put is not overwritten, the local file
// stays, and the other segments go on.
func TestSpoolConflict(t *testing.T) {
	fsys, s := durabletest.New(), newDir(t, durabletest.New())
	segments := [][]byte{[]byte("ours"), []byte("second"), []byte("third")}
	putSegments(t, fsys, segments)
	put(t, s, prefix+segmentName(0), []byte("theirs"), store.Retention{})
	j := &journal{}
	o := options(fsys, s, j)
	o.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	spool := store.NewSpool(o)
	err := spool.Pass(t.Context())
	wantKind(t, "pass", err, mail.InUse)
	if spool.Healthy() == nil || spool.Status().Problem == "" || spool.Status().Waiting != 1 || spool.Status().Stored != 2 {
		t.Errorf("it is %+v", spool.Status())
	}
	if got := read(t, s, store.Ref{Name: prefix + segmentName(0)}, 0, -1); string(got) != "theirs" {
		t.Errorf("the other's object reads %q", got)
	}
	if !here(fsys, segmentName(0)) {
		t.Error("a segment that is not stored was removed")
	}
}

// TestSpoolNeedsEvent: nothing counts as stored before the ledger has the event.
func TestSpoolNeedsEvent(t *testing.T) {
	fsys, s := durabletest.New(), newDir(t, durabletest.New())
	putSegments(t, fsys, [][]byte{{1}, {2}})
	j := &journal{err: mail.Errorf(mail.NoSpace, "the disk is full")}
	o := options(fsys, s, j)
	o.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	spool := store.NewSpool(o)
	wantKind(t, "pass", spool.Pass(t.Context()), mail.NoSpace)
	if got := spool.Status(); got.Stored != 0 || got.Waiting != 2 || !here(fsys, segmentName(0)) {
		t.Errorf("it is %+v", got)
	}
	j.err = nil
	if err := spool.Pass(t.Context()); err != nil || spool.Healthy() != nil {
		t.Errorf("%v, %v", err, spool.Healthy())
	}
}

// TestSpoolLostObject: a segment that is gone from the store is stored again while
// it is here, and reported as damage when it is not.
func TestSpoolLostObject(t *testing.T) {
	fsys, files := durabletest.New(), durabletest.New()
	s := newDir(t, files)
	putSegments(t, fsys, [][]byte{{1}, {2}, {3}})
	j := &journal{}
	o := options(fsys, s, j)
	now := time.Now()
	o.Now = func() time.Time { return now }
	spool := store.NewSpool(o)
	if err := spool.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	if err := files.Remove(prefix + segmentName(0)); err != nil {
		t.Fatal(err)
	}
	if err := spool.Pass(t.Context()); err != nil || !here(fsys, segmentName(0)) || here(fsys, segmentName(1)) {
		t.Errorf("a segment that was gone from the store: %v, here: %v", err, here(fsys, segmentName(0)))
	}
	now = now.Add(2 * time.Hour)
	if err := spool.Pass(t.Context()); err != nil || here(fsys, segmentName(0)) {
		t.Errorf("stored again: %v", err)
	}
	if err := files.Remove(prefix + segmentName(1)); err != nil {
		t.Fatal(err)
	}
	o.Policy.Period.Years = 20
	err := store.NewSpool(o).Pass(t.Context())
	wantKind(t, "pass without the object", err, mail.Corrupt)
	_, err = durable.ReadFile(store.NewTree(fsys, s), segmentName(1))
	wantKind(t, "read without the object", err, mail.Corrupt)
}

// TestSpoolRun: Run goes on after failures, with pauses that grow, and ends with its
// context.
func TestSpoolRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys, s := durabletest.New(), newDir(t, durabletest.New())
		putSegments(t, fsys, [][]byte{{1}, {2}})
		var passes atomic.Int32
		o := options(fsys, s, &journal{})
		o.Cut = func(context.Context) error {
			if passes.Add(1) < 5 {
				return mail.Errorf(mail.Temporary, "not yet")
			}
			return nil
		}
		began := time.Now()
		spool := store.NewSpool(o)
		done := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- spool.Run(ctx) }()
		for passes.Load() < 6 {
			<-time.After(time.Second)
		}
		synctest.Wait()
		if spool.Healthy() != nil || spool.Status().Stored != 2 || time.Since(began) < 65*time.Second {
			t.Errorf("after %s it is %+v, %v", time.Since(began), spool.Status(), spool.Healthy())
		}
		cancel()
		if err := <-done; !errors.Is(err, ctx.Err()) {
			t.Errorf("Run ended with %v", err)
		}
	})
}

// A rotten store takes everything, tells what it was told, and has other bytes.
type rotten struct{ store.Store }

func (r rotten) GetRange(_ context.Context, _ store.Ref, _, n int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(make([]byte, n))), nil
}

// TestSpoolReadsBack: what does not read back well is not stored, and stays here.
func TestSpoolReadsBack(t *testing.T) {
	fsys := durabletest.New()
	putSegments(t, fsys, [][]byte{[]byte("first"), []byte("second")})
	j := &journal{}
	o := options(fsys, rotten{newDir(t, durabletest.New())}, j)
	now := time.Now()
	o.Now = func() time.Time { return now }
	for range 3 {
		err := store.NewSpool(o).Pass(t.Context())
		wantKind(t, "pass", err, mail.Temporary)
		now = now.Add(2 * time.Hour)
	}
	if len(j.events) != 0 || !here(fsys, segmentName(0)) || here(fsys, segmentName(0)+store.NoteSuffix) {
		t.Errorf("it counts as stored: %+v", j.events)
	}
}

// A forgetful store takes a retention and does not keep it.
type forgetful struct{ store.Store }

func (f forgetful) PutIfAbsent(ctx context.Context, name string, c store.Content, _ store.Retention) (store.Object, error) {
	return f.Store.PutIfAbsent(ctx, name, c, store.Retention{})
}

func (f forgetful) ExtendRetention(ctx context.Context, ref store.Ref, _ store.Retention) (store.Object, error) {
	return f.Stat(ctx, ref)
}

// TestSpoolNeedsRetention: what the store does not say to be retained is not removed.
func TestSpoolNeedsRetention(t *testing.T) {
	fsys := durabletest.New()
	putSegments(t, fsys, [][]byte{[]byte("first"), []byte("second")})
	o := options(fsys, forgetful{newDir(t, durabletest.New())}, &journal{})
	now := time.Now()
	o.Now = func() time.Time { return now }
	spool := store.NewSpool(o)
	for range 3 {
		_ = spool.Pass(t.Context()) // what counts is what became of the file
		now = now.Add(2 * time.Hour)
	}
	if !here(fsys, segmentName(0)) || spool.Healthy() == nil {
		t.Errorf("a segment without retention was removed: %v", spool.Healthy())
	}
}
