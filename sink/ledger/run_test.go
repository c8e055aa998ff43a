package ledger_test

import (
	"math/rand/v2"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// Frames of all sizes, smaller and larger than what is read at once, are verified
// whole, and a flipped bit of any of them is found where it is.
func TestVerifyFramesOfAllSizes(t *testing.T) {
	t.Parallel()
	const window = 128 << 10 // what verification reads at once
	fsys := durabletest.New()
	opts := options(t)
	opts.SegmentSize = 0
	l := open(t, fsys, opts)
	noise := rand.NewChaCha8([32]byte{7})
	sizes := []int{0, 100, window - 232, window, window + 1, 60 << 10, 60 << 10, 60 << 10, 300 << 10, 8, 2 * window}
	for range 100 {
		sizes = append(sizes, 100)
	}
	for _, n := range append(sizes, window-700, 1) {
		raw := make([]byte, n)
		noise.Read(raw) //nolint:errcheck // it never fails
		appendOK(t, l, message(t, raw))
	}
	closeOK(t, l)
	name := only(t, fsys, ".seg")
	whole := slurp(t, fsys, name)
	var frames []int64
	for off := int64(0); off < int64(len(whole))-16; off += int64(be32(whole[off+8:])) {
		frames = append(frames, off)
	}
	for _, depth := range []ledger.Depth{ledger.DepthContent, ledger.DepthBodies, ledger.DepthChain} {
		rep, found := atDepth(t, fsys, depth)
		if len(found) > 0 || rep.Records != uint64(len(frames)) {
			t.Fatalf("depth %d: %d records of %d, %+v", depth, rep.Records, len(frames), found)
		}
	}
	for i, off := range frames[1:] {
		if i > 12 && i%19 != 0 {
			continue
		}
		at := off + int64(be32(whole[off+8:])) - 9 // in the body, before what fills it up
		bad := fsys.Crash(0, 1)
		if err := bad.Flip(name, at, 3); err != nil {
			t.Fatal(err)
		}
		for _, depth := range []ledger.Depth{ledger.DepthContent, ledger.DepthBodies} {
			rep, found := atDepth(t, bad, depth)
			if len(found) != 1 || found[0].Offset != off || rep.Records != uint64(len(frames)) {
				t.Fatalf("depth %d, flip at %d: %d records, %+v", depth, at, rep.Records, found)
			}
		}
	}
}

func atDepth(t *testing.T, fsys *durabletest.FS, depth ledger.Depth) (ledger.Report, []ledger.Finding) {
	t.Helper()
	var found []ledger.Finding
	rep, err := ledger.Verify(t.Context(), fsys, ledger.VerifyOptions{
		Archive: archive, Depth: depth, Found: func(f ledger.Finding) { found = append(found, f) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return rep, found
}
