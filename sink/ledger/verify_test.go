package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// A layout is where the records of a ledger lie: what verify must find again.
type layout struct {
	segment string
	off     int64
	seq     uint64
	length  int64
}

// lay makes a ledger of several sealed segments and returns the places of its
// messages, found by their numbers in the headers.
func lay(t *testing.T) (*durabletest.FS, []layout) {
	t.Helper()
	fsys, sealed := durabletest.New(), acked{}
	if err := work(t, fsys, sealed); err != nil {
		t.Fatal(err)
	}
	var places []layout
	for _, name := range segments(t, fsys) {
		b := slurp(t, fsys, name)
		for off := 0; off+232 <= len(b)-16; {
			length := int(be32(b[off+8:]))
			if typ := b[off+4]; typ == 0x01 || typ == 0x04 {
				places = append(places, layout{name, int64(off), uint64(be32(b[off+20:])), int64(length)})
			}
			off += length
		}
	}
	if len(places) < 12 {
		t.Fatalf("only %d messages", len(places))
	}
	return fsys, places
}

func be32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func segments(t testing.TB, fsys durable.FS) []string {
	t.Helper()
	entries, err := fsys.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".seg") {
			names = append(names, e.Name())
		}
	}
	return names
}

// Each of several damages is found once, with its segment, offset and number.
func TestVerifyFindsAllDamages(t *testing.T) {
	t.Parallel()
	fsys, places := lay(t)
	for _, part := range []struct {
		what string
		at   func(layout) int64 // which octet is hit
	}{
		{"header", func(l layout) int64 { return l.off + 50 }},
		{"checksum", func(l layout) int64 { return l.off + 225 }},
		{"body", func(l layout) int64 { return l.off + 232 + 20 }},
	} {
		bad := fsys.Crash(0, 1)
		var want []string
		for i, l := range places {
			if i%3 != 1 { // never two in a row, of which one could hide the other
				continue
			}
			if err := bad.Flip(l.segment, part.at(l), uint(i%8)); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintf("%s %d %d", l.segment, l.off, l.seq))
		}
		var got []string
		for _, f := range verify(t, bad) {
			if f.Kind != ledger.FoundFrame {
				t.Errorf("%s: %+v", part.what, f)
			}
			got = append(got, fmt.Sprintf("%s %d %d", f.Segment, f.Offset, f.Seq))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: found\n%s\nnot\n%s", part.what, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// Damages of different kinds in different segments, at once.
func TestVerifyFindsDamagesOfAllKinds(t *testing.T) {
	t.Parallel()
	fsys, places := lay(t)
	bad := fsys.Crash(0, 1)
	names := segments(t, bad)
	if len(names) < 4 {
		t.Fatalf("only %d segments", len(names))
	}
	hit := places[slices.IndexFunc(places, func(l layout) bool { return l.segment == names[0] })]
	info, err := bad.Stat(names[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		bad.Flip(hit.segment, hit.off+240, 1),
		bad.Truncate(names[1], info.Size()-200), // within its seal
		bad.Remove(names[2]),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	kinds := map[string]string{}
	for _, f := range verify(t, bad) {
		kinds[f.Kind] = f.Segment
		if f.Detail == "" {
			t.Errorf("no detail: %+v", f)
		}
	}
	want := map[string]string{ledger.FoundFrame: names[0], ledger.FoundSeal: names[1], ledger.FoundMissing: names[3]}
	for kind, segment := range want {
		if kinds[kind] != segment {
			t.Errorf("%s was found in %q, not in %s", kind, kinds[kind], segment)
		}
	}
	if len(kinds) != len(want) {
		t.Errorf("found %v", kinds)
	}
}

// Verify ends when it is told to, and so do those who decode ahead of it.
func TestVerifyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	fsys, _ := lay(t)
	ctx, cancel := context.WithCancel(t.Context())
	var told atomic.Int64
	_, err := ledger.Verify(ctx, fsys, ledger.VerifyOptions{Archive: archive, Progress: func(done, total int64) {
		if done <= 0 || done > total {
			t.Errorf("%d of %d octets are done", done, total)
		}
		if told.Add(1) == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || told.Load() != 3 {
		t.Errorf("after %d frames: %v", told.Load(), err)
	}
	if n := fsys.OpenFiles(); n != 0 {
		t.Errorf("%d files are open", n)
	}
}

// Thousands of segments are opened, read and verified with few files open.
func TestManySegments(t *testing.T) {
	t.Parallel()
	n := uint64(2000)
	if underRace {
		n = 200
	}
	fsys := durabletest.New()
	opts := options(t)
	opts.SegmentSize = 1 // each batch a segment of its own
	l := open(t, fsys, opts)
	var ids []mail.ID
	for i := range n {
		ids = append(ids, appendOK(t, l, message(t, text(i, 80)))[0].ID)
	}
	closeOK(t, l)
	if got := uint64(len(segments(t, fsys))); got < n {
		t.Fatalf("%d segments", got)
	}
	most := 0
	watch := func() { most = max(most, fsys.OpenFiles()) }
	l = open(t, fsys, opts)
	for range l.Records(t.Context(), 0) {
		watch()
	}
	for i := range n {
		if i%7 == 0 {
			wantRaw(t, l, ids[i], text(i, 80))
			watch()
		}
	}
	r, err := ledger.OpenReader(fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	if got := uint64(len(collect(t, r, 0))); got != n {
		t.Errorf("a reader sees %d records", got)
	}
	watch()
	closeOK(t, r)
	closeOK(t, l)
	rep, err := ledger.Verify(t.Context(), fsys, ledger.VerifyOptions{Archive: archive, Progress: func(int64, int64) { watch() }})
	if err != nil || rep.Damaged > 0 || rep.Messages != n {
		t.Errorf("verify: %+v, %v", rep, err)
	}
	if most > 100 {
		t.Errorf("%d files were open at once", most)
	}
	if left := fsys.OpenFiles(); left != 0 {
		t.Errorf("%d files are still open", left)
	}
}

// endless gives n octets without holding them.
type endless struct {
	block []byte
	n, at int64
}

func newEndless(n int64) *endless {
	e := &endless{block: make([]byte, 1<<20), n: n}
	_, _ = rand.NewChaCha8([32]byte{1}).Read(e.block) // it never fails
	return e
}

func (e *endless) Read(p []byte) (int, error) {
	if e.at == e.n {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), e.n-e.at)], e.block[e.at%int64(len(e.block)):])
	e.at += int64(n)
	return n, nil
}

// A message takes the memory of a few chunks, not its own: to append, to read
// and to verify.
func TestLargeMessageTakesLittleMemory(t *testing.T) {
	size, allowed := int64(200<<20), uint64(150<<20)
	if underRace {
		size = 48 << 20
	}
	dir, err := durable.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sum := mail.NewFingerprinter()
	if _, err := io.Copy(sum, newEndless(size)); err != nil {
		t.Fatal(err)
	}
	d := delivery("sales", nil)
	d.Fingerprint = sum.Sum()
	opts := options(t)
	opts.SegmentSize = 0
	peak := watchHeap(t)
	l := open(t, dir, opts)
	id := appendOK(t, l, ledger.LargeMessage(d, newEndless(size)))[0].ID
	peak("append", allowed)
	raw, err := l.Raw(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	got := mail.NewFingerprinter()
	if _, err := io.Copy(got, io.NewSectionReader(raw, 0, raw.Size())); err != nil || got.Sum() != d.Fingerprint {
		t.Errorf("it reads as %+v, %v", got.Sum(), err)
	}
	closeOK(t, raw)
	peak("read", allowed)
	closeOK(t, l)
	wantClean(t, dir)
	peak("verify", allowed)
	closeOK(t, dir)
}

// watchHeap looks at the heap, again and again, until the test ends, and
// returns a function that compares its peak since the last call.
func watchHeap(t *testing.T) func(what string, allowed uint64) {
	var most atomic.Uint64
	look := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most.Store(max(most.Load(), m.HeapAlloc))
		return m.HeapAlloc
	}
	runtime.GC()
	base := look()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		often := time.NewTicker(time.Millisecond)
		defer often.Stop()
		for {
			select {
			case <-done:
				return
			case <-often.C:
				look()
			}
		}
	}()
	t.Cleanup(func() { close(done); <-ended })
	return func(what string, allowed uint64) {
		got := most.Load() - base
		t.Logf("%s: %d MB", what, got>>20)
		if got > allowed {
			t.Errorf("%s took %d MB, %d are allowed", what, got>>20, allowed>>20)
		}
		runtime.GC()
		most.Store(0)
	}
}
