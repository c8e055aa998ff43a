package ledger_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// verifyAt returns what is found at a depth, and the report.
func verifyAt(t testing.TB, fsys durable.FS, o ledger.VerifyOptions) ([]ledger.Finding, ledger.Report) {
	t.Helper()
	var found []ledger.Finding
	o.Archive = archive
	o.Found = func(f ledger.Finding) {
		if !f.Note() {
			found = append(found, f)
		}
	}
	r, err := ledger.Verify(context.Background(), fsys, o)
	if err != nil {
		t.Fatal(err)
	}
	return found, r
}

var depths = []ledger.Depth{ledger.DepthContent, ledger.DepthBodies, ledger.DepthChain, ledger.DepthStructure}

// All depths agree on a ledger that is good.
func TestDepthsAgree(t *testing.T) {
	fsys, _ := lay(t)
	_, want := verifyAt(t, fsys, ledger.VerifyOptions{})
	for _, d := range depths {
		found, got := verifyAt(t, fsys, ledger.VerifyOptions{Depth: d})
		if len(found) > 0 || got.Size != want.Size || got.Root != want.Root || got.Records != want.Records || got.Segments != want.Segments {
			t.Errorf("depth %d: %+v, findings %v; want %+v", d, got, found, want)
		}
		if d < ledger.DepthStructure && got.Messages != want.Messages {
			t.Errorf("depth %d: %d messages, not %d", d, got.Messages, want.Messages)
		}
	}
}

// A flipped bit is found at the depth that it lies in, at the deeper ones, at its
// place, and not above.
func TestDepthsFind(t *testing.T) {
	_, places := lay(t)
	for what, tc := range map[string]struct {
		off  int64 // in the frame of a record in the middle
		most ledger.Depth
	}{
		"header":  {100, ledger.DepthChain},
		"body":    {232 + 5, ledger.DepthBodies},
		"padding": {-1, ledger.DepthBodies},
	} {
		for _, d := range depths {
			fsys, _ := lay(t)
			p := places[len(places)/2]
			off := p.off + tc.off
			if tc.off < 0 {
				off += p.length
			}
			if err := fsys.Flip(p.segment, off, 3); err != nil {
				t.Fatal(err)
			}
			found, _ := verifyAt(t, fsys, ledger.VerifyOptions{Depth: d})
			if seen := len(found) > 0; seen != (d <= tc.most) {
				t.Errorf("%s, depth %d: %v", what, d, found)
			}
			if len(found) > 0 && (found[0].Segment != p.segment || found[0].Offset != p.off || found[0].Seq != p.seq) {
				t.Errorf("%s, depth %d: found at %+v, not %+v", what, d, found[0], p)
			}
		}
	}
}

// Every depth finds a segment that is gone, and a seal that is damaged.
func TestDepthsFindSeals(t *testing.T) {
	for what, harm := range map[string]func(*durabletest.FS, []string) error{
		"gone": func(fsys *durabletest.FS, segs []string) error { return fsys.Remove(segs[1]) },
		"tail": func(fsys *durabletest.FS, segs []string) error {
			return fsys.Flip(segs[1], size(t, fsys, segs[1])-3, 0)
		},
		"seal": func(fsys *durabletest.FS, segs []string) error {
			return fsys.Flip(segs[1], size(t, fsys, segs[1])-60, 0)
		},
		"first": func(fsys *durabletest.FS, segs []string) error { return fsys.Flip(segs[1], 20, 0) },
	} {
		for _, d := range depths {
			fsys, _ := lay(t)
			if err := harm(fsys, segments(t, fsys)); err != nil {
				t.Fatal(err)
			}
			if found, _ := verifyAt(t, fsys, ledger.VerifyOptions{Depth: d}); len(found) == 0 {
				t.Errorf("%s is not found at depth %d", what, d)
			}
		}
	}
}

func size(t testing.TB, fsys durable.FS, name string) int64 {
	t.Helper()
	info, err := fsys.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Parts of a ledger, verified one after the other, are the whole.
func TestVerifyParts(t *testing.T) {
	fsys, _ := lay(t)
	_, whole := verifyAt(t, fsys, ledger.VerifyOptions{Depth: ledger.DepthBodies})
	var firsts []uint64
	for _, name := range segments(t, fsys) {
		var first uint64
		if _, err := fmt.Sscanf(name, "%16x.seg", &first); err != nil {
			t.Fatal(err)
		}
		firsts = append(firsts, first)
	}
	var octets int64
	for i, first := range firsts {
		o := ledger.VerifyOptions{Depth: ledger.DepthBodies, From: first}
		if i+1 < len(firsts) {
			o.Durable = firsts[i+1]
		}
		found, r := verifyAt(t, fsys, o)
		octets += r.Octets
		if len(found) > 0 || r.Segments != 1 {
			t.Errorf("segment %d: %+v, %v", first, r, found)
		}
		if i+1 == len(firsts) && (r.Root != whole.Root || r.Size != whole.Size) {
			t.Errorf("the last part ends with %+v, the whole with %+v", r, whole)
		}
	}
	if octets != whole.Octets {
		t.Errorf("%d octets in parts, %d as a whole", octets, whole.Octets)
	}
	if _, err := ledger.Verify(t.Context(), fsys, ledger.VerifyOptions{Archive: archive, From: firsts[1] + 1}); err == nil {
		t.Error("a part began where no segment does")
	}
}

// The pace is told of every octet, and its error ends the verification.
func TestVerifyPace(t *testing.T) {
	fsys, _ := lay(t)
	var told int64
	o := ledger.VerifyOptions{Archive: archive, Depth: ledger.DepthBodies, Pace: func(_ context.Context, n int64) error {
		told += n
		return nil
	}}
	r, err := ledger.Verify(t.Context(), fsys, o)
	if err != nil || told != r.Octets {
		t.Errorf("told of %d octets of %d: %v", told, r.Octets, err)
	}
	stop := errors.New("stop")
	o.Pace = func(context.Context, int64) error { return stop }
	if _, err := ledger.Verify(t.Context(), fsys, o); !errors.Is(err, stop) {
		t.Errorf("the pace did not end it: %v", err)
	}
}

// noise is what cannot be compressed.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b) //nolint:errcheck // it never fails
	return b
}

// BenchmarkVerifyBodies compares verifying bodies with hashing as many octets, on
// as many processors: the ratio is to be 0.8 at least.
func BenchmarkVerifyBodies(b *testing.B) {
	dir, err := durable.MakeDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer dir.Close()
	opts := options(b)
	opts.SegmentSize = ledger.DefaultSegmentSize
	l := open(b, dir, opts)
	for seed := range uint64(6000) {
		appendOK(b, l, message(b, noise(seed, 21<<10)))
	}
	closeOK(b, l)
	_, r := verifyAt(b, dir, ledger.VerifyOptions{Depth: ledger.DepthBodies}) // and into the page cache
	buf := make([]byte, 1<<20)
	var verifying, hashing time.Duration
	for b.Loop() {
		at := time.Now()
		verifyAt(b, dir, ledger.VerifyOptions{Depth: ledger.DepthBodies})
		verifying += time.Since(at)
		at = time.Now()
		for n := int64(0); n < r.Octets; n += int64(len(buf)) {
			sha256.Sum256(buf)
		}
		hashing += time.Since(at)
	}
	b.SetBytes(r.Octets)
	b.ReportMetric(hashing.Seconds()/verifying.Seconds(), "of-SHA-256")
}
